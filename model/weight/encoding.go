package weight

import (
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// Encoding is what a quantized weight is made of besides its codes. A weight is (code −
// zero)·scale.
type Encoding struct {
	Format  Format
	Out, In int
	// [out, groups], groups = in/Format.Group or 1; with Format.Block [⌈out/rows⌉, ⌈in/columns⌉],
	// with Format.Tensor one
	Scale []float32
	// of scales in E4M3 (NVFP4): what each is divided by, as compressed-tensors has it
	Global float32
	// of integer codes, [out, groups]; nil is 0 everywhere
	Zero []int8
	// the group of each input, [in]; nil is one group after another
	GroupOf []int32
	// the scale of all activations where they are Static
	Input float32
}

// Quantized is a weight of codes. Codes returns them, [out, in], a byte each, in new memory at each
// call: of integers as int8, 4-bit ones from −8 to 7, 3-bit ones from −4 to 3, else the bits of
// the float, of E2M1 in the lower half of a byte.
type Quantized interface {
	Weight
	Encoding() Encoding
	Codes() []byte
}

// New makes the weight of an encoding and its codes, which are those that Quantized.Codes
// describes. It does not keep codes. A format that no kernel multiplies becomes a Dense weight of
// the same numbers, 4 bytes each.
func New(e Encoding, codes []byte) (Weight, error) {
	if err := e.check(codes); err != nil {
		return nil, fmt.Errorf("%s weight [%d, %d]: %w", e.Format, e.Out, e.In, err)
	}
	if build := e.Format.builder(); build != nil {
		return build(e, codes)
	}
	return NewDense(e.decode(codes), e.Out, e.In), nil
}

// check reports parts that do not fit each other.
func (e Encoding) check(codes []byte) error {
	if err := e.Format.check(); err != nil {
		return err
	}
	if e.Format.Group < 0 || e.Format.Group > 0 && e.In%e.Format.Group != 0 {
		return fmt.Errorf("groups of %d do not divide the inputs", e.Format.Group)
	}
	scales := e.scales()
	if len(codes) != e.Out*e.In || len(e.Scale) != scales {
		return fmt.Errorf("found %d codes and %d scales, expected %d and %d", len(codes), len(e.Scale), e.Out*e.In, scales)
	}
	if e.Zero != nil && (len(e.Zero) != scales || e.Format.Float) || e.GroupOf != nil && len(e.GroupOf) != e.In {
		return fmt.Errorf("found %d zero points and the groups of %d inputs, expected %d and %d, or none", len(e.Zero), len(e.GroupOf), scales, e.In)
	}
	for i, g := range e.GroupOf {
		if g < 0 || int(g) >= e.groups() {
			return fmt.Errorf("input %d is in group %d, expected 0 to %d", i, g, e.groups()-1)
		}
	}
	if err := e.checkScales(); err != nil {
		return err
	}
	return e.checkCodes(codes)
}

// checkScales reports scales that their kind does not have.
func (e Encoding) checkScales() error {
	if (e.Format.Scales == E4M3) != (e.Global > 0) || e.Global-e.Global != 0 {
		return fmt.Errorf("the scale of the scales is %v, expected a positive number for scales in E4M3, else 0", e.Global)
	}
	for i, v := range e.Scale {
		switch e.Format.Scales {
		case E8M0:
			if _, ok := kernels.ToE8M0(v); !ok {
				return fmt.Errorf("scale %d is %v, expected a power of two from 2^-127 to 2^127", i, v)
			}
		case E4M3:
			if kernels.FromFloat8(kernels.ToFloat8(v)) != v {
				return fmt.Errorf("scale %d is %v, expected a number of E4M3", i, v)
			}
		}
	}
	return nil
}

// checkCodes reports the first code that the format does not have.
func (e Encoding) checkCodes(codes []byte) error {
	small, float := e.Format.Small()
	lowest, highest := -1<<(e.Format.Bits-1), 1<<(e.Format.Bits-1)-1
	has := func(c byte) bool {
		if float {
			return int(c) < small.Codes() && small.IsNumber(c)
		}
		return int(int8(c)) >= lowest && int(int8(c)) <= highest
	}
	var known [256]bool
	for c := range known {
		known[c] = has(byte(c))
	}
	var wrong atomic.Bool
	parallel.Range(len(codes), 1<<16, func(first, last int) {
		all := true
		for _, c := range codes[first:last] {
			all = all && known[c]
		}
		if !all {
			wrong.Store(true)
		}
	})
	if !wrong.Load() {
		return nil
	}
	for i, c := range codes { // to find the first
		switch {
		case float && int(c) >= small.Codes():
			return fmt.Errorf("code [%d, %d] is %#02x, expected 0 to %#02x", i/e.In, i%e.In, c, small.Codes()-1)
		case float && !small.IsNumber(c):
			return fmt.Errorf("code [%d, %d] is %#02x, which is no number", i/e.In, i%e.In, c)
		case !float && (int(int8(c)) < lowest || int(int8(c)) > highest):
			return fmt.Errorf("code [%d, %d] is %d, expected %d to %d", i/e.In, i%e.In, int8(c), lowest, highest)
		}
	}
	return nil
}

// scales is the number of scales.
func (e Encoding) scales() int {
	switch b := e.Format.Block; {
	case e.Format.Tensor:
		return 1
	case b != [2]int{}:
		return ceil(e.Out, b[0]) * ceil(e.In, b[1])
	}
	return e.Out * e.groups()
}

// groups is the number of scales of an output channel.
func (e Encoding) groups() int {
	if e.Format.Group > 0 {
		return e.In / e.Format.Group
	}
	return 1
}

// group is the number of inputs that share a scale.
func (e Encoding) group() int { return e.In / e.groups() }

// symmetric reports whether all zero points are 0.
func (e Encoding) symmetric() bool {
	return !slices.ContainsFunc(e.Zero, func(z int8) bool { return z != 0 })
}

// decode returns the numbers, [out, in]. (code − zero)·scale has at most 9 bits more than the scale
// and is exact for scales of 16 bits.
func (e Encoding) decode(codes []byte) []float32 {
	return collect(e.Out, e.In, func(row []float32, o int) { e.decodeRow(row, codes[o*e.In:(o+1)*e.In], o) })
}

// decodeRow writes the numbers of output o, whose codes are given.
func (e Encoding) decodeRow(row []float32, codes []byte, o int) {
	small, float := e.Format.Small()
	for i, c := range codes {
		at := e.scaleOf(o, i)
		if float {
			row[i] = small.Decode(c) * e.scale(at)
			continue
		}
		zero := 0
		if e.Zero != nil {
			zero = int(e.Zero[at])
		}
		row[i] = float32(int(int8(c))-zero) * e.Scale[at]
	}
}

// scale is what the codes of a scale are multiplied with.
func (e Encoding) scale(at int) float32 {
	if e.Format.Scales == E4M3 {
		return e.Scale[at] / e.Global
	}
	return e.Scale[at]
}

// ScaleAt is what the code of weight [o, i] is multiplied with.
func (e Encoding) ScaleAt(o, i int) float32 { return e.scale(e.scaleOf(o, i)) }

// scaleOf is the index of the scale of weight [o, i].
func (e Encoding) scaleOf(o, i int) int {
	switch b := e.Format.Block; {
	case e.Format.Tensor:
		return 0
	case b != [2]int{}:
		return o/b[0]*ceil(e.In, b[1]) + i/b[1]
	case e.GroupOf != nil:
		return o*e.groups() + int(e.GroupOf[i])
	default:
		return o*e.groups() + i/e.group()
	}
}

func ceil(a, b int) int { return (a + b - 1) / b }

// collect makes a matrix [out, in] of its rows.
func collect[T any](out, in int, row func(dst []T, o int)) []T {
	all := make([]T, out*in)
	parallel.Range(out, 16, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			row(all[o*in:(o+1)*in], o)
		}
	})
	return all
}

// selected copies rows of a matrix [out, width].
func selected[T any](x []T, width int, outputs []int32) []T {
	rows := make([]T, 0, len(outputs)*width)
	for _, o := range outputs {
		rows = append(rows, x[int(o)*width:(int(o)+1)*width]...)
	}
	return rows
}

// asInt8 is a view of bytes as signed codes, asBytes the other way.
func asInt8(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

func asBytes(q []int8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(q))), len(q))
}
