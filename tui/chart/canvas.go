package chart

import (
	"math"
	"slices"
	"strings"

	"slimlab/tui/text"
)

// canvas is an area of cells with two by four pixels each; in ASCII one pixel a cell. Every cell
// remembers the line that drew into it first.
type canvas struct {
	columns, rows int
	ascii         bool
	sx, sy        int // pixels per cell
	bits          []uint8
	owner         []int16 // line+1
	at            int     // column of the cursor, -1: none
	bounds        []int   // columns of the bounds
}

func newCanvas(columns, rows int, ascii bool) *canvas {
	c := &canvas{columns: columns, rows: rows, ascii: ascii, sx: 2, sy: 4, at: -1}
	if ascii {
		c.sx, c.sy = 1, 1
	}
	c.bits, c.owner = make([]uint8, columns*rows), make([]int16, columns*rows)
	return c
}

// dots numbers the bits of a braille character by [y][x] (Unicode 15, chapter 21.1).
var dots = [4][2]uint8{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// set draws one pixel; y counts from the bottom.
func (c *canvas) set(x, y, line int) {
	y = c.rows*c.sy - 1 - y
	cell := y/c.sy*c.columns + x/c.sx
	if c.owner[cell] == 0 {
		c.owner[cell] = int16(line + 1)
	}
	if c.ascii {
		c.bits[cell] = 1
		return
	}
	c.bits[cell] |= dots[y%4][x%2]
}

// column is what the points of one pixel column come to.
type column struct {
	first, last, low, high int
	broken                 bool // the line does not go on from the column before
	filled                 bool
}

// side are all dots of one pixel column of a cell.
var side = [2]uint8{0x47, 0xb8}

// fill draws the pixels of a column from one to another, a cell at a time.
func (c *canvas) fill(x, from, to, line int) {
	height := c.rows * c.sy
	top, bottom := height-1-max(from, to), height-1-min(from, to)
	for y := top / c.sy; y <= bottom/c.sy; y++ {
		cell := y*c.columns + x/c.sx
		if c.owner[cell] == 0 {
			c.owner[cell] = int16(line + 1)
		}
		first, last := max(top, y*c.sy), min(bottom, y*c.sy+c.sy-1)
		switch {
		case c.ascii:
			c.bits[cell] = 1
		case last-first == 3:
			c.bits[cell] |= side[x%2]
		default:
			for ; first <= last; first++ {
				c.bits[cell] |= dots[first%4][x%2]
			}
		}
	}
}

// line draws one curve, dashed when there are several.
func (c *canvas) line(l *Line, index int, x, y scale, several bool) {
	columns := c.gather(l, x, y)
	fill := func(x, from, to int) {
		if !several || c.ascii || dashed(l.Style, x) {
			c.fill(x, from, to, index)
		}
	}
	previous := -1
	for px := range columns {
		at := &columns[px]
		if !at.filled {
			continue
		}
		if previous >= 0 && !at.broken {
			join(previous, columns[previous].last, px, at.first, fill)
		}
		fill(px, at.low, at.high)
		if at.broken || previous < 0 { // a lone point must be seen whatever the pattern
			c.set(px, at.first, index)
		}
		previous = px
	}
}

func (c *canvas) gather(l *Line, x, y scale) []column {
	columns := make([]column, c.columns*c.sx)
	broken := false
	for _, p := range l.Points {
		if !x.holds(p.X) || !y.holds(p.Y) {
			broken = true
			continue
		}
		at, py := &columns[x.pixel(p.X, len(columns))], y.pixel(p.Y, c.rows*c.sy)
		if !at.filled {
			*at = column{py, py, py, py, broken, true}
		}
		at.last, at.low, at.high = py, min(at.low, py), max(at.high, py)
		broken = false
	}
	return columns
}

// join fills the pixels between two columns, the first pixel left out (Bresenham's line).
func join(x0, y0, x1, y1 int, fill func(x, from, to int)) {
	if steps := abs(y1 - y0); x1 == x0+1 && steps > 1 { // half of the way in each column
		sign, half := 1, (steps+1)/2
		if y1 < y0 {
			sign = -1
		}
		if half > 1 {
			fill(x0, y0+sign, y0+sign*(half-1))
		}
		fill(x1, y0+sign*half, y1)
		return
	}
	steps := max(x1-x0, abs(y1-y0))
	for i := 1; i <= steps; i++ {
		t := float64(i) / float64(steps)
		y := y0 + int(math.Round(t*float64(y1-y0)))
		fill(x0+int(math.Round(t*float64(x1-x0))), y, y)
	}
}

// glyph is what a line of a style is drawn with in ASCII.
func glyph(style int) byte {
	if style < 0 {
		return '.'
	}
	return glyphs[style%len(glyphs)]
}

func (c *canvas) bound(x scale, v float64) {
	if x.holds(v) && v > x.low && v < x.high {
		c.bounds = append(c.bounds, x.pixel(v, c.columns))
	}
}

func (c *canvas) cursor(x scale, v float64) {
	if x.holds(v) {
		c.at = x.pixel(v, c.columns)
	}
}

// row writes one line of cells; runs of one owner share their style.
func (c *canvas) row(r int, lines []Line, dim text.Paint) string {
	var b, run strings.Builder
	owner := int16(0)
	flush := func() {
		if owner > 0 {
			b.WriteString(lines[owner-1].Paint.On(run.String()))
		} else if owner < 0 {
			b.WriteString(dim.On(run.String()))
		} else {
			b.WriteString(run.String())
		}
		run.Reset()
	}
	for x := range c.columns {
		cell := r*c.columns + x
		next := c.owner[cell]
		if next == 0 && x == c.at {
			next = -1 // the cursor
		} else if next == 0 && slices.Contains(c.bounds, x) {
			next = -2
		}
		if next != owner {
			flush()
			owner = next
		}
		switch {
		case owner == -2:
			run.WriteString("╎")
		case owner < 0:
			run.WriteString("┊")
		case owner == 0:
			run.WriteByte(' ')
		case c.ascii:
			run.WriteByte(glyph(lines[owner-1].Style))
		default:
			run.WriteRune(0x2800 + rune(c.bits[cell]))
		}
	}
	flush()
	return b.String()
}

func abs(x int) int { return max(x, -x) }
