package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/chart"
	"slimlab/tui/text"
)

// scatter is the chart: dominated points first, so that the front lies over them.
func (r *runScreen) scatter(t *table, c *paretoChart) chart.Scatter {
	s := chart.Scatter{X: chart.Axis{Title: c.x.Label, Scale: ticksOf(c.x)}, Y: chart.Axis{Scale: ticksOf(c.y)}, ASCII: r.theme.ascii, Dim: r.theme.dim}
	s.X.Log, s.Y.Log = r.pareto.scale.logs(c.logX, c.logY)
	if s.X.Log {
		s.X.Title += ", log"
	}
	if c.err != nil {
		return s
	}
	shown := r.shownPoints(c)
	s.Spots = r.spotsOf(t, c, shown)
	c.spots.light(-1, chart.Spot{})
	if cursor := r.cursorAt(t, c, shown); cursor >= 0 {
		colour := r.colouring(t)
		c.spots.light(c.spots.at[shown[cursor]], r.spot(t, c, &colour, shown[cursor], true))
	}
	s.Lines = []chart.Line{r.frontLine(c)}
	return s
}

// spots are the points of the chart, made once until what they show changes; the one under the
// cursor lies over them.
type spots struct {
	colours     string
	alone, bare bool
	spots       []chart.Spot
	at          []int      // of each point of the front, its place in spots
	lit         int        // under the cursor; -1: none
	unlit       chart.Spot // without the cursor
}

// light puts a spot in the place of one, after the last one so replaced is as it was.
func (s *spots) light(at int, spot chart.Spot) {
	if s.lit >= 0 {
		s.spots[s.lit] = s.unlit
	}
	if s.lit = at; at >= 0 {
		s.unlit, s.spots[at] = s.spots[at], spot
	}
}

// spotsOf are the points that are shown.
func (r *runScreen) spotsOf(t *table, c *paretoChart, shown []int) []chart.Spot {
	known, colours := &c.spots, fmt.Sprint(r.theme.palette.Name, r.theme.ascii, r.colouring(t).key)
	if known.colours == colours && known.alone == r.pareto.alone && known.bare == r.pareto.bare {
		return known.spots
	}
	*known = spots{colours: colours, alone: r.pareto.alone, bare: r.pareto.bare, lit: -1, spots: slices.Grow(known.spots[:0], len(shown)), at: slices.Grow(known.at[:0], len(c.front.Points))[:len(c.front.Points)]}
	colour := r.colouring(t)
	for _, best := range []bool{false, true} {
		for _, i := range shown {
			if c.front.Points[i].Best == best {
				known.at[i] = len(known.spots)
				known.spots = append(known.spots, r.spot(t, c, &colour, i, false))
			}
		}
	}
	return known.spots
}

// spot is one point of the front in the chart.
func (r *runScreen) spot(t *table, c *paretoChart, colour *colouring, point int, selected bool) chart.Spot {
	p := &c.front.Points[point]
	row := &t.sweep.Rows[p.Row]
	value := colour.of(row)
	spot := chart.Spot{
		ID: p.Row, X: p.X.Value, Y: p.Y.Value, LowX: math.NaN(), HighX: math.NaN(), LowY: math.NaN(), HighY: math.NaN(),
		Glyph: colour.glyph(value, p.Best), Paint: colour.paint(value), Selected: selected,
	}
	if !p.Best {
		spot.Paint = r.theme.dim
	}
	if !r.pareto.bare && (p.Best || selected || c.roomForBars()) {
		spot.LowX, spot.HighX = bar(p.X)
		spot.LowY, spot.HighY = bar(p.Y)
	}
	if p.Best || selected {
		spot.Name = label(t, row)
	}
	if selected {
		spot.Label = r.theme.bold
	}
	return spot
}

// bar is an interval as a chart has it.
func bar(s *lab.Summary) (low, high float64) {
	if !s.Interval {
		return math.NaN(), math.NaN()
	}
	return s.Low, s.High
}

// frontLine is the border of what the front dominates: stairs.
func (r *runScreen) frontLine(c *paretoChart) chart.Line {
	line := chart.Line{Paint: r.theme.dim}
	for i := range c.front.Points {
		p := &c.front.Points[i]
		if !p.Best || p.Equal >= 0 {
			continue
		}
		at := chart.Point{X: p.X.Value, Y: p.Y.Value}
		if n := len(line.Points); n > 0 {
			corner := chart.Point{X: at.X, Y: line.Points[n-1].Y}
			if c.x.Better == lab.Higher {
				corner = chart.Point{X: line.Points[n-1].X, Y: at.Y}
			}
			line.Points = append(line.Points, corner)
		}
		line.Points = append(line.Points, at)
	}
	return line
}

// underPareto says what is under the cursor: the row, both values, and whether it is on the front.
func (r *runScreen) underPareto(t *table, c *paretoChart, width int) string {
	shown := r.shownPoints(c)
	at := r.cursorAt(t, c, shown)
	if at < 0 {
		return text.Blank(width)
	}
	p := &c.front.Points[shown[at]]
	parts := []string{
		text.Clean(t.sweep.Label(&t.sweep.Rows[p.Row])),
		c.x.Label + " " + report.FormatSummary(c.x.Unit, *p.X),
		c.y.Label + " " + report.FormatSummary(c.y.Unit, *p.Y),
	}
	switch {
	case p.Best:
		parts = append(parts, "on the front")
	default:
		word := "dominated by " + label(t, &t.sweep.Rows[c.front.Points[p.By].Row])
		if p.Unsure {
			word = "overlaps: " + label(t, &t.sweep.Rows[c.front.Points[p.By].Row]) + " is better, within their intervals"
		}
		parts = append(parts, word)
	}
	var equal []string
	for _, i := range c.front.Equals(shown[at]) {
		equal = append(equal, label(t, &t.sweep.Rows[c.front.Points[i].Row]))
	}
	if len(equal) > 0 {
		parts = append(parts, "equal: "+strings.Join(equal, ", "))
	}
	if warnings := slices.Concat(p.X.Warnings, p.Y.Warnings); len(warnings) > 0 {
		parts = append(parts, "* "+text.Clean(strings.Join(warnings, "; ")))
	}
	return text.Fit(" [ ] "+strings.Join(parts, " · "), width)
}
