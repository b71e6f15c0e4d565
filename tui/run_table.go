package tui

import (
	"fmt"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/chart"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// trendTitle is the head of the column that shows the training loss in a few cells.
const trendTitle = "loss curve"

// lossSuffix ends the name of the series that a step's training loss goes to: "distilled.loss".
const lossSuffix = ".loss"

// fillGrid gives the grid what it needs of this view.
func (r *runScreen) fillGrid(t *table) {
	columns := []grid.Column{{Title: "step"}, {Title: "state"}}
	for _, c := range t.columns {
		columns = append(columns, grid.Column{Title: c.Metric.Label, Right: true})
	}
	trend := false
	for i := range t.view.Cells {
		trend = trend || len(t.view.Cells[i].Series) > 0
	}
	if trend {
		columns = append(columns, grid.Column{Title: trendTitle})
	}
	if len(columns) != len(r.grid.Columns) || t.view.State != r.drawn {
		r.grid.Forget() // what a running row has to say is longer than what it says in the end
	}
	r.drawn = t.view.State
	r.grid.Columns, r.grid.Paints = columns, r.theme.grid()
	r.grid.Sorted, r.grid.Descending = r.sorted, r.descending
	r.grid.Marked = func(row int) bool { return r.marks[r.order[row]] }
	r.grid.At = func(row, column int) grid.Cell { return r.cell(t, &t.view.Rows[r.order[row]], column) }
}

func (r *runScreen) cell(t *table, row *lab.TableRow, column int) grid.Cell {
	switch {
	case column == columnLabel:
		return grid.Cell{Text: text.Clean(row.Label())}
	case column == columnState:
		glyph, word, paint := r.rowState(t.view, row)
		return grid.Cell{Text: glyph + " " + word, Paint: paint}
	case column-columnMetrics < len(t.columns):
		return r.metricCell(&t.columns[column-columnMetrics], row)
	}
	return grid.Cell{Text: trend(t.view, row), Paint: r.theme.dim}
}

func (r *runScreen) metricCell(c *report.Column, row *lab.TableRow) grid.Cell {
	if _, ok := row.Metric(c.Metric.Key); !ok {
		missing := report.Missing
		if row.State == lab.Waiting || row.State == lab.Running {
			missing = "·"
		}
		return grid.Cell{Text: missing, Paint: r.theme.dim}
	}
	value := c.Cell(row)
	cell := grid.Cell{Text: value.Value, Mark: warningMark(value.Warnings)}
	if r.intervals && value.Interval != "" {
		cell.Text += " " + value.Interval
	}
	if value.Best {
		cell.Paint = r.theme.bold
	}
	return cell
}

// rowState says how far a row is: the share of the step that is being worked on, and how many seeds
// have reported.
func (r *runScreen) rowState(v *lab.View, row *lab.TableRow) (glyph, word string, p text.Paint) {
	glyph, p = r.theme.state(row.State)
	word = row.State.String()
	seeds := fmt.Sprintf("%d/%d seeds", row.Done, row.Of)
	if row.State != lab.Running {
		if row.Done > 0 && row.Done < row.Of {
			word += " " + seeds
		}
		return glyph, word, p
	}
	for _, id := range row.Cells {
		c := v.Cell(id)
		if c == nil || c.State != lab.Running || c.Stage != row.Name {
			continue
		}
		if c.Total > 0 {
			word += fmt.Sprintf(" %d%%", 100*c.Step/c.Total)
		} else if n := len(c.Stages); n > 0 && c.Stages[n-1].Text != "" {
			word += " " + text.Cut(text.Clean(c.Stages[n-1].Text), 12)
		}
		if row.Done > 0 {
			word += fmt.Sprintf(" %d/%d", row.Done, row.Of)
		}
		return glyph, word, p
	}
	return "◌", seeds, r.theme.dim // not in progress: other seeds are waiting
}

// trend is the row's training loss in a few cells.
func trend(v *lab.View, row *lab.TableRow) string {
	for _, id := range row.Cells {
		c := v.Cell(id)
		if c == nil {
			continue
		}
		if s := c.Find(row.Name + lossSuffix); s != nil {
			return sparkline(s)
		}
	}
	return ""
}

// explain says what is under the cursors: the metric, the value with its interval, and its
// warnings.
func (r *runScreen) explain(t *table, width int) string {
	i := r.grid.Column - columnMetrics
	if len(r.order) == 0 || r.grid.Row >= len(r.order) {
		return text.Blank(width)
	}
	row := &t.view.Rows[r.order[r.grid.Row]]
	if i < 0 || i >= len(t.columns) {
		return r.theme.dim.On(text.Fit("  "+rowsSeen(&r.grid)+r.stepText(t.view, row), width))
	}
	metric, scale := t.columns[i].Metric, t.columns[i].Scale
	parts := []string{"  " + rowsSeen(&r.grid) + metric.Key}
	if s, ok := row.Metric(metric.Key); ok {
		value := scale.Format(s.Value)
		if s.Interval {
			value += fmt.Sprintf(" [%s, %s]", scale.Format(s.Low), scale.Format(s.High))
		}
		parts[0] += " = " + value
		if len(s.Warnings) > 0 {
			parts = append(parts, "* "+text.Clean(strings.Join(s.Warnings, "; ")))
		}
	}
	about := metric.About
	switch metric.Better {
	case lab.Higher:
		about += " (more is better)"
	case lab.Lower:
		about += " (less is better)"
	}
	parts = append(parts, about)
	return r.theme.dim.On(text.Fit(strings.Join(parts, " · "), width))
}

// stepText is what a row's stage last said.
func (r *runScreen) stepText(v *lab.View, row *lab.TableRow) string {
	parts := []string{row.Label()}
	for _, id := range row.Cells {
		c := v.Cell(id)
		if c == nil {
			continue
		}
		for _, s := range c.Stages {
			if s.Name == row.Name {
				parts = append(parts, r.stageText(v, c, s))
			}
		}
	}
	if len(parts) == 1 {
		parts = append(parts, "not begun")
	}
	return text.Clean(strings.Join(parts, " · "))
}

func (r *runScreen) stageText(v *lab.View, c *lab.CellView, s lab.StageView) string {
	end := s.Ended
	if end == 0 {
		end = v.Time
	}
	out := fmt.Sprintf("seed %d: %s %s", c.Seed, s.State, report.Duration(max(0, end-s.Started)))
	if s.Total > 0 && s.State == lab.Running {
		out += fmt.Sprintf(" (%d of %d)", s.Step, s.Total)
	}
	if s.Text != "" && s.State != lab.Done { // what a finished step was at last is no news
		out += ", " + s.Text
	}
	return out
}

// sparkline draws a curve in eight cells.
func sparkline(s *lab.Series) string {
	points := s.Points()
	values := make([]float64, len(points))
	for i, p := range points {
		values[i] = p.Value
	}
	return chart.Spark(values, 8)
}
