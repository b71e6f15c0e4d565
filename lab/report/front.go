package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// ChartFormats lists what is written of every chart: a table of its figures.
func ChartFormats() []string { return []string{"table", "md", "csv", "json"} }

// DrawnFormats lists what WriteFront, WriteAlong and WriteBars can write: ChartFormats, and the
// chart itself.
func DrawnFormats() []string { return append(ChartFormats(), "svg") }

const frontSchema = "slimlab.front/2"

// writeChartText writes what is shown in place of a run's rows as "md", else as a text: a title, a
// table of cells that are escaped for the format, notes.
func writeChartText(w io.Writer, format, title string, table func(escape func(string) string) *texttable.Table, notes []string) error {
	escape, head, written := visible.Line, "", (*texttable.Table).Text
	if format == "md" {
		escape, head, written = texttable.Escape, "## ", (*texttable.Table).Markdown
	}
	text := head + escape(title) + "\n\n" + written(table(escape))
	for _, note := range notes {
		text += "\n" + escape(note) + "\n"
	}
	_, err := io.WriteString(w, visible.Text(text))
	return err
}

// WriteFront writes a Pareto front in one of DrawnFormats. Tables list the rows of the front and
// those that may belong to it, for their intervals overlap; CSV, JSON and SVG have every row that
// has both metrics.
func WriteFront(format string, w io.Writer, t *sweep.Table, f *sweep.Front) error {
	err := nearest.Check("format of a front", format, DrawnFormats())
	switch {
	case err != nil:
		return err
	case format == "svg":
		err = frontChart(t, f).Write(w)
	case format == "csv":
		err = frontCSV(w, t, f)
	case format == "json":
		err = jsondoc.Write(w, frontSchema, newJSONFront(t, f))
	default:
		err = writeChartText(w, format, FrontTitle(f), func(escape func(string) string) *texttable.Table { return frontTable(t, f, escape) }, append(frontNotes(f, false), chosenNote(t)...))
	}
	if err != nil {
		return fmt.Errorf("front as %s: %w", format, err)
	}
	return nil
}

// FrontTitle says what a front is of and how many rows are on it.
func FrontTitle(f *sweep.Front) string {
	return fmt.Sprintf("Pareto front of %s and %s: %d of %s", directed(f.X), directed(f.Y), f.Best(), plural.Of(len(f.Points), "row"))
}

// directed is a metric's label and which values are better.
func directed(m lab.Metric) string {
	switch m.Better {
	case lab.Higher:
		return m.Label + " (more is better)"
	case lab.Lower:
		return m.Label + " (less is better)"
	}
	return m.Label
}

// Place says where a point is: on the front, equal to one there, maybe on it, or dominated.
func Place(p *sweep.Point) string {
	switch {
	case p.Best && p.Equal >= 0:
		return "equal"
	case p.Best:
		return "front"
	case p.Unsure:
		return "overlaps"
	}
	return "dominated"
}

// RepeatedPoints says that so many rows count with another: "1 row equals another in both: counted
// once".
func RepeatedPoints(n int) string {
	if n == 1 {
		return "1 row equals another in both: counted once"
	}
	return plural.Of(n, "row") + " equal others in both: counted once"
}

// Lacking says how many rows are no points, for they lack a metric: "3 rows lack tok/s".
func Lacking(f *sweep.Front) []string {
	var parts []string
	for _, one := range []struct {
		rows   int
		metric lab.Metric
	}{{f.LackX, f.X}, {f.LackY, f.Y}} {
		if one.rows > 0 {
			verb := " lack "
			if one.rows == 1 {
				verb = " lacks "
			}
			parts = append(parts, plural.Of(one.rows, "row")+verb+one.metric.Label)
		}
	}
	return parts
}

// frontNotes say what the places of points are, and which rows are none or are left out: of a chart
// that is drawn none of those that have both metrics.
func frontNotes(f *sweep.Front, drawn bool) []string {
	var notes []string
	unsure, dominated := 0, 0 // rows
	for i := range f.Points {
		switch p := &f.Points[i]; {
		case p.Unsure:
			unsure++
		case !p.Best:
			dominated++
		}
	}
	if n := f.Repeated(); n > 0 {
		notes = append(notes, RepeatedPoints(n))
	}
	if unsure > 0 {
		notes = append(notes, "overlaps: another row is better, but an interval of the two overlaps")
	}
	if dominated > 0 && !drawn {
		notes = append(notes, plural.Of(dominated, "dominated row")+" not listed; csv and json list all")
	}
	return append(notes, Lacking(f)...)
}

// chosenNote says which rows of the run a table has, where it has not all.
func chosenNote(t *sweep.Table) []string {
	if t.Left == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s left out: not %s", plural.Of(t.Left, "row"), t.Where)}
}

// pointLabels are a row's step and its values on the axes.
func pointLabels(t *sweep.Table, r *sweep.Row) []string {
	labels := []string{r.Name}
	for i := range t.Axes {
		labels = append(labels, t.Value(r, i))
	}
	return labels
}

func axisKeys(t *sweep.Table) []string {
	var keys []string
	for i := range t.Axes {
		keys = append(keys, t.Axes[i].Key)
	}
	return keys
}

// frontScales are how the values of the points are written.
func frontScales(f *sweep.Front) (x, y Scale) {
	var xs, ys []float64
	for i := range f.Points {
		xs, ys = append(xs, f.Points[i].X.Value), append(ys, f.Points[i].Y.Value)
	}
	return ScaleOf(f.X.Unit, xs...), ScaleOf(f.Y.Unit, ys...)
}

func frontTable(t *sweep.Table, f *sweep.Front, clean func(string) string) *texttable.Table {
	x, y := frontScales(f)
	out := &texttable.Table{}
	for _, head := range append([]string{"step"}, axisKeys(t)...) {
		out.Columns = append(out.Columns, texttable.Column{Head: clean(head)})
	}
	out.Columns = append(out.Columns, texttable.Column{Head: clean(f.X.Label), Right: true}, texttable.Column{Head: clean(f.Y.Label), Right: true}, texttable.Column{Head: "place"})
	for i := range f.Points {
		p := &f.Points[i]
		if !p.Best && !p.Unsure {
			continue
		}
		var cells []string
		for _, label := range pointLabels(t, &t.Rows[p.Row]) {
			cells = append(cells, clean(label))
		}
		out.Rows = append(out.Rows, append(cells, x.Summary(*p.X), y.Summary(*p.Y), Place(p)))
	}
	return out
}

func frontCSV(w io.Writer, t *sweep.Table, f *sweep.Front) error {
	out := csv.NewWriter(w)
	head := append([]string{"row"}, axisKeys(t)...)
	for _, m := range []lab.Metric{f.X, f.Y} {
		head = append(head, m.Key, m.Key+"_low", m.Key+"_high")
	}
	out.Write(append(head, "place"))
	for i := range f.Points {
		p := &f.Points[i]
		line := pointLabels(t, &t.Rows[p.Row])
		for _, s := range []*lab.Summary{p.X, p.Y} {
			line = append(line, plain(s.Value))
			if s.Interval {
				line = append(line, plain(s.Low), plain(s.High))
			} else {
				line = append(line, "", "")
			}
		}
		out.Write(append(line, Place(p)))
	}
	out.Flush()
	return out.Error()
}

type jsonFront struct {
	Run    string      `json:"run"`
	X      jsonSide    `json:"x"`
	Y      jsonSide    `json:"y"`
	Points []jsonPoint `json:"points"`
}

type jsonSide struct {
	Metric string `json:"metric"`
	Unit   string `json:"unit"`
	Better string `json:"better"`
	Lack   int    `json:"rows_without"`
}

type jsonPoint struct {
	Row    string            `json:"row"`
	Params map[string]string `json:"params"` // only the axes that the row depends on
	X      jsonValue         `json:"x"`
	Y      jsonValue         `json:"y"`
	Place  string            `json:"place"`            // front, equal (to one of it), overlaps or dominated
	By     string            `json:"by,omitempty"`     // a row of the front that is better
	Equals string            `json:"equals,omitempty"` // the first row of the same two values
}

type jsonValue struct {
	Value lab.Number  `json:"value"`
	Low   *lab.Number `json:"low,omitempty"`
	High  *lab.Number `json:"high,omitempty"`
}

func newJSONValue(value, low, high float64, interval bool) jsonValue {
	v := jsonValue{Value: lab.Number(value)}
	if interval {
		l, h := lab.Number(low), lab.Number(high)
		v.Low, v.High = &l, &h
	}
	return v
}

func newJSONFront(t *sweep.Table, f *sweep.Front) jsonFront {
	side := func(m lab.Metric, lack int) jsonSide {
		return jsonSide{m.Key, m.Unit.String(), m.Better.String(), lack}
	}
	out := jsonFront{Run: t.View.Begin.Run, X: side(f.X, f.LackX), Y: side(f.Y, f.LackY), Points: []jsonPoint{}}
	for i := range f.Points {
		p := &f.Points[i]
		r := &t.Rows[p.Row]
		one := jsonPoint{
			Row: r.Name, Params: paramsOf(t, r), Place: Place(p),
			X: newJSONValue(p.X.Value, p.X.Low, p.X.High, p.X.Interval), Y: newJSONValue(p.Y.Value, p.Y.Low, p.Y.High, p.Y.Interval),
		}
		if p.By >= 0 {
			one.By = strings.TrimSpace(t.Label(&t.Rows[f.Points[p.By].Row]))
		}
		if p.Equal >= 0 {
			one.Equals = strings.TrimSpace(t.Label(&t.Rows[f.Points[p.Equal].Row]))
		}
		out.Points = append(out.Points, one)
	}
	return out
}

func paramsOf(t *sweep.Table, r *sweep.Row) map[string]string {
	params := map[string]string{}
	for i := range t.Axes {
		if value := t.Value(r, i); value != "" {
			params[t.Axes[i].Key] = value
		}
	}
	return params
}
