package gguf

import (
	"fmt"
	"math"
	"strconv"
)

// Type is the number format of a tensor, by its number in the file.
type Type uint32

// The types that are decoded.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q4_1 Type = 3
	Q5_0 Type = 6
	Q5_1 Type = 7
	Q8_0 Type = 8
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// format is what is known of a type. A row is a whole number of blocks.
type format struct {
	name     string
	elements int                             // in a block
	bytes    int                             // of a block
	decode   func(dst []float32, src []byte) // whole blocks; nil where values are not supported
	encode   func(dst []byte, src []float32) // whole blocks; nil where it is not written
}

// formats lists every type that files may hold. Numbers that are absent were given up by the
// format.
var formats = map[Type]format{
	F32:  {"F32", 1, 4, decodeF32, encodeF32},
	F16:  {"F16", 1, 2, decodeF16, encodeF16},
	Q4_0: {"Q4_0", 32, 18, decodeQ4_0, encodeQ4_0},
	Q4_1: {"Q4_1", 32, 20, decodeQ4_1, nil},
	Q5_0: {"Q5_0", 32, 22, decodeQ5_0, nil},
	Q5_1: {"Q5_1", 32, 24, decodeQ5_1, nil},
	Q8_0: {"Q8_0", 32, 34, decodeQ8_0, encodeQ8_0},
	9:    {"Q8_1", 32, 36, nil, nil},
	10:   {"Q2_K", 256, 84, nil, nil},
	11:   {"Q3_K", 256, 110, nil, nil},
	Q4_K: {"Q4_K", 256, 144, decodeQ4_K, nil},
	Q5_K: {"Q5_K", 256, 176, decodeQ5_K, nil},
	Q6_K: {"Q6_K", 256, 210, decodeQ6_K, nil},
	15:   {"Q8_K", 256, 292, nil, nil},
	16:   {"IQ2_XXS", 256, 66, nil, nil},
	17:   {"IQ2_XS", 256, 74, nil, nil},
	18:   {"IQ3_XXS", 256, 98, nil, nil},
	19:   {"IQ1_S", 256, 50, nil, nil},
	20:   {"IQ4_NL", 32, 18, nil, nil},
	21:   {"IQ3_S", 256, 110, nil, nil},
	22:   {"IQ2_S", 256, 82, nil, nil},
	23:   {"IQ4_XS", 256, 136, nil, nil},
	24:   {"I8", 1, 1, nil, nil},
	25:   {"I16", 1, 2, nil, nil},
	26:   {"I32", 1, 4, nil, nil},
	27:   {"I64", 1, 8, nil, nil},
	28:   {"F64", 1, 8, nil, nil},
	29:   {"IQ1_M", 256, 56, nil, nil},
	BF16: {"BF16", 1, 2, decodeBF16, encodeBF16},
	34:   {"TQ1_0", 256, 54, nil, nil},
	35:   {"TQ2_0", 256, 66, nil, nil},
	39:   {"MXFP4", 32, 17, nil, nil},
}

// String is the type's name, such as "Q4_K", or its number where it has none.
func (t Type) String() string {
	if f, ok := formats[t]; ok {
		return f.name
	}
	return strconv.FormatUint(uint64(t), 10)
}

// Block is the number of elements of a block, of which a row has a whole number.
func (t Type) Block() int { return formats[t].elements }

// CanDecode reports whether Decode takes the type.
func (t Type) CanDecode() bool { return formats[t].decode != nil }

// CanEncode reports whether Encode takes the type.
func (t Type) CanEncode() bool { return formats[t].encode != nil }

// RowBytes is what n elements take, which are whole blocks.
func (t Type) RowBytes(n int) int { return n / formats[t].elements * formats[t].bytes }

// Decode writes the values of src, whole blocks of type t, to dst, which has their number of
// elements.
func (t Type) Decode(dst []float32, src []byte) error {
	f := formats[t]
	if f.decode == nil {
		return fmt.Errorf("type %s is not supported, expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K", t)
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
		return fmt.Errorf("type %s is not written, expected F32, F16, BF16, Q8_0 or Q4_0", t)
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
	case F16:
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
