package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

const alongSchema = "slimlab.along/2"

// Along is a metric along an axis of numbers, a line for each value of another axis or each step.
type Along struct {
	Metric    lab.Metric
	Aggregate sweep.Aggregate // of the rows of a point
	Axis      int             // of the table
	By        string          // key of the other axis, or sweep.StepAxis
	Step      string          // whose rows are in it; empty: of all steps
	Names     []string
	Lines     []sweep.Line // their Value is a place in Names, or sweep.Any
	Apart     int          // rows that are the same at every value of the axis
	Lack      int          // rows without the metric
}

// alongOf arranges what --along asks for. Without --lines the lines are the values of the first
// other axis that has several, else the steps; without --step the rows are those of the last step
// that depends on the axis, or where lines are steps those of all.
func (s *Shown) alongOf(t *sweep.Table) (Picture, error) {
	axis, err := numericAxis(t, s.Along)
	if err != nil {
		return nil, err
	}
	a := &Along{Axis: axis, By: s.Lines, Metric: sweep.Quality(t.View)}
	if s.Metric != "" {
		if a.Metric, err = metricNamed("--metric", s.Metric); err != nil {
			return nil, err
		}
	}
	if a.Aggregate, err = s.aggregateOf(a.Metric); err != nil {
		return nil, err
	}
	if err := a.chooseLines(t); err != nil {
		return nil, err
	}
	switch {
	case s.Step == "" && a.By != sweep.StepAxis:
		a.Step = t.LastStep(s.Along)
	case s.Step != "" && (s.Step != "all" || slices.Contains(t.Steps(), "all")):
		if err := nearest.Check("--step", s.Step, t.Steps()); err != nil {
			return nil, err
		}
		a.Step = s.Step
	}
	if a.Arrange(t, nil); len(a.Lines) == 0 {
		return nil, fmt.Errorf("--along %s: no row that depends on it has %s; this run has %s", s.Along, a.Metric.Key, measuredKeys(t))
	}
	return func(format string, w io.Writer, _ int) error { return WriteAlong(format, w, t, a) }, nil
}

// numericAxis finds an axis whose values are numbers.
func numericAxis(t *sweep.Table, key string) (int, error) {
	var keys []string
	for i := range t.Axes {
		if t.Axes[i].Numbers != nil {
			keys = append(keys, t.Axes[i].Key)
		}
	}
	axis := t.Axis(key)
	switch {
	case slices.Contains(keys, key):
		return axis, nil
	case len(keys) == 0:
		return -1, fmt.Errorf("--along %s: the run has no axis of numbers", key)
	case axis >= 0:
		return -1, fmt.Errorf("--along %s: its values are %s; expected an axis of numbers: %s", key, strings.Join(t.Axes[axis].Values, ", "), strings.Join(keys, ", "))
	}
	return -1, nearest.Unknown("--along: axis of numbers", key, keys)
}

// chooseLines settles what there is a line for.
func (a *Along) chooseLines(t *sweep.Table) error {
	across := t.Axes[a.Axis].Key
	if a.By == "" {
		a.By = sweep.StepAxis
		for i := range t.Axes {
			if i != a.Axis && len(t.Axes[i].Values) > 1 {
				a.By = t.Axes[i].Key
				break
			}
		}
	}
	if a.By == across {
		return fmt.Errorf("--lines %s: it runs across; expected another axis, or %s", a.By, sweep.StepAxis)
	}
	if at := t.Axis(a.By); at >= 0 {
		a.Names = t.Axes[at].Values
		return nil
	}
	a.Names = t.Steps()
	return nearest.Check("--lines", a.By, append(t.PivotAxes(), sweep.StepAxis))
}

// Arrange fills the lines with rows, of the table's (nil: all), of the chosen step.
func (a *Along) Arrange(t *sweep.Table, rows []int) {
	own := slices.Clone(rows)
	if rows == nil {
		for i := range t.Rows {
			own = append(own, i)
		}
	}
	own = slices.DeleteFunc(own, func(i int) bool { return a.Step != "" && t.Rows[i].Name != a.Step })
	by := t.Axis(a.By)
	if a.Names = t.Steps(); by >= 0 {
		a.Names = t.Axes[by].Values
	}
	a.Lines, a.Apart, a.Lack = t.Along(own, a.Axis, a.Metric, a.Aggregate, func(r *sweep.Row) int {
		if by >= 0 {
			return r.At[by]
		}
		return slices.Index(a.Names, r.Name)
	})
}

// WriteAlong writes a metric along an axis in one of DrawnFormats: a line for each point, which is
// a row with its interval, or what several come to with their spread.
func WriteAlong(format string, w io.Writer, t *sweep.Table, a *Along) error {
	err := nearest.Check("format of a metric along an axis", format, DrawnFormats())
	switch {
	case err != nil:
		return err
	case format == "svg":
		err = alongChart(t, a).Write(w)
	case format == "csv":
		err = alongCSV(w, t, a)
	case format == "json":
		err = jsondoc.Write(w, alongSchema, newJSONAlong(t, a))
	default:
		err = writeChartText(w, format, a.title(t), func(escape func(string) string) *texttable.Table { return alongTable(t, a, escape) }, append(a.Notes(t), chosenNote(t)...))
	}
	if err != nil {
		return fmt.Errorf("metric along an axis as %s: %w", format, err)
	}
	return nil
}

func (a *Along) title(t *sweep.Table) string {
	title := fmt.Sprintf("%s along %s, by %s", directed(AggregatedIn(a.Metric, a.Aggregate, a.Aggregated())), t.Axes[a.Axis].Key, a.By)
	if a.Step != "" {
		title += ", step " + a.Step
	}
	return title
}

// Notes say what points and their bounds are, and which rows are in none.
func (a *Along) Notes(t *sweep.Table) []string {
	var notes []string
	if n := a.Aggregated(); n > 1 || a.Aggregate == sweep.Count {
		note := "a point is " + AggregateOf(a.Aggregate, n)
		if a.Spreads() {
			note += ", with their spread low–high, which is no error of measurement"
		}
		notes = append(notes, note)
	}
	if a.Apart > 0 {
		notes = append(notes, plural.Of(a.Apart, "row")+" left out: the same at every "+t.Axes[a.Axis].Key)
	}
	if a.Lack > 0 {
		notes = append(notes, plural.Of(a.Lack, "row")+" without "+a.Metric.Label)
	}
	return notes
}

// Aggregated is the largest number of rows that share a point.
func (a *Along) Aggregated() int {
	n := 0
	for i := range a.Lines {
		for j := range a.Lines[i].Points {
			n = max(n, a.Lines[i].Points[j].N)
		}
	}
	return n
}

// Spreads reports whether the bounds of points are the spread of their rows: where some point is an
// average of several. Else they are the intervals of the rows.
func (a *Along) Spreads() bool { return a.Aggregate.Averages() && a.Aggregated() > 1 }

// Bounds are the ends of a point's spread, or of its row's interval; ok is false without any.
func (a *Along) Bounds(t *sweep.Table, p *sweep.LinePoint) (low, high float64, ok bool) {
	if a.Spreads() {
		return p.Low, p.High, p.Total.Spreads()
	}
	return t.Own(&p.Total, a.Metric.Key)
}

// Scale is how the values of points are written.
func (a *Along) Scale() Scale {
	var values []float64
	for i := range a.Lines {
		for j := range a.Lines[i].Points {
			values = append(values, a.Lines[i].Points[j].Value)
		}
	}
	return ScaleOf(AggregatedIn(a.Metric, a.Aggregate, 2).Unit, values...)
}

// points calls f with each point and the name of its line, "" of rows that depend on no value of
// By.
func (a *Along) points(f func(line string, p *sweep.LinePoint)) {
	for i := range a.Lines {
		name := ""
		if at := a.Lines[i].Value; at >= 0 {
			name = a.Names[at]
		}
		for j := range a.Lines[i].Points {
			f(name, &a.Lines[i].Points[j])
		}
	}
}

func alongTable(t *sweep.Table, a *Along, clean func(string) string) *texttable.Table {
	scale, beside := a.Scale(), "interval"
	if a.Spreads() {
		beside = "low–high"
	}
	out := &texttable.Table{Columns: []texttable.Column{
		{Head: clean(t.Axes[a.Axis].Key), Right: true}, {Head: clean(a.By)}, {Head: clean(AggregatedIn(a.Metric, a.Aggregate, a.Aggregated()).Label), Right: true}, {Head: beside}, {Head: "n", Right: true},
	}}
	a.points(func(line string, p *sweep.LinePoint) {
		bounds := ""
		if low, high, ok := a.Bounds(t, p); ok {
			bounds = scale.Format(low) + " to " + scale.Format(high)
		}
		out.Rows = append(out.Rows, []string{clean(t.Axes[a.Axis].Values[p.At]), clean(cmp.Or(line, AnyValue)), scale.Format(p.Value), bounds, strconv.Itoa(p.N)})
	})
	return out
}

func alongCSV(w io.Writer, t *sweep.Table, a *Along) error {
	out := csv.NewWriter(w)
	out.Write(append([]string{t.Axes[a.Axis].Key, a.By}, totalKeys(a.Metric.Key)...))
	a.points(func(line string, p *sweep.LinePoint) {
		out.Write(append([]string{t.Axes[a.Axis].Values[p.At], line}, csvTotal(t, &p.Total, a.Metric.Key, a.Aggregate)...))
	})
	out.Flush()
	return out.Error()
}

type jsonAlong struct {
	Run       string           `json:"run"`
	Metric    string           `json:"metric"`
	Unit      string           `json:"unit"`
	Better    string           `json:"better"`
	Axis      string           `json:"axis"`
	By        string           `json:"by"`
	Step      string           `json:"step,omitempty"`
	Aggregate string           `json:"aggregate"` // of the rows of a point
	Points    []jsonAlongPoint `json:"points"`
	Apart     int              `json:"rows_without_axis"`
	Lack      int              `json:"rows_without_metric"`
}

type jsonAlongPoint struct {
	At   string `json:"at"`
	Line string `json:"line"` // empty: of rows that do not depend on what lines are by
	jsonTotal
	Rows []string `json:"rows"`
}

func newJSONAlong(t *sweep.Table, a *Along) jsonAlong {
	out := jsonAlong{
		Run: t.View.Begin.Run, Metric: a.Metric.Key, Unit: a.Metric.Unit.String(), Better: a.Metric.Better.String(),
		Axis: t.Axes[a.Axis].Key, By: a.By, Step: a.Step, Aggregate: a.Aggregate.String(), Points: []jsonAlongPoint{}, Apart: a.Apart, Lack: a.Lack,
	}
	a.points(func(line string, p *sweep.LinePoint) {
		one := jsonAlongPoint{At: t.Axes[a.Axis].Values[p.At], Line: line, jsonTotal: newJSONTotal(t, &p.Total, a.Metric.Key)}
		for _, i := range p.Rows {
			one.Rows = append(one.Rows, strings.TrimSpace(t.Label(&t.Rows[i])))
		}
		out.Points = append(out.Points, one)
	})
	return out
}
