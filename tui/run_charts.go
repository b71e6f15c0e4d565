package tui

import (
	"math"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/chart"
	"slimlab/tui/text"
)

// twoCharts is the width from which curves have quality against bytes beside them.
const twoCharts = 150

// chartLines draws the chart with its heading.
func (r *runScreen) chartLines(t *table, height, width int) []string {
	c := r.chart
	names := []string{c.name}
	switch c.kind {
	case chartMetric:
		return r.metricChart(t, c.name, height, width)
	case chartTrade:
		return r.tradeChart(t, height, width)
	case chartAuto:
		names = r.autoSeries(t)
		if len(names) == 0 && t.view.State.Over() { // nothing is trained
			return r.tradeChart(t, height, width)
		}
	}
	curves := r.curvesNamed(t, names, false)
	if width < twoCharts {
		return r.curveChart(strings.Join(names, ", "), curves, height, width, math.NaN())
	}
	right := width * 2 / 5
	left := r.curveChart(strings.Join(names, ", "), curves, height, width-right-1, math.NaN())
	for i, line := range r.tradeChart(t, height, right) {
		left[i] = text.Fit(left[i], width-right-1) + " " + line
	}
	return left
}

// autoSeries chooses the loss curves to show where the user chose none.
func (r *runScreen) autoSeries(t *table) []string {
	v := t.view
	var names []string
	for _, i := range r.order {
		if !r.marks[i] {
			continue
		}
		if name := v.Rows[i].Name + lossSuffix; t.hasSeries(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		return names
	}
	for i := range v.Cells {
		if c := &v.Cells[i]; c.State == lab.Running && t.hasSeries(c.Stage+lossSuffix) {
			return []string{c.Stage + lossSuffix}
		}
	}
	if r.row < len(v.Rows) && v.State != lab.Running && t.hasSeries(v.Rows[r.row].Name+lossSuffix) {
		return []string{v.Rows[r.row].Name + lossSuffix}
	}
	for _, step := range slices.Backward(v.Begin.Rows) { // that trained last
		if name := step + lossSuffix; t.hasSeries(name) {
			return []string{name}
		}
	}
	return nil
}

// seriesNames lists every series of the run once, in order of appearance.
func seriesNames(v *lab.View) []string {
	var names []string
	for i := range v.Cells {
		for j := range v.Cells[i].Series {
			if name := v.Cells[i].Series[j].Name; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// valueAt is the curve's point nearest to a step.
func valueAt(s *lab.Series, step float64) (at int, value float64) {
	best := math.Inf(1)
	for _, p := range s.Points() {
		if d := math.Abs(float64(p.Step) - step); d < best {
			best, at, value = d, p.Step, p.Value
		}
	}
	return at, value
}

// chartHeading is the line between table and chart.
func (r *runScreen) chartHeading(title, legend string, width int) string {
	left := r.theme.dim.On("── ") + r.theme.head.On(title) + " "
	if legend != "" {
		left += "  " + legend + " "
	}
	left = text.Cut(left, width)
	return left + r.theme.dim.On(text.Repeat("─", width-text.Width(left)))
}

func (r *runScreen) scaleWord() string {
	switch {
	case r.logX && r.logY:
		return " (log-log)"
	case r.logY:
		return " (log y)"
	case r.logX:
		return " (log x)"
	}
	return ""
}

// metricChart shows a metric of every row, with intervals, against the baseline's.
func (r *runScreen) metricChart(t *table, key string, height, width int) []string {
	metric := metricOf(key)
	colour := r.colouring(t)
	d := chart.Dots{X: chart.Axis{Title: metric.Label, Log: r.logX}, Baseline: math.NaN(), Dim: r.theme.dim, Marks: r.dotsOf(t, key, &colour), Selected: r.grid.Row}
	d.Words = func(mark int) (name, value string) {
		row := t.row(r.order[mark])
		name, value = text.Clean(t.sweep.Label(row)), report.Missing
		if s, ok := row.Metric(key); ok {
			value = report.FormatSummary(metric.Unit, s)
		}
		return name, value
	}
	legend := "value and interval of every row"
	if len(t.sweep.Axes) > 0 {
		legend += ";  colour: " + text.Cut(text.Clean(colour.key), axisTitleWidth)
	}
	if len(t.view.Rows) > 0 {
		if s, ok := t.view.Rows[0].Metric(key); ok {
			d.Baseline = s.Value
			legend += ";  ┊ " + text.Clean(t.view.Rows[0].Label())
		}
	}
	d.X.Scale = ticksOf(metric)
	title := metric.Label
	if r.logX {
		title += " (log)"
	}
	return append([]string{r.chartHeading(title, legend, width)}, d.Render(width, height-1)...)
}

// dots are the marks of a metric's chart, made once until rows or colours change.
type dots struct {
	of              *table
	ordered         int
	metric, colours string
	marks           []chart.Mark
}

func (r *runScreen) dotsOf(t *table, key string, colour *colouring) []chart.Mark {
	d, colours := &r.dots, r.theme.palette.Name+" "+colour.key
	if d.of == t && d.ordered == r.ordered && d.metric == key && d.colours == colours {
		return d.marks
	}
	*d = dots{of: t, ordered: r.ordered, metric: key, colours: colours, marks: make([]chart.Mark, len(r.seen))}
	at := make([]int, len(t.sweep.Rows)) // of a row, its place in marks and one
	for n, row := range r.seen {
		d.marks[n] = chart.Mark{X: math.NaN(), Low: math.NaN(), High: math.NaN()}
		at[row] = n + 1
	}
	t.sweep.Measured(key, func(row int, s *lab.Summary) {
		if at[row] == 0 {
			return
		}
		mark := &d.marks[at[row]-1]
		mark.X, mark.Paint = s.Value, colour.paint(colour.of(&t.sweep.Rows[row]))
		if s.Interval {
			mark.Low, mark.High = s.Low, s.High
		}
	})
	return d.marks
}

// tradeChart shows two metrics and their front below or beside other things.
func (r *runScreen) tradeChart(t *table, height, width int) []string {
	c := r.paretoOf(t)
	lines := []string{r.paretoHeading(c, width)}
	if c.err != nil || len(c.front.Points) == 0 {
		lines = append(lines, "", text.Fit("  "+r.paretoEmpty(c, t), width))
		for len(lines) < height {
			lines = append(lines, "")
		}
		return lines[:height]
	}
	if height >= 12 {
		lines = append(lines, r.paretoLegend(t, c, width)...)
	}
	s := r.scatter(t, c)
	return append(lines, s.Render(width, height-len(lines))...)
}

// ticksOf writes the ticks of an axis that shows a metric.
func ticksOf(metric lab.Metric) func([]float64) func(float64) string {
	return func(ticks []float64) func(float64) string { return report.ScaleOf(metric.Unit, ticks...).Format }
}

func metricOf(key string) lab.Metric {
	metric, ok := lab.MetricByKey(key)
	if !ok {
		metric = lab.Metric{Key: key, Label: key}
	}
	return metric
}
