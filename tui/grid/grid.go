// Package grid draws a table in a window: rows and columns as far as they fit, a cursor over both.
//
// Only the cells that are seen are asked for, so a table may have any number of rows and columns.
// The first columns stay when the others scroll, as long as they leave half of the width; the head
// counts the columns that are out of the window: "‹2", "5›". Column widths grow with what has been
// seen and never shrink, so that the table does not jitter. The package leaves out sorting and
// filtering: rows are numbers to it, and their owner orders them.
package grid

import (
	"slices"
	"strconv"
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
	Frozen      int  // columns that stay when the others scroll; 0 is one
	Sorted      int  // column+1 that the rows are sorted by; 0: none
	Descending  bool

	top    int   // first row seen
	left   int   // first column seen beside those that stay
	stay   int   // how many columns stay
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

// fit chooses the columns that are seen: those that stay, then from g.left on while there is room,
// scrolled so that the column cursor is among them.
func (g *Grid) fit(width int) []int {
	if len(g.Columns) == 0 {
		return nil
	}
	fetched := make([]bool, len(g.Columns))
	fetch := func(c int) {
		if !fetched[c] {
			g.fetch(c)
			fetched[c] = true
		}
	}
	atStart := g.left <= max(1, g.stay) // before the number of columns that stay changes
	frozen, room := g.freeze(width, fetch)
	if atStart {
		g.left = g.stay
	}
	g.left = clamp(g.left, g.stay, max(g.stay, len(g.Columns)-1))
	if !g.HideColumn && g.Column >= g.stay && g.Column < g.left {
		g.left = g.Column
	}
	if g.left > g.stay {
		g.back(room, width, fetch)
	}
	for {
		seen, room := slices.Clone(frozen), room
		for c := g.left; c < len(g.Columns); c++ {
			fetch(c)
			w := g.columnWidth(c, width)
			if w > room {
				// the count of those to the right stands apart from the last column's head
				if room < len(strconv.Itoa(len(g.Columns)-c)) && len(seen) > g.stay+1 {
					seen = seen[:len(seen)-1]
				}
				break
			}
			seen, room = append(seen, c), room-w
		}
		if last := seen[len(seen)-1]; g.HideColumn || g.Column <= last || g.left >= g.Column {
			return seen
		}
		g.left++
	}
}

// freeze finds the columns that stay, and the room beside them. The last cell of the head shows
// that there are more.
func (g *Grid) freeze(width int, fetch func(c int)) (frozen []int, room int) {
	room = width - margin - 1
	for c := range min(max(1, g.Frozen), len(g.Columns)) {
		fetch(c)
		w := g.columnWidth(c, width)
		if c > 0 && room-w < width/2 {
			break
		}
		frozen, room = append(frozen, c), room-w
	}
	g.stay = len(frozen)
	return frozen, room
}

// back scrolls to the left as far as all columns to the right are still seen: a window that has
// grown hides none without need.
func (g *Grid) back(room, width int, fetch func(c int)) {
	for c := len(g.Columns) - 1; c >= g.stay && room >= 0; c-- {
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

// HasMarks reports whether a cell that the last Render showed has a mark.
func (g *Grid) HasMarks() bool {
	for _, c := range g.seen {
		if slices.ContainsFunc(g.cells[c], func(cell Cell) bool { return cell.Mark != "" }) {
			return true
		}
	}
	return false
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
	before := text.Blank(margin)
	switch hidden := g.left - g.stay; { // to the left
	case len(seen) == 0 || hidden <= 0:
	case hidden < 10:
		before = "‹" + strconv.Itoa(hidden)
	default:
		before = "‹+"
	}
	b.WriteString(before)
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
		more := strconv.Itoa(len(g.Columns)-1-seen[n-1]) + "›"
		line = text.Fit(strings.TrimRight(line, " "), max(0, width-text.Width(more))) + more
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
