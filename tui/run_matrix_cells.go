package tui

import (
	"fmt"
	"math"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

const (
	matrixName  = 24 // cells of a row's name, at most
	matrixTitle = 16 // cells of a column's name, at most
	matrixShade = 3  // cells of a column without numbers
)

// matrixLegend is the scale of the shades.
func (r *runScreen) matrixLegend(c *matrixChart, width int) string {
	if math.IsNaN(c.scale.Low) {
		return "no value is a number"
	}
	low, high := "lowest ", " highest"
	from, to := c.scale.Low, c.scale.High
	if c.kind.Better == lab.Lower {
		from, to = to, from
	}
	if c.kind.Better != lab.Neither {
		low, high = "worst ", " best"
	}
	about, ink, format, steps := "", r.aboutShades(c.kind.Better), c.scale.Format, 9
	if c.scale.Log {
		about += "   shades are logarithmic"
	}
	if width < minWidth-1 { // all of it in few cells
		format, steps = report.BriefNumber, len(shades)
		if c.scale.Log {
			about = "  log"
		}
	}
	if c.wrong > 0 {
		about += fmt.Sprintf("   %d not finite", c.wrong)
	}
	out := low + format(from) + " "
	for i := range steps {
		out += r.heatStep(float64(i)/float64(steps-1), c.kind.Better)
	}
	out += " " + format(to) + high + about
	if text.Width(out+ink) <= width { // the steps show it too
		out += ink
	}
	return text.Cut(out, width)
}

// heatStep is a step of a legend.
func (r *runScreen) heatStep(goodness float64, better lab.Direction) string {
	if mark := r.shade(goodness, better); mark != "" {
		return mark
	}
	return r.theme.heat(goodness).On("  ")
}

// matrixWindow is what of a matrix fits: the width of names and cells, and which are seen.
type matrixWindow struct {
	name, title, cell        int // cells of a terminal that they take
	numbers, brief           bool
	left, right, top, bottom int
}

// matrixFit chooses how cells are drawn. Where not all columns have room, numbers become brief, and
// then give way to shades alone, unless they were asked for.
func (r *runScreen) matrixFit(m *lab.MatrixView, c *matrixChart, width, height int) matrixWindow {
	var w matrixWindow
	for i := range m.Rows {
		w.name = max(w.name, min(text.Width(text.Clean(m.Row(i))), matrixName))
	}
	if w.name = min(w.name, max(4, width/3)); m.Rows > height-1 { // and has room to say which rows are seen
		w.name = max(w.name, text.Width(rowsOf(m.Rows, m.Rows, m.Rows)))
	}
	for i := range m.Columns {
		w.title = max(w.title, min(text.Width(text.Clean(m.Column(i))), matrixTitle))
	}
	room := max(1, width-w.name-3)
	narrow := c.number + 2 + text.Width(r.shade(0, c.kind.Better))
	brief := c.brief + 2 + text.Width(r.shade(0, c.kind.Better))
	switch wide := max(narrow, w.title+2); { // and the arrow of a sorted column
	case r.matrix.numbers == numbersAuto && narrow*m.Columns > room && brief*m.Columns <= room:
		w.cell, w.numbers, w.brief = room/m.Columns, true, true
	case r.matrix.numbers == numbersNever, r.matrix.numbers == numbersAuto && narrow*m.Columns > room:
		w.cell = max(matrixShade, min(w.title+2, room/m.Columns))
	case wide*m.Columns <= room:
		w.cell, w.numbers = wide, true
	default:
		w.cell, w.numbers = narrow, true
		if r.matrix.numbers == numbersAlways && narrow*m.Columns > room {
			w.cell = min(wide, room)
		}
	}
	at := 0
	for i, row := range c.order {
		if row == r.matrix.row {
			at = i
		}
	}
	w.left, w.right = window(r.matrix.column, max(1, room/w.cell), m.Columns)
	w.top, w.bottom = window(at, max(1, height-1), m.Rows)
	return w
}

// matrixCells draws the cells around the cursor under the names of their columns, from line y of
// the pane on.
func (r *runScreen) matrixCells(m *lab.MatrixView, c *matrixChart, w matrixWindow, y, width int) []string {
	r.matrixTakesMouse(w, y, c)
	lines := []string{text.Fit(r.matrixHead(m, w), width)}
	for _, row := range c.order[w.top:w.bottom] {
		name := text.Fit(text.Clean(m.Row(row)), w.name)
		if row == r.matrix.row {
			name = r.theme.bold.On(name)
		}
		line := " " + name + "  "
		for column := w.left; column < w.right; column++ {
			line += r.matrixCell(c, m.At(row, column), w, row == r.matrix.row && column == r.matrix.column)
		}
		lines = append(lines, text.Fit(line, width))
	}
	return lines
}

func rowsOf(from, to, n int) string { return fmt.Sprintf("%d–%d/%d", from, to, n) }

// matrixHead names the columns that are seen, or numbers them where shades stand alone and the
// names have no room; which rows are seen stands before them where not all are.
func (r *runScreen) matrixHead(m *lab.MatrixView, w matrixWindow) string {
	seen := ""
	if w.top > 0 || w.bottom < m.Rows {
		seen = rowsOf(w.top+1, w.bottom, m.Rows)
	}
	line := " " + r.theme.dim.On(text.Fit(seen, w.name)) + "  "
	for column := w.left; column < w.right; column++ {
		title := text.Clean(m.Column(column))
		if !w.numbers && w.cell < w.title+2 || w.brief && w.cell <= w.title {
			title = fmt.Sprint((column + 1) % 100)
		}
		arrow := " "
		if r.matrix.sorted == column+1 {
			arrow = "▼"
			if r.matrix.ascending {
				arrow = "▲"
			}
		}
		paint := r.theme.head
		if column == r.matrix.column && r.theme.selected.Open != "" {
			paint = r.theme.selected
		}
		line += paint.On(text.Right(text.Cut(title, w.cell-1), w.cell-1) + arrow)
	}
	return line
}

func (r *runScreen) matrixCell(c *matrixChart, x float64, w matrixWindow, cursor bool) string {
	before, after := " ", " "
	if cursor {
		before, after = "[", "]"
	}
	value := ""
	if w.numbers {
		value = c.scale.Format(x)
	}
	if w.brief {
		value = report.BriefNumber(x)
	}
	if math.IsNaN(c.scale.Place(x)) {
		if !w.numbers {
			value = "?"
		}
		return r.theme.dim.On(before + text.Right(value, w.cell-2) + after)
	}
	g := c.goodness(x)
	mark := r.shade(g, c.kind.Better)
	if !w.numbers {
		if !cursor {
			before, after = mark, mark
		}
		return r.theme.heat(g).On(text.Fit(before, 1) + text.Repeat(text.Fit(mark, 1), w.cell-2) + text.Fit(after, 1))
	}
	return r.theme.heat(g).On(before + text.Right(value, w.cell-2-text.Width(mark)) + mark + after)
}

// matrixTakesMouse lets a click put the cursor on a cell, a second one open its row, and one on a
// column's name sort by it.
func (r *runScreen) matrixTakesMouse(w matrixWindow, y int, c *matrixChart) {
	cells := region{x: w.name + 3, y: y + 1, width: (w.right - w.left) * w.cell, height: w.bottom - w.top}
	put := func(x, y int) (same bool) {
		row, column := c.order[min(w.top+y, len(c.order)-1)], w.left+x/w.cell
		same = row == r.matrix.row && column == r.matrix.column
		r.matrix.row, r.matrix.column = row, column
		return same
	}
	cells.click = func(x, y int) tea.Cmd {
		put(x, y)
		return nil
	}
	cells.again = func(x, y int) tea.Cmd {
		if !put(x, y) {
			return nil
		}
		return pressEnter()
	}
	cells.sideways = func(columns int) { r.moveMatrix(0, columns) }
	r.takesMouse(cells)
	r.takesMouse(region{x: cells.x, y: y, width: cells.width, height: 1, click: func(x, _ int) tea.Cmd {
		r.matrix.column = w.left + x/w.cell
		r.sortMatrix()
		return nil
	}})
}
