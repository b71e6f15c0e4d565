package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
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
	namedStages = 60   // columns from which a chart names its stages
)

// curve is a line of the chart with its name.
type curve struct {
	name   string
	series *lab.Series
	style  int    // its colour and dashes
	group  string // the value that curves of its style have; empty: it has its style for itself
	axis   string // whose value that is
	// the steps of the stages before, of a curve that is one stage of several; staged says that it
	// is
	from   float64
	staged bool
	total  float64 // steps of all stages, for which the axis has room; 0: for this curve
}

// holds reports whether a step of the chart is one of the curve's stage.
func (c *curve) holds(step float64) bool {
	return !c.staged || step > c.from && step <= c.from+float64(c.series.Last.Step)
}

// curvesView is small multiples: a chart for each series.
type curvesView struct {
	smooth int      // of smoothings
	picked []string // the series; none: those of the marked rows, or all
	first  int      // chart that is seen
	stages bool     // a chart has a curve of every stage, in place of a series
	stage  string   // the only one that is shown; empty: all
	drawn  drawings
	named  namedCurves
}

// namedCurves are the curves of a table's series, found once until rows, marks or colours change.
type namedCurves struct {
	of              *table
	ordered, marked int
	colour          string
	curves          map[string]curves // by the names and whether they are grouped
}

// curves are the latest of the curves that were found, as many as can be distinguished, and how
// many others are hidden.
type curves struct {
	shown  []curve
	hidden int
}

// found is a curve before it has a name and a style.
type found struct {
	series *lab.Series
	cell   *lab.CellView
	row    *sweep.Row // nil: of a cell, and of no row
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

// curvesNamed finds the named series in the rows that are drawn, a curve that several cells share
// once. By values of an axis they are styled where the user chose one, where they are many, and
// where grouped asks for it.
func (r *runScreen) curvesNamed(t *table, names []string, grouped bool) curves {
	known := &r.curves.named
	if known.of != t || known.ordered != r.ordered || known.marked != r.marked || known.colour != r.colour {
		*known = namedCurves{t, r.ordered, r.marked, r.colour, map[string]curves{}}
	}
	key := fmt.Sprintf("%q %v", names, grouped)
	if _, found := known.curves[key]; !found {
		known.curves[key] = r.findCurves(t, names, grouped)
	}
	return known.curves[key]
}

// findCurves names and styles the curves that are drawn, of the thousands that there may be.
func (r *runScreen) findCurves(t *table, names []string, grouped bool) curves {
	var all []found
	for _, name := range names {
		all = r.findSeries(all, t, name)
	}
	if len(all) == 0 {
		return curves{}
	}
	colour := r.curveColouring(t, all)
	byValue := (grouped || r.colour != "" || len(all) > maxCurves) && len(t.sweep.Axes) > 0
	most := maxCurves
	if byValue && all[0].row != nil {
		most = maxGrouped
	}
	out := curves{hidden: max(0, len(all)-most)}
	for i := out.hidden; i < len(all); i++ { // the latest: what moves
		one := &all[i]
		c := curve{name: r.curveName(t, names, one), series: one.series, style: i}
		if byValue && one.row != nil {
			value := colour.of(one.row)
			if c.style, c.group = value, "none"; value >= 0 {
				c.group = colour.names[value]
			} else {
				c.style = len(colour.names)
			}
			c.axis = colour.key
		}
		out.shown = append(out.shown, c)
	}
	return out
}

// findSeries adds the curves of a series: of the rows that are drawn, or without a sweep, or where
// the series is of no step, of all cells.
func (r *runScreen) findSeries(all []found, t *table, name string) []found {
	step := stepOf(t, name)
	if len(t.sweep.Axes) == 0 || step == "" {
		for i := range t.view.Cells {
			c := &t.view.Cells[i]
			if s := c.Find(name); s != nil {
				all = append(all, found{s, c, nil})
			}
		}
		return all
	}
	for _, i := range r.curveRows(t) {
		row := &t.sweep.Rows[i]
		if row.Name != step {
			continue
		}
		first := len(all) // for each seed the first of the cells that share it
		for _, same := range row.Same {
			for _, id := range t.view.Rows[same].Cells {
				c := t.view.Cell(id)
				if c == nil || slices.ContainsFunc(all[first:], func(x found) bool { return x.cell.Seed == c.Seed }) {
					continue
				}
				if s := c.Find(name); s != nil {
					all = append(all, found{s, c, row})
				}
			}
		}
	}
	return all
}

// curveName tells a curve from the others: by its series where there are several, its row, its
// seed.
func (r *runScreen) curveName(t *table, names []string, one *found) string {
	which := ""
	switch {
	case one.row != nil:
		which = strings.TrimPrefix(t.sweep.Label(one.row), one.row.Name+" ")
		if which == one.row.Name {
			which = ""
		}
		if one.row.Of > 1 {
			which = strings.TrimSpace(fmt.Sprintf("%s seed %d", which, one.cell.Seed))
		}
	case len(t.view.Cells) > 1:
		which = one.cell.ID
	}
	if len(names) > 1 {
		which = strings.TrimSpace(one.series.Name + " " + which)
	}
	return text.Clean(which)
}

// curveColouring is the colouring that was chosen, else by the first axis in which the rows of the
// curves differ.
func (r *runScreen) curveColouring(t *table, all []found) colouring {
	if r.colour != "" {
		return r.colouring(t)
	}
	for i := range t.sweep.Axes {
		for j := range all {
			if row, first := all[j].row, all[0].row; row != nil && first != nil && row.At[i] != first.At[i] {
				return r.colouringBy(t, t.sweep.Axes[i].Key)
			}
		}
	}
	return r.colouring(t)
}

// curveChart draws training curves. at is where values are read off, as a share of the range of
// steps; NaN is nowhere.
func (r *runScreen) curveChart(title string, set curves, height, width int, at float64) []string {
	curves, hidden := set.shown, set.hidden
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
	named := curves
	if width < namedStages && len(curves) > 1 && curves[0].total > 0 {
		named = slices.Clone(curves)
		for i := range named { // the line above all charts names them
			named[i].name = ""
		}
	}
	legend := r.legend(named, c.Cursor, hidden)
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
		X:      chart.Axis{Title: "step", Log: r.logX},
		Cursor: math.NaN(), ASCII: r.theme.ascii, Dim: r.theme.dim,
	}
	if len(curves) > 0 {
		c.Y = curveAxis(curves[0].series.Name, r.logY)
	}
	var behind []chart.Line
	for i := range curves {
		d := r.curves.drawn.of(curves[i].series, r.curves.smooth)
		if total := curves[i].total; total > 0 {
			c.X.Holds = []float64{0, total}
		}
		if from := curves[i].from; from > 0 {
			if !slices.Contains(c.Bounds, from) {
				c.Bounds = append(c.Bounds, from)
			}
			d.raw, d.smoothed = shifted(d.raw, curves[i].from), shifted(d.smoothed, curves[i].from)
		}
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

// curveAxis is the vertical axis of curves like a series: a share is seen within 0 and 1, since
// what counts of it is whether it is one of them.
func curveAxis(series string, log bool) chart.Axis {
	axis := chart.Axis{Log: log}
	if lab.CurveOf(series).Share {
		axis.Holds = []float64{0, 1}
		axis.Scale = func(ticks []float64) func(float64) string {
			return report.CurveScale(series, lab.Plain, ticks...).Format
		}
	}
	return axis
}

// curveText writes a value of a series.
func curveText(series string, x float64) string {
	return report.CurveScale(series, lab.Plain, x).Format(x)
}

// shifted is a curve that begins so many steps later.
func shifted(points []chart.Point, by float64) []chart.Point {
	moved := slices.Clone(points)
	for i := range moved {
		moved[i].X += by
	}
	return moved
}

// drawings are the points of curves, kept from frame to frame.
type drawings map[*lab.Series]drawing

// of is the points of a curve, smoothed by one of smoothings, from an earlier frame where it has
// not grown since.
func (d *drawings) of(s *lab.Series, smooth int) drawing {
	if one, ok := (*d)[s]; ok && one.name == s.Name && one.count == s.Count && one.last == s.Last && one.smooth == smooth {
		return one
	}
	if *d == nil || len(*d) >= maxDrawings {
		*d = drawings{}
	}
	points := s.Points()
	one := drawing{name: s.Name, count: s.Count, last: s.Last, smooth: smooth, raw: make([]chart.Point, len(points))}
	for i, p := range points {
		one.raw[i] = chart.Point{X: float64(p.Step), Y: p.Value}
	}
	if smooth > 0 {
		one.smoothed = chart.Smooth(one.raw, smoothings[smooth])
	}
	(*d)[s] = one
	return one
}

// legend names the curves with their last values, or their values at the cursor.
func (r *runScreen) legend(curves []curve, cursor float64, hidden int) string {
	var parts []string
	for _, one := range curves {
		s := one.series
		part := ""
		if !math.IsNaN(cursor) && !one.holds(cursor) {
			continue
		}
		if len(curves) > 1 {
			part = r.theme.line(one.style).On(chart.Sample(one.style, r.theme.ascii)) + " "
		}
		if one.name != "" {
			part += one.name + " "
		}
		step, value := s.Last.Step, s.Last.Value
		if !math.IsNaN(cursor) {
			step, value = valueAt(s, cursor-one.from)
		}
		part += curveText(s.Name, value)
		if len(curves) == 1 {
			if noun := lab.CurveOf(s.Name).Noun; noun != "" {
				part += " " + noun
			}
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
		parts = append(parts, plural.Of(broken, "point")+" not finite")
	}
	if hidden > 0 {
		parts = append(parts, fmt.Sprintf("%d more hidden: mark rows or filter", hidden))
	}
	return strings.Join(parts, "  ")
}
