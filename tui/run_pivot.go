package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/text"
)

// pivotView is the heat map of a metric over two axes.
type pivotView struct {
	down, across string // keys of axes; empty: chosen by the run
	metric       string
	step         string
	chosen       bool            // the step was, every step included
	aggregate    sweep.Aggregate // of the rows of a cell
	row, column  int             // under the cursor
	made         pivotChart
}

// pivotChart is what was computed of a table for the heat map.
type pivotChart struct {
	of      *table
	ordered int // runScreen.ordered
	asked   sweep.Question
	pivot   *sweep.Pivot
	err     error
	log     bool // shades by the logarithm
}

// question is what the heat map shows: what was chosen, and else what suits the run.
func (r *runScreen) question(t *table) (q sweep.Question, err error) {
	v := &r.pivot
	metric := sweep.Quality(t.view)
	if v.metric != "" {
		metric = metricOf(v.metric)
	}
	q, ok := t.sweep.PivotOf(metric)
	if !ok {
		return q, fmt.Errorf("a heat map needs two axes, of which the step is one: this run has %s", plural.Of(len(t.sweep.PivotAxes()), "axis"))
	}
	known := func(key string) bool { return slices.Contains(t.sweep.PivotAxes(), key) }
	if known(v.down) && known(v.across) && v.down != v.across {
		q.Down, q.Across = v.down, v.across
		q.Step = t.sweep.LastStep(q.Down, q.Across)
	}
	if v.chosen && (v.step == "" || slices.Contains(t.sweep.Steps(), v.step)) {
		q.Step = v.step
	}
	q.Aggregate = aggregateFor(metric, v.aggregate)
	return q, nil
}

// pivotOf computes the pivot, or takes it from the last frame.
func (r *runScreen) pivotOf(t *table) *pivotChart {
	c := &r.pivot.made
	q, err := r.question(t)
	if c.of == t && c.asked == q && c.ordered == r.ordered {
		r.keepCell(c)
		return c
	}
	*c = pivotChart{of: t, ordered: r.ordered, asked: q, err: err}
	if err == nil {
		c.pivot, c.err = t.sweep.Pivot(r.seen, q)
	}
	if c.err == nil {
		c.log = c.pivot.Low > 0 && c.pivot.High/c.pivot.Low >= 10
	}
	r.keepCell(c)
	return c
}

// keepCell keeps the cursor on the cells.
func (r *runScreen) keepCell(c *pivotChart) {
	if c.err == nil {
		r.pivot.row = max(0, min(r.pivot.row, len(c.pivot.Rows)-1))
		r.pivot.column = max(0, min(r.pivot.column, len(c.pivot.Columns)-1))
	}
}

func (r *runScreen) pivotKeys() []binding {
	to := func(dy, dx int) func() tea.Cmd { return act(func() { r.movePivot(dy, dx) }) }
	return []binding{
		{keys: []string{"enter"}, footer: "enter rows", help: "the rows of the cell under the cursor: detail of one, list of several", do: act(r.openPivot)},
		{keys: []string{"left"}, shown: "← →", footer: "←→↑↓ cell", help: "cell on the left", do: to(0, -1)},
		{keys: []string{"right"}, shown: "→", help: "cell on the right", do: to(0, 1)},
		{keys: []string{"v"}, footer: "v metric", help: "choose the metric", do: act(func() {
			r.chooseMetric("The cells show", false, func(key string) { r.pivot.metric = key })
		})},
		{keys: []string{"x"}, footer: "x y axes", help: "choose the axis across", do: act(func() { r.chooseAxis("Across", true) })},
		{keys: []string{"y"}, help: "choose the axis down", do: act(func() { r.chooseAxis("Down", false) })},
		{keys: []string{"t"}, footer: "t step", help: "choose the step whose rows the cells show, or every step", do: act(r.choosePivotStep)},
		aggregateKey("choose what a cell of several rows shows: mean, median, best, last, min, max, n", func() {
			var m lab.Metric
			r.look(func(t *table) {
				q, _ := r.question(t)
				m = q.Metric
			})
			r.chooseAggregate("A cell of several rows shows", m, func(a sweep.Aggregate) { r.pivot.aggregate = a })
		}),
	}
}

// movePivot moves the cursor over the cells.
func (r *runScreen) movePivot(dy, dx int) {
	r.look(func(t *table) {
		if c := r.pivotOf(t); c.err == nil {
			r.pivot.row, r.pivot.column = r.pivot.row+dy, r.pivot.column+dx
			r.keepCell(c)
		}
	})
}

// chooseAxis offers the axes for one side; taking the other side's turns the heat map.
func (r *runScreen) chooseAxis(title string, across bool) {
	var keys, abouts []string
	var now sweep.Question
	r.look(func(t *table) {
		now, _ = r.question(t)
		keys = t.sweep.PivotAxes()
		for _, key := range keys {
			about := "the steps of the pipeline"
			if axis := t.sweep.Axis(key); axis >= 0 {
				about = text.Cut(text.Clean(strings.Join(t.sweep.Axes[axis].Values, ", ")), 80)
			}
			abouts = append(abouts, about)
		}
	})
	r.chooseOf(title, keys, abouts, func(key string) {
		v := &r.pivot
		v.down, v.across, v.chosen = now.Down, now.Across, false
		side, other := &v.down, &v.across
		if across {
			side, other = other, side
		}
		if *other == key {
			*other = *side
		}
		*side = key
	})
}

// choosePivotStep offers the steps, and all of them.
func (r *runScreen) choosePivotStep() {
	names, abouts := []string{"every step that depends on both axes"}, []string{""}
	r.look(func(t *table) {
		for _, step := range t.sweep.Steps() {
			names, abouts = append(names, step), append(abouts, "")
		}
	})
	every := names[0]
	r.chooseOf("The cells show the rows of", names, abouts, func(name string) {
		if name == every {
			name = ""
		}
		r.pivot.step, r.pivot.chosen = name, true
	})
}

// openPivot shows the only row of the cell, or a list of its rows.
func (r *runScreen) openPivot() {
	r.look(func(t *table) {
		c := r.pivotOf(t)
		if c.err != nil {
			return
		}
		rows := c.pivot.Cells[r.pivot.row][r.pivot.column].Rows
		switch len(rows) {
		case 0:
			r.say("no row is in this cell")
			return
		case 1:
			r.openRow(t, rows[0])
			return
		}
		p := &picker{workbench: r.workbench, title: "The rows of " + text.Clean(c.pivot.Rows[r.pivot.row]+" and "+c.pivot.Columns[r.pivot.column])}
		for _, i := range rows {
			value := report.Missing
			if s, ok := t.sweep.Rows[i].Metric(c.asked.Metric.Key); ok {
				value = c.asked.Metric.Label + " " + report.FormatSummary(c.asked.Metric.Unit, s)
			}
			p.entries = append(p.entries, r.rowEntry(t, i, value))
		}
		r.push(p)
	})
}

// pivotLines draws the view: heading, scale, cells, and what is under the cursor.
func (r *runScreen) pivotLines(t *table, width, height int) []string {
	c := r.pivotOf(t)
	if c.err != nil {
		return []string{r.chartHeading("heat map", "", width), "", "  " + text.Clean(c.err.Error())}
	}
	p := c.pivot
	metric := report.AggregatedIn(p.Metric, p.Aggregate, p.Aggregated())
	title := metric.Label + " by " + text.Cut(text.Clean(p.Down), axisTitleWidth) + " (down) and " + text.Cut(text.Clean(p.Across), axisTitleWidth) + " (across)"
	lines := []string{r.chartHeading(title, "", width), " " + r.heatLegend(c)}
	notes := report.PivotNotes(p)
	switch {
	case p.Step != "":
		notes = append([]string{"step " + text.Clean(p.Step) + " (t)"}, notes...)
	case p.Down != sweep.StepAxis && p.Across != sweep.StepAxis:
		notes = append([]string{"every step (t)"}, notes...)
	}
	for _, line := range text.Wrap(text.Clean(strings.Join(notes, " · ")), width-2) {
		lines = append(lines, r.theme.dim.On(text.Fit(" "+line, width)))
	}
	cells := r.heatCells(c, 1+len(lines), width, height-len(lines)-1)
	lines = append(lines, cells...)
	lines = append(lines, r.cellRows(t, c, width, height-len(lines)-1)...)
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	return append(lines[:height-1], r.underPivot(t, c, width))
}
