package weight

import (
	"fmt"
	"strings"
)

// Activations says how the input of a weight is quantized as it is multiplied.
type Activations string

// The ways to treat activations.
const (
	Kept   Activations = ""       // as they are, or rounded to bfloat16
	Token  Activations = "token"  // 8 bits, with a scale of its own for each token
	Static Activations = "static" // 8 bits, with one scale for all, which the file holds
)

// Format is a number format: what the codes of a weight are, what shares a scale, and how
// activations are treated. Formats can be compared. Every bit count and treatment of activations is
// a row of one table, which has the name and the constructor.
type Format struct {
	Float bool // the codes are floats: of 8 bits E4M3FN, of 16 bfloat16, of 32 float32
	Bits  int  // of a code
	// inputs that share a scale; 0 is all the inputs of an output channel
	Group int
	// outputs and inputs that share a scale; 0, 0 where they do not
	Block       [2]int
	ZeroPoints  bool // codes are relative to a zero point for each scale
	Order       bool // the group of each input is listed (act-order)
	Activations Activations
}

// table has a row for each kind of format. Where no kernel multiplies a format, build is nil and
// New makes a float32 weight of the same numbers.
var table = []struct {
	name        string
	float       bool
	bits        int
	activations Activations
	build       func(e Encoding, codes []byte) (Weight, error)
}{
	{"float32", true, 32, Kept, nil},
	{"bfloat16", true, 16, Kept, nil},
	{"w8a8", false, 8, Token, buildInt8},
	{"w8a16", false, 8, Kept, nil},
	{"w4a16", false, 4, Kept, buildInt4},
	{"w4a8", false, 4, Token, buildInt4},
	{"fp8-dynamic", true, 8, Token, buildFP8},
	{"fp8-static", true, 8, Static, buildFP8},
	{"fp8-a16", true, 8, Kept, nil},
}

// row finds the format's row of the table, -1 where it has none.
func (f Format) row() int {
	for i, r := range table {
		if r.float == f.Float && r.bits == f.Bits && r.activations == f.Activations {
			return i
		}
	}
	return -1
}

// String names the format: "float32", "w8a8", "w4a16-g128-zero-order", "fp8-a16-b128x128".
func (f Format) String() string {
	i := f.row()
	if i < 0 {
		return fmt.Sprintf("unknown format %+v", struct {
			Float       bool
			Bits        int
			Activations Activations
		}{f.Float, f.Bits, f.Activations})
	}
	var b strings.Builder
	b.WriteString(table[i].name)
	if f.Group > 0 {
		fmt.Fprintf(&b, "-g%d", f.Group)
	}
	if f.Block != [2]int{} {
		fmt.Fprintf(&b, "-b%dx%d", f.Block[0], f.Block[1])
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
func (f Format) Multiplied() bool {
	i := f.row()
	return i >= 0 && table[i].build != nil && f.Block == [2]int{}
}
