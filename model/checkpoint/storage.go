package checkpoint

import (
	"fmt"

	"slimlab/model/weight"
)

// Packing is how the codes of a quantized linear layer are stored in a file, by the name that its
// makers gave it.
type Packing string

// The packings that are read. All but the last three are those of compressed-tensors.
const (
	IntQuantized   Packing = "int-quantized"   // int8 codes, one a byte
	PackQuantized  Packing = "pack-quantized"  // codes of 4 or 8 bits, packed along the inputs
	FloatQuantized Packing = "float-quantized" // FP8 (E4M3FN) codes
	FP8            Packing = "fp8"             // the same under vLLM's own quant_method
	// codes of 4 or 8 bits, packed along the inputs of the transposed weight
	GPTQ Packing = "gptq"
	// 4-bit codes, packed along the outputs of the transposed weight
	AWQ Packing = "awq"
)

// GGUF is llama.cpp's container, for those that judge a checkpoint: its Format has 16 and 32 bits
// for floats, fewer for blocks. Save does not write it.
const GGUF Packing = "gguf"

// Storage is how a file stores a linear layer: a number format, and the packing of its codes. The
// zero value is dense: one float tensor. Storages can be compared.
type Storage struct {
	Packing Packing
	Format  weight.Format
	Tensor  bool // one scale for the whole weight
	V2      bool // GPTQ: zero points as they are, not less one
}

// StorageOf is how Save writes a format; 4-bit weights in GPTQ's packing where that is asked for.
// Float formats of 16 bits and more are dense.
func StorageOf(f weight.Format, fourBits Packing) Storage {
	switch {
	case f.Bits == 0 || f.Bits > 8:
		return Storage{}
	case f.Float:
		return Storage{Packing: FloatQuantized, Format: f}
	case f.Bits == 8 && f.Group == 0:
		return Storage{Packing: IntQuantized, Format: f}
	case fourBits != "":
		return Storage{Packing: fourBits, Format: f}
	}
	return Storage{Packing: PackQuantized, Format: f}
}

// Dense reports whether the layer is not quantized.
func (s Storage) Dense() bool { return s.Packing == "" }

// String names the format, and the packing of other makers: "w8a8", "w4a16-g128 gptq"; "" is dense.
func (s Storage) String() string {
	switch s.Packing {
	case "":
		return ""
	case GPTQ, AWQ:
		return s.Format.String() + " " + string(s.Packing)
	}
	return s.Format.String()
}

// blocks reports whether scales are shared by blocks of outputs and inputs.
func (s Storage) blocks() bool { return s.Format.Block != [2]int{} }

// tensors lists what a linear layer [out, in] is stored as. It takes no memory for weights.
func (s Storage) tensors(name string, out, in int) ([]expectation, error) {
	groups := 1
	if group := s.Format.Group; group > 0 {
		groups = in / group
		if in%group != 0 {
			return nil, fmt.Errorf("%s: group size %d does not divide its %d inputs", name, group, in)
		}
	}
	perWord := 32 / max(1, s.Format.Bits)
	switch s.Packing {
	case "":
		return []expectation{expect(name+".weight", out, in)}, nil
	case IntQuantized, FloatQuantized, FP8:
		return s.byteTensors(name, out, in), nil
	case PackQuantized:
		list := []expectation{expect(name+".weight_packed", out, wordsOf(in, s.Format.Bits)), expect(name+".weight_scale", out, groups), expect(name+".weight_shape", 2)}
		if s.Format.ZeroPoints {
			list = append(list, expect(name+".weight_zero_point", wordsOf(out, s.Format.Bits), groups))
		}
		if s.Format.Order {
			list = append(list, expect(name+".weight_g_idx", in))
		}
		return list, nil
	case GPTQ:
		if in%perWord != 0 || out%perWord != 0 {
			return nil, fmt.Errorf("%s: its %d inputs and %d outputs do not fill words of %d codes, as GPTQ packs them", name, in, out, perWord)
		}
		return []expectation{expect(name+".qweight", in/perWord, out), expect(name+".qzeros", groups, out/perWord), expect(name+".scales", groups, out),
			{name: name + ".g_idx", shapes: [][]int{{in}}, optional: !s.Format.Order}}, nil
	case AWQ:
		if out%perWord != 0 {
			return nil, fmt.Errorf("%s: its %d outputs do not fill words of %d codes, as AWQ packs them", name, out, perWord)
		}
		return []expectation{expect(name+".qweight", in, out/perWord), expect(name+".qzeros", groups, out/perWord), expect(name+".scales", groups, out)}, nil
	}
	return nil, fmt.Errorf("%s: packing %q is not supported", name, s.Packing)
}

// byteTensors lists the tensors of codes of a byte each.
func (s Storage) byteTensors(name string, out, in int) []expectation {
	one := [][]int{{}, {1}, {1, 1}} // the shapes of a single number
	scales := expectation{name: s.scaleName(name), shapes: [][]int{{out, 1}, {out}}}
	if s.Tensor {
		scales.shapes = one
	}
	if b := s.Format.Block; s.blocks() {
		scales.shapes = [][]int{{ceil(out, b[0]), ceil(in, b[1])}}
	}
	list := []expectation{expect(name+".weight", out, in), scales}
	if s.Format.Activations == weight.Static {
		list = append(list, expectation{name: name + ".input_scale", shapes: one})
	}
	return list
}

// scaleName is the name of the scales of codes of a byte each.
func (s Storage) scaleName(name string) string {
	if s.Packing == FP8 && s.blocks() {
		return name + ".weight_scale_inv" // multiplied all the same
	}
	return name + ".weight_scale"
}

func ceil(a, b int) int { return (a + b - 1) / b }
