package quant

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"slimlab/internal/half"
	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// Grid is the set of values that the weights of one linear layer, [out, in], may take, each with a
// code: an int8, or the bits of an E4M3FN number.
type Grid interface {
	// Encode returns the code whose value is nearest to w for output o and input i, and that value.
	Encode(w float64, o, i int) (code byte, value float64)
	// Decode returns the value of a code for output o and input i.
	Decode(code byte, o, i int) float64
	// Encoding is what a weight on the grid is made of besides its codes.
	Encoding() weight.Encoding
}

// NewGrid fits scales to w [out, in], rounded to a precision, and returns their grid. Symmetric 8
// bits have codes −127…127 with absmax/127 (SmoothQuant), symmetric 4 bits −8…7 with
// absmax/7.5 and 3 bits −4…3 with absmax/3.5 (compressed-tensors, GPTQ): the largest weight is
// then clamped by half a step, and the smallest rounds to −8 or −4. With zero points codes
// reach from the least weight to the largest, zero included, in 15 or 7 steps (compressed-tensors,
// GPTQ). The scales of 3 bits are float16 numbers too. Floats have grids of their own, see
// newFloatGrid. Zeros alone get scale 1, and weights whose scale would be zero as a float16 the
// smallest one.
func NewGrid(f weight.Format, w *weight.Dense, scales kernels.Precision) (Grid, error) {
	if err := checkFormat(f); err != nil {
		return nil, err
	}
	if f.Float {
		return newFloatGrid(f, w, scales)
	}
	return newIntGrid(f, w, scales)
}

// newIntGrid fits the scales of integer codes.
func newIntGrid(f weight.Format, w *weight.Dense, scales kernels.Precision) (Grid, error) {
	s := scaled{format: f, out: w.Out, in: w.In, group: f.Group}
	if s.group == 0 {
		s.group = s.in
	}
	if s.in%s.group != 0 {
		return nil, fmt.Errorf("groups of %d do not divide the %d inputs", s.group, s.in)
	}
	switch {
	case f.Bits == 8:
		g := &intGrid{scaled: s, lowest: -127, highest: 127}
		return g, g.fit(w.Data, 127, scales)
	}
	half := math.Ldexp(1, f.Bits-1)
	g := &intGrid{scaled: s, lowest: -half, highest: half - 1}
	if f.ZeroPoints {
		return g, g.fitZeroPoints(w.Data, scales)
	}
	return g, g.fit(w.Data, float32(half-0.5), scales)
}

// checkFormat reports a format that no grid has.
func checkFormat(f weight.Format) error {
	row := familyOf(f)
	if row == nil || f.ZeroPoints && !row.zeros || f.Group != row.format.Group && !row.groups || f.Group < 0 || f.Group%groupMultiple != 0 {
		var names []string
		for _, row := range families {
			names = append(names, row.name)
		}
		return fmt.Errorf("nothing is quantized to %s, expected one of %s, of which w4a16 may have zero points, and %s groups of a multiple of %d", f, strings.Join(names, ", "), groupedFamilies(), groupMultiple)
	}
	return nil
}

// scaled is the scales of a grid, as they are stored: one for each group of consecutive inputs of
// an output.
type scaled struct {
	format         weight.Format
	out, in, group int
	scale          []float32 // [out, in/group]
	// groups whose scale would be zero as it is stored: those that have the least float16
	// instead, and those that nothing but zeros is left of
	tiny, lost int
}

// fit sets each scale to the largest magnitude of its group divided by steps.
func (s *scaled) fit(w []float32, steps float32, precision kernels.Precision) error {
	return s.fitScales(w, precision, func(lowest, highest float32) float32 { return max(-lowest, highest) / steps })
}

// elementsOfTask is about the number of weights of a task that looks at each of them.
const elementsOfTask = 1 << 15

// fitScales sets each scale to a function of the extremes of its group, zero among them.
func (s *scaled) fitScales(w []float32, precision kernels.Precision, scale func(lowest, highest float32) float32) error {
	s.scale = make([]float32, len(w)/s.group)
	var broken atomic.Bool
	parallel.Range(len(s.scale), max(1, elementsOfTask/s.group), func(first, last int) {
		for i := first; i < last; i++ {
			lowest, highest := float32(0), float32(0)
			for _, v := range w[i*s.group : (i+1)*s.group] {
				// branches are foreseen, and min and max wait for those before
				if v < lowest {
					lowest = v
				} else if v > highest {
					highest = v
				} else if v != v {
					broken.Store(true)
				}
			}
			if lowest-lowest != 0 || highest-highest != 0 {
				broken.Store(true)
			}
			s.scale[i] = scale(lowest, highest)
		}
	})
	if broken.Load() {
		at := slices.IndexFunc(w, func(v float32) bool { return v-v != 0 })
		return fmt.Errorf("weight [%d, %d] is %v, expected a finite number", at/s.in, at%s.in, w[at])
	}
	s.asStored(s.scale, precision)
	for i, v := range s.scale {
		if v-v != 0 {
			group := w[i*s.group : (i+1)*s.group]
			return s.tooLarge(max(slices.Max(group), -slices.Min(group)))
		}
		if v > 0 {
			continue
		}
		s.scale[i] = 1
		switch zero := !slices.ContainsFunc(w[i*s.group:(i+1)*s.group], func(v float32) bool { return v != 0 }); {
		case zero:
		case s.format.Bits == 3: // a code of zero is there: no weight is further from its own
			s.scale[i] = leastFloat16
			s.tiny++
		default:
			s.lost++
		}
	}
	return nil
}

// leastFloat16 is the smallest number above zero.
const leastFloat16 = 0x1p-24

// tooLarge is the error of a group whose scale is not finite as it is stored.
func (s *scaled) tooLarge(largest float32) error {
	if s.format.Bits == 3 {
		return fmt.Errorf("weights of up to %.3g need a scale above 65504, the largest float16, and files of 3 bits have scales of float16: expected smaller weights, or a format such as w4a16", largest)
	}
	return fmt.Errorf("weights of up to %.3g need a scale that is not finite: expected smaller weights", largest)
}

// asStored rounds scales to what a file holds.
func (s *scaled) asStored(scale []float32, precision kernels.Precision) {
	precision.Round(scale)
	if s.format.Bits == 3 { // whose form on disk, GPTQ's, has scales of float16
		for i, v := range scale {
			scale[i] = half.FromFloat16(half.ToFloat16(v))
		}
	}
}

// Encoding implements Grid.
func (s *scaled) Encoding() weight.Encoding {
	return weight.Encoding{Format: s.format, Out: s.out, In: s.in, Scale: s.scale}
}

// groupOf is the index of the scale of output o and input i.
func (s *scaled) groupOf(o, i int) int { return (o*s.in + i) / s.group }

// intGrid has the values (code − zero)·scale with integer codes.
type intGrid struct {
	scaled
	zero            []int8 // of each scale; nil is 0 everywhere
	lowest, highest float64
}

// fitZeroPoints sets the scales so that the codes reach from the lowest to the highest weight of
// each group, and the zero points, which are the codes of 0.
func (g *intGrid) fitZeroPoints(w []float32, precision kernels.Precision) error {
	err := g.fitScales(w, precision, func(lowest, highest float32) float32 {
		return float32((float64(highest) - float64(lowest)) / (g.highest - g.lowest))
	})
	if err != nil {
		return err
	}
	g.zero = make([]int8, len(g.scale))
	for i, scale := range g.scale {
		lowest := float64(min(0, slices.Min(w[i*g.group:(i+1)*g.group])))
		g.zero[i] = int8(g.clamp(math.RoundToEven(g.lowest - lowest/float64(scale))))
	}
	return nil
}

func (g *intGrid) clamp(code float64) float64 { return max(g.lowest, min(g.highest, code)) }

// zeroOf is the zero point of a group.
func (g *intGrid) zeroOf(group int) float64 {
	if g.zero == nil {
		return 0
	}
	return float64(g.zero[group])
}

// Encode implements Grid.
func (g *intGrid) Encode(w float64, o, i int) (code byte, value float64) {
	group := g.groupOf(o, i)
	scale, zero := float64(g.scale[group]), g.zeroOf(group)
	c := int8(g.clamp(math.RoundToEven(w/scale) + zero))
	return byte(c), (float64(c) - zero) * scale
}

// Decode implements Grid.
func (g *intGrid) Decode(code byte, o, i int) float64 {
	group := g.groupOf(o, i)
	return (float64(int8(code)) - g.zeroOf(group)) * float64(g.scale[group])
}

// Encoding implements Grid.
func (g *intGrid) Encoding() weight.Encoding {
	e := g.scaled.Encoding()
	e.Zero = g.zero
	return e
}
