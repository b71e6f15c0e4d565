package tui

import (
	"fmt"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/chart"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// trendTitle is the head of the column that shows the training loss in a few cells.
const trendTitle = "loss curve"

// lossSuffix ends the name of the series that a step's training loss goes to: "distilled.loss".
const lossSuffix = ".loss"

// The widest an axis may be: a value of 200 characters must leave room for what was measured.
const (
	axisTitleWidth = 16
	axisValueWidth = 24
)

// fillGrid gives the grid what it needs of this view.
func (r *runScreen) fillGrid(t *table) {
	columns := make([]grid.Column, len(t.shown))
	r.grid.Sorted, r.grid.Descending, r.grid.Frozen = 0, r.descending, 1
	for i, c := range t.shown {
		columns[i] = grid.Column{Title: c.Title(), Right: c.Kind == sweep.Metric}
		switch {
		case c.trend:
			columns[i].Right = false
		case c.Kind == sweep.Value:
			if i == r.grid.Frozen { // the axes that stand beside the step stay with it
				r.grid.Frozen++
			}
			columns[i] = grid.Column{Title: text.Cut(text.Clean(c.Key), axisTitleWidth), Right: t.sweep.Axes[c.Axis].Numbers != nil}
		}
		if c.id() == r.sorted {
			r.grid.Sorted = i + 1
		}
	}
	if len(columns) != len(r.grid.Columns) || t.view.State != r.drawn {
		r.grid.Forget() // what a running row has to say is longer than what it says in the end
	}
	r.drawn = t.view.State
	r.grid.Columns, r.grid.Paints = columns, r.theme.grid()
	r.grid.Marked = func(row int) bool { return r.marks[r.order[row]] }
	r.grid.At = func(row, column int) grid.Cell { return r.cell(t, t.row(r.order[row]), &t.shown[column]) }
}

func (r *runScreen) cell(t *table, row *sweep.Row, c *tableColumn) grid.Cell {
	switch {
	case c.trend:
		return grid.Cell{Text: trend(t.view, row.TableRow), Paint: r.theme.dim}
	case c.Kind == sweep.Step:
		return grid.Cell{Text: text.Clean(row.Name)}
	case c.Kind == sweep.Value:
		return grid.Cell{Text: text.Cut(text.Clean(t.sweep.Value(row, c.Axis)), axisValueWidth)}
	case c.Kind == sweep.State:
		glyph, word, paint := r.rowState(t.view, row.TableRow)
		return grid.Cell{Text: glyph + " " + word, Paint: paint}
	}
	if r.showsDeltas() {
		return r.deltaCell(row, t.columns[c.metric].Metric)
	}
	return r.metricCell(t.metric(c.metric), row.TableRow)
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
	if len(r.order) == 0 || r.grid.Row >= len(r.order) {
		return text.Blank(width)
	}
	row := t.row(r.order[r.grid.Row])
	column, ok := t.metricUnder(r.grid.Column)
	if at := r.grid.Column; at < len(t.shown) && t.shown[at].Kind == sweep.Value {
		return r.theme.dim.On(withLegend("  "+rowsSeen(&r.grid)+text.Clean(axisText(t, row, t.shown[at].Axis)), &r.grid, width))
	}
	if !ok {
		return r.theme.dim.On(withLegend("  "+rowsSeen(&r.grid)+r.stepText(t, row), &r.grid, width))
	}
	metric, scale := column.Metric, column.Scale
	parts := []string{"  " + rowsSeen(&r.grid) + metric.Key}
	if r.showsDeltas() {
		if shown, why := r.delta(row, metric); why != "" {
			parts = append(parts, "against the baseline: "+why)
		} else {
			parts = append(parts, "against the baseline: "+shown)
		}
	}
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

// axisText says in full what a row has on an axis, and what the others have there.
func axisText(t *table, row *sweep.Row, axis int) string {
	a := &t.sweep.Axes[axis]
	value := "depends on " + a.Key + ": no"
	if v := t.sweep.Value(row, axis); v != "" {
		value = a.Key + " = " + v
	}
	return row.Name + " · " + value + " · axis of the sweep: " + strings.Join(a.Values, ", ")
}

// metricUnder is the metric of a column of the grid; ok is false where it shows something else.
func (t *table) metricUnder(column int) (c *report.Column, ok bool) {
	if column < 0 || column >= len(t.shown) || t.shown[column].trend || t.shown[column].Kind != sweep.Metric {
		return nil, false
	}
	return t.metric(t.shown[column].metric), true
}

// stepText is what a row's stage last said.
func (r *runScreen) stepText(t *table, row *sweep.Row) string {
	v, parts := t.view, []string{t.sweep.Label(row)}
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
		word := "not begun"
		if row.State != lab.Waiting {
			word = row.State.String()
		}
		parts = append(parts, word)
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
