package loadreport

import (
	"fmt"
	"math"
	"strings"
)

type point struct{ x, y float64 }

type series struct {
	name   string
	points []point
}

// chart is a drawing of series over one pair of axes that begin at 0.
type chart struct {
	title, x, y string
	dots        bool // not joined
	series      []series
}

var colours = []string{"#4477aa", "#ee6677", "#228833", "#aa3377"}

const (
	chartWidth, chartHeight = 900, 300
	left, right, top, foot  = 70, 20, 20, 45
)

// write writes the chart as SVG within a page.
func (c chart) write(b *strings.Builder) {
	mx, my := 0.0, 0.0
	for _, s := range c.series {
		for _, p := range s.points {
			mx, my = max(mx, p.x), max(my, p.y)
		}
	}
	mx, stepX := axis(mx)
	my, stepY := axis(my)
	x := func(v float64) float64 { return left + v/mx*(chartWidth-left-right) }
	y := func(v float64) float64 { return chartHeight - foot - v/my*(chartHeight-top-foot) }
	fmt.Fprintf(b, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" role=\"img\" aria-label=\"%s\" font-family=\"sans-serif\" font-size=\"12\">\n", chartWidth, chartHeight, chartWidth, text(c.title))
	for i := 0; float64(i)*stepY <= my*1.0001; i++ {
		v := float64(i) * stepY
		fmt.Fprintf(b, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left, chartWidth-right, y(v), y(v), left-6, y(v)+4, tick(v))
	}
	for i := 0; float64(i)*stepX <= mx*1.0001; i++ {
		v := float64(i) * stepX
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x(v), chartHeight-foot+18, tick(v))
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text><text x=\"4\" y=\"12\">%s</text>\n", chartWidth-right, chartHeight-6, text(c.x), text(c.y))
	for i, s := range c.series {
		colour := colours[i%len(colours)]
		if c.dots {
			for _, p := range s.points {
				fmt.Fprintf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2\" fill=\"%s\" fill-opacity=\".6\"/>", x(p.x), y(p.y), colour)
			}
			b.WriteByte('\n')
		} else {
			fmt.Fprintf(b, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", colour)
			for _, p := range s.points {
				fmt.Fprintf(b, "%.1f,%.1f ", x(p.x), y(p.y))
			}
			b.WriteString("\"/>\n")
		}
		fmt.Fprintf(b, "<text x=\"%d\" y=\"12\" fill=\"%s\">%s</text>\n", left+80*i+60, colour, text(s.name))
	}
	b.WriteString("</svg>\n")
}

// axis is the end of an axis on which a largest value lies, and the step of its marks: 1, 2 or 5
// times a power of ten, four to ten of them.
func axis(most float64) (end, step float64) {
	if !(most > 0) || math.IsInf(most, 1) {
		return 1, 0.25
	}
	step = math.Pow(10, math.Floor(math.Log10(most)))
	switch n := most / step; {
	case n <= 2:
		step /= 4
	case n <= 4:
		step /= 2
	}
	return step * math.Ceil(most/step*0.99999), step
}

func tick(v float64) string { return fmt.Sprintf("%.4g", v) }
