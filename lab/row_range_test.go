package lab

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestIntervalsStayInTheirRange: no interval of a row leaves the values that its metric can have;
// what was cut is said, and is there for comparisons.
func TestIntervalsStayInTheirRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(Metrics()).Draw(t, "metric")
		low, high := m.Unit.Range()
		r := TableRow{Of: 5, Values: map[string]Summary{}}
		for seed := range rapid.IntRange(1, 5).Draw(t, "seeds") {
			x := rapid.Float64Range(max(low, -3), min(high, 3)).Draw(t, "value")
			half := rapid.Float64Range(0.001, 2).Draw(t, "half")
			r.seeds = append(r.seeds, seedValues{seed: seed, values: map[string]Measure{m.Key: {Value: x, Low: x - half, High: x + half}}})
		}
		s := r.summarize(m.Key)
		below, above := s.Sides()
		switch {
		case s.Low < low || s.High > high || s.Low > s.Value || s.High < s.Value:
			t.Fatalf("%s: %v in [%v, %v] leaves %v to %v", m.Key, s.Value, s.Low, s.High, low, high)
		case s.Cut() != slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.HasPrefix(w, "interval cut at ") }):
			t.Fatalf("%s: cut %v, warnings %q", m.Key, s.Cut(), s.Warnings)
		case !s.Cut() && (math.Abs(below-(s.Value-s.Low)) > 1e-12 || math.Abs(above-(s.High-s.Value)) > 1e-12):
			t.Fatalf("%s: [%v, %v] has the sides %v and %v", m.Key, s.Low, s.High, below, above)
		}
	})
}

// TestCutIntervalKeepsItsSides: 0.98 and 1 of two seeds have a Student's interval of half a width
// of 0.127.
func TestCutIntervalKeepsItsSides(t *testing.T) {
	r := TableRow{Of: 2, Values: map[string]Summary{}, seeds: []seedValues{{seed: 1, values: map[string]Measure{"auc": {Value: 0.98}}}, {seed: 2, values: map[string]Measure{"auc": {Value: 1}}}}}
	s := r.summarize("auc")
	below, above := s.Sides()
	if s.High != 1 || math.Abs(s.Low-0.86294) > 1e-4 || math.Abs(below-0.12706) > 1e-4 || math.Abs(above-below) > 1e-12 {
		t.Errorf("%+v, sides %v and %v", s, below, above)
	}
}
