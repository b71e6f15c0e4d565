package kernels

import (
	"fmt"
	"math"
)

// RopeTable holds cos and sin of position·frequency, [positions, headDim/2] each.
type RopeTable struct {
	HeadDim  int
	Cos, Sin []float32
}

// NewRopeTable computes the table in float64 for frequencies in radians a position, one for each
// pair of a head's elements. Cos and Sin are multiplied by gain, and so is what they rotate; 1
// leaves lengths as they are.
func NewRopeTable(positions int, frequencies []float64, gain float64) *RopeTable {
	half := len(frequencies)
	t := &RopeTable{2 * half, make([]float32, positions*half), make([]float32, positions*half)}
	for i, frequency := range frequencies {
		for p := range positions {
			sin, cos := math.Sincos(float64(p) * frequency)
			t.Cos[p*half+i], t.Sin[p*half+i] = float32(gain*cos), float32(gain*sin)
		}
	}
	return t
}

// RopeFrequencies are those of rotary positions as they were published: frequency_i =
// theta^(-2i/headDim) (Su et al., 2021).
func RopeFrequencies(headDim int, theta float64) []float64 {
	f := make([]float64, headDim/2)
	for i := range f {
		f[i] = math.Pow(theta, -2*float64(i)/float64(headDim))
	}
	return f
}

type ropeCall struct {
	rk        *rowKernels
	x         []float32
	positions []int32
	heads     int
	table     *RopeTable
	sign      float32
}

var ropeCalls = newCalls(func(a *ropeCall, lo, hi int) {
	t := a.table
	half, dim := t.HeadDim/2, a.heads*t.HeadDim
	for r := lo; r < hi; r++ {
		at := int(a.positions[r]) * half
		if at < 0 || at+half > len(t.Cos) {
			panic(fmt.Sprintf("kernels: Rope position %d is outside the table of %d positions", a.positions[r], len(t.Cos)/max(1, half)))
		}
		a.rk.rotate(a.x[r*dim:(r+1)*dim], t.Cos[at:at+half], t.Sin[at:at+half], a.heads, a.sign)
	}
})

// Rope rotates x [rows, heads, headDim] in place, half-split as Hugging Face checkpoints need it:
// [x1·c − x2·s, x2·c + x1·s]. positions [rows] selects the table's rows.
func Rope(x []float32, positions []int32, heads int, t *RopeTable) {
	t.rotate("Rope", x, positions, heads, 1)
}

// RopeBackward rotates x in the other direction: the gradient of Rope.
func RopeBackward(x []float32, positions []int32, heads int, t *RopeTable) {
	t.rotate("RopeBackward", x, positions, heads, -1)
}

func (t *RopeTable) rotate(what string, x []float32, positions []int32, heads int, sign float32) {
	dim := heads * t.HeadDim
	checkLen(what, x, len(positions)*dim)
	ropeCalls.run(len(positions), rowGrain(dim), ropeCall{&active.Load().rows, x, positions, heads, t, sign})
}
