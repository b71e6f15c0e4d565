package quant

import (
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// floatGrid has the values of small floats times the scales of channels, groups, blocks or the
// whole weight.
type floatGrid struct {
	encoding weight.Encoding
	small    kernels.SmallFloat
	// what the codes of each scale are multiplied with
	step []float64
	// outputs and inputs that share a scale, and the scales of a row of them
	rows, columns, across int
}

// newFloatGrid fits scales to w: to absmax divided by the largest number of the format, so that
// nothing is clamped, rounded to a precision. MXFP4 and NVFP4 have scales of their own, see fitE8M0
// and fitE4M3. Zeros alone get scale 1.
func newFloatGrid(f weight.Format, w *weight.Dense, scales kernels.Precision) (*floatGrid, error) {
	small, ok := f.Small()
	if !ok {
		return nil, fmt.Errorf("%s has no codes that are floats", f)
	}
	g := &floatGrid{encoding: weight.Encoding{Format: f, Out: w.Out, In: w.In}, small: small, rows: 1, columns: w.In}
	switch {
	case f.Tensor:
		g.rows = w.Out
	case f.Block != [2]int{}:
		g.rows, g.columns = f.Block[0], f.Block[1]
	case f.Group > 0:
		g.columns = f.Group
		if w.In%f.Group != 0 {
			return nil, fmt.Errorf("groups of %d do not divide the %d inputs", f.Group, w.In)
		}
	}
	g.across = (w.In + g.columns - 1) / g.columns
	largest, err := g.largest(w)
	if err != nil {
		return nil, err
	}
	switch f.Scales {
	case weight.E8M0:
		g.fitE8M0(w, largest)
	case weight.E4M3:
		g.fitE4M3(w, largest)
	default:
		g.fit(largest, scales)
	}
	return g, nil
}

// largest returns the largest magnitude of what shares each scale.
func (g *floatGrid) largest(w *weight.Dense) ([]float32, error) {
	list := make([]float32, (w.Out+g.rows-1)/g.rows*g.across)
	for o := range w.Out {
		for i, v := range w.Data[o*w.In : (o+1)*w.In] {
			if v-v != 0 {
				return nil, fmt.Errorf("weight [%d, %d] is %v, expected a finite number", o, i, v)
			}
			at := g.at(o, i)
			list[at] = max(list[at], v, -v)
		}
	}
	return list, nil
}

// at is the index of the scale of output o and input i.
func (g *floatGrid) at(o, i int) int { return o/g.rows*g.across + i/g.columns }

// fit sets scales that are stored as floats.
func (g *floatGrid) fit(largest []float32, scales kernels.Precision) {
	g.encoding.Scale, g.step = make([]float32, len(largest)), make([]float64, len(largest))
	for i, v := range largest {
		g.encoding.Scale[i] = v / g.small.Max()
	}
	scales.Round(g.encoding.Scale)
	for i, v := range g.encoding.Scale {
		if v == 0 {
			g.encoding.Scale[i] = 1
		}
		g.step[i] = float64(g.encoding.Scale[i])
	}
}

// fitE8M0 sets the scales of MXFP4: of the two powers of two around absmax/6, the lower of which
// clamps the largest weights, that with the smaller squared error.
func (g *floatGrid) fitE8M0(w *weight.Dense, largest []float32) {
	g.choose(w, largest, func(v float32) [2]float32 {
		exponent := int(math.Floor(math.Log2(float64(v) / float64(g.small.Max()))))
		exponent = max(-127, min(126, exponent))
		return [2]float32{float32(math.Ldexp(1, exponent+1)), float32(math.Ldexp(1, exponent))}
	})
}

// fitE4M3 sets the scales of NVFP4. That of the scales gives the largest weight of all the largest
// scale, 448, and the largest code. Each group's then is the FP8 number nearest to what brings its
// largest weight to 6, or to 4 ("four over six"): between 4 and 6 the codes have their widest gap,
// so whichever has the smaller squared error.
func (g *floatGrid) fitE4M3(w *weight.Dense, largest []float32) {
	most := float32(0)
	for _, v := range largest {
		most = max(most, v)
	}
	global := kernels.MaxFloat8 * g.small.Max() / most
	if !(global > 0) || math.IsInf(float64(global), 0) { // zeros, or next to it
		global = 1
	}
	g.encoding.Global = global
	nearest := func(v float32) float32 {
		return max(kernels.FromFloat8(kernels.ToFloat8(v)), kernels.FromFloat8(1))
	}
	g.choose(w, largest, func(v float32) [2]float32 {
		return [2]float32{nearest(v / g.small.Max() * global), nearest(v / 4 * global)}
	})
}

// choose sets each scale to the better of two, the first of equal ones.
func (g *floatGrid) choose(w *weight.Dense, largest []float32, pair func(largest float32) [2]float32) {
	g.encoding.Scale, g.step = make([]float32, len(largest)), make([]float64, len(largest))
	for at, v := range largest {
		scales := [2]float32{1, 1}
		if v > 0 {
			scales = pair(v)
		}
		lowest := math.Inf(1)
		for _, scale := range scales {
			step := float64(scale)
			if g.encoding.Global != 0 {
				step = float64(scale / g.encoding.Global)
			}
			if e := g.squaredError(w, at, step); e < lowest {
				lowest, g.encoding.Scale[at], g.step[at] = e, scale, step
			}
		}
	}
}

// squaredError is that of rounding a group's weights to nearest in steps.
func (g *floatGrid) squaredError(w *weight.Dense, at int, step float64) float64 {
	sum, first := 0.0, at/g.across*w.In+at%g.across*g.columns
	for _, v := range w.Data[first : first+g.columns] {
		d := float64(v) - float64(g.small.Decode(g.small.Encode(float32(float64(v)/step))))*step
		sum += d * d
	}
	return sum
}

// Encode implements Grid.
func (g *floatGrid) Encode(w float64, o, i int) (code byte, value float64) {
	code = g.small.Encode(float32(w / g.step[g.at(o, i)]))
	return code, g.Decode(code, o, i)
}

// Decode implements Grid.
func (g *floatGrid) Decode(code byte, o, i int) float64 {
	return float64(g.small.Decode(code)) * g.step[g.at(o, i)]
}

// Encoding implements Grid.
func (g *floatGrid) Encoding() weight.Encoding { return g.encoding }
