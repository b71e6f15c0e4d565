package weight

import (
	"errors"
	"fmt"
	"strings"

	"slimlab/kernels"
)

// Activations says how the input of a weight is quantized as it is multiplied.
type Activations string

// The ways to treat activations.
const (
	Kept   Activations = ""       // as they are, or rounded to bfloat16
	Token  Activations = "token"  // 8 bits, with a scale of its own for each token
	Static Activations = "static" // 8 bits, with one scale for all, which the file holds
	// 8 bits, with a scale for each token and as many inputs as a block of the weight has
	Blocks Activations = "blocks"
)

// Scales is what the scales of a weight are numbers of.
type Scales string

// The kinds of scales.
const (
	Floats Scales = ""     // floats of 16 or 32 bits
	E8M0   Scales = "e8m0" // powers of two in a byte: MXFP4
	// FP8 (E4M3FN), and a float32 for the whole weight: NVFP4
	E4M3 Scales = "e4m3"
)

// Code is the byte of a scale of a kind that has bytes, which the scale is a number of.
func (s Scales) Code(scale float32) byte {
	if s == E4M3 {
		return kernels.ToFloat8(scale)
	}
	code, _ := kernels.ToE8M0(scale)
	return code
}

// Value is the inverse of Code; NaN for a byte that is no number.
func (s Scales) Value(code byte) float32 {
	if s == E4M3 {
		return kernels.FromFloat8(code)
	}
	return kernels.FromE8M0(code)
}

// Format is a number format: what the codes of a weight are, what shares a scale, and how
// activations are treated. Formats can be compared. Every kind of codes, scales and activations is
// a row of one table, which has its name; builder has its constructor.
type Format struct {
	// the codes are floats: of 4 bits E2M1, of 8 E4M3FN or E5M2, of 16 bfloat16, of 32 float32
	Float bool
	Bits  int  // of a code
	E5M2  bool // of FP8: with five bits of exponent and two of fraction, else E4M3FN
	// inputs that share a scale; 0 is all the inputs of an output channel
	Group int
	// outputs and inputs that share a scale; 0, 0 where they do not
	Block       [2]int
	Tensor      bool // one scale for the whole weight
	Scales      Scales
	ZeroPoints  bool // codes are relative to a zero point for each scale
	Order       bool // the group of each input is listed (act-order)
	Activations Activations
}

// table has a row for each kind of format.
var table = []struct {
	name string
	kind Format // without what a name's endings say
}{
	{"float32", Format{Float: true, Bits: 32}},
	{"bfloat16", Format{Float: true, Bits: 16}},
	{"w8a8", Format{Bits: 8, Activations: Token}},
	{"w8a16", Format{Bits: 8}},
	{"w4a16", Format{Bits: 4}},
	{"w4a8", Format{Bits: 4, Activations: Token}},
	{"w3a16", Format{Bits: 3}},
	{"fp8-dynamic", Format{Float: true, Bits: 8, Activations: Token}},
	{"fp8-static", Format{Float: true, Bits: 8, Activations: Static}},
	{"fp8-a16", Format{Float: true, Bits: 8}},
	{"fp8", Format{Float: true, Bits: 8, Activations: Blocks}},
	{"fp8-e5m2-dynamic", Format{Float: true, Bits: 8, E5M2: true, Activations: Token}},
	{"fp8-e5m2-static", Format{Float: true, Bits: 8, E5M2: true, Activations: Static}},
	{"fp8-e5m2-a16", Format{Float: true, Bits: 8, E5M2: true}},
	{"fp8-e5m2", Format{Float: true, Bits: 8, E5M2: true, Activations: Blocks}},
	{"mxfp4", Format{Float: true, Bits: 4, Scales: E8M0}},
	{"nvfp4", Format{Float: true, Bits: 4, Scales: E4M3}},
}

// builder is the constructor of a format's weights; nil where no kernel multiplies them and New
// makes a float32 weight of the same numbers.
func (f Format) builder() func(e Encoding, codes []byte) (Weight, error) {
	blocks := f.Block != [2]int{}
	switch {
	case f.row() < 0 || f.Bits > 8:
		return nil
	case f.Float && f.Bits == 8 && (f.Activations == Token || f.Activations == Static) && !blocks:
		return buildFP8
	case f.Float && f.Bits == 4:
		return buildFloat4
	case f.Float && (f.Activations == Kept || f.Activations == Blocks):
		return buildGrouped
	case f.Float: // blocks, and activations that have one scale for all or a token's
		return nil
	case f.Bits == 8 && f.Activations == Token:
		return buildInt8
	case f.Bits == 8 && !f.ZeroPoints && !f.Order:
		return buildGrouped
	case f.Bits == 8: // zero points and inputs in another order
		return nil
	}
	return buildInt4
}

// MXGroup and NVGroup are how many inputs share a scale in MXFP4 and NVFP4.
const (
	MXGroup = 32
	NVGroup = 16
)

// row finds the format's row of the table, -1 where it has none.
func (f Format) row() int {
	f.Group, f.Block, f.Tensor, f.ZeroPoints, f.Order = 0, [2]int{}, false, false, false
	for i, r := range table {
		if r.kind == f {
			return i
		}
	}
	return -1
}

// small is the format of the codes of 8 bits and fewer that are floats.
func (f Format) small() kernels.SmallFloat {
	switch {
	case f.Bits == 4:
		return kernels.E2M1
	case f.E5M2:
		return kernels.E5M2
	}
	return kernels.E4M3
}

// Small returns the format of float codes of 8 bits and fewer; ok is false for other codes.
func (f Format) Small() (small kernels.SmallFloat, ok bool) {
	return f.small(), f.Float && f.Bits <= 8
}

// check reports a format that is none of codes, or whose parts do not belong together.
func (f Format) check() error {
	i := f.row()
	switch {
	case i < 0 || f.Bits > 8:
		return errors.New("is not a format of codes")
	case f.Float && f.Bits == 4 && f.Group != map[Scales]int{E8M0: MXGroup, E4M3: NVGroup}[f.Scales]:
		return fmt.Errorf("groups of %d, expected %d for mxfp4 and %d for nvfp4", f.Group, MXGroup, NVGroup)
	case f.Activations == Blocks && f.Block == [2]int{}:
		return errors.New("activations with the scales of blocks, and no blocks")
	case f.Block != [2]int{} && (f.Block[0] < 1 || f.Block[1] < 1):
		return fmt.Errorf("blocks of %d, expected positive sizes", f.Block)
	case f.Tensor && (!f.Float || f.Block != [2]int{} || f.Group != 0):
		return errors.New("one scale for all of integer codes, or beside groups or blocks, expected FP8 without either")
	case f.Float && (f.ZeroPoints || f.Order):
		return errors.New("float codes with zero points or act-order, expected neither")
	}
	return nil
}

// String names the format: "float32", "w8a8", "w4a16-g128-zero-order", "fp8-a16-b128x128",
// "fp8-dynamic-tensor". The groups of mxfp4 and nvfp4 have one size and are not named.
func (f Format) String() string {
	i := f.row()
	if i < 0 {
		type fields Format // without a String
		return fmt.Sprintf("unknown format %+v", fields(f))
	}
	var b strings.Builder
	b.WriteString(table[i].name)
	if f.Group > 0 && f.Scales == Floats {
		fmt.Fprintf(&b, "-g%d", f.Group)
	}
	if f.Block != [2]int{} {
		fmt.Fprintf(&b, "-b%dx%d", f.Block[0], f.Block[1])
	}
	if f.Tensor {
		b.WriteString("-tensor")
	}
	if f.ZeroPoints {
		b.WriteString("-zero")
	}
	if f.Order {
		b.WriteString("-order")
	}
	return b.String()
}

// Multiplied reports whether a kernel multiplies weights of the format, so that New keeps it.
func (f Format) Multiplied() bool { return f.builder() != nil }
