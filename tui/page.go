package tui

import (
	"fmt"

	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// page collects the lines of a text that is width cells wide.
type page struct {
	width int
	lines []string
	theme *theme
}

func (p *page) say(lines ...string) { p.lines = append(p.lines, lines...) }

func (p *page) heading(s string) {
	if len(p.lines) > 0 {
		p.say("")
	}
	p.say(p.theme.head.On(text.Cut(s, p.width)))
}

// list wraps lines behind a bullet.
func (p *page) list(bullet func(i int) string, lines []string) {
	for i, line := range lines {
		b := bullet(i)
		for j, part := range text.Wrap(line, p.width-text.Width(b)) {
			if j > 0 {
				b = text.Blank(text.Width(b))
			}
			p.say(b + part)
		}
	}
}

func dash(int) string { return "  " }

// centred puts lines into the middle of a window.
func centred(lines []string, width, height int) []string {
	out := make([]string, height)
	top := max(0, (height-len(lines))/2)
	for i, line := range lines {
		if top+i < height {
			out[top+i] = text.Blank((width-text.Width(line))/2) + line
		}
	}
	return out
}

// warningMark follows a value that should be taken with care.
func warningMark(warnings []string) string {
	if len(warnings) > 0 {
		return "*"
	}
	return ""
}

// withLegend fits a line about a row into a width, and where a value of the grid has a mark says
// behind it what the mark means. A line about a value says itself what its mark means.
func withLegend(line string, g *grid.Grid, width int) string {
	const legend = "  * take with care: > to it says why"
	if !g.HasMarks() || width < 2*len(legend) {
		return text.Fit(line, width)
	}
	return text.Fit(line, width-len(legend)) + legend
}

// rowsSeen says which rows are seen, when not all are.
func rowsSeen(g *grid.Grid) string {
	from, to := g.Seen()
	if from == 0 && to == g.Rows {
		return ""
	}
	return fmt.Sprintf("rows %d–%d of %d · ", from+1, to, g.Rows)
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
