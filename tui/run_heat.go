package tui

import (
	"fmt"
	"math"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/text"
)

// shades stand beside the numbers where there is no colour, from the least ink to the most.
var shades = []string{" ", "░", "▒", "▓", "█"}

// better says which cells are better; a number of rows is neither.
func (c *pivotChart) better() lab.Direction {
	if c.asked.Aggregate == sweep.Count {
		return lab.Neither
	}
	return c.asked.Metric.Better
}

// goodness is where a value lies between the worst, 0, and the best cell, 1.
func (c *pivotChart) goodness(x float64) float64 {
	low, high := c.pivot.Low, c.pivot.High
	if c.log {
		x, low, high = math.Log(x), math.Log(low), math.Log(high)
	}
	if !(high > low) {
		return 1
	}
	g := (x - low) / (high - low)
	if c.better() == lab.Lower {
		return 1 - g
	}
	return g
}

// shade is a cell's mark where there is no colour, "" with colours: what is worse has more ink, or
// what is higher where neither is better.
func (r *runScreen) shade(goodness float64, better lab.Direction) string {
	if r.theme.heat(goodness).Open != "" {
		return ""
	}
	ink := goodness
	if better != lab.Neither {
		ink = 1 - goodness
	}
	return shades[min(int(ink*float64(len(shades))), len(shades)-1)]
}

// aboutShades says which way the shades go; "" with colours.
func (r *runScreen) aboutShades(better lab.Direction) string {
	switch {
	case r.shade(0, better) == "":
		return ""
	case better == lab.Neither:
		return "   more ink is higher"
	}
	return "   more ink is worse"
}

// heatLegend is the scale of the shades.
func (r *runScreen) heatLegend(c *pivotChart) string {
	p := c.pivot
	if math.IsNaN(p.Low) {
		return "nothing measured yet"
	}
	scale := report.PivotScale(p)
	from, to := p.Low, p.High
	low, high := "worst ", " best"
	switch c.better() {
	case lab.Lower:
		from, to = to, from
	case lab.Neither:
		low, high = "lowest ", " highest"
	}
	out := low + scale.Format(from) + " "
	for i := range 9 {
		g := float64(i) / 8
		out += r.heatStep(g, c.better())
	}
	out += " " + scale.Format(to) + high + r.aboutShades(c.better())
	if c.log {
		out += "   shades are logarithmic"
	}
	return out
}

// heatCells draws the cells, as many as fit, around the cursor, from line y of the pane on.
func (r *runScreen) heatCells(c *pivotChart, y, width, height int) []string {
	p := c.pivot
	scale := report.PivotScale(p)
	head, cell := text.Width(text.Cut(text.Clean(p.Down), axisTitleWidth)), 3
	for _, value := range p.Rows {
		head = max(head, min(text.Width(text.Clean(value)), axisValueWidth))
	}
	for y := range p.Cells {
		for x := range p.Cells[y] {
			cell = max(cell, text.Width(report.PivotText(scale, &p.Cells[y][x])))
		}
	}
	for _, value := range p.Columns {
		cell = max(cell, min(text.Width(text.Clean(value)), 14))
	}
	cell += 2 + text.Width(r.shade(0, c.better()))
	room := max(1, (width-head-3)/cell)
	left, right := window(r.pivot.column, room, len(p.Columns))
	top, bottom := window(r.pivot.row, max(1, height-2), len(p.Rows))
	r.cellsTakeMouse(region{x: head + 3, y: y + 2, width: (right - left) * cell, height: bottom - top}, cell, top, left)
	across := text.Cut(text.Clean(p.Across), axisTitleWidth) + " →"
	if left > 0 || right < len(p.Columns) {
		across += fmt.Sprintf("  %d–%d of %d", left+1, right, len(p.Columns))
	}
	down := text.Cut(text.Clean(p.Down), axisTitleWidth)
	if top > 0 || bottom < len(p.Rows) {
		across += fmt.Sprintf("    %s ↓  %d–%d of %d", down, top+1, bottom, len(p.Rows))
	}
	lines := []string{text.Fit(text.Blank(head+3)+r.theme.dim.On(across), width)}
	line := " " + r.theme.head.On(text.Fit(down, head)) + "  "
	for x := left; x < right; x++ {
		line += r.theme.head.On(text.Right(text.Cut(text.Clean(p.Columns[x]), cell-2), cell-1)) + " "
	}
	lines = append(lines, text.Fit(line, width))
	for y := top; y < bottom; y++ {
		line := " " + text.Fit(text.Clean(p.Rows[y]), head) + "  "
		for x := left; x < right; x++ {
			line += r.heatCell(c, &p.Cells[y][x], scale, cell, y == r.pivot.row && x == r.pivot.column)
		}
		lines = append(lines, text.Fit(line, width))
	}
	return lines
}

// cellsTakeMouse lets a click put the cursor on a cell, and a second one open it.
func (r *runScreen) cellsTakeMouse(at region, cell, top, left int) {
	at.click = func(x, y int) tea.Cmd {
		r.pivot.row, r.pivot.column = top+y, left+x/cell
		return nil
	}
	at.again = func(x, y int) tea.Cmd {
		if r.pivot.row != top+y || r.pivot.column != left+x/cell {
			return at.click(x, y)
		}
		return pressEnter()
	}
	r.takesMouse(at)
}

func (r *runScreen) heatCell(c *pivotChart, one *sweep.PivotCell, scale report.Scale, width int, cursor bool) string {
	before, after := " ", " "
	if cursor {
		before, after = "[", "]"
	}
	value := report.PivotText(scale, one)
	if !one.Has() {
		body := before + text.Right(value, width-2) + after
		if cursor {
			return r.theme.bold.On(body)
		}
		return r.theme.dim.On(body)
	}
	g := c.goodness(one.Value)
	mark := r.shade(g, c.better())
	return r.theme.heat(g).On(before + text.Right(value, width-2-text.Width(mark)) + mark + after)
}

// cellRows lists the rows of the cell under the cursor where there is room below the cells.
func (r *runScreen) cellRows(t *table, c *pivotChart, width, height int) []string {
	p := c.pivot
	if height < 4 || len(p.Rows) == 0 || len(p.Columns) == 0 {
		return nil
	}
	rows := p.Cells[r.pivot.row][r.pivot.column].Rows
	if len(rows) == 0 {
		return nil
	}
	lines := []string{"", r.chartHeading("the rows of the cell", "", width)}
	names := 0
	for _, i := range rows {
		names = max(names, text.Width(label(t, &t.sweep.Rows[i])))
	}
	scale := report.PivotScale(p)
	for n, i := range rows {
		if len(lines) == height-1 && n < len(rows)-1 {
			lines = append(lines, r.theme.dim.On(fmt.Sprintf("   … and %d more (enter)", len(rows)-n)))
			break
		}
		value := report.Missing
		if s, ok := t.sweep.Rows[i].Metric(p.Metric.Key); ok {
			value = scale.Summary(s)
		}
		lines = append(lines, text.Fit("   "+text.Fit(label(t, &t.sweep.Rows[i]), names)+"   "+value, width))
	}
	return lines
}

// window is the part of n things around one that fits.
func window(at, room, n int) (from, to int) {
	if n <= room {
		return 0, n
	}
	from = max(0, min(at-room/2, n-room))
	return from, from + room
}

// underPivot says what is under the cursor.
func (r *runScreen) underPivot(t *table, c *pivotChart, width int) string {
	p := c.pivot
	if len(p.Rows) == 0 || len(p.Columns) == 0 {
		return text.Blank(width)
	}
	one := &p.Cells[r.pivot.row][r.pivot.column]
	scale := report.PivotScale(p)
	parts := []string{text.Clean(p.Down + "=" + p.Rows[r.pivot.row] + " " + p.Across + "=" + p.Columns[r.pivot.column])}
	switch n := one.N; {
	case len(one.Rows) == 0:
		parts = append(parts, "no row here")
	case n == 0:
		parts = append(parts, plural.Of(len(one.Rows), "row")+", not measured")
	default:
		parts = append(parts, totalText(t, &one.Total, p.Metric, p.Aggregate, scale)...)
	}
	if missing := len(one.Rows) - one.N; missing > 0 && one.N > 0 {
		parts = append(parts, fmt.Sprintf("%d not measured", missing))
	}
	return text.Fit(" [ ] "+strings.Join(parts, " · "), width)
}
