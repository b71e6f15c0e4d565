package chart

import "math"

// Smooth is the exponential moving average of a curve, without the bias of its beginning: each
// point becomes the mean of all up to it, one mean distance of points back counting weight times as
// much. So points at uneven distances count by their distance. The weight is from 0, which leaves
// the curve as it is, up to but not with 1. A point that is not finite stays, and the average
// begins anew behind it.
func Smooth(points []Point, weight float64) []Point {
	out := make([]Point, len(points))
	copy(out, points)
	if len(points) < 2 || !(weight > 0 && weight < 1) {
		return out
	}
	distance := (points[len(points)-1].X - points[0].X) / float64(len(points)-1)
	if !(distance > 0) {
		return out
	}
	sum, weights, last := 0.0, 0.0, 0.0
	for i, p := range points {
		if math.IsNaN(p.Y) || math.IsInf(p.Y, 0) {
			sum, weights = 0, 0
			continue
		}
		decay := math.Pow(weight, (p.X-last)/distance)
		sum, weights, last = sum*decay+p.Y, weights*decay+1, p.X
		out[i].Y = sum / weights
	}
	return out
}
