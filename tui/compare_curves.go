package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/chart"
	"slimlab/tui/text"
)

// compareCurves is what the chart of a comparison shows.
type compareCurves struct {
	series     string // "" is the first that several sides have
	smooth     int    // of smoothings
	logX, logY bool
	drawn      drawings
}

func (c *compareScreen) curveKeys() []binding {
	return []binding{
		{keys: []string{"T", "esc"}, footer: "T table", help: "back to the table", do: act(func() { c.curves = false })},
		{keys: []string{"m"}, footer: "m curve", help: "choose the curve", do: act(c.chooseCurve)},
		{keys: []string{"w"}, footer: "w smooth", help: "smooth curves: not, moving average of weight 0.6, 0.9, 0.97", do: act(func() {
			c.chart.smooth = (c.chart.smooth + 1) % len(smoothings)
		})},
		{keys: []string{"l"}, footer: "l log", help: "axes: linear, log y, log x, log-log", do: act(func() {
			c.chart.logX, c.chart.logY = c.chart.logX != c.chart.logY, !c.chart.logY
		})},
	}
}

// curveName is what a side calls a series: a row of a run has one curve of each kind, whatever its
// step is called. ok is false for series of other steps.
func (s *side) curveName(series string) (name string, ok bool) {
	if s.row == wholeRun {
		return series, true
	}
	return strings.CutPrefix(series, s.view.Rows[s.row].Name+".")
}

// curves are the series of one name, of each cell of the side.
func (s *side) curvesNamed(name string) []*lab.Series {
	var found []*lab.Series
	for i := range s.view.Cells {
		cell := &s.view.Cells[i]
		if s.row != wholeRun && !slices.Contains(s.view.Rows[s.row].Cells, cell.ID) {
			continue
		}
		for k := range cell.Series {
			if called, ok := s.curveName(cell.Series[k].Name); ok && called == name {
				found = append(found, &cell.Series[k])
			}
		}
	}
	return found
}

// seriesNames are the names of all curves with the number of sides that have them, those that most
// sides have first.
func (c *compareScreen) seriesNames() (names []string, sides map[string]int) {
	sides = map[string]int{}
	for i := range c.sides {
		s := &c.sides[i]
		of := map[string]bool{}
		for k := range s.view.Cells {
			for _, series := range s.view.Cells[k].Series {
				name, ok := s.curveName(series.Name)
				if !ok || of[name] || len(s.curvesNamed(name)) == 0 {
					continue
				}
				of[name] = true
				if sides[name]++; sides[name] == 1 {
					names = append(names, name)
				}
			}
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return sides[b] - sides[a] })
	return names, sides
}

func (c *compareScreen) chooseCurve() {
	p := &picker{workbench: c.workbench, title: "Curve of all sides"}
	names, sides := c.seriesNames()
	for _, name := range names {
		p.entries = append(p.entries, entry{text.Clean(name), fmt.Sprintf("of %d of %s", sides[name], plural.Of(len(c.sides), "side")), func() tea.Cmd {
			c.chart.series = name
			return nil
		}})
	}
	if len(names) == 0 {
		c.say("none of the sides has curves: nothing was trained")
		return
	}
	c.push(p)
}

// curveLines draws the curves of all sides, those of a side in one style.
func (c *compareScreen) curveLines(width, height int) []string {
	names, _ := c.seriesNames()
	if len(names) == 0 {
		return centred([]string{"None of the sides has curves: nothing was trained."}, width, height)
	}
	if !slices.Contains(names, c.chart.series) {
		c.chart.series = names[0]
	}
	picture := &chart.Chart{X: chart.Axis{Title: "step", Log: c.chart.logX}, Y: curveAxis(c.chart.series, c.chart.logY), Cursor: math.NaN(), ASCII: c.theme.ascii, Dim: c.theme.dim}
	var legend []string
	hidden := 0
	for i := range c.sides {
		curves := c.sides[i].curvesNamed(c.chart.series)
		sample := c.theme.line(i).On(chart.Sample(i, c.theme.ascii)) + " " + report.RunMark(i)
		if len(curves) == 0 {
			legend = append(legend, report.RunMark(i)+" has none")
			continue
		}
		for _, s := range curves {
			if len(picture.Lines) == maxGrouped {
				hidden++
				continue
			}
			d := c.chart.drawn.of(s, c.chart.smooth)
			points := d.raw
			if c.chart.smooth > 0 {
				points = d.smoothed
			}
			picture.Lines = append(picture.Lines, chart.Line{Paint: c.theme.line(i), Style: i, Points: points})
		}
		legend = append(legend, sample+" "+c.lastOf(curves))
	}
	if hidden > 0 {
		legend = append(legend, fmt.Sprintf("%d more hidden", hidden))
	}
	title := text.Clean(c.chart.series)
	if weight := smoothings[c.chart.smooth]; weight > 0 {
		title += fmt.Sprintf(" (smoothed %g)", weight)
	}
	heading := text.Cut(" "+c.theme.head.On(title)+"   "+strings.Join(legend, "  "), width)
	return append([]string{"", heading}, picture.Render(width, max(1, height-2))...)
}

// lastOf is the last value of a side's curves, or from the lowest to the highest of them.
func (c *compareScreen) lastOf(curves []*lab.Series) string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range curves {
		low, high = min(low, s.Last.Value), max(high, s.Last.Value)
	}
	if len(curves) == 1 {
		return curveText(curves[0].Name, curves[0].Last.Value)
	}
	return fmt.Sprintf("%s to %s (%d)", curveText(curves[0].Name, low), curveText(curves[0].Name, high), len(curves))
}
