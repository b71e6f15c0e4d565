package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/pretrained"
	"slimlab/model/tokenizer"
	"slimlab/quant"
)

// artifactModel is a model on disk that is read when it is needed.
type artifactModel struct {
	name   string // of its step, or what it was loaded from
	key    string
	shared bool // by all cells of the run
	// origin is the shape that the model had before anything was pruned.
	origin model.Config
	open   func() (*checkpoint.Checkpoint, error) // nil until the artifact is there

	mu     sync.Mutex
	loaded *model.Model
}

// load reads the model, or returns it when it is in memory already. It is never changed.
func (m *artifactModel) load() (*model.Model, error) {
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
	loaded, err := c.Model()
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

// forget lets the memory go; whoever needs the model after all reads it again.
func (m *artifactModel) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loaded = nil
}

// saveModel writes a model as an artifact's content: float weights in bfloat16, as a checkpoint is
// shipped, and quantized ones in their format.
func saveModel(dir string, m *model.Model, d *dataset, facts any) error {
	if err := checkpoint.Save(dir, m, d.tokenizer, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		return err
	}
	return writeFacts(dir, facts)
}

// folder opens what a MODEL names: pretrained:NAME, run:ID/ROW or a Hugging Face folder.
func (l *Lab) folder(name string) (fs.FS, error) {
	if rest, ok := strings.CutPrefix(name, "pretrained:"); ok {
		return pretrained.Open(rest)
	}
	if rest, ok := strings.CutPrefix(name, "run:"); ok {
		folder, err := l.rowFolder(rest)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", name, err)
		}
		return folder, nil
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("model %s: no such folder; expected a Hugging Face folder, pretrained:NAME or run:ID/ROW", name)
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("model %s: found a file, expected a Hugging Face folder with config.json and model.safetensors", name)
	}
	return os.DirFS(name), nil
}

// Open opens what a MODEL names: pretrained:NAME, run:ID/ROW, a Hugging Face folder or a GGUF file.
// No weight is read yet.
func (l *Lab) Open(name string) (*checkpoint.Checkpoint, error) {
	if isGGUF(name) {
		return checkpoint.Open(name, quant.LoadOptions())
	}
	folder, err := l.folder(name)
	if err != nil {
		return nil, err
	}
	c, err := checkpoint.OpenFS(folder, ".", quant.LoadOptions())
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("found no config.json or tensors, expected a Hugging Face folder with config.json and model.safetensors: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	return c, nil
}

// isGGUF tells a GGUF file by its name.
func isGGUF(name string) bool { return strings.EqualFold(filepath.Ext(name), ".gguf") }

// rowFolder finds the artifact of a run's row, "ID/ROW": that of the first cell of the plan that
// has reported the row.
func (l *Lab) rowFolder(name string) (fs.FS, error) {
	id, row, ok := strings.Cut(name, "/")
	if !ok {
		return nil, fmt.Errorf("found %q, expected ID/ROW", name)
	}
	log, err := l.Log(id)
	if err != nil {
		return nil, err
	}
	var rows []string
	keys := map[string]string{} // by cell
	var cells []lab.Cell
	for _, e := range log.Events {
		switch {
		case e.Begin != nil:
			cells = e.Begin.Cells
		case e.Kind != lab.KindRow || e.Text == "":
		case e.Row == row:
			keys[e.Cell] = e.Text
		case !slices.Contains(rows, e.Row):
			rows = append(rows, e.Row)
		}
	}
	for _, c := range cells {
		key, reported := keys[c.ID]
		if !reported {
			continue
		}
		dir, found, _ := l.artifact(key)
		if !found {
			return nil, fmt.Errorf("the artifact of row %s is gone or damaged; run the scenario again", row)
		}
		return os.DirFS(dir), nil
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("run %s has not finished a row yet, expected %q", log.ID, row)
	}
	return nil, fmt.Errorf("run %s has no row %q; it has %s", log.ID, row, strings.Join(rows, ", "))
}

// model opens what a scenario loads, once a run.
func (r *Run) model(name string) (*artifactModel, error) {
	return r.models.get(name, func() (*artifactModel, error) {
		if strings.HasPrefix(name, "run:last/") {
			return nil, fmt.Errorf("model %s: the last run is another one each time, expected its id", name)
		}
		m := &artifactModel{name: name, shared: true, open: func() (*checkpoint.Checkpoint, error) { return r.lab.Open(name) }}
		c, err := m.open() // a truncated file is told before hours of work
		if err != nil {
			return nil, err
		}
		defer c.Close()
		m.origin = c.Config()
		if m.key, err = r.lab.content(name); err != nil {
			return nil, fmt.Errorf("model %s: %w", name, err)
		}
		return m, nil
	})
}

// folderOpener opens the checkpoint in an artifact's folder.
func folderOpener(dir string) func() (*checkpoint.Checkpoint, error) {
	return func() (*checkpoint.Checkpoint, error) { return checkpoint.Open(dir, quant.LoadOptions()) }
}

// checkFit reports a model that has no embedding for all tokens of the data.
func (m *artifactModel) checkFit(d *dataset) error {
	if tokens := d.tokenizer.Vocab(); tokens > m.origin.Vocab {
		return fmt.Errorf("model %s: the tokenizer does not fit: it has %d tokens, expected at most %d, the rows of the model's embedding", m.name, tokens, m.origin.Vocab)
	}
	return nil
}

// modelFile reports whether a file of a folder belongs to its model.
func modelFile(e fs.DirEntry) bool {
	ending := path.Ext(e.Name())
	return !e.IsDir() && (ending == ".json" || ending == ".safetensors") && e.Name() != factsFile
}

// folderHash names the content of a model's files.
func folderHash(folder fs.FS) (string, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return "", err
	}
	parts := []string{"folder"}
	for _, e := range entries {
		if !modelFile(e) {
			continue
		}
		sum, err := fsHash(folder, e.Name())
		if err != nil {
			return "", err
		}
		parts = append(parts, e.Name(), sum)
	}
	return store.Key(parts...), nil
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
		EOS:          int(d.tokenizer.EOS()),
	}
}
