package chart

import (
	"math"
	"strings"

	"slimlab/tui/text"
)

// Mark is one measured thing: a row of a dot plot.
type Mark struct {
	X         float64
	Low, High float64 // the interval of X; both NaN when there is none
	Paint     text.Paint
}

// Dots is a dot plot: a row a mark, its value as a dot on a common axis, its interval as a line.
type Dots struct {
	X     Axis
	Marks []Mark
	// Words are the name of a mark and its value as it is written at the end of its row; they are
	// asked for the marks that are seen.
	Words    func(mark int) (name, value string)
	Selected int     // the mark under the cursor
	Baseline float64 // drawn as a vertical line; NaN: none
	Dim      text.Paint
}

// Render draws as many rows as fit, around the selected one, and the axis below.
func (d *Dots) Render(width, height int) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	x, some := newScale(d.X.Log), false
	for i := range d.Marks {
		m := &d.Marks[i]
		for _, v := range [...]float64{m.X, m.Low, m.High} {
			if x.holds(v) {
				x.include(v)
				some = true
			}
		}
	}
	// so that the selected one is seen
	from := max(0, min(d.Selected, len(d.Marks)-1)-max(0, height-2))
	to := min(len(d.Marks), from+max(0, height-1))
	names, values := 0, 0
	words := make([][2]string, to-from)
	for i := range words {
		name, value := d.Words(from + i)
		words[i] = [2]string{name, value}
		names, values = max(names, text.Width(name)), max(values, text.Width(value))
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
	lines := make([]string, 0, height)
	for i, one := range words {
		m := d.Marks[from+i]
		lines = append(lines, choose(from+i == d.Selected, "▌", " ")+text.Fit(one[0], names)+d.Dim.On(" │")+m.Paint.On(d.plot(m, x, columns))+" "+text.Right(one[1], values)+" ")
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
