package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/sweep"
	"slimlab/tui/chart"
	"slimlab/tui/text"
)

// The number of curves that can still be distinguished: by a style each, or by the value of an axis
// that several share.
const (
	maxCurves   = 6
	maxGrouped  = 48
	maxBehind   = 6    // of smoothed curves with the raw ones behind them
	maxDrawings = 1024 // curves whose points are kept from frame to frame
)

// curve is a line of the chart with its name.
type curve struct {
	name   string
	series *lab.Series
	style  int    // its colour and dashes
	group  string // the value that curves of its style have; empty: it has its style for itself
	axis   string // whose value that is
}

// curvesView is small multiples: a chart for each series.
type curvesView struct {
	smooth int      // of smoothings
	picked []string // the series; none: those of the marked rows, or all
	first  int      // chart that is seen
	cells  cellIndex
	drawn  map[*lab.Series]drawing
	named  namedCurves
}

// namedCurves are the curves of a table's series, found once until rows, marks or colours change.
type namedCurves struct {
	of              *table
	ordered, marked int
	colour          string
	curves          map[string][]curve // by the names and whether they are grouped
}

// cellIndex finds cells of a table's view by their ids.
type cellIndex struct {
	of *table
	at map[string]int
}

// smoothings are the weights of the moving average; 0 is none.
var smoothings = []float64{0, 0.6, 0.9, 0.97}

// drawing is the points of a curve, kept until the curve grows.
type drawing struct {
	name          string
	count         int
	last          lab.Point
	smooth        int
	raw, smoothed []chart.Point
}

// smoothKey turns the smoothing of all curves.
func (r *runScreen) smoothKey(footer string) binding {
	return binding{keys: []string{"w"}, footer: footer, help: "smooth curves: not, moving average of weight 0.6, 0.9, 0.97 with the raw curve behind", do: act(func() {
		r.curves.smooth = (r.curves.smooth + 1) % len(smoothings)
	})}
}

// curveRows are the rows whose curves are drawn, of the sweep's table: the marked ones, or all that
// the filter keeps.
func (r *runScreen) curveRows(t *table) []int {
	rows := r.seen
	if marked := slices.DeleteFunc(slices.Clone(rows), func(i int) bool { return !r.marks[t.sweep.Rows[i].Index] }); len(marked) > 0 {
		return marked
	}
	return rows
}

// stepOf is the step that a series is of: "distilled" of "distilled.loss"; "" where there is none.
func stepOf(t *table, series string) string {
	step := ""
	for _, name := range t.sweep.Steps() {
		if len(name) > len(step) && strings.HasPrefix(series, name+".") {
			step = name
		}
	}
	return step
}

// cellOf finds a cell by its id; nil where there is none.
func (r *runScreen) cellOf(t *table, id string) *lab.CellView {
	index := &r.curves.cells
	if index.of != t {
		*index = cellIndex{t, make(map[string]int, len(t.view.Cells))}
		for i := range t.view.Cells {
			index.at[t.view.Cells[i].ID] = i
		}
	}
	if i, ok := index.at[id]; ok {
		return &t.view.Cells[i]
	}
	return nil
}

// curvesNamed finds the named series in the rows that are drawn, a curve that several cells share
// once. By values of an axis they are styled where the user chose one, where they are many, and
// where grouped asks for it.
func (r *runScreen) curvesNamed(t *table, names []string, grouped bool) []curve {
	known := &r.curves.named
	if known.of != t || known.ordered != r.ordered || known.marked != r.marked || known.colour != r.colour {
		*known = namedCurves{t, r.ordered, r.marked, r.colour, map[string][]curve{}}
	}
	key := fmt.Sprintf("%q %v", names, grouped)
	if _, found := known.curves[key]; !found {
		known.curves[key] = r.findCurves(t, names, grouped)
	}
	return known.curves[key]
}

func (r *runScreen) findCurves(t *table, names []string, grouped bool) []curve {
	var curves []curve
	var rows []*sweep.Row // of each curve
	drawn := r.curveRows(t)
	for _, name := range names {
		step := stepOf(t, name)
		if len(t.sweep.Axes) == 0 || step == "" {
			for i := range t.view.Cells {
				c := &t.view.Cells[i]
				if s := c.Find(name); s != nil {
					id := ""
					if len(t.view.Cells) > 1 {
						id = c.ID
					}
					curves, rows = append(curves, curve{name: curveName(names, name, id), series: s}), append(rows, nil)
				}
			}
			continue
		}
		for _, i := range drawn {
			row := &t.sweep.Rows[i]
			if row.Name != step {
				continue
			}
			for _, c := range r.cellsWith(t, row, name) {
				label := strings.TrimPrefix(t.sweep.Label(row), row.Name+" ")
				if label == row.Name {
					label = ""
				}
				if row.Of > 1 {
					label = strings.TrimSpace(fmt.Sprintf("%s seed %d", label, c.Seed))
				}
				curves, rows = append(curves, curve{name: curveName(names, name, label), series: c.Find(name)}), append(rows, row)
			}
		}
	}
	r.style(t, curves, rows, grouped)
	return curves
}

func curveName(names []string, name, which string) string {
	if len(names) > 1 {
		which = strings.TrimSpace(name + " " + which)
	}
	return text.Clean(which)
}

// cellsWith are cells that have a series of a row, for each seed the first of those that share it.
func (r *runScreen) cellsWith(t *table, row *sweep.Row, series string) []*lab.CellView {
	var cells []*lab.CellView
	for _, i := range row.Same {
		for _, id := range t.view.Rows[i].Cells {
			c := r.cellOf(t, id)
			if c == nil || c.Find(series) == nil || slices.ContainsFunc(cells, func(x *lab.CellView) bool { return x.Seed == c.Seed }) {
				continue
			}
			cells = append(cells, c)
		}
	}
	return cells
}

// style gives each curve its own style, or that of its row's value.
func (r *runScreen) style(t *table, curves []curve, rows []*sweep.Row, grouped bool) {
	colour := r.curveColouring(t, rows)
	byValue := grouped || r.colour != "" || len(curves) > maxCurves
	for i := range curves {
		curves[i].style = i
		if !byValue || rows[i] == nil || len(t.sweep.Axes) == 0 {
			continue
		}
		value := colour.of(rows[i])
		if curves[i].style, curves[i].group = value, "none"; value >= 0 {
			curves[i].group = colour.names[value]
		} else {
			curves[i].style = len(colour.names)
		}
		curves[i].axis = colour.key
	}
}

// curveColouring is the colouring that was chosen, else by the first axis in which the rows of the
// curves differ.
func (r *runScreen) curveColouring(t *table, rows []*sweep.Row) colouring {
	if r.colour != "" {
		return r.colouring(t)
	}
	for i := range t.sweep.Axes {
		for _, row := range rows {
			if row != nil && rows[0] != nil && row.At[i] != rows[0].At[i] {
				return r.colouringBy(t, t.sweep.Axes[i].Key)
			}
		}
	}
	return r.colouring(t)
}

// curveChart draws training curves. at is where values are read off, as a share of the range of
// steps; NaN is nowhere.
func (r *runScreen) curveChart(title string, curves []curve, height, width int, at float64) []string {
	most := maxCurves
	if len(curves) > 0 && curves[0].group != "" {
		most = maxGrouped
	}
	hidden := max(0, len(curves)-most)
	if hidden > 0 {
		curves = curves[len(curves)-most:] // the latest: what moves
	}
	c := r.chartOf(curves)
	if !math.IsNaN(at) {
		first, last := math.Inf(1), math.Inf(-1)
		for i := range c.Lines {
			if p := c.Lines[i].Points; len(p) > 0 {
				first, last = min(first, p[0].X), max(last, p[len(p)-1].X)
			}
		}
		if first <= last {
			c.Cursor = first + at*(last-first)
		}
	}
	if title == "" {
		title = "training loss"
	}
	legend := r.legend(curves, c.Cursor, hidden)
	if len(curves) > 1 && curves[0].group != "" {
		legend = r.groupLegend(curves, hidden)
	}
	heading := r.chartHeading(text.Clean(title)+r.curveWord(len(curves)), legend, width)
	return append([]string{heading}, c.Render(width, height-1)...)
}

// curveWord says in a title how curves are scaled and smoothed.
func (r *runScreen) curveWord(curves int) string {
	word := r.scaleWord()
	if weight := smoothings[r.curves.smooth]; weight > 0 {
		word += fmt.Sprintf(" (smoothed %g", weight)
		if curves > maxBehind {
			word += ", raw curves hidden"
		}
		word += ")"
	}
	return word
}

// chartOf is the chart of curves, smoothed ones over the raw ones.
func (r *runScreen) chartOf(curves []curve) *chart.Chart {
	c := &chart.Chart{
		X: chart.Axis{Title: "step", Log: r.logX}, Y: chart.Axis{Log: r.logY},
		Cursor: math.NaN(), ASCII: r.theme.ascii, Dim: r.theme.dim,
	}
	var behind []chart.Line
	for i := range curves {
		d := r.draw(curves[i].series)
		line := chart.Line{Paint: r.theme.line(curves[i].style), Style: curves[i].style, Points: d.raw}
		if r.curves.smooth > 0 {
			line.Points = d.smoothed
			if len(curves) <= maxBehind {
				behind = append(behind, chart.Line{Paint: r.theme.dim, Style: chart.Behind, Points: d.raw})
			}
		}
		c.Lines = append(c.Lines, line)
	}
	c.Lines = append(c.Lines, behind...)
	return c
}

// draw is the points of a curve, from an earlier frame where it has not grown since.
func (r *runScreen) draw(s *lab.Series) drawing {
	v := &r.curves
	if d, ok := v.drawn[s]; ok && d.name == s.Name && d.count == s.Count && d.last == s.Last && d.smooth == v.smooth {
		return d
	}
	if v.drawn == nil || len(v.drawn) >= maxDrawings {
		v.drawn = map[*lab.Series]drawing{}
	}
	points := s.Points()
	d := drawing{name: s.Name, count: s.Count, last: s.Last, smooth: v.smooth, raw: make([]chart.Point, len(points))}
	for i, p := range points {
		d.raw[i] = chart.Point{X: float64(p.Step), Y: p.Value}
	}
	if v.smooth > 0 {
		d.smoothed = chart.Smooth(d.raw, smoothings[v.smooth])
	}
	v.drawn[s] = d
	return d
}

// legend names the curves with their last values, or their values at the cursor.
func (r *runScreen) legend(curves []curve, cursor float64, hidden int) string {
	var parts []string
	for _, one := range curves {
		s := one.series
		part := ""
		if len(curves) > 1 {
			part = r.theme.line(one.style).On(chart.Sample(one.style, r.theme.ascii)) + " "
		}
		if one.name != "" {
			part += one.name + " "
		}
		step, value := s.Last.Step, s.Last.Value
		if !math.IsNaN(cursor) {
			step, value = valueAt(s, cursor)
		}
		part += formatLoss(value)
		if len(curves) == 1 {
			part += fmt.Sprintf(" at step %d", step)
		}
		if s.NotFinite > 0 {
			part += fmt.Sprintf(" (%d not finite)", s.NotFinite)
		}
		parts = append(parts, part)
	}
	if len(curves) > 1 && !math.IsNaN(cursor) {
		parts = append(parts, fmt.Sprintf("at step %.0f", cursor))
	}
	if hidden > 0 {
		parts = append(parts, fmt.Sprintf("%d more hidden: mark rows or filter", hidden))
	}
	return strings.Join(parts, "  ")
}

// groupLegend names the values that styles stand for, with the number of their curves.
func (r *runScreen) groupLegend(curves []curve, hidden int) string {
	var groups []string
	parts := []string{text.Cut(text.Clean(curves[0].axis), axisTitleWidth) + ":"}
	counts, styles, broken := map[string]int{}, map[string]int{}, 0
	for _, one := range curves {
		if counts[one.group] == 0 {
			groups = append(groups, one.group)
		}
		counts[one.group]++
		styles[one.group] = one.style
		broken += one.series.NotFinite
	}
	for _, group := range groups {
		name := text.Cut(text.Clean(group), axisValueWidth)
		parts = append(parts, r.theme.line(styles[group]).On(chart.Sample(styles[group], r.theme.ascii))+fmt.Sprintf(" %s (%d)", name, counts[group]))
	}
	if broken > 0 {
		parts = append(parts, fmt.Sprintf("%d points not finite", broken))
	}
	if hidden > 0 {
		parts = append(parts, fmt.Sprintf("%d more hidden: mark rows or filter", hidden))
	}
	return strings.Join(parts, "  ")
}
