package gguf

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	// whole blocks, as ggml's reference; nil where there is none
	encode func(dst []byte, src []float32)
	// a block by the search for scales, or simply by its extremes; nil where there is none
	fit func(dst []byte, b *elements, simply bool)
}

// formats lists every type that files hold, or have held: 4, 5, 31 to 33 and 36 to 38 were given up
// by the format.
var formats = map[Type]format{
	F32:     {"F32", 1, 4, decodeF32, encodeF32, nil},
	F16:     {"F16", 1, 2, decodeF16, encodeF16, nil},
	Q4_0:    {"Q4_0", 32, 18, decodeQ4_0, encodeQ4_0, fitQ4_0},
	Q4_1:    {"Q4_1", 32, 20, decodeQ4_1, encodeQ4_1, fitQ4_1},
	4:       {"Q4_2", 16, 10, nil, nil, nil},
	5:       {"Q4_3", 16, 12, nil, nil, nil},
	Q5_0:    {"Q5_0", 32, 22, decodeQ5_0, nil, fitQ5_0},
	Q5_1:    {"Q5_1", 32, 24, decodeQ5_1, nil, fitQ5_1},
	Q8_0:    {"Q8_0", 32, 34, decodeQ8_0, encodeQ8_0, fitQ8_0},
	Q8_1:    {"Q8_1", 32, 36, nil, nil, nil},
	Q2_K:    {"Q2_K", 256, 84, decodeQ2_K, nil, nil},
	Q3_K:    {"Q3_K", 256, 110, decodeQ3_K, nil, fitQ3_K},
	Q4_K:    {"Q4_K", 256, 144, decodeQ4_K, nil, fitQ4_K},
	Q5_K:    {"Q5_K", 256, 176, decodeQ5_K, nil, fitQ5_K},
	Q6_K:    {"Q6_K", 256, 210, decodeQ6_K, nil, fitQ6_K},
	Q8_K:    {"Q8_K", 256, 292, decodeQ8_K, nil, nil},
	IQ2_XXS: {"IQ2_XXS", 256, 66, decodeIQ2_XXS, nil, nil},
	IQ2_XS:  {"IQ2_XS", 256, 74, decodeIQ2_XS, nil, nil},
	IQ3_XXS: {"IQ3_XXS", 256, 98, decodeIQ3_XXS, nil, nil},
	IQ1_S:   {"IQ1_S", 256, 50, decodeIQ1_S, nil, nil},
	IQ4_NL:  {"IQ4_NL", 32, 18, decodeIQ4_NL, nil, fitIQ4_NL},
	IQ3_S:   {"IQ3_S", 256, 110, decodeIQ3_S, nil, nil},
	IQ2_S:   {"IQ2_S", 256, 82, decodeIQ2_S, nil, nil},
	IQ4_XS:  {"IQ4_XS", 256, 136, decodeIQ4_XS, nil, nil},
	I8:      {"I8", 1, 1, nil, nil, nil},
	I16:     {"I16", 1, 2, nil, nil, nil},
	I32:     {"I32", 1, 4, nil, nil, nil},
	I64:     {"I64", 1, 8, nil, nil, nil},
	F64:     {"F64", 1, 8, decodeF64, nil, nil},
	IQ1_M:   {"IQ1_M", 256, 56, decodeIQ1_M, nil, nil},
	BF16:    {"BF16", 1, 2, decodeBF16, encodeBF16, nil},
	31:      {"Q4_0_4_4", 32, 18, nil, nil, nil},
	32:      {"Q4_0_4_8", 32, 18, nil, nil, nil},
	33:      {"Q4_0_8_8", 32, 18, nil, nil, nil},
	TQ1_0:   {"TQ1_0", 256, 54, decodeTQ1_0, nil, nil},
	TQ2_0:   {"TQ2_0", 256, 66, decodeTQ2_0, nil, nil},
	36:      {"IQ4_NL_4_4", 32, 18, nil, nil, nil},
	37:      {"IQ4_NL_4_8", 32, 18, nil, nil, nil},
	38:      {"IQ4_NL_8_8", 32, 18, nil, nil, nil},
	MXFP4:   {"MXFP4", 32, 17, decodeMXFP4, nil, nil},
	NVFP4:   {"NVFP4", 64, 36, decodeNVFP4, nil, nil},
	Q1_0:    {"Q1_0", 128, 18, decodeQ1_0, nil, nil},
	Q2_0:    {"Q2_0", 64, 18, decodeQ2_0, nil, nil},
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
func (t Type) CanEncode() bool { return formats[t].encode != nil || formats[t].fit != nil }

// Encodable lists the types that Encode takes, in the order of their numbers.
func Encodable() []Type {
	var list []Type
	for _, t := range slices.Sorted(maps.Keys(formats)) {
		if t.CanEncode() {
			list = append(list, t)
		}
	}
	return list
}

// unwritten is the error of a type that Encode does not take.
func (t Type) unwritten() error {
	var names []string
	for _, e := range Encodable() {
		names = append(names, e.String())
	}
	return fmt.Errorf("type %s is not written, expected one of %s", t, strings.Join(names, ", "))
}

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

// Encode writes src, whole blocks, to dst in type t. A value that is not finite, or too large for
// the type, is an error.
//
// Values of Q8_0, Q4_0 and Q4_1 are rounded to the nearest code of a scale that the block's
// extremes give, as by ggml's reference. Those of the other block formats have scales that were
// searched for: the sum of the squared errors of a block is never above that of the scales which
// its extremes give.
func (t Type) Encode(dst []byte, src []float32) error { return t.EncodeWeighted(dst, src, nil) }

// EncodeWeighted is Encode by the weighted sum of squared errors: importance has a weight, finite
// and at least 0, for each element of a row, and src is whole rows. Q8_0, Q4_0 and Q4_1 have
// scales that were searched for then. A nil importance is Encode.
func (t Type) EncodeWeighted(dst []byte, src, importance []float32) error {
	f := formats[t]
	if !t.CanEncode() {
		return t.unwritten()
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
	if f.fit == nil || importance == nil && f.encode != nil {
		f.encode(dst, src)
		return nil
	}
	if n := len(importance); n > 0 && (n%f.elements != 0 || len(src)%n != 0) {
		return fmt.Errorf("%d elements of %s with the importance of %d: expected whole rows of whole blocks", len(src), t, n)
	}
	for i, v := range importance {
		if !(v >= 0 && v <= math.MaxFloat32) {
			return fmt.Errorf("the importance of element %d is %g, expected a finite number of at least 0", i, v)
		}
	}
	f.fitAll(dst, src, importance)
	return nil
}

// fitAll fits blocks, on all processors: they do not depend on each other.
func (f *format) fitAll(dst []byte, src, importance []float32) {
	blocks := len(src) / f.elements
	workers := min(runtime.GOMAXPROCS(0), blocks)
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			for i := blocks * worker / workers; i < blocks*(worker+1)/workers; i++ {
				var weights []float32
				if len(importance) > 0 {
					at := i * f.elements % len(importance)
					weights = importance[at : at+f.elements]
				}
				f.fitBlock(dst[i*f.bytes:(i+1)*f.bytes], src[i*f.elements:(i+1)*f.elements], weights)
			}
		})
	}
	wait.Wait()
}

// fitBlock encodes a block by the search, or simply where that has the smaller error: the search
// ends in the minimum next to its starts.
func (f *format) fitBlock(dst []byte, src, weights []float32) {
	var b elements
	b.load(src, weights)
	var simply [256]byte
	var decoded [256]float32
	plain, values := simply[:f.bytes], decoded[:f.elements]
	if f.fit(dst, &b, false); f.encode != nil {
		f.encode(plain, src)
	} else {
		f.fit(plain, &b, true)
	}
	f.decode(values, plain)
	most := b.misfitOf(values)
	f.decode(values, dst)
	if !(b.misfitOf(values) <= most) {
		copy(dst, plain)
	}
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
	case Q5_0:
		return half * 16
	case Q5_1: // the minimum of a block
		return half
	case IQ4_NL:
		return half * 113
	case Q3_K:
		return half * 32 * 4
	case Q6_K:
		return half * 128 * 32
	case Q4_K, Q5_K: // a part's minimum
		return half * 63
	case BF16:
		return 0x1.ffp127 // the middle between the largest bfloat16 and 2¹²⁸
	}
	return float32(math.Inf(1))
}

// Faintest is the magnitude under which a block of type t is faint: the half next to its scale, or
// to the scale of its scales, may be off by a sixteenth and more, or is zero. 0 for a type that
// has no half in its blocks.
//
// Halves below 2⁻¹⁴ are 2⁻²⁴ apart, so that a half is off by up to 2⁻²⁵. A number of the block is
// the half times at most reach, and so are the errors. The super-blocks of most models have halves
// below 2⁻¹⁴; they cost little.
func (t Type) Faintest() float32 {
	reach := map[Type]float32{
		Q8_0: 127, Q4_0: 8, Q4_1: 15, Q5_0: 16, Q5_1: 31, IQ4_NL: 113,
		Q3_K: 32 * 4, Q4_K: offsetMost * 15, Q5_K: offsetMost * 31, Q6_K: 128 * 32,
	}
	return reach[t] * 16 * 0x1p-25
}

// Faint counts the blocks of a tensor that are too small for the halves of its type. Blocks of
// zeros are none of them.
type Faint struct {
	Blocks int // of the tensor
	Coarse int // whose numbers may be off by a sixteenth of the largest for the scale alone
	Zero   int // of these, whose numbers all became zero
}

// add counts the blocks of src, which encoded holds.
func (f *Faint) add(t Type, encoded []byte, src []float32) {
	of := formats[t]
	under := magnitude(t.Faintest())
	if under == 0 {
		return
	}
	values := make([]float32, of.elements)
	for i := range len(src) / of.elements {
		f.Blocks++
		most := magnitude(extreme(src[i*of.elements : (i+1)*of.elements]))
		if most == 0 || most >= under {
			continue
		}
		f.Coarse++
		if of.decode(values, encoded[i*of.bytes:(i+1)*of.bytes]); extreme(values) == 0 {
			f.Zero++
		}
	}
}
