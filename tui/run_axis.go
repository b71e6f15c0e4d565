package tui

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/chart"
	"slimlab/tui/text"
)

// axisView is the chart of a metric along an axis of numbers.
type axisView struct {
	axis, metric string          // keys; empty: chosen by the run
	aggregate    sweep.Aggregate // of the rows of a point
	step         string          // whose rows are drawn; empty: chosen by the run
	scale        scaleChoice
	at           int // under the cursor, of the points
	made         axisChart
}

// axisChart is what was computed of a table for the chart. By is the key of its colours.
type axisChart struct {
	report.Along
	of      *table
	ordered int // runScreen.ordered
	points  []axisPoint
	err     error
	// what the values ask for
	logX, logY bool
}

// axisPoint is a point of a line.
type axisPoint struct{ line, at int }

// noAxis says why there are none.
const noAxis = "no axis of this run has two numbers"

// numericAxes are the axes of numbers, those with most values first.
func numericAxes(t *table) []int {
	var axes []int
	for i := range t.sweep.Axes {
		if t.sweep.Axes[i].Numbers != nil && len(t.sweep.Axes[i].Values) > 1 {
			axes = append(axes, i)
		}
	}
	slices.SortStableFunc(axes, func(a, b int) int {
		return cmp.Compare(len(t.sweep.Axes[b].Values), len(t.sweep.Axes[a].Values))
	})
	return axes
}

// axisOf computes the lines, or takes them from the last frame.
func (r *runScreen) axisOf(t *table) *axisChart {
	axes := numericAxes(t)
	if len(axes) == 0 {
		return &axisChart{err: errors.New(noAxis)}
	}
	axis := axes[0]
	if i := t.sweep.Axis(r.axis.axis); slices.Contains(axes, i) {
		axis = i
	}
	metric := sweep.Quality(t.view)
	if r.axis.metric != "" {
		metric = metricOf(r.axis.metric)
	}
	colour := r.lineColouring(t, axis)
	step := ""
	if colour.axis >= 0 {
		if step = t.sweep.LastStep(t.sweep.Axes[axis].Key); slices.Contains(t.sweep.Steps(), r.axis.step) {
			step = r.axis.step
		}
	}
	c := &r.axis.made
	aggregate := aggregateFor(metric, r.axis.aggregate)
	if c.of == t && c.Axis == axis && c.Metric.Key == metric.Key && c.By == colour.key && c.Step == step && c.Aggregate == aggregate && c.ordered == r.ordered {
		return c
	}
	*c = axisChart{of: t, ordered: r.ordered, Along: report.Along{Axis: axis, Metric: metric, Step: step, By: colour.key, Aggregate: aggregate}}
	own := slices.DeleteFunc(slices.Clone(r.seen), func(i int) bool { return step != "" && t.sweep.Rows[i].Name != step })
	c.Arrange(t.sweep, own)
	numbers := t.sweep.Axes[axis].Numbers
	low, high := slices.Min(numbers), slices.Max(numbers)
	c.logX = low > 0 && high/low >= 10
	c.logY = aggregate != sweep.Count && t.sweep.Decades(own, metric.Key) >= decades
	for i := range c.Lines {
		for j := range c.Lines[i].Points {
			c.points = append(c.points, axisPoint{i, j})
		}
	}
	return c
}

// lineColouring tells the lines apart: as chosen, but not by the axis that runs across.
func (r *runScreen) lineColouring(t *table, axis int) colouring {
	c := r.colouring(t)
	if c.axis != axis {
		return c
	}
	for i := range t.sweep.Axes {
		if i != axis && len(t.sweep.Axes[i].Values) > 1 {
			return r.colouringBy(t, t.sweep.Axes[i].Key)
		}
	}
	return r.colouringBy(t, sweep.StepAxis)
}

func (r *runScreen) axisKeys() []binding {
	to := func(n int) func() tea.Cmd { return act(func() { r.moveAxis(n) }) }
	return []binding{
		{keys: []string{"enter"}, footer: "enter rows", help: "the row under the cursor; the list of several", do: act(r.openAxis)},
		{keys: []string{"left"}, shown: "← →", footer: "←→ point", help: "previous point of the lines", do: to(-1)},
		{keys: []string{"right"}, shown: "→", help: "next point", do: to(1)},
		{keys: []string{"v"}, footer: "v metric", help: "choose the metric", do: act(func() {
			r.chooseMetric("Upwards", false, func(key string) { r.axis.metric = key })
		})},
		{keys: []string{"x"}, footer: "x axis", help: "choose the axis of numbers", do: act(r.chooseNumericAxis)},
		{keys: []string{"a"}, footer: "a lines", help: "a line for each value of the next axis, or step", do: act(r.turnColour)},
		{keys: []string{"t"}, footer: "t step", help: "choose the step whose rows are drawn", do: act(r.chooseAxisStep)},
		aggregateKey("choose what a point of several rows shows: mean, median, best, last, min, max, n", func() {
			var m lab.Metric
			r.look(func(t *table) { m = r.axisOf(t).Metric })
			r.chooseAggregate("A point of several rows shows", m, func(a sweep.Aggregate) { r.axis.aggregate = a })
		}),
		{keys: []string{"l"}, footer: "l log", help: "axes: by themselves, linear, log y, log x, log-log", do: act(func() { r.axis.scale = (r.axis.scale + 1) % scales })},
	}
}

func (r *runScreen) chooseNumericAxis() {
	var keys, abouts []string
	r.look(func(t *table) {
		for _, i := range numericAxes(t) {
			keys = append(keys, t.sweep.Axes[i].Key)
			abouts = append(abouts, text.Cut(text.Clean(strings.Join(t.sweep.Axes[i].Values, ", ")), 80))
		}
	})
	if len(keys) == 0 {
		r.say("no axis of this run has two numbers")
		return
	}
	r.chooseOf("Across", keys, abouts, func(key string) { r.axis.axis = key })
}

func (r *runScreen) chooseAxisStep() {
	var names []string
	r.look(func(t *table) { names = t.sweep.Steps() })
	r.chooseOf("The rows of", names, make([]string, len(names)), func(name string) { r.axis.step = name })
}

func (r *runScreen) moveAxis(n int) {
	r.look(func(t *table) { r.axis.at = max(0, min(r.axis.at+n, len(r.axisOf(t).points)-1)) })
}

// underAxis is the point under the cursor; nil where there is none.
func (r *runScreen) underAxis(c *axisChart) (line *sweep.Line, p *sweep.LinePoint) {
	if len(c.points) == 0 {
		return nil, nil
	}
	at := c.points[max(0, min(r.axis.at, len(c.points)-1))]
	return &c.Lines[at.line], &c.Lines[at.line].Points[at.at]
}

func (r *runScreen) openAxis() {
	r.look(func(t *table) {
		_, p := r.underAxis(r.axisOf(t))
		switch {
		case p == nil:
			return
		case len(p.Rows) == 1:
			r.openRow(t, p.Rows[0])
			return
		}
		list := &picker{workbench: r.workbench, title: "The rows of this point"}
		for _, i := range p.Rows {
			list.entries = append(list.entries, r.rowEntry(t, i, ""))
		}
		r.push(list)
	})
}

// axisLines draws the view.
func (r *runScreen) axisLines(t *table, width, height int) []string {
	c := r.axisOf(t)
	if c.err != nil {
		return []string{r.chartHeading("a metric along an axis", "", width), "", "  " + text.Clean(c.err.Error())}
	}
	axis := &t.sweep.Axes[c.Axis]
	logX, logY := r.axis.scale.logs(c.logX, c.logY)
	name := text.Cut(text.Clean(axis.Key), axisTitleWidth)
	title := sided(c.shownMetric(), logY) + " along " + name
	if logX {
		title += " (log)"
	}
	lines := []string{r.chartHeading(title, "", width)}
	colour := r.lineColouring(t, c.Axis)
	lines = append(lines, text.Fit(" "+colour.legend(width-2, slices.ContainsFunc(c.Lines, func(l sweep.Line) bool { return l.Value == sweep.Any })), width))
	notes := c.Notes(t.sweep)
	if c.Step != "" {
		notes = append([]string{"step " + c.Step + " (t)"}, notes...)
	}
	if len(notes) > 0 {
		for _, line := range text.Wrap(text.Clean(strings.Join(notes, " · ")), width-2) {
			lines = append(lines, r.theme.dim.On(text.Fit(" "+line, width)))
		}
	}
	s := r.axisScatter(t, c, &colour, name)
	r.spotsTakeMouse(s, 1+len(lines), width, height-len(lines)-1, func(_ *table, at int) { r.axis.at = at })
	lines = append(lines, s.Render(width, height-len(lines)-1)...)
	return append(lines, r.axisCursor(t, c, &colour, width))
}

// shownMetric is the metric as the points have it.
func (c *axisChart) shownMetric() lab.Metric {
	return report.AggregatedIn(c.Metric, c.Aggregate, c.Aggregated())
}

func (r *runScreen) axisScatter(t *table, c *axisChart, colour *colouring, name string) chart.Scatter {
	s := chart.Scatter{X: chart.Axis{Title: name}, Y: chart.Axis{Scale: ticksOf(c.shownMetric())}, ASCII: r.theme.ascii, Dim: r.theme.dim}
	s.X.Log, s.Y.Log = r.axis.scale.logs(c.logX, c.logY)
	_, cursor := r.underAxis(c)
	for i := range c.Lines {
		line := &c.Lines[i]
		drawn := chart.Line{Paint: colour.paint(line.Value)}
		for j := range line.Points {
			p := &line.Points[j]
			drawn.Points = append(drawn.Points, chart.Point{X: p.X, Y: p.Value})
			spot := chart.Spot{
				ID: len(s.Spots), X: p.X, Y: p.Value, LowX: math.NaN(), HighX: math.NaN(), LowY: math.NaN(), HighY: math.NaN(),
				Glyph: colour.glyph(line.Value, true), Paint: colour.paint(line.Value), Selected: p == cursor, Label: r.theme.bold,
			}
			if low, high, ok := c.Bounds(t.sweep, p); ok && (len(c.points) <= 60 || spot.Selected) {
				spot.LowY, spot.HighY = low, high
			}
			s.Spots = append(s.Spots, spot)
		}
		s.Lines = append(s.Lines, drawn)
	}
	return s
}

// axisCursor says what is under the cursor.
func (r *runScreen) axisCursor(t *table, c *axisChart, colour *colouring, width int) string {
	line, p := r.underAxis(c)
	if p == nil {
		return text.Blank(width)
	}
	axis := &t.sweep.Axes[c.Axis]
	parts := []string{axis.Key + "=" + axis.Values[p.At]}
	if line.Value >= 0 {
		parts = append(parts, colour.key+"="+colour.names[line.Value])
	}
	parts = append(parts, totalText(t, &p.Total, c.Metric, c.Aggregate, report.ScaleOf(c.shownMetric().Unit, p.Value))...)
	return text.Fit(" [ ] "+text.Clean(strings.Join(parts, " · ")), width)
}
