package pruning

import (
	"math"
	"testing"
)

// The work of OSSCAR is near what was counted of a whole run: 24 layers of 4,864 neurons and 896
// outputs, of which 896 neurons left, took 3.16e12 multiply-adds in float64.
func TestWorkOfOSSCAR(t *testing.T) {
	const counted = 3.16e12
	if work := 24 * OSSCAR.Work(4864, 896, 896); math.Abs(work/counted-1) > 0.15 {
		t.Errorf("%.4g multiply-adds, %.4g were counted", work, counted)
	}
}

func TestWork(t *testing.T) {
	const d, n, p = 60, 20, 12
	const masked = d*d*p/2 + n*n*p
	for _, test := range []struct {
		name       string
		work, want float64
	}{
		{"masking", Method("flap").Work(d, n, p), masked},
		{"least squares", Method("flap-ls").Work(d, n, p), masked + 40.*40*40/6 + 40*40*p + 40*n*p + n*d*p},
		{"osscar", OSSCAR.Work(d, n, p), masked + d*d*d/2 + 2.5*n*(d*d/2+d*p) + 3*n*d*p + n*d*p},
		{"the errors of all widths", CurveWork(d, p), d*d*p/2 + d*d*d/2 + d*(d*d/2+d*p) + 3*d*d*p},
		{"nothing", Method("magnitude").Work(0, 0, p), 0},
	} {
		if math.Abs(test.work-test.want) > 1e-9*test.want {
			t.Errorf("%s: %g, expected %g", test.name, test.work, test.want)
		}
	}
}
