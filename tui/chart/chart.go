// Package chart draws curves, points and intervals into terminal cells: braille lines with axes,
// two by four dots a cell.
//
// It promises that every axis names its range, that a spike survives however many points share a
// column (each keeps its lowest and highest value), that values which are not finite, or not
// positive on a logarithmic axis, break the line and are never scaled, and that lines can be
// distinguished without colour. With ASCII set, curves are drawn with plain characters; the axes
// are translated with the whole frame. Each Render returns exactly the asked number of lines, none
// wider than asked. The package leaves out legends: their owner knows the names.
package chart

import (
	"math"
	"strings"

	"slimlab/tui/text"
)

// Point is one value of a curve. A Y that is not finite breaks the line.
type Point struct{ X, Y float64 }

// Line is a curve; points are in ascending order of X.
type Line struct {
	Points []Point
	Paint  text.Paint
	Style  int // what distinguishes it without colour, as Sample shows; Behind: a plain line
}

// Behind is the style of a line that lies behind another one of which it is the ground.
const Behind = -1

// Axis is how one direction is scaled and written.
type Axis struct {
	Title string
	Log   bool
	Holds []float64 // values that the range includes, where they have a place on it
	// Scale chooses how the values of the ticks are written; nil: as plain numbers.
	Scale func(ticks []float64) func(float64) string
}

// Chart is a set of curves over common axes.
type Chart struct {
	X, Y   Axis
	Lines  []Line
	Bounds []float64 // X of vertical lines behind the curves, where one part ends and another begins
	Cursor float64   // X of the vertical line where values are read off; NaN: none
	ASCII  bool
	Dim    text.Paint // of axes
}

// Sample is how a line of style i looks, two cells wide, for a legend.
func Sample(i int, ascii bool) string {
	if ascii {
		return strings.Repeat(string(glyphs[i%len(glyphs)]), 2)
	}
	return [...]string{"⠤⠤", "⠤ ", "⠄⠄", "⠤⠄"}[i%4]
}

var glyphs = []byte("*+xo#@")

// dashed says whether a line of style i draws in a pixel column: the pattern that distinguishes
// lines.
func dashed(i, x int) bool {
	switch i % 4 {
	case 1:
		return x%4 < 2
	case 2:
		return x%2 == 0
	case 3:
		return x%4 != 3
	}
	return true
}

// Render draws the chart.
func (c *Chart) Render(width, height int) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	x, y, ok := c.ranges()
	if !ok || height < 3 || width < 16 {
		return message(choose(ok, "too small for the chart", "no points yet"), width, height)
	}
	ticks := y.ticks(max(2, min(8, (height-1)/2)))
	labels, gutter := yLabels(ticks, c.Y)
	columns, rows := width-gutter-1, height-1
	if columns < 8 {
		return message("too small for the chart", width, height)
	}
	area := newCanvas(columns, rows, c.ASCII)
	for i := range c.Lines {
		area.line(&c.Lines[i], i, x, y, len(c.Lines) > 1)
	}
	for _, v := range c.Bounds {
		area.bound(x, v)
	}
	if !math.IsNaN(c.Cursor) {
		area.cursor(x, c.Cursor)
	}
	lines := make([]string, 0, height)
	at := map[int]string{}
	for i, t := range ticks {
		at[rows-1-int(math.Round(y.place(t)*float64(rows-1)))] = labels[i]
	}
	for r := range rows {
		label, edge := at[r], "│"
		if label != "" {
			edge = "┤"
		}
		lines = append(lines, c.Dim.On(text.Right(label, gutter)+edge)+area.row(r, c.Lines, c.Dim))
	}
	return append(lines, c.Dim.On(xAxis(x, c.X, gutter, columns)))
}

// ranges finds the bounds of all that can be drawn.
func (c *Chart) ranges() (x, y scale, ok bool) {
	x, y = newScale(c.X.Log), newScale(c.Y.Log)
	for _, line := range c.Lines {
		for _, p := range line.Points {
			if x.holds(p.X) && y.holds(p.Y) {
				x.include(p.X)
				y.include(p.Y)
				ok = true
			}
		}
	}
	if ok {
		x.includeAll(c.X.Holds)
		y.includeAll(c.Y.Holds)
	}
	x.widen(0)
	y.widen(reserved)
	return x, y, ok
}

func message(s string, width, height int) []string {
	lines := make([]string, height)
	for i := range lines {
		lines[i] = text.Blank(width)
	}
	lines[height/2] = text.Fit(text.Blank((width-text.Width(s))/2)+s, width)
	return lines
}

func choose(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
