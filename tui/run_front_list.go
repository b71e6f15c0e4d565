package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

const (
	besideFrom = 100 // width from which the front's list stands beside the chart
	belowFrom  = 14  // height from which it stands below the chart, in a narrower window
)

// frontList is the list of the points of the front: names, and both figures.
type frontList struct {
	points        []int // of the front's Points
	x, y          report.Scale
	name          int // cells of the names
	xWide, yWide  int // and of the figures
	intervals     bool
	width, height int // of the list
}

// listOf lays the list out: beside the chart it takes at most two fifths of the width, below it at
// most a third of the height. Intervals go before names are cut.
func (r *runScreen) listOf(t *table, c *paretoChart, width, height int) (l frontList, beside bool) {
	beside = width >= besideFrom
	l = frontList{width: width, height: height / 3}
	switch {
	case beside:
		l.width, l.height = width*2/5, height
	case height < belowFrom:
		return frontList{}, false
	}
	var xs, ys []float64
	for i := range c.front.Points {
		if p := &c.front.Points[i]; p.Best && p.Equal < 0 {
			l.points = append(l.points, i)
			xs, ys = append(xs, p.X.Value), append(ys, p.Y.Value)
		}
	}
	l.x, l.y = report.ScaleOf(c.x.Unit, xs...), report.ScaleOf(c.y.Unit, ys...)
	for _, l.intervals = range []bool{true, false} {
		l.measure(t, c)
		if l.needs() <= l.width {
			break
		}
	}
	l.name = max(min(l.name, l.width-l.needs()+l.name), 6)
	l.width = min(l.width, l.needs())
	if !beside {
		l.width = width
	}
	l.height = min(l.height, len(l.points)+1)
	return l, beside
}

// title says which points of the front are listed.
func (l *frontList) title(from, to int) string {
	if n := len(l.points); n >= l.height { // not all
		return fmt.Sprintf("front %d–%d/%d", from+1, to, n)
	}
	return "the front"
}

// needs is the width that all takes.
func (l *frontList) needs() int { return 4 + l.name + 2 + l.xWide + 2 + l.yWide + 1 }

func (l *frontList) measure(t *table, c *paretoChart) {
	l.name, l.xWide, l.yWide = text.Width(l.title(0, len(l.points))), text.Width(c.x.Label), text.Width(c.y.Label)
	for _, i := range l.points {
		p := &c.front.Points[i]
		l.name = max(l.name, text.Width(label(t, &t.sweep.Rows[p.Row])))
		l.xWide = max(l.xWide, text.Width(l.figure(&l.x, p.X)))
		l.yWide = max(l.yWide, text.Width(l.figure(&l.y, p.Y)))
	}
}

func (l *frontList) figure(scale *report.Scale, s *lab.Summary) string {
	if l.intervals {
		return scale.Summary(*s)
	}
	return scale.Format(s.Value)
}

// frontLines draw the list, those around the cursor where not all have room, from a place of the
// pane on.
func (r *runScreen) frontLines(t *table, c *paretoChart, l frontList, x, y int) []string {
	cursor := -1
	if shown := r.shownPoints(c); len(shown) > 0 {
		if at := r.cursorAt(t, c, shown); at >= 0 {
			cursor = shown[at]
		}
	}
	at := 0
	for n, i := range l.points {
		if i == cursor {
			at = n
		}
	}
	from, to := window(at, max(1, l.height-1), len(l.points))
	head := "    " + text.Fit(l.title(from, to), l.name) + "  " + text.Right(c.x.Label, l.xWide) + "  " + text.Right(c.y.Label, l.yWide)
	lines := []string{r.theme.dim.On(text.Fit(head, l.width))}
	colour := r.colouring(t)
	for _, i := range l.points[from:to] {
		p := &c.front.Points[i]
		row := &t.sweep.Rows[p.Row]
		value := colour.of(row)
		mark, rest := " ", text.Fit(label(t, row), l.name)+"  "+text.Right(l.figure(&l.x, p.X), l.xWide)+"  "+text.Right(l.figure(&l.y, p.Y), l.yWide)
		if i == cursor {
			mark, rest = "▌", r.theme.bold.On(rest)
		}
		lines = append(lines, text.Fit(" "+mark+colour.paint(value).On(string(colour.glyph(value, true)))+" "+rest, l.width))
	}
	click := func(_, y int) tea.Cmd {
		return act(func() {
			r.look(func(t *table) {
				if n := from + y; n < len(l.points) {
					r.row = t.sweep.Rows[c.front.Points[l.points[n]].Row].Index
					r.arrange(t)
				}
			})
		})()
	}
	r.takesMouse(region{x: x, y: y + 1, width: l.width, height: to - from, click: click, again: func(x, y int) tea.Cmd {
		click(x, y)
		return pressEnter()
	}})
	return lines
}
