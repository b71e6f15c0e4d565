package convert

import (
	"errors"
	"fmt"

	"slimlab/internal/diskfree"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/quant"
)

// ErrNoRoom is in the error of a folder or file that the disk has no room for.
var ErrNoRoom = errors.New("too little is free")

// written predicts the bytes of a folder's tensors, for a shape and the form of each linear layer
// of its blocks, in their order.
func written(c model.Config, dtype checkpoint.DType, form func(linear int) (checkpoint.Storage, quant.Outliers)) int64 {
	float := int64(dtype.Size())
	all := float * int64(c.Parameters())
	frame := model.Model{Config: c, Blocks: make([]model.Block, len(c.Layers))}
	for i, l := range frame.Linears() {
		s, outliers := form(i)
		all += LinearBytes(l.Out, l.In, s, outliers, dtype) - float*int64(l.Out)*int64(l.In)
	}
	return all
}

// LinearBytes predicts the bytes of the tensors of a linear layer [outputs, inputs] in a form.
func LinearBytes(outputs, inputs int, s checkpoint.Storage, outliers quant.Outliers, dtype checkpoint.DType) int64 {
	float, out, in := int64(dtype.Size()), int64(outputs), int64(inputs)
	if s.Dense() {
		return float * out * in
	}
	scale := float
	if dtype == checkpoint.F16 && s.Format.Bits != 3 { // scales are those of bfloat16
		scale = 4
	}
	words := int64(0) // beside codes and scales
	switch s.Packing {
	case checkpoint.GPTQ:
		scale = 2
	case checkpoint.MXFP4Packed:
		scale = 1
	case checkpoint.NVFP4Packed:
		scale, words = 1, 4 // of the whole weight
	case checkpoint.PackQuantized:
		words = 16 // the weight's shape
	}
	groups := int64(1)
	if s.Format.Group > 0 {
		groups = in / int64(s.Format.Group)
	}
	codes := (in*int64(s.Format.Bits) + 31) / 32 * 4 * out
	if s.Format.ZeroPoints || s.Packing == checkpoint.GPTQ {
		codes += (out*int64(s.Format.Bits) + 31) / 32 * 4 * groups
	}
	if s.Packing == checkpoint.GPTQ {
		codes += 4 * in // the group of each input
	}
	switch share := outliers.Share * float64(in*out); {
	case outliers.Columns:
		codes += int64(2 * share)
	case share > 0:
		codes += int64(4*share) + 2*out
	}
	return codes + scale*out*groups + words
}

// checkRoom refuses a folder or file to that the disk has no room for, of which an interrupted
// command may have written a part.
func (o *Options) checkRoom(to string, needs int64) error {
	free := o.Free(to)
	if free < 0 {
		return nil
	}
	there := checkpoint.FinishedBytes(to)
	if needs -= min(there, needs); needs > free {
		return fmt.Errorf("%s: %w on its disk: found %.3g MB, expected at least %.3g MB for the result: make room, or name one on another disk", to, ErrNoRoom, float64(free)/1e6, float64(needs)/1e6)
	}
	return nil
}

// systemFree is what the system says.
func systemFree(folder string) int64 { return diskfree.Bytes(folder) }
