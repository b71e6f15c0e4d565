package chart

import (
	"math"
	"strings"

	"slimlab/tui/text"
)

// Mark is one measured thing with a name: a row of a dot plot.
type Mark struct {
	Name      string
	X         float64
	Low, High float64 // the interval of X; both NaN when there is none
	Text      string  // the value as it is written at the end of a dot plot's row
	Selected  bool
	Paint     text.Paint
}

// Dots is a dot plot: a row a mark, its value as a dot on a common axis, its interval as a line.
type Dots struct {
	X        Axis
	Marks    []Mark
	Baseline float64 // drawn as a vertical line; NaN: none
	Dim      text.Paint
}

// Render draws as many rows as fit, around the selected one, and the axis below.
func (d *Dots) Render(width, height int) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	x, names, values := newScale(d.X.Log), 0, 0
	some := false
	for _, m := range d.Marks {
		names, values = max(names, text.Width(m.Name)), max(values, text.Width(m.Text))
		for _, v := range []float64{m.X, m.Low, m.High} {
			if x.holds(v) {
				x.include(v)
				some = true
			}
		}
	}
	names = min(names, width/3)
	columns := width - names - values - 5
	if !some || columns < 8 || height < 2 {
		return message(choose(some, "too small for the chart", "nothing measured yet"), width, height)
	}
	if x.holds(d.Baseline) {
		x.include(d.Baseline)
	}
	x.widen(reserved)
	from := d.window(height - 1)
	lines := make([]string, 0, height)
	for _, m := range d.Marks[from:min(len(d.Marks), from+height-1)] {
		plot := d.plot(m, x, columns)
		lines = append(lines, choose(m.Selected, "▌", " ")+text.Fit(m.Name, names)+d.Dim.On(" │")+m.Paint.On(plot)+" "+text.Right(m.Text, values)+" ")
	}
	lines = append(lines, d.Dim.On(xAxis(x, d.X, names+2, columns)))
	for i, line := range lines {
		lines[i] = text.Fit(line, width)
	}
	for len(lines) < height {
		lines = append(lines, text.Blank(width))
	}
	return lines
}

// window is the first row seen so that the selected one is.
func (d *Dots) window(height int) int {
	for i, m := range d.Marks {
		if m.Selected && i >= height {
			return i - height + 1
		}
	}
	return 0
}

func (d *Dots) plot(m Mark, x scale, columns int) string {
	cells := []rune(strings.Repeat(" ", columns))
	if x.holds(d.Baseline) {
		cells[x.pixel(d.Baseline, columns)] = '┊'
	}
	if x.holds(m.Low) && x.holds(m.High) {
		for i := x.pixel(m.Low, columns); i <= x.pixel(m.High, columns); i++ {
			cells[i] = '─'
		}
		cells[x.pixel(m.Low, columns)], cells[x.pixel(m.High, columns)] = '├', '┤'
	}
	if x.holds(m.X) {
		cells[x.pixel(m.X, columns)] = '●'
	}
	return string(cells)
}

// Spark draws values as a row of at most width bars, scaled over themselves: each the mean of its
// share of the values, × where one of them is not finite.
func Spark(values []float64, width int) string {
	n := min(width, len(values))
	if n <= 0 {
		return ""
	}
	means := make([]float64, n)
	low, high := math.Inf(1), math.Inf(-1)
	for i := range means {
		from, to := i*len(values)/n, (i+1)*len(values)/n
		for _, v := range values[from:to] {
			means[i] += v / float64(to-from)
		}
		if math.Abs(means[i]) <= extreme {
			low, high = min(low, means[i]), max(high, means[i])
		}
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	out := make([]rune, n)
	for i, v := range means {
		switch {
		case !(math.Abs(v) <= extreme):
			out[i] = '×'
		case high == low:
			out[i] = bars[0]
		default:
			out[i] = bars[int((v-low)/(high-low)*7)]
		}
	}
	return string(out)
}
