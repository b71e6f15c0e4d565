package svgchart

import (
	"errors"
	"fmt"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// BarChart is horizontal bars, each of parts that stand behind each other.
type BarChart struct {
	Title       string
	Axis        string   // what the length of a bar is, with its unit
	Parts       []string // at most MostParts
	Bars        []Bar    // from above
	Notes       []string // below the legend
	Description string   // for readers who do not see the chart
}

// Bar is a bar with its parts' lengths, in the order of BarChart.Parts.
type Bar struct {
	Label  string
	Values []float64 // from 0 on; a part that is not there is 0
	Total  string    // behind the bar's end
}

const (
	barStep  = 24 // from one bar to the next
	barWidth = 14
)

// Write draws the bars. A chart without bars, too many parts, a part that is below 0 or not finite,
// and sums too large or too close to 0 to be drawn are errors.
func (b *BarChart) Write(w io.Writer) error {
	if len(b.Bars) == 0 {
		return errors.New("the chart has no bar")
	}
	if len(b.Parts) > MostParts {
		return fmt.Errorf("found bars of %d parts, expected at most %d, which can be told apart", len(b.Parts), MostParts)
	}
	totals := []float64{0}
	for i := range b.Bars {
		total := 0.0
		for _, x := range b.Bars[i].Values {
			if x < 0 {
				return fmt.Errorf("found a part of %v, expected none below 0", x)
			}
			total += x
		}
		totals = append(totals, total)
	}
	span, err := rangeOf(totals)
	if err != nil {
		return err
	}
	page := page{title: b.Title, description: b.Description, notes: b.Notes, plotHeight: vg.Length(60 + barStep*len(b.Bars))}
	p := newPlot()
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, span.High, -0.5, float64(len(b.Bars))-0.5
	p.X.Label.Text = wrapped(b.Axis, p.X.Label.TextStyle, pageWidth-100)
	p.X.Padding = 0
	p.Y.Tick.Length = 0
	var ticks plot.ConstantTicks
	drawn, cut := &stackedBars{style: textStyle(9)}, false
	for i := range b.Bars {
		label, was := shortened(b.Bars[i].Label, p.Y.Tick.Label, labelWidth)
		cut = cut || was
		at := float64(len(b.Bars) - 1 - i)
		ticks = append(ticks, plot.Tick{Value: at, Label: label})
		drawn.bars = append(drawn.bars, placedBar{&b.Bars[i], at, totals[i+1]})
	}
	p.Y.Tick.Marker = ticks
	p.Add(drawn)
	for i, part := range b.Parts {
		page.legend = append(page.legend, entry{part, func(c draw.Canvas) { fill(c, i, c.Rectangle) }})
	}
	if cut {
		page.notes = append(page.notes, cutNote)
	}
	return page.write(w, p)
}

// stackedBars draws bars and their totals.
type stackedBars struct {
	style textOf
	bars  []placedBar
}

type placedBar struct {
	*Bar
	at, total float64
}

// Plot draws them on the canvas of a plot's data.
func (s *stackedBars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, b := range s.bars {
		at, sum := y(b.at), 0.0
		for i, value := range b.Values {
			if value > 0 {
				fill(c, i, vg.Rectangle{Min: vg.Point{X: x(sum), Y: at - barWidth/2}, Max: vg.Point{X: x(sum + value), Y: at + barWidth/2}})
			}
			sum += value
		}
		c.FillText(s.style, vg.Point{X: x(b.total) + 4, Y: at - s.style.FontExtents().Ascent/2 + 1}, clean(b.Total))
	}
}

// GlyphBoxes say what room the totals need behind the bars.
func (s *stackedBars) GlyphBoxes(p *plot.Plot) []plot.GlyphBox {
	var boxes []plot.GlyphBox
	for _, b := range s.bars {
		boxes = append(boxes, plot.GlyphBox{X: p.X.Norm(b.total), Y: p.Y.Norm(b.at), Rectangle: vg.Rectangle{Max: vg.Point{X: 8 + s.style.Width(clean(b.Total)), Y: 1}}})
	}
	return boxes
}
