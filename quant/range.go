package quant

import (
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// Range is how the scales of integers are fitted to the weights of a group.
type Range string

// The ways to fit scales.
const (
	AbsMax Range = "" // to the weights of the largest magnitude
	// to the least Σ|w−ŵ|^2.4 of the group rounded to nearest, by search through ranges from all of
	// it down to a fifth (Frantar et al., 2022): the largest weights are then clamped
	MSE Range = "mse"
)

const (
	rangeSteps = 100 // of the whole range
	leastRange = 20  // in these steps
	rangePower = 2.4
	// places between 0 and 1/2 at which a power is computed
	powerPlaces = 1024
)

// shrink narrows the range of each group, where that makes the error smaller, and counts these
// groups.
func (g *intGrid) shrink(w []float32, precision kernels.Precision) int {
	before := slices.Clone(g.scale)
	var powers [powerPlaces + 2]float64
	for i := range powers {
		powers[i] = math.Pow(float64(i)/(2*powerPlaces), rangePower)
	}
	parallel.Range(len(g.scale), 64, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			g.shrinkGroup(i, w[i*g.group:(i+1)*g.group], &powers, precision)
		}
	})
	narrower := 0
	for i, v := range before {
		if g.scale[i] < v {
			narrower++
		}
	}
	return narrower
}

func (g *intGrid) shrinkGroup(i int, w []float32, powers *[powerPlaces + 2]float64, precision kernels.Precision) {
	lowest, highest := float32(0), float32(0)
	for _, v := range w {
		lowest, highest = min(lowest, v), max(highest, v)
	}
	if lowest == highest {
		return
	}
	least := g.errorOf(w, g.scale[i], g.zeroOf(i), math.Inf(1), powers)
	for step := rangeSteps - 1; step > leastRange; step-- {
		scale, zero := g.narrowed(float64(lowest), float64(highest), float64(step)/rangeSteps, precision)
		if scale == 0 {
			return
		}
		if e := g.errorOf(w, scale, zero, least, powers); e < least {
			least, g.scale[i] = e, scale
			if g.zero != nil {
				g.zero[i] = int8(zero)
			}
		}
	}
}

// narrowed is the scale and zero point of a share of a range.
func (g *intGrid) narrowed(lowest, highest, share float64, precision kernels.Precision) (scale float32, zero float64) {
	scales := []float32{float32(share * max(-lowest, highest) / ((g.highest - g.lowest) / 2))}
	if g.zero != nil {
		scales[0] = float32(share * (highest - lowest) / (g.highest - g.lowest))
	}
	g.asStored(scales, precision)
	if g.zero != nil && scales[0] > 0 {
		zero = g.clamp(math.RoundToEven(g.lowest - share*lowest/float64(scales[0])))
	}
	return scales[0], zero
}

// errorOf is Σ|w−ŵ|^2.4 with a scale and a zero point, or any number from limit on where it is that
// much. Powers of up to half a step are interpolated.
func (g *intGrid) errorOf(w []float32, scale float32, zero, limit float64, powers *[powerPlaces + 2]float64) float64 {
	of := float64(scale)
	unit := math.Pow(of, rangePower)
	sum := 0.0
	limit /= unit
	for j, v := range w {
		x := float64(v)/of + zero
		u := math.Abs(x - g.clamp(math.RoundToEven(x)))
		if u > 0.5 {
			sum += math.Pow(u, rangePower)
		} else {
			at := u * (2 * powerPlaces)
			k := int(at)
			sum += powers[k] + (at-float64(k))*(powers[k+1]-powers[k])
		}
		if j%16 == 15 && sum >= limit {
			break
		}
	}
	return sum * unit
}
