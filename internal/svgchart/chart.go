package svgchart

import (
	"errors"
	"fmt"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Chart is series of points over two axes.
type Chart struct {
	Title       string
	X, Y        Axis
	Series      []Series
	Notes       []string // below the legend
	Description string   // for readers who do not see the chart
}

// Axis is a side of a chart.
type Axis struct {
	Title string // with its unit
	// what is written at values, those that have room; nil: round numbers
	Ticks []Tick
}

// Tick is a value with its text.
type Tick struct {
	Value float64
	Label string
}

// Series is points of one look.
type Series struct {
	Name   string // in the legend
	Line   bool   // the points are joined, in their order
	Points []Point
}

// Point is a pair of values.
type Point struct {
	X, Y             float64
	XBounds, YBounds *Bounds // nil: none
	Label            string  // beside the point; empty: none
}

// Bounds are the ends of an interval.
type Bounds struct{ Low, High float64 }

const (
	chartHeight = 360 // of the axes and what is between
	labelWidth  = 240 // of the longest label that is not cut
	markRadius  = 3.5
	faint       = 0.6 // width of the lines of intervals
)

// Write draws the chart. A chart without points, a value that is not finite, and values too large
// or too close to 0 to be drawn are errors.
func (c *Chart) Write(w io.Writer) error {
	x, y, err := c.span()
	if err != nil {
		return err
	}
	p := newPlot()
	p.X.Label.Text, p.Y.Label.Text = wrapped(c.X.Title, p.X.Label.TextStyle, pageWidth-100), wrapped(c.Y.Title, p.Y.Label.TextStyle, chartHeight-60)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = x.Low, x.High, y.Low, y.High
	if c.X.Ticks != nil {
		p.X.Tick.Marker = roomFor(c.X.Ticks, p.X.Tick.Label, x)
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColour, gridColour
	p.Add(grid)
	page := page{title: c.Title, description: c.Description, notes: c.Notes, plotHeight: chartHeight}
	labels, cut := &pointLabels{style: textStyle(8)}, false
	for i := range c.Series {
		s := &c.Series[i]
		look := lookOf(i)
		for j := range s.Points {
			label, was := shortened(s.Points[j].Label, labels.style, labelWidth)
			cut = cut || was
			labels.points = append(labels.points, labelled{s.Points[j].X, s.Points[j].Y, label})
		}
		p.Add(&series{s, look})
		page.legend = append(page.legend, entry{s.Name, look.sample(s.Line)})
	}
	p.Add(labels)
	if len(c.Series) > distinct {
		page.notes = append(page.notes, fmt.Sprintf("dashes and marks repeat after %d lines; those of the same differ by colour", distinct))
	}
	if cut {
		page.notes = append(page.notes, cutNote)
	}
	return page.write(w, p)
}

// span is the range of both axes, with what lies around the points.
func (c *Chart) span() (x, y Bounds, err error) {
	var xs, ys []float64
	for i := range c.Series {
		for _, p := range c.Series[i].Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
			if b := p.XBounds; b != nil {
				xs = append(xs, b.Low, b.High)
			}
			if b := p.YBounds; b != nil {
				ys = append(ys, b.Low, b.High)
			}
		}
	}
	if len(xs) == 0 {
		return x, y, errors.New("the chart has no point")
	}
	if x, err = rangeOf(xs); err != nil {
		return x, y, err
	}
	y, err = rangeOf(ys)
	return x, y, err
}

const (
	largest = 1e100 // that an axis can have ticks of
	// of an axis's largest value, the least range for which the ticks have different texts
	leastRange = 1e-5
)

// rangeOf is the lowest and the highest of values, apart far enough for an axis.
func rangeOf(values []float64) (Bounds, error) {
	b := Bounds{math.Inf(1), math.Inf(-1)}
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return b, fmt.Errorf("found the value %v, expected a number to draw", v)
		}
		b.Low, b.High = min(b.Low, v), max(b.High, v)
	}
	size := max(math.Abs(b.Low), math.Abs(b.High))
	switch {
	case size == 0:
		return Bounds{-1, 1}, nil
	case size > largest || size < 1/largest:
		return b, fmt.Errorf("found values from %v to %v, expected sizes from %g to %g to draw", b.Low, b.High, 1/largest, float64(largest))
	case b.High-b.Low < leastRange*size:
		return Bounds{b.Low - size/20, b.High + size/20}, nil
	}
	return b, nil
}

// roomFor is ticks of which only those have a text that leaves room for the others.
func roomFor(ticks []Tick, style textOf, x Bounds) plot.ConstantTicks {
	const room, between = pageWidth - 2*margin - 80, 8
	var out plot.ConstantTicks
	end := vg.Length(math.Inf(-1))
	for _, t := range ticks {
		label := clean(t.Label)
		at := vg.Length((t.Value-x.Low)/(x.High-x.Low)) * room
		if half := style.Width(label) / 2; at-half > end+between {
			end = at + half
		} else {
			label = ""
		}
		out = append(out, plot.Tick{Value: t.Value, Label: label})
	}
	return out
}
