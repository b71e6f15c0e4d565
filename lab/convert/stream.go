package convert

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/weight"
	"slimlab/quant"
)

// Progress is told of finished work: done of total steps, and what the last one was.
type Progress func(done, total int, text string)

// stream moves a model from one checkpoint to another, a layer at a time. It is the
// calibrate.Blocks of a method that changes the layers on the way.
type stream struct {
	from      *checkpoint.Checkpoint
	to        *checkpoint.Writer
	model     *model.Model      // a skeleton: at most one layer has weights
	precision kernels.Precision // of the new files' float tensors
	dtype     checkpoint.DType
	dense     bool // weights of other formats are dequantized
	done      bool // the layer at hand was finished before
}

// newStream begins, or goes on with, the folder to. recipe names the method and its options.
func newStream(from *checkpoint.Checkpoint, source, to, recipe string, dtype checkpoint.DType) (*stream, error) {
	m, err := from.Skeleton()
	if err != nil {
		return nil, err
	}
	identity, err := identify(source)
	if err != nil {
		return nil, err
	}
	w, err := checkpoint.NewWriter(to, recipe+", "+string(dtype)+", from "+identity, from.Config(), dtype)
	if err != nil {
		return nil, err
	}
	s := &stream{from: from, to: w, model: m, dtype: dtype}
	if dtype == checkpoint.BF16 {
		s.precision = kernels.BFloat16
	}
	return s, nil
}

// identify names the files of a checkpoint: their sizes and times tell another one, or a changed
// one.
func identify(source string) (string, error) {
	absolute, err := filepath.Abs(source)
	if err != nil {
		return "", err
	}
	names := []string{absolute}
	if info, err := os.Stat(absolute); err != nil {
		return source, nil // the name of one whose content does not change
	} else if info.IsDir() {
		if names, err = filepath.Glob(filepath.Join(absolute, "*.safetensors")); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %d %d ", name, info.Size(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}

// Embed reads embeddings from the file.
func (s *stream) Embed(x []float32, tokens []int32) error { return s.from.Embed(x, tokens) }

// Load brings a layer into memory.
func (s *stream) Load(layer int) (finished bool, err error) {
	if s.done = s.to.Finished(layer); s.done {
		return true, s.to.LoadBlock(s.model, layer, quant.LoadOptions())
	}
	if err := s.from.LoadBlock(s.model, layer); err != nil {
		return false, err
	}
	for _, l := range s.model.BlockLinears(layer) {
		if s.dense {
			out, in := l.Weight.Shape()
			l.Linear.Weight = weight.NewDense(l.Weight.Float32(), out, in)
		}
		if d, ok := l.Weight.(*weight.Dense); ok {
			s.precision.Round(d.Data)
		}
	}
	return false, nil
}

// Leave writes a layer and lets it go.
func (s *stream) Leave(layer int) error {
	if !s.done {
		if err := s.to.Block(s.model, layer); err != nil {
			return err
		}
	}
	s.model.Blocks[layer] = model.Block{}
	debug.FreeOSMemory() // the collector would wait until twice as much is in use
	return nil
}

// copyAll moves all layers as they are.
func (s *stream) copyAll(ctx context.Context, progress Progress) error {
	for layer := range s.model.Blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := s.Load(layer); err != nil {
			return err
		}
		if err := s.Leave(layer); err != nil {
			return err
		}
		progress(layer+1, len(s.model.Blocks), fmt.Sprintf("layer %d", layer))
	}
	return nil
}

// finish writes what surrounds the layers, and the files beside the tensors, and gives the new
// folder its name.
func (s *stream) finish() error {
	var tensors []checkpoint.Tensor
	for _, t := range s.from.Tensors() {
		if strings.HasPrefix(t.Name, layerPrefix) {
			continue
		}
		if t.Name == headName && s.from.Config().TiedHead && s.has(embeddingName) {
			continue // the same tensor again
		}
		tensors = append(tensors, s.passed(t))
	}
	if err := s.to.Rest(tensors); err != nil {
		return err
	}
	if err := s.from.SaveCompanions(s.to.Folder()); err != nil {
		return err
	}
	return s.to.Close()
}

func (s *stream) has(name string) bool {
	return slices.ContainsFunc(s.from.Tensors(), func(t checkpoint.TensorInfo) bool { return t.Name == name })
}

// passed is a tensor on its way through: as it is stored where that is what the new file holds, or
// converted.
func (s *stream) passed(t checkpoint.TensorInfo) checkpoint.Tensor {
	out := checkpoint.Tensor{Name: t.Name, DType: s.dtype, Shape: t.Shape}
	out.Data = func() any {
		var data any
		var err error
		if t.DType == s.dtype {
			data, err = s.from.Raw(t.Name)
		} else {
			data, err = s.from.Float32(t.Name)
		}
		if err != nil {
			return err
		}
		return data
	}
	return out
}
