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
	"slimlab/internal/texttable"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

const alongSchema = "slimlab.along/1"

// Along is a metric along an axis of numbers, a line for each value of another axis or each step.
type Along struct {
	Metric lab.Metric
	Axis   int    // of the table
	By     string // key of the other axis, or sweep.StepAxis
	Step   string // whose rows are in it; empty: of all steps
	Names  []string
	Lines  []sweep.Line // their Value is a place in Names, or sweep.Any
	Apart  int          // rows that are the same at every value of the axis
	Lack   int          // rows without the metric
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
	if a.arrange(t); len(a.Lines) == 0 {
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

func (a *Along) arrange(t *sweep.Table) {
	rows := []int{}
	for i := range t.Rows {
		if a.Step == "" || t.Rows[i].Name == a.Step {
			rows = append(rows, i)
		}
	}
	by := t.Axis(a.By)
	a.Lines, a.Apart, a.Lack = t.Along(rows, a.Axis, a.Metric.Key, func(r *sweep.Row) int {
		if by >= 0 {
			return r.At[by]
		}
		return slices.Index(a.Names, r.Name)
	})
}

// WriteAlong writes a metric along an axis in one of ChartFormats: a line for each point, which is
// a row with its interval, or the mean of several with their range.
func WriteAlong(format string, w io.Writer, t *sweep.Table, a *Along) error {
	err := nearest.Check("format of a metric along an axis", format, ChartFormats())
	switch {
	case err != nil:
		return err
	case format == "csv":
		err = alongCSV(w, t, a)
	case format == "json":
		err = jsondoc.Write(w, alongSchema, newJSONAlong(t, a))
	default:
		err = writeChartText(w, format, a.title(t), func(escape func(string) string) *texttable.Table { return alongTable(t, a, escape) }, append(a.notes(t), chosenNote(t)...))
	}
	if err != nil {
		return fmt.Errorf("metric along an axis as %s: %w", format, err)
	}
	return nil
}

func (a *Along) title(t *sweep.Table) string {
	title := fmt.Sprintf("%s along %s, by %s", directed(a.Metric), t.Axes[a.Axis].Key, a.By)
	if a.Step != "" {
		title += ", step " + a.Step
	}
	return title
}

func (a *Along) notes(t *sweep.Table) []string {
	var notes []string
	most := 0
	a.points(t, func(_ string, p *sweep.LinePoint, _ bool) { most = max(most, len(p.Rows)) })
	if most > 1 {
		notes = append(notes, fmt.Sprintf("the value of n rows is their mean, of up to %d, and the interval their range", most))
	}
	if a.Apart > 0 {
		notes = append(notes, Plural(a.Apart, "row")+" left out: the same at every "+t.Axes[a.Axis].Key)
	}
	if a.Lack > 0 {
		notes = append(notes, Plural(a.Lack, "row")+" without "+a.Metric.Label)
	}
	return notes
}

// points calls f with each point, the name of its line ("" of rows that depend on no value of By),
// and whether it has bounds.
func (a *Along) points(t *sweep.Table, f func(line string, p *sweep.LinePoint, bounded bool)) {
	for i := range a.Lines {
		name := ""
		if at := a.Lines[i].Value; at >= 0 {
			name = a.Names[at]
		}
		for j := range a.Lines[i].Points {
			p := &a.Lines[i].Points[j]
			f(name, p, len(p.Rows) > 1 || t.Rows[p.Rows[0]].Values[a.Metric.Key].Interval)
		}
	}
}

func alongTable(t *sweep.Table, a *Along, clean func(string) string) *texttable.Table {
	var values []float64
	a.points(t, func(_ string, p *sweep.LinePoint, _ bool) { values = append(values, p.Y) })
	scale := ScaleOf(a.Metric.Unit, values...)
	out := &texttable.Table{Columns: []texttable.Column{
		{Head: clean(t.Axes[a.Axis].Key), Right: true}, {Head: clean(a.By)}, {Head: clean(a.Metric.Label), Right: true}, {Head: "interval"}, {Head: "n", Right: true},
	}}
	a.points(t, func(line string, p *sweep.LinePoint, bounded bool) {
		bounds := ""
		if bounded {
			bounds = scale.Format(p.Low) + " to " + scale.Format(p.High)
		}
		out.Rows = append(out.Rows, []string{clean(t.Axes[a.Axis].Values[p.At]), clean(cmp.Or(line, AnyValue)), scale.Format(p.Y), bounds, strconv.Itoa(len(p.Rows))})
	})
	return out
}

func alongCSV(w io.Writer, t *sweep.Table, a *Along) error {
	out := csv.NewWriter(w)
	out.Write([]string{t.Axes[a.Axis].Key, a.By, a.Metric.Key, a.Metric.Key + "_low", a.Metric.Key + "_high", "n"})
	a.points(t, func(line string, p *sweep.LinePoint, bounded bool) {
		cells := []string{t.Axes[a.Axis].Values[p.At], line, plain(p.Y), "", "", strconv.Itoa(len(p.Rows))}
		if bounded {
			cells[3], cells[4] = plain(p.Low), plain(p.High)
		}
		out.Write(cells)
	})
	out.Flush()
	return out.Error()
}

type jsonAlong struct {
	Run    string           `json:"run"`
	Metric string           `json:"metric"`
	Unit   string           `json:"unit"`
	Better string           `json:"better"`
	Axis   string           `json:"axis"`
	By     string           `json:"by"`
	Step   string           `json:"step,omitempty"`
	Points []jsonAlongPoint `json:"points"`
	Apart  int              `json:"rows_without_axis"`
	Lack   int              `json:"rows_without_metric"`
}

type jsonAlongPoint struct {
	At   string `json:"at"`
	Line string `json:"line"` // empty: of rows that do not depend on what lines are by
	jsonValue
	Range bool     `json:"range,omitempty"` // low and high are those of the rows
	N     int      `json:"n"`
	Rows  []string `json:"rows"`
}

func newJSONAlong(t *sweep.Table, a *Along) jsonAlong {
	out := jsonAlong{
		Run: t.View.Begin.Run, Metric: a.Metric.Key, Unit: a.Metric.Unit.String(), Better: a.Metric.Better.String(),
		Axis: t.Axes[a.Axis].Key, By: a.By, Step: a.Step, Points: []jsonAlongPoint{}, Apart: a.Apart, Lack: a.Lack,
	}
	a.points(t, func(line string, p *sweep.LinePoint, bounded bool) {
		one := jsonAlongPoint{At: t.Axes[a.Axis].Values[p.At], Line: line, jsonValue: newJSONValue(p.Y, p.Low, p.High, bounded), Range: len(p.Rows) > 1, N: len(p.Rows)}
		for _, i := range p.Rows {
			one.Rows = append(one.Rows, strings.TrimSpace(t.Label(&t.Rows[i])))
		}
		out.Points = append(out.Points, one)
	})
	return out
}
