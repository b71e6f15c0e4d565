package tui

import (
	"fmt"
	"math"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// detailLines draws all that is known of the row under the cursor: every metric by seed, the
// stages, the curves.
func (r *runScreen) detailLines(t *table, width, height int) []string {
	row := &t.view.Rows[r.order[r.grid.Row]]
	glyph, word, paint := r.rowState(t.view, row)
	title := " " + r.theme.head.On(text.Clean(row.Label())) + "  " + paint.On(glyph+" "+word) +
		r.theme.dim.On(fmt.Sprintf("  row %d of %d, %s", r.grid.Row+1, len(r.order), report.Plural(row.Of, "seed")))
	lines := []string{title}
	stages := r.stageLines(t.view, row)
	curves := r.detailCurves(t.view, row)
	room := height - 2 - len(stages)
	graph := 0
	if len(curves) > 0 && room >= 12 {
		graph = min(max(8, room/2), 24)
	}
	metrics := measured(row)
	r.fillMetrics(row, metrics)
	rows := min(max(3, room-graph), len(metrics)+1)
	if len(metrics) == 0 {
		lines = append(lines, text.Fit("  nothing measured yet", width))
	} else {
		r.gridTakesMouse(&r.metrics, 1+len(lines), width, rows, gridActions{})
		lines = append(lines, r.metrics.Render(width, rows)...)
		metric := metrics[r.metrics.Row]
		lines = append(lines, r.theme.dim.On(text.Fit("  "+metric.Key+" · "+warningsAndMeaning(metric, row.Values[metric.Key]), width)))
	}
	lines = append(lines, stages...)
	if graph > 0 {
		graph = max(graph, min(24, height-len(lines)))
		at := math.NaN()
		if r.inspect >= 0 {
			at = 1 - float64(r.inspect)/inspectSteps
		}
		lines = append(lines, r.curveChart(r.detailSeries(t.view, row), curves, graph, width, at)...)
	}
	return lines
}

// measured lists the metrics that the row has, those of the table first.
func measured(row *lab.TableRow) []lab.Metric {
	var out []lab.Metric
	for _, metric := range lab.Metrics() {
		if _, ok := row.Metric(metric.Key); ok {
			out = append(out, metric)
		}
	}
	return out
}

func (r *runScreen) fillMetrics(row *lab.TableRow, metrics []lab.Metric) {
	g := &r.metrics
	columns := []grid.Column{{Title: "metric"}, {Title: "value", Right: true}, {Title: "interval", Right: true}}
	for i := range row.Of {
		title := fmt.Sprintf("seed #%d", i+1)
		for _, metric := range metrics { // the seed's own number, once it has reported
			if s := row.Values[metric.Key]; i < len(s.Seeds) {
				title = fmt.Sprintf("seed %d", s.Seeds[i].Seed)
				break
			}
		}
		columns = append(columns, grid.Column{Title: title, Right: true})
	}
	g.Columns, g.Rows, g.Paints, g.HideColumn = columns, len(metrics), r.theme.grid(), true
	g.At = func(i, c int) grid.Cell {
		metric := metrics[i]
		s := row.Values[metric.Key]
		scale := report.ScaleOf(metric.Unit, s.Value)
		switch {
		case c == 0:
			return grid.Cell{Text: metric.Label}
		case c == 1:
			return grid.Cell{Text: scale.Format(s.Value), Mark: warningMark(s.Warnings), Paint: r.theme.bold}
		case c == 2 && s.Interval && s.Low == s.High:
			return grid.Cell{Text: "all equal", Paint: r.theme.dim}
		case c == 2 && s.Interval:
			return grid.Cell{Text: scale.Format(s.Low) + " – " + scale.Format(s.High)}
		case c >= 3 && c-3 < len(s.Seeds):
			return grid.Cell{Text: scale.Format(s.Seeds[c-3].Value)}
		}
		return grid.Cell{Text: report.Missing, Paint: r.theme.dim}
	}
}

func warningsAndMeaning(metric lab.Metric, s lab.Summary) string {
	if len(s.Warnings) == 0 {
		return metric.About
	}
	return "* " + text.Clean(strings.Join(s.Warnings, "; ")) + " · " + metric.About
}

// stageLines say how the row's step went, a line for each cell, at most four.
func (r *runScreen) stageLines(v *lab.View, row *lab.TableRow) []string {
	var lines []string
	for n, id := range row.Cells {
		c := v.Cell(id)
		if c == nil {
			continue
		}
		if len(lines) == 4 {
			lines = append(lines, r.theme.dim.On(fmt.Sprintf("  … and %d more cells", len(row.Cells)-n)))
			break
		}
		for _, s := range c.Stages {
			if s.Name != row.Name {
				continue
			}
			glyph, paint := r.theme.state(s.State)
			lines = append(lines, "  "+paint.On(glyph)+" "+text.Clean(row.Name+", "+r.stageText(v, c, s)))
		}
		if c.State == lab.Failed && c.Stage == row.Name {
			lines = append(lines, "  "+r.theme.failed.On("✗ "+text.Clean(c.Error)))
		}
	}
	return lines
}

// detailSeries is the title of the detail's chart: the chosen series, or the row's loss.
func (r *runScreen) detailSeries(v *lab.View, row *lab.TableRow) string {
	own := rowSeries(v, row)
	if len(own) == 0 {
		return ""
	}
	for _, name := range own {
		if name == r.curve.name {
			return name
		}
	}
	for _, name := range own {
		if name == row.Name+lossSuffix {
			return name
		}
	}
	return own[0]
}

// rowSeries lists the series of the row's step.
func rowSeries(v *lab.View, row *lab.TableRow) []string {
	var own []string
	for _, name := range seriesNames(v) {
		if strings.HasPrefix(name, row.Name+".") {
			own = append(own, name)
		}
	}
	return own
}

// detailCurves are the row's own cells' curves of the chosen series.
func (r *runScreen) detailCurves(v *lab.View, row *lab.TableRow) []curve {
	name := r.detailSeries(v, row)
	var curves []curve
	for _, id := range row.Cells {
		if c := v.Cell(id); c != nil {
			if s := c.Find(name); s != nil {
				label := ""
				if len(row.Cells) > 1 {
					label = fmt.Sprintf("seed %d", c.Seed)
				}
				curves = append(curves, curve{name: label, series: s, style: len(curves)})
			}
		}
	}
	return curves
}
