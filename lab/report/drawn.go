package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/internal/svgchart"
	"slimlab/lab/sweep"
)

// intervals turns bounds of values into those of a chart, and counts those that are not numbers.
type intervals struct{ lost int }

func (n *intervals) of(scale Scale, low, high float64, has bool) *svgchart.Bounds {
	if !has {
		return nil
	}
	for _, x := range []float64{low, high} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			n.lost++
			return nil
		}
	}
	return &svgchart.Bounds{Low: scale.In(low), High: scale.In(high)}
}

func (n *intervals) notes() []string {
	if n.lost == 0 {
		return nil
	}
	return []string{plural.Of(n.lost, "interval") + " not drawn: an end is not finite"}
}

// alongChart draws a metric along an axis: a line of points with their bounds for each line.
func alongChart(t *sweep.Table, a *Along) *svgchart.Chart {
	scale, lost := a.Scale(), intervals{}
	axis := t.Axes[a.Axis]
	c := &svgchart.Chart{
		Title: a.title(t),
		X:     svgchart.Axis{Title: axis.Key, Ticks: []svgchart.Tick{}},
		Y:     svgchart.Axis{Title: scale.Titled(AggregatedIn(a.Metric, a.Aggregate, a.Aggregated()).Label)},
	}
	var said strings.Builder
	for i := range a.Lines {
		name := AnyValue
		if at := a.Lines[i].Value; at >= 0 {
			name = cmp.Or(a.Names[at], AnyValue)
		}
		one := svgchart.Series{Name: a.By + " " + name, Line: true}
		fmt.Fprintf(&said, "Line %s %s.\n", a.By, name)
		for j := range a.Lines[i].Points {
			p := &a.Lines[i].Points[j]
			low, high, has := a.Bounds(t, p)
			one.Points = append(one.Points, svgchart.Point{X: p.X, Y: scale.In(p.Value), YBounds: lost.of(scale, low, high, has)})
			c.X.Ticks = append(c.X.Ticks, svgchart.Tick{Value: p.X, Label: axis.Values[p.At]})
			fmt.Fprintf(&said, "%s %s: %s", axis.Key, axis.Values[p.At], scale.Format(p.Value))
			if has {
				fmt.Fprintf(&said, " (%s to %s)", scale.Format(low), scale.Format(high))
			}
			said.WriteString(".\n")
		}
		c.Series = append(c.Series, one)
	}
	slices.SortStableFunc(c.X.Ticks, func(a, b svgchart.Tick) int { return cmp.Compare(a.Value, b.Value) })
	c.X.Ticks = slices.CompactFunc(c.X.Ticks, func(a, b svgchart.Tick) bool { return a.Value == b.Value })
	c.Notes = slices.Concat(a.Notes(t), lost.notes(), chosenNote(t))
	c.Description = "A line chart.\n" + strings.TrimSpace(said.String())
	return c
}

// mostLabels is up to how many points each has its label in a chart; beyond, dominated ones have
// none.
const mostLabels = 300

// frontChart draws all rows that have both metrics as points with their intervals and labels, and
// the front as a line.
func frontChart(t *sweep.Table, f *sweep.Front) *svgchart.Chart {
	x, y := frontScales(f)
	lost, left := intervals{}, 0
	c := &svgchart.Chart{
		Title: FrontTitle(f),
		X:     svgchart.Axis{Title: x.Titled(f.X.Label)},
		Y:     svgchart.Axis{Title: y.Titled(f.Y.Label)},
	}
	var said strings.Builder
	front, overlaps, dominated := svgchart.Series{Name: "front", Line: true}, svgchart.Series{Name: "overlaps"}, svgchart.Series{Name: "dominated"}
	for i := range f.Points {
		p := &f.Points[i]
		one := svgchart.Point{
			X: x.In(p.X.Value), Y: y.In(p.Y.Value), Label: t.Label(&t.Rows[p.Row]),
			XBounds: lost.of(x, p.X.Low, p.X.High, p.X.Interval), YBounds: lost.of(y, p.Y.Low, p.Y.High, p.Y.Interval),
		}
		fmt.Fprintf(&said, "%s: %s %s, %s %s, %s.\n", one.Label, f.X.Label, x.Summary(*p.X), f.Y.Label, y.Summary(*p.Y), Place(p))
		switch {
		case p.Best:
			front.Points = append(front.Points, one)
			continue
		case p.Unsure:
			overlaps.Points = append(overlaps.Points, one)
			continue
		case len(f.Points) > mostLabels:
			one.Label = ""
			left++
		}
		dominated.Points = append(dominated.Points, one)
	}
	for _, s := range []svgchart.Series{front, overlaps, dominated} {
		if len(s.Points) > 0 {
			c.Series = append(c.Series, s)
		}
	}
	c.Notes = frontNotes(f, true)
	if left > 0 {
		c.Notes = append(c.Notes, plural.Of(left, "dominated row")+" without label, for want of room; the description of the file has all")
	}
	c.Notes = slices.Concat(c.Notes, lost.notes(), chosenNote(t))
	c.Description = "A scatter chart of rows.\n" + strings.TrimSpace(said.String())
	return c
}

// barChart draws bars with a part for each metric.
func barChart(t *sweep.Table, b *Bars) *svgchart.BarChart {
	scale := b.Scale()
	c := &svgchart.BarChart{Title: b.title(), Axis: scale.Titled("total"), Notes: b.notes(t)}
	for _, m := range b.Metrics {
		c.Parts = append(c.Parts, m.Label)
	}
	var said strings.Builder
	for i := range b.Bars {
		one := &b.Bars[i]
		bar := svgchart.Bar{Label: t.Label(&t.Rows[one.Row]), Total: scale.Format(one.Total)}
		fmt.Fprintf(&said, "%s: %s.", bar.Label, bar.Total)
		for j, s := range one.Values {
			value := 0.0
			if s != nil {
				value = scale.In(s.Value)
				fmt.Fprintf(&said, " %s %s.", b.Metrics[j].Label, scale.Format(s.Value))
			}
			bar.Values = append(bar.Values, value)
		}
		said.WriteString("\n")
		c.Bars = append(c.Bars, bar)
	}
	c.Description = "A chart of stacked bars, one for each row.\n" + strings.TrimSpace(said.String())
	return c
}
