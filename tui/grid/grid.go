// Package grid draws a table in a window: rows and columns as far as they fit, a cursor over both.
//
// Only the cells that are seen are asked for, so a table may have any number of rows and columns.
// The first column stays when the others scroll. Column widths grow with what has been seen and
// never shrink, so that the table does not jitter. The package leaves out sorting and filtering:
// rows are numbers to it, and their owner orders them.
package grid

import (
	"strings"

	"slimlab/tui/text"
)

// Column is the head of a column.
type Column struct {
	Title string
	Right bool // numbers: aligned right
}

// Cell is the content of one cell of the grid. Text must be clean and without styles.
type Cell struct {
	Text  string
	Mark  string // one cell wide, directly behind the text: a warning
	Paint text.Paint
}

// Paints are the styles of a table.
type Paints struct{ Head, Selected text.Paint }

// Grid is a table with its cursors. The zero value with Columns, Rows and At set is ready.
type Grid struct {
	Columns []Column
	Rows    int
	At      func(row, column int) Cell
	Marked  func(row int) bool // nil: no row is
	Paints  Paints

	Row, Column int  // cursors
	HideColumn  bool // no column cursor
	Sorted      int  // column+1 that the rows are sorted by; 0: none
	Descending  bool

	top    int   // first row seen
	left   int   // first column seen beside the frozen one
	height int   // rows seen at the last Render
	widths []int // of the columns, as far as seen
	cells  [][]Cell
	seen   []int // columns that the last Render showed
	width  int   // of the last Render
}

const (
	margin = 2 // cells for the cursor and the mark before the first column
	// cells of a column beside its text: the column cursor before it, sort arrow or warning behind
	// it
	extra = 2
)

// Move moves the row cursor and keeps it on the table.
func (g *Grid) Move(rows int) { g.Row = clamp(g.Row+rows, 0, g.Rows-1) }

// Page moves the row cursor by screens.
func (g *Grid) Page(pages int) { g.Move(pages * max(1, g.height-1)) }

// MoveColumn moves the column cursor and keeps it on the table.
func (g *Grid) MoveColumn(columns int) { g.Column = clamp(g.Column+columns, 0, len(g.Columns)-1) }

// Scroll moves the window by lines. The cursor stays on its row until that leaves the window.
func (g *Grid) Scroll(lines int) {
	g.top = max(0, min(g.top+lines, g.Rows-g.height))
	g.Row = clamp(g.Row, g.top, g.top+max(1, g.height)-1)
	g.Move(0)
}

// Hit is what the last Render showed at a cell of the window, whose first line is the head: a row
// and a column; -1 where there is none. The margin belongs to the rows and to no column.
func (g *Grid) Hit(x, y int) (row, column int) {
	row, column = -1, -1
	if y >= 1 && y <= g.height && g.top+y-1 < g.Rows {
		row = g.top + y - 1
	}
	at := margin
	for _, c := range g.seen {
		if from := at; c < len(g.widths) {
			at += g.columnWidth(c, g.width)
			if x >= from && x < at {
				column = c
			}
		}
	}
	return row, column
}

// Seen returns the rows [from, to) that the last Render showed.
func (g *Grid) Seen() (from, to int) { return g.top, min(g.Rows, g.top+g.height) }

// Forget drops the widths of columns: the table shows something else from now on.
func (g *Grid) Forget() { g.widths, g.top, g.left = nil, 0, 0 }

// Render draws the head and as many rows as fit into height lines; each line is exactly width cells
// wide.
func (g *Grid) Render(width, height int) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	g.settle(height - 1)
	seen := g.fit(width)
	g.seen, g.width = seen, width
	lines := make([]string, 0, height)
	lines = append(lines, g.head(seen, width))
	for i := range min(g.height, g.Rows-g.top) {
		lines = append(lines, g.line(i, seen, width))
	}
	for len(lines) < height {
		lines = append(lines, text.Blank(width))
	}
	return lines
}

// settle brings cursors and window onto the table.
func (g *Grid) settle(height int) {
	g.height = max(0, height)
	g.Move(0)
	g.MoveColumn(0)
	if g.Row < g.top {
		g.top = g.Row
	}
	if g.Row >= g.top+g.height {
		g.top = g.Row - g.height + 1
	}
	g.top = max(0, min(g.top, g.Rows-g.height))
	if len(g.widths) != len(g.Columns) {
		g.widths = make([]int, len(g.Columns))
		g.cells = make([][]Cell, len(g.Columns))
		g.left = 1
	}
}

// fit chooses the columns that are seen: the first, then from g.left on while there is room,
// scrolled so that the column cursor is among them.
func (g *Grid) fit(width int) []int {
	if len(g.Columns) == 0 {
		return nil
	}
	g.left = clamp(g.left, 1, max(1, len(g.Columns)-1))
	if !g.HideColumn && g.Column >= 1 && g.Column < g.left {
		g.left = g.Column
	}
	fetched := make([]bool, len(g.Columns))
	fetch := func(c int) {
		if !fetched[c] {
			g.fetch(c)
			fetched[c] = true
		}
	}
	fetch(0)
	if g.left > 1 {
		g.back(width, fetch)
	}
	for {
		// the last cell of the head shows that there are more
		seen, room := []int{0}, width-margin-1-g.columnWidth(0, width)
		for c := g.left; c < len(g.Columns); c++ {
			fetch(c)
			if room -= g.columnWidth(c, width); room < 0 {
				break
			}
			seen = append(seen, c)
		}
		if last := seen[len(seen)-1]; g.HideColumn || g.Column <= last || g.left >= g.Column {
			return seen
		}
		g.left++
	}
}

// back scrolls to the left as far as all columns to the right are still seen: a window that has
// grown hides none without need.
func (g *Grid) back(width int, fetch func(c int)) {
	room := width - margin - 1 - g.columnWidth(0, width)
	for c := len(g.Columns) - 1; c >= 1 && room >= 0; c-- {
		fetch(c)
		if room -= g.columnWidth(c, width); room >= 0 {
			g.left = min(g.left, c)
		}
	}
}

// columnWidth is what a column takes of a line. The frozen column leaves room for others.
func (g *Grid) columnWidth(c, width int) int {
	w := g.widths[c]
	if c == 0 && len(g.Columns) > 1 {
		w = min(w, max(10, width*2/5))
	}
	return min(w, max(1, width-margin-extra)) + extra
}

// fetch asks for the cells of a column that are in the window.
func (g *Grid) fetch(c int) {
	cells := g.cells[c][:0]
	g.widths[c] = max(g.widths[c], text.Width(g.Columns[c].Title))
	for i := range min(g.height, g.Rows-g.top) {
		cell := g.At(g.top+i, c)
		g.widths[c] = max(g.widths[c], text.Width(cell.Text))
		cells = append(cells, cell)
	}
	g.cells[c] = cells
}

func (g *Grid) head(seen []int, width int) string {
	var b strings.Builder
	before := " "
	if len(seen) > 0 && g.left > 1 {
		before = "‹" // columns are hidden to the left
	}
	b.WriteString(text.Blank(margin-1) + before)
	for _, c := range seen {
		column := g.Columns[c]
		title, mark := column.Title, " "
		if !g.HideColumn && c == g.Column {
			title = "▸" + title
		} else {
			title = " " + title
		}
		if g.Sorted == c+1 {
			mark = "▲"
			if g.Descending {
				mark = "▼"
			}
		}
		b.WriteString(align(title, g.columnWidth(c, width)-1, column.Right) + mark)
	}
	line := b.String()
	if n := len(seen); n > 0 && seen[n-1] < len(g.Columns)-1 {
		line = text.Fit(line, width-1) + "›"
	}
	return g.Paints.Head.On(text.Fit(line, width))
}

func (g *Grid) line(i int, seen []int, width int) string {
	row := g.top + i
	selected := row == g.Row
	var b strings.Builder
	cursor, marked := ' ', ' '
	if selected {
		cursor = '▌'
	}
	if g.Marked != nil && g.Marked(row) {
		marked = '◆'
	}
	b.WriteRune(cursor)
	b.WriteRune(marked)
	used := margin
	for _, c := range seen {
		cell := g.cells[c][i]
		w := g.columnWidth(c, width)
		body := " " + align(cell.Text, w-extra, g.Columns[c].Right)
		if !selected { // a style within a reversed line would end it
			body = cell.Paint.On(body)
		}
		b.WriteString(body)
		b.WriteString(text.Fit(cell.Mark, 1))
		used += w
	}
	line := b.String()
	if used > width {
		line = text.Cut(line, width)
	}
	line += text.Blank(width - used)
	if selected {
		return g.Paints.Selected.On(line)
	}
	return line
}

func align(s string, width int, right bool) string {
	if right {
		return text.Right(s, width)
	}
	return text.Fit(s, width)
}

func clamp(x, low, high int) int { return max(low, min(x, high)) }
