package tui

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/chart"
	"slimlab/tui/text"
)

// paretoView is the chart of two metrics with their front.
type paretoView struct {
	x, y  string // keys of metrics; empty: chosen by the run
	alone bool   // only the front is shown
	bare  bool   // no intervals are
	scale scaleChoice
	made  paretoChart // of the last frame
}

// scaleChoice is how axes are scaled: each as its values ask for it, or as the user does.
type scaleChoice uint8

const (
	scaleAuto scaleChoice = iota
	scaleLinear
	scaleLogY
	scaleLogX
	scaleLogLog
	scales // their number
)

// logs says which axes are logarithmic; x and y are what their values ask for.
func (s scaleChoice) logs(x, y bool) (logX, logY bool) {
	switch s {
	case scaleLinear:
		return false, false
	case scaleLogY:
		return false, true
	case scaleLogX:
		return true, false
	case scaleLogLog:
		return true, true
	}
	return x, y
}

// paretoChart is what was computed of a table for the chart.
type paretoChart struct {
	of         *table
	ordered    int // runScreen.ordered
	x, y       lab.Metric
	front      *sweep.Front
	err        error
	logX, logY bool // what the values ask for
	best       int  // points, equal ones once
	dominated  int  // that are not best
	unsure     int  // of these
	equal      int  // that count with another
	spots      spots
	shown      struct {
		alone  bool
		points []int
	}
}

// decades is the number of powers of ten from which a metric's axis is logarithmic by itself.
const decades = 1

// paretoOf computes the front, or takes it from the last frame.
func (r *runScreen) paretoOf(t *table) *paretoChart {
	c := &r.pareto.made
	x, y := r.paretoMetrics(t)
	rows := r.seen
	if c.err == nil && c.of == t && c.x.Key == x.Key && c.y.Key == y.Key && c.ordered == r.ordered {
		return c
	}
	*c = paretoChart{of: t, ordered: r.ordered, x: x, y: y, spots: spots{spots: c.spots.spots, at: c.spots.at, lit: -1}}
	if r.pareto.x+r.pareto.y == "" && y.Key != "" && !sweep.IsQuality(y) {
		c.err = errors.New("no metric of quality was measured, and two costs are no trade-off: x and y choose metrics")
		return c
	}
	if c.front, c.err = t.sweep.Front(rows, x, y); c.err == nil {
		c.best, c.equal = c.front.Best(), c.front.Repeated()
		c.dominated, c.unsure = c.front.Dominated()
	}
	c.logX, c.logY = t.sweep.Decades(rows, x.Key) >= decades, t.sweep.Decades(rows, y.Key) >= decades
	return c
}

// paretoMetrics are those that were chosen; else bytes, or the first other metric that was
// measured, and quality.
func (r *runScreen) paretoMetrics(t *table) (x, y lab.Metric) {
	y = sweep.Quality(t.view)
	if r.pareto.y != "" {
		y = metricOf(r.pareto.y)
	}
	if r.pareto.x != "" {
		return metricOf(r.pareto.x), y
	}
	x = metricOf("bytes")
	for _, m := range t.view.Measured() {
		if m.Key == "bytes" && y.Key != "bytes" {
			return m, y
		}
		if x.Key == y.Key && m.Key != y.Key && m.Better != lab.Neither {
			x = m
		}
	}
	return x, y
}

func (r *runScreen) paretoKeys() []binding {
	to := func(dx, dy int) func() tea.Cmd { return act(func() { r.steerPareto(dx, dy) }) }
	return []binding{
		{keys: []string{"enter"}, footer: "enter detail", help: "all that is known of the row under the cursor", do: act(r.openPareto)},
		{keys: []string{"left"}, shown: "← →", footer: "←→↑↓ point", help: "to the nearest point on the left or right", do: to(-1, 0)},
		{keys: []string{"right"}, shown: "→", help: "to the nearest point on the right", do: to(1, 0)},
		{keys: []string{"up"}, shown: "↑ ↓", help: "to the nearest point above or below", do: to(0, 1)},
		{keys: []string{"down"}, shown: "↓", help: "to the nearest point below", do: to(0, -1)},
		{keys: []string{"n"}, help: "next point, from left to right; previous: N", do: act(func() { r.movePareto(1) })},
		{keys: []string{"N"}, help: "previous point", do: act(func() { r.movePareto(-1) })},
		{keys: []string{"x"}, footer: "x y metrics", help: "choose the metric across", do: act(func() {
			r.chooseMetric("Across", true, func(key string) { r.pareto.x = key })
		})},
		{keys: []string{"y"}, help: "choose the metric upwards", do: act(func() {
			r.chooseMetric("Upwards", true, func(key string) { r.pareto.y = key })
		})},
		{keys: []string{"d"}, footer: "d dominated", help: "show or hide the dominated points", do: act(func() { r.pareto.alone = !r.pareto.alone })},
		{keys: []string{"i"}, help: "show or hide the intervals", do: act(func() { r.pareto.bare = !r.pareto.bare })},
		{keys: []string{"l"}, footer: "l log", help: "axes: by themselves, linear, log y, log x, log-log", do: act(func() { r.pareto.scale = (r.pareto.scale + 1) % scales })},
		{keys: []string{"a"}, footer: "a colour", help: "tell the points apart by the next axis, or by step", do: act(r.turnColour)},
	}
}

// shownPoints are the points in the chart, as places in the front's Points: of equal ones the
// first.
func (r *runScreen) shownPoints(c *paretoChart) []int {
	if c.err != nil {
		return nil
	}
	if known := &c.shown; known.points == nil || known.alone != r.pareto.alone {
		known.alone, known.points = r.pareto.alone, make([]int, 0, len(c.front.Points))
		for i := range c.front.Points {
			if p := &c.front.Points[i]; p.Equal < 0 && (!r.pareto.alone || p.Best) {
				known.points = append(known.points, i)
			}
		}
	}
	return c.shown.points
}

// cursorAt is the place in shown of the point under the cursor, or of the one that it equals, else
// of the first of the front; -1 where there are none.
func (r *runScreen) cursorAt(t *table, c *paretoChart, shown []int) int {
	first, under := -1, -1
	if r.row >= 0 && r.row < len(t.place) && t.row(r.row).Index == r.row {
		under = t.place[r.row]
	}
	equal := -1
	for i := range c.front.Points {
		if p := &c.front.Points[i]; p.Row == under && p.Equal >= 0 {
			equal = p.Equal
		}
	}
	for n, i := range shown {
		p := &c.front.Points[i]
		if p.Row == under || i == equal {
			return n
		}
		if first < 0 && p.Best {
			first = n
		}
	}
	return first
}

// onPareto calls f with the points that are shown and the cursor's among them, where there are any,
// and puts the cursor on the point that f returns.
func (r *runScreen) onPareto(f func(t *table, c *paretoChart, shown []int, at int) int) {
	r.look(func(t *table) {
		c := r.paretoOf(t)
		shown := r.shownPoints(c)
		if at := r.cursorAt(t, c, shown); at >= 0 {
			at = f(t, c, shown, at)
			r.row = t.sweep.Rows[c.front.Points[shown[at]].Row].Index
			r.arrange(t)
		}
	})
}

// movePareto goes n points on, from left to right.
func (r *runScreen) movePareto(n int) {
	r.onPareto(func(_ *table, _ *paretoChart, shown []int, at int) int { return max(0, min(at+n, len(shown)-1)) })
}

// steerPareto goes to the nearest point in a direction.
func (r *runScreen) steerPareto(dx, dy int) {
	r.onPareto(func(t *table, c *paretoChart, shown []int, at int) int {
		s := chart.Scatter{}
		s.X.Log, s.Y.Log = r.pareto.scale.logs(c.logX, c.logY)
		for _, i := range shown {
			p := &c.front.Points[i]
			s.Spots = append(s.Spots, chart.Spot{X: p.X.Value, Y: p.Y.Value, LowX: math.NaN(), HighX: math.NaN(), LowY: math.NaN(), HighY: math.NaN()})
		}
		return s.Next(at, dx, dy)
	})
}

func (r *runScreen) openPareto() {
	r.onPareto(func(_ *table, _ *paretoChart, _ []int, at int) int {
		r.detail = true
		return at
	})
}

// paretoLines draws the view: heading, legend, chart with the list of the front, and what is under
// the cursor.
func (r *runScreen) paretoLines(t *table, width, height int) []string {
	c := r.paretoOf(t)
	lines := []string{r.paretoHeading(c, width)}
	if c.err != nil || len(c.front.Points) == 0 {
		return append(lines, "", "  "+r.paretoEmpty(c, t))
	}
	lines = append(lines, r.paretoLegend(t, c, width)...)
	top, room := len(lines), height-len(lines)-1
	list, beside := r.listOf(t, c, width, room)
	s := r.scatter(t, c)
	across, down := width, room-list.height
	if beside {
		across, down = width-list.width, room
	}
	r.spotsTakeMouse(s, 1+top, across, down, func(t *table, row int) {
		if row < len(t.sweep.Rows) {
			r.row = t.sweep.Rows[row].Index
		}
	})
	lines = append(lines, s.Render(across, down)...)
	switch {
	case beside:
		for i, line := range r.frontLines(t, c, list, across, 1+top) {
			lines[top+i] = text.Fit(lines[top+i], across) + line
		}
	case list.height > 0:
		lines = append(lines, r.frontLines(t, c, list, 0, 1+len(lines))...)
	}
	return append(lines, r.underPareto(t, c, width))
}

// paretoEmpty says why there is no point.
func (r *runScreen) paretoEmpty(c *paretoChart, t *table) string {
	switch {
	case c.err != nil:
		return text.Clean(c.err.Error())
	case len(r.order) == 0:
		return "no row meets the filter"
	case len(t.view.Measured()) == 0:
		return "nothing measured yet"
	}
	return "no row has both metrics: " + strings.Join(report.Lacking(c.front), ", ") + "; x and y choose others"
}

// paretoHeading names both metrics, what is better in each, and logarithmic axes.
func (r *runScreen) paretoHeading(c *paretoChart, width int) string {
	logX, logY := r.pareto.scale.logs(c.logX, c.logY)
	return r.chartHeading(sided(c.y, logY)+" against "+sided(c.x, logX), "", width)
}

func sided(m lab.Metric, log bool) string {
	word := m.Label
	switch m.Better {
	case lab.Higher:
		word += " ↑"
	case lab.Lower:
		word += " ↓"
	}
	if log {
		word += " (log)"
	}
	return word
}

// paretoLegend counts the front and what is not on it, says what the marks mean and how colours are
// given.
func (r *runScreen) paretoLegend(t *table, c *paretoChart, width int) []string {
	best, unsure, dominated := c.best, c.unsure, c.dominated
	parts := []string{fmt.Sprintf("front of %d of %s", best, plural.Of(len(c.front.Points), "row"))}
	switch {
	case r.pareto.alone && dominated > 0:
		parts = append(parts, fmt.Sprintf("%d dominated hidden (d)", dominated))
	case dominated > 0:
		parts = append(parts, fmt.Sprintf("hollow: %d dominated (d hides)", dominated))
	}
	if unsure > 0 {
		parts = append(parts, fmt.Sprintf("of them %d overlap", unsure))
	}
	if c.equal > 0 {
		parts = append(parts, report.RepeatedPoints(c.equal))
	}
	parts = append(parts, report.Lacking(c.front)...)
	if lost := r.offAxis(c); lost > 0 {
		parts = append(parts, fmt.Sprintf("%d not positive: not on a log axis (l)", lost))
	}
	switch {
	case !c.hasIntervals():
	case r.pareto.bare:
		parts = append(parts, "intervals hidden (i)")
	case c.roomForBars():
		parts = append(parts, "bars: intervals (i hides)")
	default:
		parts = append(parts, "bars: intervals of the front and the cursor (i hides)")
	}
	colour := r.colouring(t)
	counts, legend := " "+strings.Join(parts, " · "), colour.legend(width-2, slices.ContainsFunc(c.front.Points, func(p sweep.Point) bool { return colour.of(&t.sweep.Rows[p.Row]) == sweep.Any }))
	if text.Width(counts)+text.Width(legend)+6 <= width {
		return []string{text.Fit(counts+"    "+legend, width)}
	}
	var lines []string
	for _, line := range text.Wrap(counts, width-2) {
		lines = append(lines, text.Fit(" "+line, width))
	}
	return append(lines, text.Fit(" "+legend, width))
}

// offAxis counts the points that a logarithmic axis has no place for.
func (r *runScreen) offAxis(c *paretoChart) int {
	logX, logY := r.pareto.scale.logs(c.logX, c.logY)
	n := 0
	for i := range c.front.Points {
		if p := &c.front.Points[i]; p.Equal < 0 && (logX && !(p.X.Value > 0) || logY && !(p.Y.Value > 0)) {
			n++
		}
	}
	return n
}

func (c *paretoChart) hasIntervals() bool {
	return slices.ContainsFunc(c.front.Points, func(p sweep.Point) bool { return p.X.HalfWidth() > 0 || p.Y.HalfWidth() > 0 })
}

// roomForBars says whether all intervals can be told apart.
func (c *paretoChart) roomForBars() bool { return len(c.front.Points) <= 40 }
