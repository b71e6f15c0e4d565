package run

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"slimlab/kd"
)

// TestPointsAreMeans: a point of a curve is the mean of the steps since the point before, also of
// the few that are left at the end; a validation is a point by itself.
func TestPointsAreMeans(t *testing.T) {
	for _, c := range []struct {
		every   int
		distils bool
		want    string
	}{
		{1, false, "loss 1 1, loss 2 4, loss 3 9, loss 4 16, validation 4 0.5, loss 5 25, loss 6 36, loss 7 49"},
		{3, false, "loss 3 4.667, validation 4 0.5, loss 6 25.67, loss 7 49"},
		{3, true, "loss 3 4.667, divergence 3 46.67, validation 4 0.5, loss 6 25.67, divergence 6 256.7, loss 7 49, divergence 7 490"},
		{5, true, "validation 4 0.5, loss 5 11, divergence 5 110, loss 7 42.5, divergence 7 425"},
	} {
		var got []string
		curves := curves{every: c.every, point: func(series string, step int, value float64) {
			got = append(got, fmt.Sprintf("%s %d %.4g", series, step, value))
		}}
		for step := 1; step <= 7; step++ {
			s := kd.StepReport{Step: step, Total: 7, Loss: float64(step * step), Divergence: float64(10 * step * step), Validation: math.NaN()}
			if !c.distils {
				s.Divergence = math.NaN()
			}
			if step == 4 {
				s.Validation = 0.5
			}
			curves.add(s)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("every %d steps: points\n%s\nexpected\n%s", c.every, text, c.want)
		}
	}
}
