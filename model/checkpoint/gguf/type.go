package gguf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Type is the number format of a tensor, by its number in the file.
type Type uint32

// The types by number (ggml.h of the ggml project).
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
	Q1_0    Type = 41
	Q2_0    Type = 42
)

// format is what is known of a type. A row is a whole number of blocks.
type format struct {
	name     string
	elements int                             // in a block
	bytes    int                             // of a block
	decode   func(dst []float32, src []byte) // whole blocks; nil where values are not supported
	encode   func(dst []byte, src []float32) // whole blocks; nil where it is not written
}

// formats lists every type that files hold, or have held: 4, 5, 31 to 33 and 36 to 38 were given up
// by the format.
var formats = map[Type]format{
	F32:     {"F32", 1, 4, decodeF32, encodeF32},
	F16:     {"F16", 1, 2, decodeF16, encodeF16},
	Q4_0:    {"Q4_0", 32, 18, decodeQ4_0, encodeQ4_0},
	Q4_1:    {"Q4_1", 32, 20, decodeQ4_1, encodeQ4_1},
	4:       {"Q4_2", 16, 10, nil, nil},
	5:       {"Q4_3", 16, 12, nil, nil},
	Q5_0:    {"Q5_0", 32, 22, decodeQ5_0, nil},
	Q5_1:    {"Q5_1", 32, 24, decodeQ5_1, nil},
	Q8_0:    {"Q8_0", 32, 34, decodeQ8_0, encodeQ8_0},
	Q8_1:    {"Q8_1", 32, 36, nil, nil},
	Q2_K:    {"Q2_K", 256, 84, decodeQ2_K, nil},
	Q3_K:    {"Q3_K", 256, 110, decodeQ3_K, nil},
	Q4_K:    {"Q4_K", 256, 144, decodeQ4_K, nil},
	Q5_K:    {"Q5_K", 256, 176, decodeQ5_K, nil},
	Q6_K:    {"Q6_K", 256, 210, decodeQ6_K, nil},
	Q8_K:    {"Q8_K", 256, 292, decodeQ8_K, nil},
	IQ2_XXS: {"IQ2_XXS", 256, 66, decodeIQ2_XXS, nil},
	IQ2_XS:  {"IQ2_XS", 256, 74, decodeIQ2_XS, nil},
	IQ3_XXS: {"IQ3_XXS", 256, 98, decodeIQ3_XXS, nil},
	IQ1_S:   {"IQ1_S", 256, 50, decodeIQ1_S, nil},
	IQ4_NL:  {"IQ4_NL", 32, 18, decodeIQ4_NL, nil},
	IQ3_S:   {"IQ3_S", 256, 110, decodeIQ3_S, nil},
	IQ2_S:   {"IQ2_S", 256, 82, decodeIQ2_S, nil},
	IQ4_XS:  {"IQ4_XS", 256, 136, decodeIQ4_XS, nil},
	I8:      {"I8", 1, 1, nil, nil},
	I16:     {"I16", 1, 2, nil, nil},
	I32:     {"I32", 1, 4, nil, nil},
	I64:     {"I64", 1, 8, nil, nil},
	F64:     {"F64", 1, 8, decodeF64, nil},
	IQ1_M:   {"IQ1_M", 256, 56, decodeIQ1_M, nil},
	BF16:    {"BF16", 1, 2, decodeBF16, encodeBF16},
	31:      {"Q4_0_4_4", 32, 18, nil, nil},
	32:      {"Q4_0_4_8", 32, 18, nil, nil},
	33:      {"Q4_0_8_8", 32, 18, nil, nil},
	TQ1_0:   {"TQ1_0", 256, 54, decodeTQ1_0, nil},
	TQ2_0:   {"TQ2_0", 256, 66, decodeTQ2_0, nil},
	36:      {"IQ4_NL_4_4", 32, 18, nil, nil},
	37:      {"IQ4_NL_4_8", 32, 18, nil, nil},
	38:      {"IQ4_NL_8_8", 32, 18, nil, nil},
	MXFP4:   {"MXFP4", 32, 17, decodeMXFP4, nil},
	NVFP4:   {"NVFP4", 64, 36, decodeNVFP4, nil},
	Q1_0:    {"Q1_0", 128, 18, decodeQ1_0, nil},
	Q2_0:    {"Q2_0", 64, 18, decodeQ2_0, nil},
}

// String is the type's name, such as "Q4_K", or its number where it has none.
func (t Type) String() string {
	if f, ok := formats[t]; ok {
		return f.name
	}
	return strconv.FormatUint(uint64(t), 10)
}

// Block is the number of elements of a block, of which a row has a whole number; 0 for a type that
// is not known.
func (t Type) Block() int { return formats[t].elements }

// Known reports whether the size of the type's blocks is known.
func (t Type) Known() bool { return formats[t].bytes > 0 }

// BlockBytes is what a block takes.
func (t Type) BlockBytes() int { return formats[t].bytes }

// CanDecode reports whether Decode takes the type.
func (t Type) CanDecode() bool { return formats[t].decode != nil }

// Problem says why Decode does not take the type, "" where it does.
func (t Type) Problem() string {
	switch {
	case t.CanDecode():
		return ""
	case !t.Known():
		return fmt.Sprintf("type %s is unknown: a newer program, or one with types of its own, wrote the file", t)
	case t >= I8 && t <= I64:
		return fmt.Sprintf("type %s holds whole numbers, expected a type of weights", t)
	case t == Q8_1:
		return "type Q8_1 is for activations, expected a type of weights"
	}
	return fmt.Sprintf("type %s was given up by the format and is not decoded: quantize the model again from its source", t)
}

// CanEncode reports whether Encode takes the type.
func (t Type) CanEncode() bool { return formats[t].encode != nil }

// RowBytes is what n elements take, which are whole blocks of a type that is known.
func (t Type) RowBytes(n int) int { return n / formats[t].elements * formats[t].bytes }

// Decode writes the values of src, whole blocks of type t, to dst, which has their number of
// elements.
func (t Type) Decode(dst []float32, src []byte) error {
	f := formats[t]
	if f.decode == nil {
		return errors.New(t.Problem())
	}
	if len(dst)%f.elements != 0 || len(src) != t.RowBytes(len(dst)) {
		return fmt.Errorf("%d bytes of %s for %d elements, expected blocks of %d bytes and %d elements", len(src), t, len(dst), f.bytes, f.elements)
	}
	f.decode(dst, src)
	return nil
}

// Encode writes src, whole blocks, to dst in type t. Values of the block formats are rounded to the
// nearest code of a block's scale, the scale to half precision. A value that is not finite, or too
// large for the type, is an error.
func (t Type) Encode(dst []byte, src []float32) error {
	f := formats[t]
	if f.encode == nil {
		return fmt.Errorf("type %s is not written, expected F32, F16, BF16, Q8_0, Q4_0 or Q4_1", t)
	}
	if len(src)%f.elements != 0 || len(dst) != t.RowBytes(len(src)) {
		return fmt.Errorf("%d bytes of %s for %d elements, expected blocks of %d bytes and %d elements", len(dst), t, len(src), f.bytes, f.elements)
	}
	limit := largest(t)
	most := magnitude(limit)
	for i, v := range src {
		if magnitude(v) >= most {
			return fmt.Errorf("element %d is %g, expected less than %g in magnitude for %s", i, v, limit, t)
		}
	}
	f.encode(dst, src)
	return nil
}

// largest is the magnitude from which on type t would hold an infinity: as a value, or as a block's
// scale.
func largest(t Type) float32 {
	const half = 65520 // the middle between the largest half and 2¹⁶
	switch t {
	case F16, Q4_1: // the minimum of a block
		return half
	case Q8_0:
		return half * 127
	case Q4_0:
		return half * 8
	case BF16:
		return 0x1.ffp127 // the middle between the largest bfloat16 and 2¹²⁸
	}
	return float32(math.Inf(1))
}
