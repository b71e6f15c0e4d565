package checkpoint

import (
	"fmt"

	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/weight"
)

// Packing is how the codes of a quantized linear layer are stored in a file, by the name that its
// makers gave it.
type Packing string

// The packings that are read. All but the last four are those of compressed-tensors.
const (
	IntQuantized   Packing = "int-quantized"        // int8 codes, one a byte
	PackQuantized  Packing = "pack-quantized"       // codes of 4 or 8 bits, packed along the inputs
	FloatQuantized Packing = "float-quantized"      // FP8 (E4M3FN) codes
	NVFP4Packed    Packing = "nvfp4-pack-quantized" // E2M1 codes, two a byte, and scales in E4M3FN
	MXFP4Packed    Packing = "mxfp4-pack-quantized" // E2M1 codes, two a byte, and scales in E8M0
	// FP8 in E5M2, which compressed-tensors has no form for: that of float-quantized under a name
	// of its own, so that nothing takes the codes for E4M3FN
	E5M2Quantized Packing = "float-quantized-e5m2"
	FP8           Packing = "fp8" // float-quantized under vLLM's own quant_method
	// codes of 3, 4 or 8 bits, packed along the inputs of the transposed weight
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
	Tensor  bool // of integers: one scale for the whole weight
	V2      bool // GPTQ: zero points as they are, not less one
	// numbers beside the codes; see quantization_outliers.go
	Outliers Outliers
}

// StorageOf is how Save writes a format; 4-bit weights in GPTQ's packing where that is asked for,
// 3-bit ones always: engines read no others of 3 bits. Float formats of 16 bits and more are dense.
func StorageOf(f weight.Format, fourBits Packing) Storage {
	switch {
	case f.Bits == 0 || f.Bits > 8:
		return Storage{}
	case f.Scales == weight.E8M0:
		return Storage{Packing: MXFP4Packed, Format: f}
	case f.Scales == weight.E4M3:
		return Storage{Packing: NVFP4Packed, Format: f}
	case f.E5M2:
		return Storage{Packing: E5M2Quantized, Format: f}
	case f.Float:
		return Storage{Packing: FloatQuantized, Format: f}
	case f.Bits == 8 && f.Activations == weight.Token:
		return Storage{Packing: IntQuantized, Format: f}
	case f.Bits == 3:
		return Storage{Packing: GPTQ, Format: f}
	case fourBits != "":
		return Storage{Packing: fourBits, Format: f}
	}
	return Storage{Packing: PackQuantized, Format: f}
}

// Dense reports whether the layer is not quantized.
func (s Storage) Dense() bool { return s.Packing == "" }

// String names the format, and the packing of other makers: "w8a8", "w4a16-g128 gptq"; "" is dense.
func (s Storage) String() string {
	format := s.Format.String()
	if s.Outliers != "" {
		format += weight.OutliersEnding
	}
	switch s.Packing {
	case "":
		return ""
	case GPTQ, AWQ:
		return format + " " + string(s.Packing)
	}
	return format
}

// blocks reports whether scales are shared by blocks of outputs and inputs.
func (s Storage) blocks() bool { return s.Format.Block != [2]int{} }

// tensors lists what a linear layer [out, in] is stored as. It takes no memory for weights.
func (s Storage) tensors(name string, out, in int) ([]expectation, error) {
	if s.Outliers != "" {
		coded := s
		coded.Outliers = ""
		list, err := coded.tensors(name, out, in)
		return append(list, s.Outliers.tensors(name, out)...), err
	}
	groups := 1
	if group := s.Format.Group; group > 0 {
		groups = in / group
		if in%group != 0 {
			return nil, fmt.Errorf("%s: group size %d does not divide its %d inputs", name, group, in)
		}
	}
	// codes of 3 bits fill no word, and their last words are filled up
	perWord := 32 / max(1, s.Format.Bits)
	if s.Format.Bits == 3 {
		perWord = 1
	}
	switch s.Packing {
	case "":
		return []expectation{expect(name+".weight", out, in)}, nil
	case IntQuantized, FloatQuantized, E5M2Quantized, FP8:
		return s.byteTensors(name, out, in), nil
	case NVFP4Packed, MXFP4Packed:
		what := map[Packing]string{NVFP4Packed: "NVFP4", MXFP4Packed: "MXFP4"}[s.Packing]
		list := []expectation{expect(name+".weight_packed", out, in/2), expect(name+".weight_scale", out, groups)}
		list[0].form = ": " + what + " has two codes of 4-bit floats (E2M1) in a byte"
		if s.Packing == NVFP4Packed {
			list = append(list, expectation{name: name + ".weight_global_scale", shapes: single}, expectation{name: name + ".input_global_scale", shapes: single, optional: true})
		}
		return list, nil
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
		return []expectation{expect(name+".qweight", wordsOf(in, s.Format.Bits), out), expect(name+".qzeros", groups, wordsOf(out, s.Format.Bits)), expect(name+".scales", groups, out),
			{name: name + ".g_idx", shapes: [][]int{{in}}, optional: !s.Format.Order}}, nil
	case AWQ:
		if out%perWord != 0 {
			return nil, fmt.Errorf("%s: its %d outputs do not fill words of %d codes, as AWQ packs them", name, out, perWord)
		}
		return []expectation{expect(name+".qweight", in, out/perWord), expect(name+".qzeros", groups, out/perWord), expect(name+".scales", groups, out)}, nil
	}
	return nil, fmt.Errorf("%s: packing %q is not supported", name, s.Packing)
}

// single are the shapes of a single number.
var single = [][]int{{}, {1}, {1, 1}}

// byteTensors lists the tensors of codes of a byte each.
func (s Storage) byteTensors(name string, out, in int) []expectation {
	scales := expectation{name: s.scaleName(name), shapes: [][]int{{out, 1}, {out}}}
	if s.Tensor || s.Format.Tensor {
		scales.shapes = single
	}
	if b := s.Format.Block; s.blocks() {
		scales.shapes = [][]int{{ceil(out, b[0]), ceil(in, b[1])}}
	}
	list := []expectation{expect(name+".weight", out, in), scales}
	if s.Format.Activations == weight.Static {
		list = append(list, expectation{name: name + ".input_scale", shapes: single})
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

// byteType is the type of codes of a byte each.
func (s Storage) byteType() DType {
	switch {
	case s.Format.E5M2:
		return safetensors.F8E5M2
	case s.Format.Float:
		return safetensors.F8E4M3
	}
	return safetensors.I8
}
