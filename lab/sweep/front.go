package sweep

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"slimlab/lab"
	"slimlab/lab/stat"
)

// Front is the trade-off of two metrics: the rows that have both, and which of them no other row
// betters.
type Front struct {
	X, Y   lab.Metric
	Points []Point // in order of X, then Y, then place in Table.Rows
	LackX  int     // rows that were asked for and have no value of X
	LackY  int     // rows that have none of Y
}

// Point is a row as a point of a Front.
type Point struct {
	Row  int          // in Table.Rows
	X, Y *lab.Summary // not to be changed, nor used beyond Table.Renew
	// no other point is at least as good in both metrics and better in one
	Best bool
	// the point is not Best, but no other point is better beyond the intervals of both: each that
	// betters it has an interval that overlaps its own in some metric. The intervals are those of
	// the rows by themselves; a paired comparison can tell more rows apart.
	Unsure bool
	// the first point, of Points, that is better; -1 of a Best one
	By int
	// the first point, of Points, with the same values of both metrics; -1 where that is this one.
	// Equal points are one in every count.
	Equal int
}

// Front finds the Pareto front of rows, of Table.Rows; nil is all. A metric that has no better
// direction is an error, for nothing dominates in it. A row whose value is not a number lacks it.
// O(n log n).
func (t *Table) Front(rows []int, x, y lab.Metric) (*Front, error) {
	for _, m := range []lab.Metric{x, y} {
		if m.Better == lab.Neither {
			return nil, fmt.Errorf("%s has no better direction, so no row is on a front of it", m.Key)
		}
	}
	f, vx, vy := &Front{X: x, Y: y}, t.values(x.Key), t.values(y.Key)
	type place struct {
		x, y float64
		row  int
	}
	rows = t.all(rows)
	places := make([]place, 0, len(rows))
	for _, i := range t.asSorted(rows, x.Key, y.Key) {
		sx, hasX := vx.finite(i)
		sy, hasY := vy.finite(i)
		if !hasX {
			f.LackX++
		}
		if !hasY {
			f.LackY++
		}
		if hasX && hasY {
			places = append(places, place{sx.Value, sy.Value, i})
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.x != b.x {
			return cmp.Compare(a.x, b.x)
		}
		return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.row, b.row))
	})
	f.Points = make([]Point, 0, len(places))
	order := t.fronts[[2]string{x.Key, y.Key}][:0]
	for _, p := range places {
		order = append(order, p.row)
		f.Points = append(f.Points, Point{Row: p.row, X: &vx.summaries[p.row], Y: &vy.summaries[p.row], By: -1, Equal: -1})
	}
	if t.fronts == nil {
		t.fronts = map[[2]string][]int{}
	}
	t.fronts[[2]string{x.Key, y.Key}] = order
	f.judge()
	return f, nil
}

// asSorted returns rows in the order of the last front of two metrics, those that were not on it
// last: while values arrive little is left to sort.
func (t *Table) asSorted(rows []int, x, y string) []int {
	last := t.fronts[[2]string{x, y}]
	if last == nil {
		return rows
	}
	wanted, out := make([]bool, len(t.Rows)), make([]int, 0, len(rows))
	for _, i := range rows {
		wanted[i] = true
	}
	for _, i := range last {
		if wanted[i] {
			out, wanted[i] = append(out, i), false
		}
	}
	for _, i := range rows {
		if wanted[i] {
			out = append(out, i)
		}
	}
	return out
}

// Best counts the points of the front, equal ones once.
func (f *Front) Best() int {
	return f.count(func(p *Point) bool { return p.Best && p.Equal < 0 })
}

// Dominated counts the points that are not on the front, equal ones once; unsure are those of them
// that may be.
func (f *Front) Dominated() (all, unsure int) {
	return f.count(func(p *Point) bool { return !p.Best && p.Equal < 0 }), f.count(func(p *Point) bool { return p.Unsure && p.Equal < 0 })
}

// Repeated counts the points that equal an earlier one.
func (f *Front) Repeated() int { return f.count(func(p *Point) bool { return p.Equal >= 0 }) }

func (f *Front) count(what func(p *Point) bool) (n int) {
	for i := range f.Points {
		if what(&f.Points[i]) {
			n++
		}
	}
	return n
}

// Equals lists the points that equal a point, without itself.
func (f *Front) Equals(i int) (equal []int) {
	first := i
	if f.Points[i].Equal >= 0 {
		first = f.Points[i].Equal
	}
	for j := first; j < len(f.Points) && (j == first || f.Points[j].Equal == first); j++ {
		if j != i {
			equal = append(equal, j)
		}
	}
	return equal
}

// judge finds the front, and of each other point whether it is surely worse.
func (f *Front) judge() {
	costs := make([]stat.Costs, len(f.Points))
	for i := range f.Points {
		p := &f.Points[i]
		costs[i] = stat.Costs{X: cost(f.X, p.X.Value), Y: cost(f.Y, p.Y.Value)}
		if i > 0 && costs[i] == costs[i-1] {
			if p.Equal = f.Points[i-1].Equal; p.Equal < 0 {
				p.Equal = i - 1
			}
		}
	}
	front := stat.Pareto(costs)
	for _, i := range front {
		f.Points[i].Best = true
	}
	sure := newStaircase(f)
	for i := range f.Points {
		p := &f.Points[i]
		if p.Best {
			continue
		}
		// the front ascends in X and descends in Y, so the last one up to here betters the point
		at := sort.Search(len(front), func(k int) bool { return costs[front[k]].X > costs[i].X }) - 1
		p.By = front[at]
		low, _ := bounds(f.X, p.X)
		bottom, _ := bounds(f.Y, p.Y)
		p.Unsure = !sure.below(low, bottom)
	}
}

// staircase answers whether a point is beyond the worst ends of another's intervals. Its steps are
// the points by the worst end of X, each with the lowest worst end of Y up to there.
type staircase struct{ x, y []float64 }

func newStaircase(f *Front) staircase {
	worst := make([]stat.Costs, len(f.Points))
	for i := range f.Points {
		_, worst[i].X = bounds(f.X, f.Points[i].X)
		_, worst[i].Y = bounds(f.Y, f.Points[i].Y)
	}
	slices.SortFunc(worst, func(a, b stat.Costs) int { return cmp.Compare(a.X, b.X) })
	s := staircase{make([]float64, 0, len(worst)), make([]float64, 0, len(worst))}
	lowest := math.Inf(1)
	for _, w := range worst {
		lowest = min(lowest, w.Y)
		s.x, s.y = append(s.x, w.X), append(s.y, lowest)
	}
	return s
}

// below reports whether a step is at most x and y, and less than one of them.
func (s staircase) below(x, y float64) bool {
	less := sort.SearchFloat64s(s.x, x) // the steps before it are less than x
	if less > 0 && s.y[less-1] <= y {
		return true
	}
	upTo := sort.Search(len(s.x), func(i int) bool { return s.x[i] > x })
	return upTo > 0 && s.y[upTo-1] < y
}

// cost is a value such that less is better.
func cost(m lab.Metric, x float64) float64 {
	if m.Better == lab.Higher {
		return -x
	}
	return x
}

// bounds are the best and the worst end of an interval as costs; both are the value without one.
func bounds(m lab.Metric, s *lab.Summary) (best, worst float64) {
	low, high := s.Value, s.Value
	if s.Interval {
		low, high = min(low, s.Low), max(high, s.High)
	}
	if m.Better == lab.Higher {
		return -high, -low
	}
	return low, high
}

// finite is the metric of a row where its value is a number.
func (v *values) finite(row int) (s *lab.Summary, ok bool) {
	s = &v.summaries[row]
	return s, v.has[row] && !math.IsNaN(s.Value) && !math.IsInf(s.Value, 0)
}

// all is rows, or the places of all where it is nil.
func (t *Table) all(rows []int) []int {
	if rows != nil {
		return rows
	}
	rows = make([]int, len(t.Rows))
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// Decades is how many powers of ten a metric of rows spans, of Table.Rows (nil: all); 0 where a
// value is not positive.
func (t *Table) Decades(rows []int, key string) float64 {
	low, high, v := math.Inf(1), math.Inf(-1), t.values(key)
	for _, i := range t.all(rows) {
		if s, ok := v.finite(i); ok {
			low, high = min(low, s.Value), max(high, s.Value)
		}
	}
	if !(low > 0) || high < low {
		return 0
	}
	return math.Log10(high / low)
}

// Quality is the metric of quality that a run is looked at by: the divergence where its table has
// that before all others of section Evaluate, as a search has, which judges by it; else the first
// of expected AUC, AUC, validation loss and agreement that the table has, else the table's first
// metric of section Evaluate, else the first of those that were measured. A run without any has the
// table's first metric, a cost (IsQuality); zero where that has none either.
func Quality(v *lab.View) lab.Metric {
	columns := v.Columns()
	if i := slices.IndexFunc(columns, IsQuality); i >= 0 && columns[i].Key == "kl" {
		return columns[i]
	}
	for _, key := range []string{"auc_soft", "auc", "loss", "agreement"} {
		if i := slices.IndexFunc(columns, func(m lab.Metric) bool { return m.Key == key }); i >= 0 {
			return columns[i]
		}
	}
	for _, list := range [][]lab.Metric{columns, v.Measured()} {
		if i := slices.IndexFunc(list, IsQuality); i >= 0 {
			return list[i]
		}
	}
	for _, m := range columns {
		if m.Better != lab.Neither {
			return m
		}
	}
	return lab.Metric{}
}

// IsQuality reports whether a metric says how good a model is, and not what it costs.
func IsQuality(m lab.Metric) bool { return m.Section == lab.Evaluate && m.Better != lab.Neither }
