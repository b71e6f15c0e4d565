package convert

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"slimlab/internal/filelock"
	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/model/weight"
	"slimlab/pruning"
	"slimlab/quant/transform"
)

// stream moves a model from one checkpoint to another, a layer at a time. It is the
// calibrate.Layers of a method that changes the layers on the way.
type stream struct {
	from      *checkpoint.Checkpoint
	to        *checkpoint.Writer
	model     *model.Model      // a skeleton: at most one layer has weights
	precision kernels.Precision // of the new files' float tensors
	dtype     checkpoint.DType
	progress  func(done, total int, text string)
	dense     bool     // weights of other formats are dequantized
	merging   *merging // changes weights on their way; nil is none
	// turns what surrounds the layers, which are turned as a method reads them; nil does not
	rotation *transform.Rotation
	finished bool // the present layer was finished before
	watch    *recipe.Watch
	// which statistics a method is given
	statistics calibrate.Settings
	timer      pruning.Timer
}

// newStream begins, or continues, the folder to. of is all that its layers depend on.
func newStream(ctx context.Context, from *checkpoint.Checkpoint, to string, of recipe.Recipe, o Options) (*stream, error) {
	m, err := from.Skeleton()
	if err != nil {
		return nil, err
	}
	config := from.Config()
	if o.merging != nil {
		config = o.merging.config
	}
	if o.layers != nil {
		config.Layers = o.layers
	}
	w, err := checkpoint.NewWriter(ctx, to, of.Canonical(), o.rotation.Config(config), o.DType)
	if err != nil {
		return nil, explain(err, of)
	}
	s := &stream{from: from, to: w, model: m, dtype: o.DType, progress: o.Progress, watch: o.watch, merging: o.merging, rotation: o.rotation, timer: o.Timer}
	if o.DType == checkpoint.BF16 {
		s.precision = kernels.BFloat16
	}
	return s, nil
}

// Unfinished reports whether an interrupted conversion to the new folder to has finished layers,
// from which the same one goes on.
func Unfinished(to string) bool {
	path, err := filelock.TargetPath(to)
	return err == nil && checkpoint.Unfinished(path)
}

// Model implements calibrate.Layers.
func (s *stream) Model() *model.Model { return s.model }

// Embed reads embeddings from the file.
func (s *stream) Embed(x []float32, tokens []int32) error { return s.from.Embed(x, tokens) }

// Load brings a layer into memory.
func (s *stream) Load(ctx context.Context, layer int) (finished bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if s.finished = s.to.Finished(layer); s.finished {
		return true, s.to.LoadBlock(ctx, s.model, layer)
	}
	return false, s.Source(ctx, s.model, layer)
}

// Source implements calibrate.Layers.
func (s *stream) Source(ctx context.Context, m *model.Model, layer int) error {
	err := s.from.LoadBlock(ctx, m, layer)
	if err == nil {
		err = s.watch.Check(ctx)
	}
	if err != nil {
		return err
	}
	for _, l := range m.BlockLinears(layer) {
		if s.dense {
			out, in := l.Weight.Shape()
			l.Linear.Weight = weight.NewDense(l.Weight.Float32(), out, in)
		}
	}
	for _, p := range m.BlockTensors(layer) {
		if err := s.merging.apply(p.Data, p.Name, 0); err != nil {
			return err
		}
	}
	for _, l := range m.BlockLinears(layer) {
		if d, ok := l.Weight.(*weight.Dense); ok {
			s.precision.Round(d.Data)
		}
	}
	return nil
}

// Leave writes a layer and releases it.
func (s *stream) Leave(ctx context.Context, layer int) error {
	if !s.finished {
		if err := s.to.Block(ctx, s.model, layer); err != nil {
			return err
		}
	}
	s.model.Blocks[layer] = model.Block{}
	debug.FreeOSMemory() // the collector would wait until twice as much is in use
	return nil
}

// Note implements calibrate.Journal.
func (s *stream) Note(layer int, account []byte) { s.to.Note(layer, account) }

// Noted implements calibrate.Journal.
func (s *stream) Noted(layer int) []byte { return s.to.Noted(layer) }

// resumed says what is made again of the unfinished work.
func (s *stream) resumed() []string {
	lost := s.to.Lost()
	if lost == (checkpoint.Lost{}) {
		return nil
	}
	text := fmt.Sprintf("%s of the unfinished work %s: layer %d is made again", lost.File, lost.Why, lost.Layer)
	if n := lost.Again; n > 0 {
		text = fmt.Sprintf("%s of the unfinished work %s: layer %d and %s behind it are made again", lost.File, lost.Why, lost.Layer, plural.Of(n, "finished layer"))
	}
	return []string{text}
}

// copyAll moves all layers as they are.
func (s *stream) copyAll(ctx context.Context) error {
	for layer := range s.model.Blocks {
		if _, err := s.Load(ctx, layer); err != nil {
			return err
		}
		if err := s.Leave(ctx, layer); err != nil {
			return err
		}
		s.progress(layer+1, len(s.model.Blocks), fmt.Sprintf("layer %d", layer))
	}
	return nil
}

// finish writes what surrounds the layers, and the files beside the tensors, and gives the new
// folder its name.
func (s *stream) finish(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tensors, err := s.around()
	if err != nil {
		return err
	}
	if err := s.to.Rest(ctx, tensors); err != nil {
		return err
	}
	if err := s.from.CopyOtherFiles(s.to.Folder()); err != nil {
		return err
	}
	if err := s.merging.copyTokenizer(s.to.Folder()); err != nil {
		return err
	}
	if err := errors.Join(s.watch.Check(ctx), s.merging.check(ctx)); err != nil {
		return err
	}
	return s.to.Close()
}

// around lists the tensors that surround the layers.
func (s *stream) around() ([]checkpoint.Tensor, error) {
	switch {
	case s.merging != nil:
		return s.merging.rest(s.from, s.dtype), nil
	case s.rotation.Stream():
		return turnedEnds(s.rotation, s.from, s.dtype)
	}
	var tensors []checkpoint.Tensor
	for _, t := range s.from.Tensors() {
		if strings.HasPrefix(t.Name, layerPrefix) {
			continue
		}
		if t.Name == headName && s.from.Config().TiedHead && s.has(embeddingName) {
			continue // the same tensor again
		}
		tensors = append(tensors, s.from.Floats(t, s.dtype))
	}
	return tensors, nil
}

func (s *stream) has(name string) bool {
	return slices.ContainsFunc(s.from.Tensors(), func(t checkpoint.TensorInfo) bool { return t.Name == name })
}
