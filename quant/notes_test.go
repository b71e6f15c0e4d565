package quant

import (
	"math"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// TestNotesCount: notes of one thing say so in the singular.
func TestNotesCount(t *testing.T) {
	for _, c := range []struct {
		of   counts
		want []string
	}{
		{counts{}, nil},
		{counts{Silent: 1, Inputs: 1, Zeros: 1}, []string{
			"1 channel of 1 input is zero in all calibration tokens: weights of such are rounded to nearest", "1 group of weights is all zero: the scale of such is 1",
		}},
		{counts{Silent: 3, Inputs: 2, Zeros: 2}, []string{
			"3 channels of 2 inputs are zero in all calibration tokens: weights of such are rounded to nearest", "2 groups of weights are all zero: the scale of such is 1",
		}},
		{counts{Clipped: 1, Clippable: 1}, []string{"clip narrowed the range of 1 of 1 group of weights, where the error of the outputs is less with it; those of q_proj and k_proj are left"}},
		{counts{Clippable: 3}, []string{"clip narrowed the range of 0 of 3 groups of weights, where the error of the outputs is less with it; those of q_proj and k_proj are left"}},
		{counts{Tiny: tooSmall{1, []string{"a (1)"}}, Lost: tooSmall{7, []string{"a (1)", "b (1)", "c (1)", "d (1)", "e (3)"}}}, []string{
			"1 group of weights of a (1) is too small for a scale of float16, as files of 3 bits have it: the scale is the smallest, 5.96e-08",
			"7 groups of weights of a (1), b (1), c (1), d (1) and 1 more tensor are too small for any scale: they become zeros",
		}},
	} {
		if got := c.of.notes(); !slices.Equal(got, c.want) {
			t.Errorf("found %q, expected %q", got, c.want)
		}
	}
}

// TestScalesTooSmallForFloat16: weights whose scale would be zero in a file of 3 bits have the
// smallest scale, which is nearer to them than zeros, and are counted; the other formats keep them.
func TestScalesTooSmallForFloat16(t *testing.T) {
	const tiny = 0x1p-24
	w := weight.NewDense([]float32{1.7 * tiny, -tiny, 0.4 * tiny, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0}, 1, 24)
	for _, c := range []struct {
		bits, tiny int
		scale      float32
		values     []float64 // in units of the least
	}{{3, 1, tiny, []float64{2, -1, 0}}, {4, 0, 1.7 * tiny / 7.5, []float64{7 * 1.7 / 7.5, -4 * 1.7 / 7.5, 2 * 1.7 / 7.5}}} {
		made, err := NewGrid(weight.Format{Bits: c.bits, Group: 8}, w, kernels.Float32)
		if err != nil {
			t.Fatal(err)
		}
		g := made.(*intGrid)
		if g.tiny != c.tiny || g.lost != 0 || g.scale[0] != c.scale || g.scale[1] != 1 {
			t.Errorf("%d bits: %d too small, %d lost, scales %g", c.bits, g.tiny, g.lost, g.scale)
		}
		for i, want := range c.values {
			if _, value := g.Encode(float64(w.Data[i]), 0, i); math.Abs(value/tiny-want) > 1e-6 {
				t.Errorf("%d bits: weight %d becomes %g, expected %g of the least", c.bits, i, value/tiny, want)
			}
		}
	}
}
