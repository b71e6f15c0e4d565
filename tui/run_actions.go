package tui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/text"
)

// typeFilter opens the prompt of the filter in the footer.
func (r *runScreen) typeFilter() {
	r.push(&filterLine{
		workbench: r.workbench, screen: r, line: &r.line, changed: r.setFilter,
		kept: func() {
			r.setFilter()
			if r.wrong != nil { // it was kept half typed
				r.fail("filter", r.wrong)
				r.clearFilter()
			}
		},
		note: func() string {
			if r.wrong != nil {
				return "✗ " + text.Clean(r.wrong.Error())
			}
			return sweep.FilterSyntax + "  ·  enter keeps, esc clears"
		},
	})
}

// setFilter takes over what was typed where it is a filter.
func (r *runScreen) setFilter() {
	var f sweep.Filter
	r.session.read(func(v *lab.View) { f, r.wrong = r.tableNow(v).sweep.Filter(r.line.String()) })
	if r.wrong == nil {
		r.filter = f
	}
}

func (r *runScreen) clearFilter() { r.line, r.filter, r.wrong = input{}, sweep.Filter{}, nil }

func (r *runScreen) hasRow() bool { return len(r.order) > 0 }

func (r *runScreen) showsLive() bool {
	return r.session != nil && !r.session.over() && !r.session.other
}

func (r *runScreen) exportable() bool {
	return r.replayable() && r.session.id != DemoRun
}

// replayable reports whether there is a log that has its end.
func (r *runScreen) replayable() bool { return r.session.over() && !r.session.gone() }

// noLog says why the log of the run cannot be used.
func (r *runScreen) noLog() string {
	switch {
	case r.session.gone():
		return "the log of this run was deleted; what was read is shown, y copies a row and Y a chart"
	case !r.session.over():
		return "the run goes on: it can be exported and replayed when it has ended"
	}
	return "the demo is no run of yours: `slimlab show demo` prints it"
}

// noStop says why the run cannot be stopped here.
func (r *runScreen) noStop() string {
	if r.session.over() {
		return "the run has ended"
	}
	return "another process works on this run: stop it there; D on its line of the Bench names it"
}

func (r *runScreen) sort() {
	r.session.read(func(v *lab.View) {
		t := r.tableNow(v)
		if r.grid.Column >= len(t.shown) {
			return
		}
		switch c := t.shown[r.grid.Column]; {
		case c.trend:
			r.say("curves have no order; move the column cursor with < and >")
		case r.sorted == c.id():
			r.descending = !r.descending
		default:
			r.sorted, r.descending = c.id(), false
		}
	})
}

func (r *runScreen) onMetric() bool {
	_, ok := r.columnMetric()
	return ok
}

func (r *runScreen) columnMetric() (metric lab.Metric, ok bool) {
	r.session.read(func(v *lab.View) {
		if c, found := r.tableNow(v).metricUnder(r.grid.Column); found {
			metric, ok = c.Metric, true
		}
	})
	return metric, ok
}

// plain is a cell for programs: a number in base units, "" where there is none.
func (t *table) plain(row *sweep.Row, c *tableColumn) string {
	switch c.Kind {
	case sweep.Step:
		return row.Name
	case sweep.Value:
		return t.sweep.Value(row, c.Axis)
	case sweep.State:
		return row.State.String()
	}
	if s, ok := row.Metric(c.Key); ok {
		return strconv.FormatFloat(s.Value, 'g', -1, 64)
	}
	return ""
}

// shown is what the screen shows, as an export and `slimlab show` can have it; zero where that is
// the whole run in its own order.
func (r *runScreen) shown() report.Shown {
	s := report.Shown{Selection: sweep.Selection{Where: r.filter.String()}}
	switch r.view {
	case viewPareto:
		r.look(func(t *table) {
			x, y := r.paretoMetrics(t)
			s.Pareto = x.Key + "," + y.Key
		})
		return s
	case viewPivot:
		r.look(func(t *table) {
			if q, err := r.question(t); err == nil {
				s.Pivot, s.Metric, s.Step, s.Aggregate = q.Down+","+q.Across, q.Metric.Key, cmp.Or(q.Step, "all"), chosenAggregate(q.Aggregate)
			}
		})
		return s
	}
	if r.view == viewMatrix {
		r.look(func(t *table) {
			if cell, m := r.matrixNow(t.view); m != nil {
				s.Matrix, s.Where = m.ID().String(), r.matrixWhere(t, cell, m)
			}
		})
		return s
	}
	if r.view == viewCurves {
		s.Curves = cmp.Or(strings.Join(r.curves.picked, ","), report.AllCurves)
		r.look(func(t *table) {
			if names := r.stageSeries(t); len(names) > 0 {
				s.Curves = strings.Join(names, ",")
			}
		})
		return s
	}
	if r.view == viewAxis {
		r.look(func(t *table) {
			if c := r.axisOf(t); c.err == nil {
				s.Along, s.Lines, s.Metric, s.Step, s.Aggregate = t.sweep.Axes[c.Axis].Key, c.By, c.Metric.Key, cmp.Or(c.Step, "all"), chosenAggregate(c.Aggregate)
			}
		})
		return s
	}
	sorted, descending := r.sorted, r.descending
	if len(r.by) > 0 && r.within == nil {
		sorted, descending = r.groupSorted, r.groupDescending
		var keys []string
		for _, id := range r.by {
			keys = append(keys, id.key)
		}
		s.Group = strings.Join(keys, ",")
		r.look(func(*table) { // groups may have been chosen in a window too small to show them
			shown := r.aggregates.Keep(r.means.Metrics)
			s.Aggregate = shown.String()
		})
	} else {
		s.All = r.unfolded()
		s.Where = r.whereWithin(s.Where)
	}
	if sorted != (columnID{}) {
		s.Sort = sorted.key
		if descending {
			s.Sort = "-" + s.Sort
		}
	}
	r.session.read(func(v *lab.View) {
		if r.layouts[v.Begin.Scenario] == nil {
			return
		}
		var keys []string
		for _, c := range r.tableNow(v).shown {
			if !c.trend {
				keys = append(keys, c.Key)
			}
		}
		s.Columns = strings.Join(keys, ",")
	})
	return s
}

// foldRows shows the rows that differ in no axis each for itself, or once.
func (r *runScreen) foldRows() { r.all = !r.all }

// folds reports whether there are rows that differ in no axis.
func (r *runScreen) folds() (some bool) {
	r.session.read(func(v *lab.View) { some = r.unfolded() || r.tableNow(v).sweep.Folded() > 0 })
	return some
}

// chartColumn charts the column's metric; again: back to the curves.
func (r *runScreen) chartColumn() {
	metric, _ := r.columnMetric()
	choice := chartChoice{chartMetric, metric.Key}
	if r.chart == choice {
		choice = chartChoice{}
	}
	r.chart = choice
}

// chooseChart offers everything that the chart can show.
func (r *runScreen) chooseChart() {
	p := &picker{workbench: r.workbench, title: "The chart shows"}
	add := func(name, about string, c chartChoice) {
		p.entries = append(p.entries, entry{text.Clean(name), about, act(func() { r.chart, r.view = c, viewTable })})
	}
	open := func(name, about string, v runView) {
		p.entries = append(p.entries, entry{name, about, act(func() { r.view = v })})
	}
	add("training loss", "of the marked rows, else of the step that is being worked on, else of the row under the cursor", chartChoice{})
	open("Pareto front", "two metrics of all rows, and which no other row betters, on the whole screen (P)", viewPareto)
	open("heat map", "a metric over two axes of the sweep, on the whole screen (H)", viewPivot)
	open("metric along an axis", "a metric along an axis of numbers, with intervals, on the whole screen (A)", viewAxis)
	open("training curves", "a chart for each series, on the whole screen (T)", viewCurves)
	open("what each layer loses", "a heat map of KL or output error by layer and choice, as a step sensitivity has measured them, on the whole screen (L)", viewMatrix)
	p.entries = append(p.entries, entry{"training curves by stage", "a chart for each kind of curve, all stages one after the other, on the whole screen (T s)", act(func() {
		r.view, r.curves.stages, r.curves.stage = viewCurves, true, ""
	})})
	r.session.read(func(v *lab.View) {
		t := r.tableNow(v)
		x, y := r.paretoMetrics(t)
		add(y.Label+" against "+x.Label, "the Pareto front below the table", chartChoice{kind: chartTrade})
		for _, c := range t.columns {
			metric := c.Metric
			add(metric.Label, metric.About, chartChoice{chartMetric, metric.Key})
		}
		for _, name := range seriesNames(v) {
			add(name, curveAbout(name), chartChoice{chartSeries, name})
		}
	})
	r.push(p)
}

// chooseCurve offers the curves of the row that is shown in detail.
func (r *runScreen) chooseCurve() {
	p := &picker{workbench: r.workbench, title: "The chart shows"}
	r.session.read(func(v *lab.View) {
		if r.row >= len(v.Rows) {
			return
		}
		for _, name := range rowSeries(v, &v.Rows[r.row]) {
			p.entries = append(p.entries, entry{text.Clean(name), curveAbout(name), act(func() { r.curve = chartChoice{chartSeries, name} })})
		}
	})
	p.entries = append(p.entries, r.stageEntries()...)
	if len(p.entries) == 0 {
		r.say("this step has no curves: it did not train")
		return
	}
	r.push(p)
}

// turnAxes goes from linear to log y, log x, log-log and back.
func (r *runScreen) turnAxes() { r.logX, r.logY = r.logX != r.logY, !r.logY }

func (r *runScreen) markRow() {
	r.marked++
	if r.marks[r.row] {
		delete(r.marks, r.row)
	} else {
		r.marks[r.row] = true
	}
	r.chart = chartChoice{}
	r.move(1, 0)
}

// move moves the cursor of the table, or of the detail.
func (r *runScreen) move(rows, pages int) {
	if r.detail {
		r.metrics.Move(rows)
		r.metrics.Page(pages)
		return
	}
	if r.view != viewTable {
		r.moveInView(rows, pages)
		return
	}
	if r.grouping() {
		r.groups.Move(rows)
		r.groups.Page(pages)
		return
	}
	r.grid.Move(rows)
	r.grid.Page(pages)
	r.keepRow()
}

func (r *runScreen) nextRow(n int) {
	r.grid.Move(n)
	r.keepRow()
	r.inspect = -1
}

// freeze keeps what is seen as it is, or goes on.
func (r *runScreen) freeze() {
	s := r.session
	if s.frozen != nil {
		s.frozen = nil
	} else {
		s.frozen, s.frozenAt = s.board.Snapshot(), r.now()
	}
}

func (r *runScreen) stop() {
	r.push(&question{workbench: r.workbench, text: "Stop this run? What it has finished is kept: the next run of the scenario goes on from there.", yes: func() tea.Cmd {
		if !r.running() {
			return nil
		}
		r.say("stopping …")
		return r.cancelLive()
	}})
}

// copyRow copies the row in base units, the columns that are shown, below a line of their keys.
func (r *runScreen) copyRow() tea.Cmd {
	var keys, values []string
	r.session.read(func(v *lab.View) {
		t := r.tableNow(v)
		if r.row >= len(v.Rows) {
			return
		}
		row := t.row(r.row)
		for i := range t.shown {
			if c := &t.shown[i]; !c.trend {
				keys, values = append(keys, c.Key), append(values, t.plain(row, c))
			}
		}
	})
	clean := func(cells []string) string {
		cells = slices.Clone(cells)
		for i := range cells {
			cells[i] = text.Clean(cells[i])
		}
		return strings.Join(cells, "\t")
	}
	return r.copy(clean(keys) + "\n" + clean(values) + "\n")
}
