package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/lab/sweep"
)

const pivotSchema = "slimlab.pivot/2"

// WritePivot writes a pivot in one of ChartFormats. CSV has a line for each cell that has rows.
func WritePivot(format string, w io.Writer, t *sweep.Table, p *sweep.Pivot) error {
	err := nearest.Check("format of a pivot", format, ChartFormats())
	switch {
	case err != nil:
		return err
	case format == "csv":
		err = pivotCSV(w, t, p)
	case format == "json":
		err = jsondoc.Write(w, pivotSchema, newJSONPivot(t, p))
	default:
		err = writeChartText(w, format, PivotTitle(p), func(escape func(string) string) *texttable.Table { return pivotTable(p, escape) }, append(PivotNotes(p), chosenNote(t)...))
	}
	if err != nil {
		return fmt.Errorf("pivot as %s: %w", format, err)
	}
	return nil
}

// PivotTitle says what a pivot shows.
func PivotTitle(p *sweep.Pivot) string {
	title := fmt.Sprintf("%s by %s (down) and %s (across)", directed(AggregatedIn(p.Metric, p.Aggregate, p.Aggregated())), p.Down, p.Across)
	if p.Step != "" {
		return title + ", step " + p.Step
	}
	return title
}

// PivotNotes say what the cells of a pivot are, and what is in none.
func PivotNotes(p *sweep.Pivot) []string {
	var notes []string
	if n := p.Aggregated(); n > 1 || p.Aggregate == sweep.Count {
		notes = append(notes, "a cell is "+AggregateOf(p.Aggregate, n))
	}
	if p.Apart > 0 {
		notes = append(notes, plural.Of(p.Apart, "row")+" in no cell: the same at every "+p.Down+" or "+p.Across)
	}
	if spread := p.High - p.Low; p.Aggregate != sweep.Count && spread > 0 && spread < p.HalfWidth {
		scale := PivotScale(p)
		notes = append(notes, fmt.Sprintf("the cells lie within %s, less than the interval of a row (%s)", strings.TrimPrefix(scale.Width(spread), "±"), scale.Width(p.HalfWidth)))
	}
	return notes
}

// PivotScale is how the cells of a pivot are written.
func PivotScale(p *sweep.Pivot) Scale {
	var values []float64
	for _, row := range p.Cells {
		for i := range row {
			if row[i].Has() {
				values = append(values, row[i].Value)
			}
		}
	}
	return ScaleOf(AggregatedIn(p.Metric, p.Aggregate, 2).Unit, values...)
}

func pivotTable(p *sweep.Pivot, clean func(string) string) *texttable.Table {
	scale := PivotScale(p)
	out := &texttable.Table{Columns: []texttable.Column{{Head: clean(p.Down)}}}
	for _, value := range p.Columns {
		out.Columns = append(out.Columns, texttable.Column{Head: clean(value), Right: true})
	}
	for y, value := range p.Rows {
		cells := []string{clean(value)}
		for x := range p.Columns {
			cells = append(cells, PivotText(scale, &p.Cells[y][x]))
		}
		out.Rows = append(out.Rows, cells)
	}
	return out
}

// PivotText writes a cell: its value, and of how many rows where there are several.
func PivotText(scale Scale, c *sweep.PivotCell) string {
	switch n := c.N; {
	case n == 0:
		return "·"
	case n > 1:
		return scale.Format(c.Value) + " (" + strconv.Itoa(n) + ")"
	}
	return scale.Format(c.Value)
}

func pivotCSV(w io.Writer, t *sweep.Table, p *sweep.Pivot) error {
	out := csv.NewWriter(w)
	out.Write(append(append([]string{p.Down, p.Across}, totalKeys(p.Metric.Key)...), "rows"))
	for y, down := range p.Rows {
		for x, across := range p.Columns {
			if c := &p.Cells[y][x]; len(c.Rows) > 0 {
				out.Write(append(append([]string{down, across}, csvTotal(t, &c.Total, p.Metric.Key, p.Aggregate)...), strconv.Itoa(len(c.Rows))))
			}
		}
	}
	out.Flush()
	return out.Error()
}

type jsonPivot struct {
	Run       string          `json:"run"`
	Metric    string          `json:"metric"`
	Unit      string          `json:"unit"`
	Better    string          `json:"better"`
	Down      string          `json:"down"`
	Across    string          `json:"across"`
	Step      string          `json:"step,omitempty"`
	Aggregate string          `json:"aggregate"` // of the rows of a cell
	Rows      []string        `json:"rows"`
	Columns   []string        `json:"columns"`
	Cells     [][]jsonPivotAt `json:"cells"` // by row, then column
	Apart     int             `json:"rows_in_no_cell"`
}

type jsonPivotAt struct {
	*jsonTotal          // absent where nothing was measured
	Rows       []string `json:"rows"`
}

func newJSONPivot(t *sweep.Table, p *sweep.Pivot) jsonPivot {
	out := jsonPivot{
		Run: t.View.Begin.Run, Metric: p.Metric.Key, Unit: p.Metric.Unit.String(), Better: p.Metric.Better.String(),
		Down: p.Down, Across: p.Across, Step: p.Step, Aggregate: p.Aggregate.String(), Rows: p.Rows, Columns: p.Columns, Apart: p.Apart,
	}
	for y := range p.Cells {
		line := []jsonPivotAt{}
		for x := range p.Cells[y] {
			c := &p.Cells[y][x]
			one := jsonPivotAt{Rows: []string{}}
			if c.Has() {
				total := newJSONTotal(t, &c.Total, p.Metric.Key)
				one.jsonTotal = &total
			}
			for _, i := range c.Rows {
				one.Rows = append(one.Rows, t.Label(&t.Rows[i]))
			}
			line = append(line, one)
		}
		out.Cells = append(out.Cells, line)
	}
	return out
}
