package tui

import (
	"fmt"
	"math"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// besideMeasures is the width from which the page of a row's model is beside what was measured.
const besideMeasures = 100

// detailLines draws all that is known of the row under the cursor: every metric by seed, the
// stages, the curves; beside or below them how the model is made and where it lies.
func (r *runScreen) detailLines(t *table, width, height int) []string {
	row := &t.view.Rows[r.order[r.grid.Row]]
	glyph, word, paint := r.rowState(t.view, row)
	title := " " + r.theme.head.On(text.Clean(row.Label())) + "  " + paint.On(glyph+" "+word) +
		r.theme.dim.On(fmt.Sprintf("  row %d of %d, %s", r.grid.Row+1, len(r.order), plural.Of(row.Of, "seed")))
	const above = 2 // the status line, and the title
	lines, height := []string{title}, height-1
	if width < besideMeasures {
		body := r.modelPage(t.view, row, width-4)
		below := min(len(body), height*2/5)
		measures := r.measures(t.view, row, width, height-below)
		below = max(below, height-len(measures)) // little is measured of a row that runs
		lines = append(lines, measures[:min(len(measures), height-below)]...)
		for _, line := range r.scrolled(body, region{y: above + height - below, width: width, height: below}) {
			lines = append(lines, "  "+line)
		}
		return lines
	}
	right := width * 2 / 5
	left := width - right - 3
	measures := r.measures(t.view, row, left, height)
	body := r.scrolled(r.modelPage(t.view, row, right), region{x: left, y: above, width: right + 3, height: height})
	for i := range height {
		line := [2]string{}
		if i < len(measures) {
			line[0] = measures[i]
		}
		if i < len(body) {
			line[1] = body[i]
		}
		lines = append(lines, text.Fit(line[0], left)+r.theme.dim.On(" │ ")+line[1])
	}
	return lines
}

// scrolled is the part of the page that is seen in a region of the pane.
func (r *runScreen) scrolled(body []string, at region) []string {
	over := len(body) - at.height + 1
	if over <= 1 {
		r.scroll = 0
		return body
	}
	at.wheel = r.scrollPage
	r.takesMouse(at)
	r.scroll = max(0, min(r.scroll, over))
	if at.height < 1 {
		return nil
	}
	seen := append([]string(nil), body[r.scroll:][:at.height-1]...)
	return append(seen, r.theme.dim.On(text.Cut(fmt.Sprintf("… %s: J, K scroll", plural.Of(over-r.scroll, "more line")), at.width-4)))
}

func (r *runScreen) scrollPage(lines int) { r.scroll = max(0, r.scroll+lines) }

// measures draws every metric of the row by seed, its stages and its curves.
func (r *runScreen) measures(v *lab.View, row *lab.TableRow, width, height int) []string {
	var lines []string
	stages := r.stageLines(v, row)
	curves := r.detailCurves(v, row)
	room := height - 1 - len(stages)
	graph := 0
	if len(curves.shown) > 0 && room >= 12 {
		graph = min(max(8, room/2), 24)
	}
	metrics := measured(row)
	r.fillMetrics(row, metrics)
	rows := min(max(3, room-graph), len(metrics)+1)
	if len(metrics) == 0 {
		lines = append(lines, text.Fit("  nothing measured yet", width))
	} else {
		r.gridTakesMouse(&r.metrics, 2, width, rows, gridActions{})
		lines = append(lines, r.metrics.Render(width, rows)...)
		metric := metrics[r.metrics.Row]
		lines = append(lines, r.theme.dim.On(text.Fit("  "+metric.Key+seedValues(metric, row.Values[metric.Key])+" · "+warningsAndMeaning(metric, row.Values[metric.Key]), width)))
	}
	for _, line := range stages {
		lines = append(lines, text.Cut(line, width))
	}
	if graph > 0 {
		at := math.NaN()
		if r.inspect >= 0 {
			at = 1 - float64(r.inspect)/inspectSteps
		}
		lines = append(lines, r.curveChart(r.detailTitle(v, row, curves), curves, max(graph, height-len(lines)), width, at)...)
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

// seedValues lists the value of every seed, also of those whose columns are not seen.
func seedValues(metric lab.Metric, s lab.Summary) string {
	if len(s.Seeds) < 2 {
		return ""
	}
	scale := report.ScaleOf(metric.Unit, s.Value)
	line := " by seed:"
	for _, one := range s.Seeds {
		line += " " + scale.Format(one.Value)
	}
	return line
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
			lines = append(lines, r.theme.dim.On("  … and "+plural.Of(len(row.Cells)-n, "more cell")))
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
func (r *runScreen) detailCurves(v *lab.View, row *lab.TableRow) curves {
	if r.curve.kind == chartStages {
		if set := r.stageCurves(v, row, r.curve.name); len(set.shown) > 0 {
			return set
		}
	}
	name := r.detailSeries(v, row)
	var all []curve
	for _, id := range row.Cells {
		if c := v.Cell(id); c != nil {
			if s := c.Find(name); s != nil {
				label := ""
				if len(row.Cells) > 1 {
					label = fmt.Sprintf("seed %d", c.Seed)
				}
				all = append(all, curve{name: label, series: s, style: len(all)})
			}
		}
	}
	hidden := max(0, len(all)-maxCurves)
	return curves{all[hidden:], hidden}
}
