package doctor

import (
	"strings"
	"testing"
)

func TestAssess(t *testing.T) {
	const g = 1e9
	for _, c := range []struct {
		name    string
		pulse   pulse
		threads int
		verdict Condition
		finding string
	}{
		{"all is well", pulse{[]float64{3.6 * g, 3.7 * g}, []float64{115 * g, 117 * g}, []float64{220 * g, 230 * g}}, 2, Steady, ""},
		{"one thread, no clock", pulse{nil, []float64{115 * g, 117 * g}, nil}, 1, Steady, ""},
		{"one core for two threads", pulse{[]float64{3.7 * g}, []float64{116 * g}, []float64{116 * g, 117 * g, 230 * g}}, 2, Shared, "2 threads deliver the work of 1.0 (at best 2.0)"},
		{"four cores for eight threads", pulse{nil, []float64{100 * g}, []float64{420 * g}}, 8, Shared, "8 threads deliver the work of 4.2"},
		{"the clock falls", pulse{[]float64{2.7 * g, 2.8 * g, 3.7 * g}, []float64{85 * g, 86 * g, 117 * g}, []float64{170 * g, 172 * g, 234 * g}}, 2, Throttled, "the clock is 2.80 GHz, at best it was 3.70"},
		{"a neighbour in the core", pulse{[]float64{3.7 * g, 3.7 * g}, []float64{60 * g, 61 * g, 117 * g}, []float64{122 * g}}, 2, Shared, "one thread delivers 52% of what it did at best"},
		{"both", pulse{[]float64{2 * g, 2 * g, 3 * g}, []float64{100 * g}, []float64{100 * g}}, 2, Throttled, "2 threads deliver the work of 1.0"},
	} {
		s := c.pulse.assess(c.threads)
		if s.Verdict != c.verdict || (c.finding == "") != (len(s.Findings) == 0) || !strings.Contains(strings.Join(s.Findings, "; "), c.finding) {
			t.Errorf("%s: %s %q, want %s with %q", c.name, s.Verdict, s.Findings, c.verdict, c.finding)
		}
	}
	s := (&pulse{[]float64{4 * g}, []float64{128 * g}, []float64{256 * g}}).assess(2)
	if s.PerCycle != 32 || s.Delivered != 2 || s.Clock.Median != 4*g {
		t.Errorf("%+v", s)
	}
}
