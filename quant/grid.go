package quant

import (
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// grid is the set of values that a linear layer's weights may take: code·scale, codes
// lowest…highest, or FP8's, one scale for each group of `group` consecutive inputs of an output
// channel. Scales are as they are stored.
type grid struct {
	float8          bool // codes are bytes of E4M3FN
	lowest, highest int
	out, in, group  int
	scale           []float32 // [out, in/group]
}

// newGrid fits symmetric scales to w [out, in]: 8 bits are codes −127…127 with absmax/127
// (SmoothQuant), 4 bits are codes −8…7 with absmax/7.5 (compressed-tensors, GPTQ): the largest
// weight is then clamped by half a step, and the smallest rounds to −8. FP8 has absmax/448, its
// largest value. A group of zeros gets scale 1. With half, scales are rounded to bfloat16 before
// codes are chosen.
func newGrid(w []float32, out, in, group int, s Scheme, half bool) (*grid, error) {
	g := &grid{lowest: -127, highest: 127, out: out, in: in, group: group, scale: make([]float32, out*in/group)}
	steps := float32(127)
	switch {
	case s.Float:
		g.float8, steps = true, kernels.MaxFloat8
	case s.Bits == 4:
		g.lowest, g.highest, steps = -8, 7, 7.5
	}
	for i := range g.scale {
		absmax := float32(0)
		for j, v := range w[i*group : (i+1)*group] {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				at := i*group + j
				return nil, fmt.Errorf("weight [%d, %d] is %v, expected a finite number", at/in, at%in, v)
			}
			absmax = max(absmax, v, -v)
		}
		g.scale[i] = absmax / steps
		if half {
			var b [1]uint16
			kernels.RoundBFloat16(b[:], g.scale[i:i+1])
			g.scale[i] = math.Float32frombits(uint32(b[0]) << 16)
		}
		if g.scale[i] == 0 {
			g.scale[i] = 1
		}
	}
	return g, nil
}

func (g *grid) scaleAt(o, i int) float64 { return float64(g.scale[(o*g.in+i)/g.group]) }

// nearest returns the code whose value is nearest to w at place [o, i].
func (g *grid) nearest(w float64, o, i int) int8 {
	if g.float8 {
		return int8(kernels.ToFloat8(float32(w / g.scaleAt(o, i))))
	}
	code := math.RoundToEven(w / g.scaleAt(o, i))
	return int8(max(float64(g.lowest), min(float64(g.highest), code)))
}

// value is what a code stands for, without the scale.
func (g *grid) value(code int8) float64 {
	if g.float8 {
		return float64(kernels.FromFloat8(byte(code)))
	}
	return float64(code)
}

// roundToNearest is RTN: the nearest code for each weight on its own.
func (g *grid) roundToNearest(w []float32) []int8 {
	q := make([]int8, len(w))
	parallel.Range(g.out, 16, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			for i, v := range w[o*g.in : (o+1)*g.in] {
				q[o*g.in+i] = g.nearest(float64(v), o, i)
			}
		}
	})
	return q
}
