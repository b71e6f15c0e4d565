package chart

import (
	"math"
	"strings"

	"slimlab/tui/text"
)

// Mark is one measured thing with a name: a row of a dot plot, or a point of a scatter.
type Mark struct {
	Name      string
	X, Y      float64 // a dot plot reads X only
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

// Scatter is named points over two axes.
type Scatter struct {
	X, Y  Axis
	Marks []Mark
	Dim   text.Paint
}

// Render draws the points, each with its name beside it where there is room.
func (s *Scatter) Render(width, height int) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	x, y := newScale(s.X.Log), newScale(s.Y.Log)
	some := false
	for _, m := range s.Marks {
		if x.holds(m.X) && y.holds(m.Y) {
			x.include(m.X)
			y.include(m.Y)
			some = true
		}
	}
	if !some || height < 4 || width < 24 {
		return message(choose(some, "too small for the chart", "nothing measured yet"), width, height)
	}
	x.widen(reserved)
	y.widen(reserved)
	ticks := y.ticks(max(2, min(8, (height-1)/2)))
	labels, gutter := yLabels(ticks, s.Y)
	columns, rows := width-gutter-1, height-1
	if columns < 8 {
		return message("too small for the chart", width, height)
	}
	board := newNames(columns, rows)
	for _, m := range s.Marks { // points first, so that no name covers one
		if x.holds(m.X) && y.holds(m.Y) {
			board.point(x.pixel(m.X, columns), rows-1-y.pixel(m.Y, rows), m)
		}
	}
	for _, m := range s.Marks {
		if x.holds(m.X) && y.holds(m.Y) {
			board.name(x.pixel(m.X, columns), rows-1-y.pixel(m.Y, rows), m)
		}
	}
	at := map[int]string{}
	for i, t := range ticks {
		at[rows-1-y.pixel(t, rows)] = labels[i]
	}
	lines := make([]string, 0, height)
	for r := range rows {
		lines = append(lines, s.Dim.On(text.Right(at[r], gutter)+choose(at[r] != "", "┤", "│"))+board.row(r))
	}
	return append(lines, s.Dim.On(xAxis(x, s.X, gutter, columns)))
}

// names is an area of plain cells with a style each.
type names struct {
	columns int
	cells   [][]rune
	paints  [][]text.Paint
}

func newNames(columns, rows int) *names {
	n := &names{columns: columns, cells: make([][]rune, rows), paints: make([][]text.Paint, rows)}
	for r := range rows {
		n.cells[r], n.paints[r] = []rune(strings.Repeat(" ", columns)), make([]text.Paint, columns)
	}
	return n
}

func (n *names) point(x, y int, m Mark) {
	n.cells[y][x], n.paints[y][x] = '●', m.Paint
	if m.Selected {
		n.cells[y][x] = '◆'
	}
}

// name writes a point's name to its right, left, above or below, where it covers nothing; else the
// point stays unnamed.
func (n *names) name(x, y int, m Mark) {
	label := []rune(m.Name)
	if text.Width(m.Name) != len(label) {
		return // wide characters: one cell each is the rule here
	}
	for _, at := range [][2]int{{x + 2, y}, {x - 1 - len(label), y}, {x - len(label)/2, y - 1}, {x - len(label)/2, y + 1}} {
		if !n.free(at[0], at[1], len(label)) {
			continue
		}
		for i, r := range label {
			n.cells[at[1]][at[0]+i], n.paints[at[1]][at[0]+i] = r, m.Paint
		}
		return
	}
}

func (n *names) free(x, y, width int) bool {
	if y < 0 || y >= len(n.cells) || x < 0 || x+width > n.columns {
		return false
	}
	for i := max(0, x-1); i < min(n.columns, x+width+1); i++ {
		if n.cells[y][i] != ' ' && n.cells[y][i] != '●' && n.cells[y][i] != '◆' {
			return false
		}
		if i >= x && i < x+width && n.cells[y][i] != ' ' {
			return false
		}
	}
	return true
}

func (n *names) row(r int) string {
	var b strings.Builder
	for from := 0; from < n.columns; {
		to := from + 1
		for to < n.columns && n.paints[r][to] == n.paints[r][from] {
			to++
		}
		b.WriteString(n.paints[r][from].On(string(n.cells[r][from:to])))
		from = to
	}
	return b.String()
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
