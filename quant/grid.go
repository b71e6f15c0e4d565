package quant

import (
	"fmt"
	"math"
)

// grid is the set of values that a linear layer's weights may take: code·scale, codes lowest…highest, one scale for
// each group of `group` consecutive inputs of an output channel. Scales are float32, as they are stored.
type grid struct {
	lowest, highest int
	out, in, group  int
	scale           []float32 // [out, in/group]
}

// newGrid fits symmetric scales to w [out, in]: 8 bits are codes −127…127 with absmax/127 (SmoothQuant), 4 bits are
// codes −8…7 with absmax/7.5 (compressed-tensors, GPTQ): the largest weight is then clamped by half a step, and the
// smallest rounds to −8. A group of zeros gets scale 1.
func newGrid(w []float32, out, in, group, bits int) (*grid, error) {
	g := &grid{lowest: -127, highest: 127, out: out, in: in, group: group, scale: make([]float32, out*in/group)}
	steps := float32(127)
	if bits == 4 {
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
		if g.scale[i] == 0 {
			g.scale[i] = 1
		}
	}
	return g, nil
}

func (g *grid) scaleAt(o, i int) float64 { return float64(g.scale[(o*g.in+i)/g.group]) }

// nearest returns the code whose value is nearest to w at place [o, i].
func (g *grid) nearest(w float64, o, i int) int8 {
	code := math.RoundToEven(w / g.scaleAt(o, i))
	return int8(max(float64(g.lowest), min(float64(g.highest), code)))
}

// roundToNearest is RTN: the nearest code for each weight on its own.
func (g *grid) roundToNearest(w []float32) []int8 {
	q := make([]int8, len(w))
	for at, v := range w {
		q[at] = g.nearest(float64(v), at/g.in, at%g.in)
	}
	return q
}

// dequantize returns code·scale, [out, in].
func dequantize(q []int8, scale []float32, group int) []float32 {
	w := make([]float32, len(q))
	for i, v := range q {
		w[i] = float32(v) * scale[i/group]
	}
	return w
}
