package sweep

import (
	"fmt"
	"math"
	"slices"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/stat"
)

// StepAxis is the key by which the step is an axis of a pivot.
const StepAxis = "step"

// Question is what a pivot shows.
type Question struct {
	Down, Across string     // the axes: keys of the sweep's, or StepAxis
	Metric       lab.Metric // in the cells
	// whose rows are shown; "" is every step that depends on both axes. Not read where the step is
	// an axis.
	Step      string
	Aggregate Aggregate // of the rows of a cell
}

// Pivot is a metric over two axes.
type Pivot struct {
	Question
	Rows, Columns []string // the values down and across: numbers ascending, others as planned
	Cells         [][]PivotCell
	// rows that are in no cell: they depend on one of the axes only, and no step was chosen
	Apart     int
	Low, High float64 // of the cells; both NaN where nothing was measured
	// the median half width of the intervals of the rows in cells; 0 where none has one
	HalfWidth float64
}

// PivotCell is what rows at one place come to.
type PivotCell struct {
	Rows []int // of Table.Rows, in order; those without the metric among them
	Total
}

// PivotAxes are the keys that a pivot can have as axes: the sweep's, then the step where there are
// several.
func (t *Table) PivotAxes() []string {
	var keys []string
	for i := range t.Axes {
		keys = append(keys, t.Axes[i].Key)
	}
	if len(t.steps) > 1 && !slices.Contains(keys, StepAxis) {
		keys = append(keys, StepAxis)
	}
	return keys
}

// PivotOf chooses what a pivot of a metric shows where nobody has: the two axes with most values,
// of the last step that depends on both; ok is false where there are no two.
func (t *Table) PivotOf(metric lab.Metric) (q Question, ok bool) {
	keys := t.PivotAxes()
	if len(keys) < 2 {
		return Question{}, false
	}
	size := func(key string) int {
		if key == StepAxis && t.Axis(key) < 0 { // after every axis of the sweep
			return 0
		}
		return len(t.Axes[t.Axis(key)].Values)
	}
	slices.SortStableFunc(keys, func(a, b string) int { return size(b) - size(a) })
	q = Question{Down: keys[0], Across: keys[1], Metric: metric}
	q.Step = t.LastStep(q.Down, q.Across)
	return q, true
}

// LastStep is the last step of the pipeline that depends on all of the axes; "" where none does.
func (t *Table) LastStep(keys ...string) string {
	last, place := "", -1
	for i := range t.Rows {
		r := &t.Rows[i]
		if !slices.ContainsFunc(keys, func(key string) bool { return t.apart(r, key) }) && t.steps[r.Name] >= place {
			last, place = r.Name, t.steps[r.Name]
		}
	}
	return last
}

// Steps are the names of the steps, in the order of the pipeline.
func (t *Table) Steps() []string { return t.View.Begin.Rows }

// apart reports whether a row does not depend on an axis.
func (t *Table) apart(r *Row, key string) bool {
	axis := t.Axis(key)
	return axis >= 0 && r.At[axis] == Any
}

// Pivot arranges rows, of Table.Rows (nil: all), over two axes. A row that does not depend on an
// axis stands at each of its values where a step is chosen or an axis, and else in no cell. An axis
// or step that the table does not have is an error, as are two equal axes.
func (t *Table) Pivot(rows []int, q Question) (*Pivot, error) {
	for _, key := range []string{q.Down, q.Across} {
		if err := nearest.Check("axis of a pivot", key, t.PivotAxes()); err != nil {
			return nil, err
		}
	}
	if q.Down == q.Across {
		return nil, fmt.Errorf("pivot of %s and %s: expected two different axes", q.Down, q.Across)
	}
	if q.Aggregate == Best && q.Metric.Better == lab.Neither {
		return nil, fmt.Errorf("%s has no better direction, so no row is the best of a cell", q.Metric.Key)
	}
	byStep := t.isStep(q.Down) || t.isStep(q.Across)
	if byStep {
		q.Step = ""
	}
	if q.Step != "" {
		if err := nearest.Check("step", q.Step, t.Steps()); err != nil {
			return nil, err
		}
	}
	p := &Pivot{Question: q, Low: math.NaN(), High: math.NaN()}
	down, across := t.side(q.Down), t.side(q.Across)
	p.Rows, p.Columns = down.values, across.values
	p.Cells = make([][]PivotCell, len(p.Rows))
	for i := range p.Cells {
		p.Cells[i] = make([]PivotCell, len(p.Columns))
	}
	for _, i := range t.all(rows) {
		r := &t.Rows[i]
		if q.Step != "" && r.Name != q.Step {
			continue
		}
		if q.Step == "" && !byStep && (t.apart(r, q.Down) || t.apart(r, q.Across)) {
			p.Apart++
			continue
		}
		for _, y := range down.places(r) {
			for _, x := range across.places(r) {
				p.Cells[y][x].Rows = append(p.Cells[y][x].Rows, i)
			}
		}
	}
	t.fill(p)
	return p, nil
}

func (t *Table) isStep(key string) bool { return key == StepAxis && t.Axis(key) < 0 }

// side is an axis of a pivot with its values in the order in which they are shown.
type side struct {
	values []string
	place  func(r *Row) int // in values; Any where the row does not depend on the axis
}

func (t *Table) side(key string) side {
	axis := t.Axis(key)
	if axis < 0 {
		return side{t.Steps(), func(r *Row) int { return t.steps[r.Name] }}
	}
	a := &t.Axes[axis]
	order := make([]int, len(a.Values))
	for i := range order {
		order[i] = i
	}
	if a.Numbers != nil {
		slices.SortStableFunc(order, func(i, j int) int {
			switch {
			case a.Numbers[i] < a.Numbers[j]:
				return -1
			case a.Numbers[i] > a.Numbers[j]:
				return 1
			}
			return 0
		})
	}
	s := side{values: make([]string, len(order))}
	place := make([]int, len(order))
	for at, i := range order {
		s.values[at], place[i] = a.Values[i], at
	}
	s.place = func(r *Row) int {
		if r.At[axis] == Any {
			return Any
		}
		return place[r.At[axis]]
	}
	return s
}

// places are where a row stands on the side.
func (s *side) places(r *Row) []int {
	if at := s.place(r); at != Any {
		return []int{at}
	}
	all := make([]int, len(s.values))
	for i := range all {
		all[i] = i
	}
	return all
}

// fill computes the values of the cells.
func (t *Table) fill(p *Pivot) {
	var halves []float64
	measured := t.values(p.Metric.Key)
	for y := range p.Cells {
		for x := range p.Cells[y] {
			c := &p.Cells[y][x]
			c.Total = t.Total(c.Rows, p.Metric, p.Aggregate)
			for _, i := range c.Rows {
				if s, ok := measured.finite(i); ok && s.HalfWidth() > 0 {
					halves = append(halves, s.HalfWidth())
				}
			}
			if c.Has() {
				if math.IsNaN(p.Low) {
					p.Low, p.High = c.Value, c.Value
				}
				p.Low, p.High = min(p.Low, c.Value), max(p.High, c.Value)
			}
		}
	}
	if len(halves) > 0 {
		p.HalfWidth = stat.Median(halves)
	}
}

// Aggregated is the largest number of rows that share a cell.
func (p *Pivot) Aggregated() int {
	n := 0
	for _, row := range p.Cells {
		for i := range row {
			n = max(n, row[i].N)
		}
	}
	return n
}
