package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/convert"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
)

// stepModel is the model that a step will make of a recipe; origin and shape as in artifactModel.
func stepModel(s scenario.Step, of recipe.Recipe, origin, shape model.Config) *artifactModel {
	return &artifactModel{name: s.Name, key: of.Key(), recipe: of, origin: origin, shape: shape}
}

// artifactModel is a model on disk that is read when it is needed.
type artifactModel struct {
	name   string        // of its step, or what it was loaded from
	key    string        // of its recipe, or the name of a loaded model's content
	recipe recipe.Recipe // of a step's model
	shared bool          // by all cells of the run
	// origin is the shape that the model had before anything was pruned.
	origin model.Config
	shape  model.Config // that it has, or will have
	// the format of its linear layers where they are quantized, as in w8a8
	packed string
	open   func() (*checkpoint.Checkpoint, error) // nil until the artifact is there
	watch  *recipe.Watch                          // of the files of a loaded model

	mu     sync.Mutex
	loaded *model.Model
}

// load reads the model, or returns it when it is in memory already. It is never changed.
func (m *artifactModel) load(ctx context.Context) (*model.Model, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loaded != nil {
		return m.loaded, nil
	}
	c, err := m.open()
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", m.name, err)
	}
	defer c.Close()
	loaded, err := c.Model(ctx)
	if err == nil && m.watch != nil {
		err = m.watch.Check(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", m.name, err)
	}
	m.loaded = loaded
	return loaded, nil
}

// tokenizer reads the tokenizer beside the model, nil where there is none.
func (m *artifactModel) tokenizer() (*tokenizer.Tokenizer, error) {
	c, err := m.open()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Tokenizer()
}

// forget releases the memory; a later load reads the model again.
func (m *artifactModel) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loaded = nil
}

// saveModel writes a model as an artifact's content: float weights in bfloat16, as a checkpoint is
// shipped, and quantized ones in their format.
func saveModel(ctx context.Context, dir string, m *model.Model, d *dataset, facts any) error {
	if err := checkpoint.Save(ctx, dir, m, d.tokenizer, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		return err
	}
	return writeFacts(dir, facts)
}

// model opens what a scenario loads, once a run.
func (r *Run) model(ctx context.Context, name string) (*artifactModel, error) {
	return r.models.get(name, func() (*artifactModel, error) {
		if strings.HasPrefix(name, "run:last/") {
			return nil, fmt.Errorf("model %s: the last run is another one each time, expected its id", name)
		}
		m := &artifactModel{name: name, shared: true, watch: recipe.NewWatch(name), open: func() (*checkpoint.Checkpoint, error) { return r.home.OpenModel(name) }}
		c, err := m.open() // a truncated file is reported before hours of work
		if err != nil {
			return nil, err
		}
		defer c.Close()
		release, err := r.home.Hold(ctx, name)
		if err != nil {
			return nil, err
		}
		r.hold(release)
		m.origin, m.shape, m.packed = c.Config(), c.Config(), packedFormat(c)
		if m.key, err = m.watch.Name(ctx, func(ctx context.Context) (string, error) { return r.home.Content(ctx, name) }); err != nil {
			return nil, err
		}
		for _, note := range c.Notes() {
			r.note("", lab.Info, "model "+name+": "+note)
		}
		return m, nil
	})
}

// cause adds to the error of a compression of the model which of its tensors is behind it.
func (m *artifactModel) cause(ctx context.Context, err error) error {
	var infinite *calibrate.NotFiniteError
	if !errors.As(err, &infinite) {
		return err
	}
	c, bad := m.open()
	if bad != nil {
		return errors.Join(err, bad)
	}
	defer c.Close()
	return InputError{convert.Cause(ctx, c, m.name, err)}
}

// folderOpener opens the checkpoint in an artifact's folder.
func folderOpener(dir string) func() (*checkpoint.Checkpoint, error) {
	return func() (*checkpoint.Checkpoint, error) { return checkpoint.Open(dir) }
}

// packedFormat names the format of a checkpoint's linear layers where they stay quantized in
// memory; "" where all become floats.
func packedFormat(c *checkpoint.Checkpoint) string {
	for _, l := range c.Quantization() {
		if l.Storage.Packing != checkpoint.GGUF && l.Storage.Format.Multiplied() {
			return l.Format
		}
	}
	return ""
}

// checkFloat reports a quantized model, which cannot be what is said: trained, or pruned.
func (m *artifactModel) checkFloat(what string) error {
	if m.packed != "" {
		return fmt.Errorf("model %s cannot be %s: its weights are %s already, expected float32: take a model from before it was quantized, or decode it by `slimlab import`", m.name, what, m.packed)
	}
	return nil
}

// checkFit reports a model that has no embedding for all tokens of the data, or no positions. A
// tokenizer may have more tokens: it is a note of the model's.
func (m *artifactModel) checkFit(d *dataset) error {
	if d.longest > m.origin.MaxPositions {
		return fmt.Errorf("model %s has %s, and the longest example of the data %s, expected at most as many", m.name, plural.Of(m.origin.MaxPositions, "position"), plural.Of(d.longest, "token"))
	}
	if int(d.highest) >= m.origin.Vocab {
		return fmt.Errorf("model %s: the tokenizer does not fit: the data have token %d (%q), expected ids below %d, the rows of the model's embedding", m.name, d.highest, d.tokenizer.Token(d.highest), m.origin.Vocab)
	}
	return nil
}

// shape is the config of a fresh model for the task.
func (d *dataset) shape(m scenario.Model) model.Config {
	return model.Config{
		Architecture: "LlamaForCausalLM",
		Vocab:        d.tokenizer.Vocab(),
		Hidden:       m.Hidden,
		HeadDim:      m.HeadDim,
		Layers:       model.Uniform(m.Layers, m.Heads, m.KVHeads, m.MLP),
		MaxPositions: d.positions,
		RopeTheta:    m.RopeTheta,
		NormEps:      1e-5,
		TiedHead:     m.Tied,
		BOS:          int(d.tokenizer.BOS()),
		EOS:          int(d.eos),
	}
}
