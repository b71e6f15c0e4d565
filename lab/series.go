package lab

import (
	"math"
	"slices"
)

// Series is a curve, decimated as it grows: neighbouring points share a bucket that keeps its
// lowest and its highest value, so that a spike survives however long the run. Values that are not
// finite break the line and are counted, never scaled.
type Series struct {
	Name      string
	Count     int   // points received
	NotFinite int   // of them NaN or infinite
	Last      Point // the latest, as it came
	buckets   []bucket
	width     int // points per bucket
}

// Point is one value of a curve.
type Point struct {
	Step  int
	Value float64
}

type bucket struct {
	low, high Point // by value; equal for a single point
	broken    Point // the first value that is not finite
	finite    int   // points that are
	count     int
}

// maxBuckets bounds a curve: 1,024 buckets draw 2 columns a bucket on the widest terminal.
const maxBuckets = 1024

// Points returns the decimated curve in order of steps: at most three points a bucket, one of them
// NaN where the line breaks.
func (s *Series) Points() []Point {
	points := make([]Point, 0, len(s.buckets)+len(s.buckets)/2)
	for _, b := range s.buckets {
		points = b.append(points)
	}
	return points
}

// Bounds returns the lowest and highest finite value; ok is false when there is none.
func (s *Series) Bounds() (low, high float64, ok bool) {
	for _, b := range s.buckets {
		if b.finite == 0 {
			continue
		}
		if !ok {
			low, high, ok = b.low.Value, b.high.Value, true
		}
		low, high = min(low, b.low.Value), max(high, b.high.Value)
	}
	return low, high, ok
}

// add adds a point; it reports false, and drops the point, when its step is before the last one.
func (s *Series) add(p Point) bool {
	if s.Count > 0 && p.Step < s.Last.Step {
		return false
	}
	s.Count++
	s.Last = p
	one := newBucket(p)
	if one.finite == 0 {
		s.NotFinite++
	}
	if s.width == 0 {
		s.width = 1
	}
	if last := len(s.buckets) - 1; last >= 0 && s.buckets[last].count < s.width {
		s.buckets[last] = s.buckets[last].join(one)
		return true
	}
	if len(s.buckets) == maxBuckets {
		for i := range maxBuckets / 2 {
			s.buckets[i] = s.buckets[2*i].join(s.buckets[2*i+1])
		}
		s.buckets = s.buckets[:maxBuckets/2]
		s.width *= 2
	}
	s.buckets = append(s.buckets, one)
	return true
}

func newBucket(p Point) bucket {
	if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
		return bucket{broken: p, count: 1}
	}
	return bucket{low: p, high: p, finite: 1, count: 1}
}

// join merges b with its successor.
func (b bucket) join(next bucket) bucket {
	out := b
	out.count, out.finite = b.count+next.count, b.finite+next.finite
	if b.finite == b.count {
		out.broken = next.broken
	}
	switch {
	case next.finite == 0:
	case b.finite == 0:
		out.low, out.high = next.low, next.high
	default:
		if next.low.Value < b.low.Value {
			out.low = next.low
		}
		if next.high.Value > b.high.Value {
			out.high = next.high
		}
	}
	return out
}

func (b bucket) append(points []Point) []Point {
	from := len(points)
	if b.finite > 0 {
		points = append(points, b.low)
		if b.high != b.low {
			points = append(points, b.high)
		}
	}
	if b.finite < b.count {
		points = append(points, Point{b.broken.Step, math.NaN()})
	}
	slices.SortStableFunc(points[from:], func(p, q Point) int { return p.Step - q.Step })
	return points
}
