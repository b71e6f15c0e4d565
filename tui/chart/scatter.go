package chart

import (
	"math"
	"strings"

	"slimlab/tui/text"
)

// Spot is one measured thing in a Scatter.
type Spot struct {
	ID           int    // the owner's
	Name         string // written beside it where there is room; empty: nowhere
	X, Y         float64
	LowX, HighX  float64 // the interval of X; both NaN when there is none
	LowY, HighY  float64
	Glyph        rune // one cell wide
	Paint, Label text.Paint
	Selected     bool
}

// Scatter is points over two axes. Spots are drawn in order, later ones over earlier ones, the
// selected ones in brackets over all; lines and intervals lie below them.
type Scatter struct {
	X, Y  Axis
	Spots []Spot
	Lines []Line
	ASCII bool
	Dim   text.Paint // of axes and intervals
}

// plane is where the points of a scatter go.
type plane struct {
	x, y scale
	some bool // there is a point
}

func (s *Scatter) plane() plane {
	p := plane{x: newScale(s.X.Log), y: newScale(s.Y.Log)}
	include := func(x *scale, v float64) {
		if x.holds(v) {
			x.include(v)
		}
	}
	for i := range s.Spots {
		at := &s.Spots[i]
		if !p.holds(at) {
			continue
		}
		p.some = true
		for _, v := range []float64{at.X, at.LowX, at.HighX} {
			include(&p.x, v)
		}
		for _, v := range []float64{at.Y, at.LowY, at.HighY} {
			include(&p.y, v)
		}
	}
	for _, x := range []*scale{&p.x, &p.y} {
		x.widen(reserved)
		if x.log { // which widen leaves as it is
			wider := math.Exp(reserved * (math.Log(x.high) - math.Log(x.low))) // their ratio may overflow
			x.low, x.high = max(x.low/wider, 1e-305), min(x.high*wider, 1e305)
		}
	}
	return p
}

func (p *plane) holds(s *Spot) bool { return p.x.holds(s.X) && p.y.holds(s.Y) }

// Next is the spot that is nearest to a spot in a direction: dx 1 is right, dy 1 is up. It is the
// spot itself where there is none. Away from the direction counts three times.
func (s *Scatter) Next(from, dx, dy int) int {
	p := s.plane()
	best, found := math.Inf(1), from
	if !p.holds(&s.Spots[from]) {
		return from
	}
	fx, fy := p.x.place(s.Spots[from].X), p.y.place(s.Spots[from].Y)
	for i := range s.Spots {
		if i == from || !p.holds(&s.Spots[i]) {
			continue
		}
		x, y := p.x.place(s.Spots[i].X)-fx, p.y.place(s.Spots[i].Y)-fy
		along, aside := float64(dx)*x+float64(dy)*y, math.Abs(float64(dy)*x)+math.Abs(float64(dx)*y)
		if d := along + 3*aside; along > 0 && d < best {
			best, found = d, i
		}
	}
	return found
}

// Render draws the points, each with its name beside it where there is room.
func (s *Scatter) Render(width, height int) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	p := s.plane()
	if !p.some || height < 4 || width < 24 {
		return message(choose(p.some, "too small for the chart", "nothing measured yet"), width, height)
	}
	ticks, labels, gutter := s.left(&p, height)
	columns, rows := width-gutter-1, height-1
	if columns < 8 {
		return message("too small for the chart", width, height)
	}
	area := newCells(columns, rows)
	area.lines(s, &p)
	for i := range s.Spots {
		if p.holds(&s.Spots[i]) {
			area.bars(s, &s.Spots[i], &p)
		}
	}
	area.spots(s, &p)
	at := map[int]string{}
	for i, t := range ticks {
		at[rows-1-p.y.pixel(t, rows)] = labels[i]
	}
	lines := make([]string, 0, height)
	for r := range rows {
		lines = append(lines, s.Dim.On(text.Right(at[r], gutter)+choose(at[r] != "", "┤", "│"))+area.row(r))
	}
	return append(lines, s.Dim.On(xAxis(p.x, s.X, gutter, columns)))
}

// left is what stands on the left of the area: ticks with their labels, and the labels' width.
func (s *Scatter) left(p *plane, height int) (ticks []float64, labels []string, gutter int) {
	ticks = p.y.ticks(max(2, min(8, (height-1)/2)))
	labels, gutter = yLabels(ticks, s.Y)
	return ticks, labels, gutter
}

// Hit is the ID of the spot nearest to a cell of the picture that Render draws; ok is false where
// there is none.
func (s *Scatter) Hit(width, height, x, y int) (id int, ok bool) {
	p := s.plane()
	if !p.some {
		return 0, false
	}
	_, _, gutter := s.left(&p, height)
	columns, rows := width-gutter-1, height-1
	if columns < 8 || rows < 3 {
		return 0, false
	}
	best := math.MaxInt
	for i := range s.Spots {
		at := &s.Spots[i]
		if !p.holds(at) {
			continue
		}
		// a cell is about twice as high as wide
		dx, dy := p.x.pixel(at.X, columns)+gutter+1-x, 2*(rows-1-p.y.pixel(at.Y, rows)-y)
		if d := dx*dx + dy*dy; d <= best { // the later one lies above
			best, id, ok = d, at.ID, true
		}
	}
	return id, ok
}

// cells is an area of characters with a style each. What is drawn in a cell has a rank, so that
// names cover lines and intervals, and no points.
type cells struct {
	columns int
	runes   [][]rune
	paints  [][]text.Paint
	ranks   [][]uint8
}

const (
	rankBar  = 1 // lines and intervals
	rankSpot = 2 // points, brackets and names
)

func newCells(columns, rows int) *cells {
	c := &cells{columns: columns, runes: make([][]rune, rows), paints: make([][]text.Paint, rows), ranks: make([][]uint8, rows)}
	for r := range rows {
		c.runes[r], c.paints[r], c.ranks[r] = []rune(strings.Repeat(" ", columns)), make([]text.Paint, columns), make([]uint8, columns)
	}
	return c
}

func (c *cells) set(x, y int, r rune, p text.Paint, rank uint8) {
	if x < 0 || x >= c.columns || y < 0 || y >= len(c.runes) || c.ranks[y][x] > rank {
		return
	}
	c.runes[y][x], c.paints[y][x], c.ranks[y][x] = r, p, rank
}

func (c *cells) lines(s *Scatter, p *plane) {
	canvas := newCanvas(c.columns, len(c.runes), s.ASCII)
	for i := range s.Lines {
		canvas.line(&s.Lines[i], i, p.x, p.y, false)
	}
	for y := range c.runes {
		for x := range c.columns {
			at := y*c.columns + x
			if owner := canvas.owner[at]; owner > 0 {
				glyph := 0x2800 + rune(canvas.bits[at])
				if s.ASCII {
					glyph = '.'
				}
				c.set(x, y, glyph, s.Lines[owner-1].Paint, rankBar)
			}
		}
	}
}

// bars draws the intervals of a spot where they are longer than a cell.
func (c *cells) bars(s *Scatter, at *Spot, p *plane) {
	rows := len(c.runes)
	x, y := p.x.pixel(at.X, c.columns), rows-1-p.y.pixel(at.Y, rows)
	if p.x.holds(at.LowX) && p.x.holds(at.HighX) {
		from, to := p.x.pixel(at.LowX, c.columns), p.x.pixel(at.HighX, c.columns)
		for i := from; i <= to && from < to; i++ {
			c.set(i, y, '─', s.Dim, rankBar)
		}
	}
	if p.y.holds(at.LowY) && p.y.holds(at.HighY) {
		from, to := rows-1-p.y.pixel(at.HighY, rows), rows-1-p.y.pixel(at.LowY, rows)
		for i := from; i <= to && from < to; i++ {
			glyph := '│'
			if i == from {
				glyph = '┬'
			} else if i == to {
				glyph = '┴'
			}
			c.set(x, i, glyph, s.Dim, rankBar)
		}
	}
}

// spots draws points and then their names, the selected ones last and first.
func (c *cells) spots(s *Scatter, p *plane) {
	place := func(at *Spot) (x, y int) {
		return p.x.pixel(at.X, c.columns), len(c.runes) - 1 - p.y.pixel(at.Y, len(c.runes))
	}
	for _, selected := range []bool{false, true} {
		for i := range s.Spots {
			at := &s.Spots[i]
			if at.Selected != selected || !p.holds(at) {
				continue
			}
			x, y := place(at)
			c.set(x, y, at.Glyph, at.Paint, rankSpot)
			if selected {
				c.set(x-1, y, '[', at.Label, rankSpot)
				c.set(x+1, y, ']', at.Label, rankSpot)
			}
		}
	}
	for _, selected := range []bool{true, false} {
		for i := range s.Spots {
			if at := &s.Spots[i]; at.Selected == selected && at.Name != "" && p.holds(at) {
				x, y := place(at)
				c.name(x, y, at)
			}
		}
	}
}

// name writes a spot's name to its right, left, above or below, where it covers no point and no
// name; else the spot stays unnamed.
func (c *cells) name(x, y int, at *Spot) {
	label := []rune(at.Name)
	if text.Width(at.Name) != len(label) {
		return // wide characters: one cell each is the rule here
	}
	gap := 2
	if at.Selected {
		gap = 3
	}
	for _, to := range [][2]int{{x + gap, y}, {x - gap + 1 - len(label), y}, {x - len(label)/2, y - 1}, {x - len(label)/2, y + 1}, {x + 2, y - 1}, {x + 2, y + 1}} {
		if !c.free(to[0], to[1], len(label)) {
			continue
		}
		for i, r := range label {
			c.set(to[0]+i, to[1], r, at.Label, rankSpot)
		}
		return
	}
}

func (c *cells) free(x, y, width int) bool {
	if y < 0 || y >= len(c.runes) || x < 0 || x+width > c.columns {
		return false
	}
	for i := x; i < x+width; i++ {
		if c.ranks[y][i] == rankSpot {
			return false
		}
	}
	// a letter beside it would read as its continuation
	return (x == 0 || !isLetter(c.runes[y][x-1])) && (x+width == c.columns || !isLetter(c.runes[y][x+width]))
}

func isLetter(r rune) bool { return r > ' ' && r < 0x7f && r != '[' && r != ']' }

func (c *cells) row(r int) string {
	var b strings.Builder
	for from := 0; from < c.columns; {
		to := from + 1
		for to < c.columns && c.paints[r][to] == c.paints[r][from] {
			to++
		}
		b.WriteString(c.paints[r][from].On(string(c.runes[r][from:to])))
		from = to
	}
	return b.String()
}
