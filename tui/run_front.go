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
	colour := r.colouring(t)
	shown := r.shownPoints(c)
	cursor := r.cursorAt(t, c, shown)
	s.Spots = make([]chart.Spot, 0, len(shown))
	for _, best := range []bool{false, true} {
		for n, i := range shown {
			p := &c.front.Points[i]
			if p.Best != best {
				continue
			}
			row := &t.sweep.Rows[p.Row]
			value := colour.of(row)
			spot := chart.Spot{
				ID: p.Row, X: p.X.Value, Y: p.Y.Value, LowX: math.NaN(), HighX: math.NaN(), LowY: math.NaN(), HighY: math.NaN(),
				Glyph: colour.glyph(value, best), Paint: colour.paint(value), Selected: n == cursor,
			}
			if !best {
				spot.Paint = r.theme.dim
			}
			if !r.pareto.bare && (best || spot.Selected || c.roomForBars()) {
				spot.LowX, spot.HighX = bar(&p.X)
				spot.LowY, spot.HighY = bar(&p.Y)
			}
			if best || spot.Selected {
				spot.Name = label(t, row)
			}
			if spot.Selected {
				spot.Label = r.theme.bold
			}
			s.Spots = append(s.Spots, spot)
		}
	}
	s.Lines = []chart.Line{r.frontLine(c)}
	return s
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
		if !p.Best {
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
		c.x.Label + " " + report.FormatSummary(c.x.Unit, p.X),
		c.y.Label + " " + report.FormatSummary(c.y.Unit, p.Y),
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
	if warnings := slices.Concat(p.X.Warnings, p.Y.Warnings); len(warnings) > 0 {
		parts = append(parts, "* "+text.Clean(strings.Join(warnings, "; ")))
	}
	return text.Fit(" [ ] "+strings.Join(parts, " · "), width)
}
