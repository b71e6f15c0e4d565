package quant

import (
	"slices"
	"testing"
)

// TestNotesCount: notes of one thing say so in the singular.
func TestNotesCount(t *testing.T) {
	for _, c := range []struct {
		of   counts
		want []string
	}{
		{counts{}, nil},
		{counts{silent: 1, inputs: 1, zeros: 1}, []string{
			"1 channel of 1 input is zero in all calibration tokens: weights of such are rounded to nearest", "1 group of weights is all zero: the scale of such is 1",
		}},
		{counts{silent: 3, inputs: 2, zeros: 2}, []string{
			"3 channels of 2 inputs are zero in all calibration tokens: weights of such are rounded to nearest", "2 groups of weights are all zero: the scale of such is 1",
		}},
	} {
		if got := c.of.notes(); !slices.Equal(got, c.want) {
			t.Errorf("found %q, expected %q", got, c.want)
		}
	}
}
