package svgchart

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// series draws the points of a series, what joins them, and their intervals.
type series struct {
	of   *Series
	look look
}

// Plot draws it on the canvas of a plot's data.
func (s *series) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	thin := draw.LineStyle{Color: s.look.line.Color, Width: faint}
	const cap = 2.5 // half of what ends an interval
	var line []vg.Point
	for _, one := range s.of.Points {
		at := vg.Point{X: x(one.X), Y: y(one.Y)}
		line = append(line, at)
		if b := one.YBounds; b != nil {
			low, high := y(b.Low), y(b.High)
			c.StrokeLine2(thin, at.X, low, at.X, high)
			c.StrokeLine2(thin, at.X-cap, low, at.X+cap, low)
			c.StrokeLine2(thin, at.X-cap, high, at.X+cap, high)
		}
		if b := one.XBounds; b != nil {
			low, high := x(b.Low), x(b.High)
			c.StrokeLine2(thin, low, at.Y, high, at.Y)
			c.StrokeLine2(thin, low, at.Y-cap, low, at.Y+cap)
			c.StrokeLine2(thin, high, at.Y-cap, high, at.Y+cap)
		}
	}
	if s.of.Line && len(line) > 1 {
		c.StrokeLines(s.look.line, line)
	}
	for _, at := range line {
		c.DrawGlyphNoClip(s.look.mark, at)
	}
}

// pointLabels draw the labels of points, each at the first place near its point that no other label
// and no point has; where none is free, beside the point. Those that come first choose first.
type pointLabels struct {
	style  textOf
	points []labelled
}

type labelled struct {
	x, y float64
	text string
}

// Plot draws them on the canvas of a plot's data.
func (l *pointLabels) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var taken []vg.Rectangle
	for _, one := range l.points {
		at := vg.Point{X: x(one.x), Y: y(one.y)}
		taken = append(taken, vg.Rectangle{Min: at.Sub(vg.Point{X: markRadius, Y: markRadius}), Max: at.Add(vg.Point{X: markRadius, Y: markRadius})})
	}
	extents := l.style.FontExtents()
	for _, one := range l.points {
		if one.text == "" {
			continue
		}
		at := vg.Point{X: x(one.x), Y: y(one.y)}
		place := l.place(c.Rectangle, at, vg.Point{X: l.style.Width(one.text), Y: extents.Ascent + extents.Descent}, taken)
		taken = append(taken, place)
		c.FillText(l.style, vg.Point{X: place.Min.X, Y: place.Min.Y + extents.Descent}, one.text)
	}
}

// place finds the rectangle of a label of a size, within bounds.
func (l *pointLabels) place(bounds vg.Rectangle, at, size vg.Point, taken []vg.Rectangle) vg.Rectangle {
	var first *vg.Rectangle
	for away := vg.Length(markRadius + 2); away < 60; away += 9 {
		for _, corner := range []vg.Point{
			{X: away, Y: -size.Y / 2}, {X: -away - size.X, Y: -size.Y / 2}, {X: -size.X / 2, Y: away}, {X: -size.X / 2, Y: -away - size.Y},
			{X: away, Y: away / 2}, {X: away, Y: -away/2 - size.Y}, {X: -away - size.X, Y: away / 2}, {X: -away - size.X, Y: -away/2 - size.Y},
		} {
			low := at.Add(corner)
			low.X = max(bounds.Min.X, min(low.X, bounds.Max.X-size.X))
			low.Y = max(bounds.Min.Y, min(low.Y, bounds.Max.Y-size.Y))
			r := vg.Rectangle{Min: low, Max: low.Add(size)}
			if first == nil {
				first = &r
			}
			if free(r, taken) {
				return r
			}
		}
	}
	return *first
}

func free(r vg.Rectangle, taken []vg.Rectangle) bool {
	for _, t := range taken {
		if r.Min.X < t.Max.X && t.Min.X < r.Max.X && r.Min.Y < t.Max.Y && t.Min.Y < r.Max.Y {
			return false
		}
	}
	return true
}
