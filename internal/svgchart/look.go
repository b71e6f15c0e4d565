package svgchart

import (
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// palette is that of Okabe and Ito (Color Universal Design, 2008) without its yellow, which is too
// light for lines on white.
var palette = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
	{0x56, 0xb4, 0xe9, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x00, 0x00, 0x00, 0xff},
}

var (
	ink        = color.RGBA{0x22, 0x22, 0x22, 0xff}
	gridColour = color.RGBA{0xe4, 0xe4, 0xe4, 0xff}
)

var dashes = [][]vg.Length{nil, {6, 3}, {1.5, 2.5}, {8, 3, 1.5, 3}, {12, 4}}

var marks = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.SquareGlyph{}, draw.PyramidGlyph{}, draw.CrossGlyph{},
	draw.RingGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.PlusGlyph{},
}

// distinct is how many looks differ without colour: the numbers of dashes and marks have no common
// divisor.
const distinct = 5 * 8

// look is how a series is drawn.
type look struct {
	line draw.LineStyle
	mark draw.GlyphStyle
}

func lookOf(i int) look {
	c := palette[i%len(palette)]
	return look{
		line: draw.LineStyle{Color: c, Width: 1.5, Dashes: dashes[i%len(dashes)]},
		mark: draw.GlyphStyle{Color: c, Radius: markRadius, Shape: marks[i%len(marks)]},
	}
}

// sample draws the look in a rectangle of the legend.
func (l look) sample(line bool) func(draw.Canvas) {
	return func(c draw.Canvas) {
		at := c.Center()
		if line {
			c.StrokeLine2(l.line, c.Min.X, at.Y, c.Max.X, at.Y)
		}
		c.DrawGlyphNoClip(l.mark, at)
	}
}

const hatchStep = 5

// hatches draw lines in a rectangle, a way for each part of a bar.
var hatches = []struct{ rising, falling, upright, level bool }{
	{}, {rising: true}, {falling: true}, {upright: true}, {level: true}, {rising: true, falling: true}, {upright: true, level: true},
}

// MostParts is how many parts of bars can be told apart without colour.
const MostParts = 7

// fill draws part i of a bar.
func fill(c draw.Canvas, i int, r vg.Rectangle) {
	base := palette[i%len(palette)]
	c.SetColor(tint(base, i))
	c.Fill(r.Path())
	line := draw.LineStyle{Color: base, Width: 1}
	h := hatches[i%len(hatches)]
	stroke := func(x0, y0, x1, y1 vg.Length) { c.StrokeLine2(line, x0, y0, x1, y1) }
	if h.upright {
		for x := above(r.Min.X); x < r.Max.X; x += hatchStep {
			stroke(x, r.Min.Y, x, r.Max.Y)
		}
	}
	if h.level {
		for y := above(r.Min.Y); y < r.Max.Y; y += hatchStep {
			stroke(r.Min.X, y, r.Max.X, y)
		}
	}
	if h.rising { // y = x + d
		for d := above(r.Min.Y - r.Max.X); d < r.Max.Y-r.Min.X; d += hatchStep {
			x0, x1 := max(r.Min.X, r.Min.Y-d), min(r.Max.X, r.Max.Y-d)
			stroke(x0, x0+d, x1, x1+d)
		}
	}
	if h.falling { // y = d − x
		for d := above(r.Min.Y + r.Min.X); d < r.Max.Y+r.Max.X; d += hatchStep {
			x0, x1 := max(r.Min.X, d-r.Max.Y), min(r.Max.X, d-r.Min.Y)
			stroke(x0, d-x0, x1, d-x1)
		}
	}
	c.StrokeLines(draw.LineStyle{Color: base, Width: 0.75}, []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}, r.Min})
}

// tint is the ground that a part is hatched on; the first, which has no hatching, is full.
func tint(c color.RGBA, i int) color.RGBA {
	if i == 0 {
		return c
	}
	light := func(x uint8) uint8 { return uint8(255 - (255-int(x))/4) }
	return color.RGBA{light(c.R), light(c.G), light(c.B), 0xff}
}

// above is the first place of hatching above x, the same in all bars.
func above(x vg.Length) vg.Length {
	n := int(x / hatchStep)
	if x > 0 {
		n++
	}
	return vg.Length(n) * hatchStep
}
