package chart

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestSmoothIsAWeightedMean compares with the definition: every point by itself.
func TestSmoothIsAWeightedMean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var points []Point
		x := rapid.Float64Range(0, 10).Draw(t, "x")
		for range rapid.IntRange(2, 30).Draw(t, "n") {
			y := rapid.Float64Range(-10, 10).Draw(t, "y")
			if rapid.IntRange(0, 9).Draw(t, "broken") == 0 {
				y = math.NaN()
			}
			points = append(points, Point{x, y})
			x += rapid.Float64Range(0.5, 5).Draw(t, "step")
		}
		weight := rapid.SampledFrom([]float64{0.1, 0.6, 0.97}).Draw(t, "weight")
		distance := (points[len(points)-1].X - points[0].X) / float64(len(points)-1)
		for i, got := range Smooth(points, weight) {
			if math.IsNaN(points[i].Y) != math.IsNaN(got.Y) || got.X != points[i].X {
				t.Fatalf("point %d: %v became %v", i, points[i], got)
			}
			if math.IsNaN(got.Y) {
				continue
			}
			sum, weights := 0.0, 0.0
			for j := i; j >= 0 && !math.IsNaN(points[j].Y); j-- {
				w := math.Pow(weight, (points[i].X-points[j].X)/distance)
				sum, weights = sum+w*points[j].Y, weights+w
			}
			if math.Abs(got.Y-sum/weights) > 1e-9 {
				t.Fatalf("point %d is %g, expected %g", i, got.Y, sum/weights)
			}
		}
	})
}

func TestSmoothOfNothing(t *testing.T) {
	points := []Point{{1, 2}, {2, 8}}
	for _, weight := range []float64{0, 1, math.NaN(), -1} {
		if got := Smooth(points, weight); got[1] != points[1] {
			t.Errorf("weight %g: %v", weight, got)
		}
	}
	if got := Smooth([]Point{{1, 2}, {1, 8}}, 0.9); got[1].Y != 8 {
		t.Errorf("points of one step: %v", got)
	}
	if len(Smooth(nil, 0.9)) != 0 {
		t.Error("points of nothing")
	}
}
