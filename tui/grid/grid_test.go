package grid

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/tui/text"
)

func numbers(rows, columns int, asked *int) *Grid {
	g := &Grid{Rows: rows, At: func(r, c int) Cell {
		if asked != nil {
			*asked++
		}
		return Cell{Text: fmt.Sprintf("%d.%d", r, c)}
	}}
	for c := range columns {
		g.Columns = append(g.Columns, Column{Title: fmt.Sprintf("column %d", c), Right: c > 0})
	}
	return g
}

func TestOnlySeenCellsAreAskedFor(t *testing.T) {
	asked := 0
	g := numbers(1_000_000, 10_000, &asked)
	g.Row = 500_000
	g.Render(80, 20)
	if asked > 19*12 {
		t.Errorf("%d cells asked for, at most 19 rows of some 8 columns are seen", asked)
	}
}

func TestCursorIsAlwaysSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, columns := rapid.IntRange(1, 60).Draw(t, "rows"), rapid.IntRange(1, 30).Draw(t, "columns")
		g := numbers(rows, columns, nil)
		for range rapid.IntRange(1, 10).Draw(t, "moves") {
			g.Move(rapid.IntRange(-70, 70).Draw(t, "down"))
			g.MoveColumn(rapid.IntRange(-40, 40).Draw(t, "right"))
			width, height := rapid.IntRange(40, 200).Draw(t, "width"), rapid.IntRange(2, 30).Draw(t, "height")
			lines := g.Render(width, height)
			if len(lines) != height {
				t.Fatalf("%d lines, expected %d", len(lines), height)
			}
			for _, line := range lines {
				if text.Width(line) != width {
					t.Fatalf("line %q is %d wide, expected %d", line, text.Width(line), width)
				}
			}
			all := strings.Join(lines, "\n")
			if want := fmt.Sprintf(" %d.%d ", g.Row, g.Column); !strings.Contains(all, want) {
				t.Fatalf("the cell under the cursors %q is not seen in\n%s", want, all)
			}
			if !strings.Contains(lines[0], fmt.Sprintf("▸column %d", g.Column)) {
				t.Fatalf("the column cursor is not seen in %q", lines[0])
			}
			if !strings.Contains(all, "▌") {
				t.Fatalf("the row cursor is not seen in\n%s", all)
			}
		}
	})
}

func TestFirstColumnStays(t *testing.T) {
	g := numbers(3, 20, nil)
	g.Column = 19
	lines := g.Render(60, 4)
	if !strings.Contains(lines[1], " 0.0 ") || !strings.Contains(lines[1], " 0.19 ") {
		t.Errorf("got %q, expected the first and the last column", lines[1])
	}
	if !strings.Contains(lines[0], "‹") {
		t.Errorf("got %q, expected a sign that columns are hidden on the left", lines[0])
	}
}

func TestSortArrow(t *testing.T) {
	g := numbers(1, 3, nil)
	g.Sorted, g.Descending = 2, true
	if head := g.Render(60, 2)[0]; !strings.Contains(head, "column 1▼") {
		t.Errorf("got %q, expected ▼ behind column 1", head)
	}
}

// What is drawn at a cell of the window is what Hit says is there.
func TestHitIsWhatIsDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := numbers(rapid.IntRange(1, 60).Draw(t, "rows"), rapid.IntRange(1, 30).Draw(t, "columns"), nil)
		g.Move(rapid.IntRange(0, 70).Draw(t, "down"))
		g.MoveColumn(rapid.IntRange(0, 40).Draw(t, "right"))
		width, height := rapid.IntRange(40, 200).Draw(t, "width"), rapid.IntRange(2, 30).Draw(t, "height")
		g.Render(width, height)
		g.Scroll(rapid.IntRange(-70, 70).Draw(t, "scroll"))
		lines := g.Render(width, height)
		if from, to := g.Seen(); g.Row < from || g.Row >= to {
			t.Fatalf("the cursor is at %d, the window shows %d–%d", g.Row, from, to-1)
		}
		for y, line := range lines {
			cells := []rune(line)
			for x := range cells {
				row, column := g.Hit(x, y)
				if y == 0 && row >= 0 {
					t.Fatalf("row %d is in the head", row)
				}
				if y == 0 || row < 0 || column < 0 {
					continue
				}
				if want := fmt.Sprintf("%d.%d", row, column); cells[x] != ' ' && !strings.Contains(around(cells, x), want) {
					t.Fatalf("at %d, %d is %q, expected %q", x, y, around(cells, x), want)
				}
			}
		}
		if row, column := g.Hit(width+1, height+1); row >= 0 || column >= 0 {
			t.Fatalf("row %d and column %d are outside of the window", row, column)
		}
	})
}

// around is the word at a place of a line.
func around(cells []rune, x int) string {
	from, to := x, x
	for from > 0 && cells[from-1] != ' ' {
		from--
	}
	for to < len(cells) && cells[to] != ' ' {
		to++
	}
	return string(cells[from:to])
}

// TestAWiderWindowShowsWhatItHid: columns scrolled out to the left come back where all to the right
// still fit.
func TestAWiderWindowShowsWhatItHid(t *testing.T) {
	g := &Grid{Rows: 1, At: func(int, int) Cell { return Cell{Text: "12345678"} }}
	for range 6 {
		g.Columns = append(g.Columns, Column{Title: "column"})
	}
	g.Column = 5
	if head := g.Render(40, 2)[0]; !strings.Contains(head, "‹") {
		t.Fatalf("nothing is scrolled out: %q", head)
	}
	if head := g.Render(80, 2)[0]; strings.ContainsAny(head, "‹›") {
		t.Errorf("columns are hidden in a window with room for all: %q", head)
	}
}

// TestColumnsThatStay: as many as leave half of the width stay, and the head counts what is hidden
// on each side.
func TestColumnsThatStay(t *testing.T) {
	for _, c := range []struct {
		width, frozen, cursor int
		cells, left, right    string
	}{
		{60, 3, 0, "0.0 0.1 0.2 0.3", "  ", "15›"}, // three of them would leave less than half
		{60, 3, 19, "0.0 0.1 0.17 0.18 0.19", "‹+", ""},
		{60, 3, 5, "0.0 0.1 0.3 0.4 0.5", "‹1", "14›"},
		{60, 0, 6, "0.0 0.3 0.4 0.5 0.6", "‹2", "13›"},
		{120, 3, 12, "0.0 0.1 0.2 0.5 0.6 0.7 0.8 0.9 0.10 0.11 0.12", "‹2", "7›"},
		{300, 3, 19, "0.0 0.1 0.2 0.3", "", ""},
	} {
		g := numbers(1, 20, nil)
		g.Frozen, g.Column = c.frozen, c.cursor
		lines := g.Render(c.width, 2)
		if cells := strings.Join(strings.Fields(strings.Trim(lines[1], "▌")), " "); !strings.HasPrefix(cells, c.cells) {
			t.Errorf("%+v: cells %s", c, cells)
		}
		if !strings.HasPrefix(lines[0], c.left) || !strings.HasSuffix(strings.TrimRight(lines[0], " "), c.right) {
			t.Errorf("%+v: head %q", c, lines[0])
		}
	}
}

// TestHasMarks: marks count in the columns and rows that are seen, and no others.
func TestHasMarks(t *testing.T) {
	for _, c := range []struct {
		row, column int // of the mark
		want        bool
	}{{0, 0, true}, {1, 1, true}, {1, 9, false}, {9, 1, false}} {
		g := Grid{Rows: 10, At: func(row, column int) Cell {
			cell := Cell{Text: "0123456789"}
			if row == c.row && column == c.column {
				cell.Mark = "*"
			}
			return cell
		}}
		for range 10 {
			g.Columns = append(g.Columns, Column{Title: "a column"})
		}
		g.Render(40, 4)
		if got := g.HasMarks(); got != c.want {
			t.Errorf("a mark in row %d, column %d: %v, expected %v", c.row, c.column, got, c.want)
		}
	}
}
