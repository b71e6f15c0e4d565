package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/chart"
	"slimlab/tui/text"
)

// runView is what fills the Run screen below its status line.
type runView uint8

const (
	viewTable  runView = iota // the table over a chart
	viewPareto                // two metrics and their front
	viewPivot                 // a metric over two axes
	viewAxis                  // a metric along an axis of numbers
	viewCurves                // training curves, a chart for each series
	viewMatrix                // a matrix that a step has reported
)

// runViews are the run's charts that fill the screen, and what was chosen for each.
type runViews struct {
	view   runView
	pareto paretoView
	pivot  pivotView
	axis   axisView
	curves curvesView
	matrix matrixView
	colour string // the axis, or the step, that rows are told apart by; empty: chosen by the run
}

// viewKeys opens the views; they stand in the table of each. The footer names those that have
// something to show; the others say what they need.
func (r *runScreen) viewKeys() []binding {
	key := func(name, footer, help string, v runView, some func() bool) binding {
		if r.session == nil || !some() {
			footer = ""
		}
		return binding{keys: []string{name}, footer: footer, help: help, when: func() bool { return r.view != v }, do: act(func() { r.view = v })}
	}
	return []binding{
		key("P", "P pareto", "Pareto front of two metrics", viewPareto, r.hasPareto),
		key("L", "L layers", "heat map of what each layer loses by each choice, as a step sensitivity has measured it", viewMatrix, r.hasMatrix),
		key("H", "H heat", "heat map: a metric over two axes of the sweep", viewPivot, r.hasPivot),
		key("A", "A axis", "a metric along an axis of numbers, with intervals", viewAxis, r.hasAxis),
		key("T", "T curves", "training curves, a chart for each series", viewCurves, r.hasCurves),
	}
}

// hasPareto reports whether two metrics were measured.
func (r *runScreen) hasPareto() (some bool) {
	r.session.read(func(v *lab.View) { some = len(v.Measured()) > 1 })
	return some
}

// hasPivot reports whether the rows have two axes, of which the step is one.
func (r *runScreen) hasPivot() (some bool) {
	r.look(func(t *table) { some = len(t.sweep.PivotAxes()) > 1 })
	return some
}

// hasAxis reports whether the rows have an axis of numbers.
func (r *runScreen) hasAxis() (some bool) {
	r.look(func(t *table) { some = len(numericAxes(t)) > 0 })
	return some
}

// hasCurves reports whether a cell has a curve.
func (r *runScreen) hasCurves() (some bool) {
	r.session.read(func(v *lab.View) {
		for i := 0; i < len(v.Cells) && !some; i++ {
			some = len(v.Cells[i].Series) > 0
		}
	})
	return some
}

// where has keys shown, and taken, where there is something that they work on.
func where(some func() bool, why string, keys []binding) []binding {
	for i := range keys {
		if keys[i].when == nil {
			keys[i].when, keys[i].why = some, func() string { return why }
		}
	}
	return keys
}

// inView are the keys of the view that is shown, and those that all views have.
func (r *runScreen) inView() []keyGroup {
	var title string
	var own []binding
	switch r.view {
	case viewPareto:
		title, own = "Pareto front", where(r.hasPareto, "a front needs two metrics that were measured", r.paretoKeys())
	case viewPivot:
		title, own = "Heat map", where(r.hasPivot, "a heat map needs two axes, of which the step is one", r.pivotKeys())
	case viewAxis:
		title, own = "Metric along an axis", where(r.hasAxis, noAxis, r.axisKeys())
	case viewCurves:
		title, own = "Training curves", where(r.hasCurves, "this run has no curves yet", r.curvesKeys())
	case viewMatrix:
		title, own = "Layers", r.matrixKeys()
	}
	own = append(own, []binding{
		{keys: []string{"esc"}, footer: "esc table", help: "back to the table", do: act(func() { r.view = viewTable })},
		{keys: []string{"/"}, footer: "/ filter", help: "filter rows by conditions", when: func() bool { return r.view != viewMatrix }, do: act(r.typeFilter)},
		{keys: []string{"Y"}, help: "copy the chart's figures to the clipboard as CSV (OSC 52); names the command that prints them", when: func() bool { return r.view != viewCurves && (r.view != viewMatrix || r.hasMatrix()) }, do: r.copyChart},
		{keys: []string{"m"}, help: "choose another chart", do: act(r.chooseChart)},
		r.samplesKey(),
		r.exportKey(),
		{keys: []string{"."}, help: "freeze the view, never the run; again: go on", do: act(r.freeze)},
	}...)
	if r.view == viewCurves || r.view == viewMatrix {
		own = append(own, r.stopKey())
	}
	return []keyGroup{{"Run: " + title, append(own, r.viewKeys()...)}, {"Replay", r.replayKeys()}}
}

// viewLines draws the view in place of table and chart.
func (r *runScreen) viewLines(t *table, width, height int) []string {
	r.viewTakesMouse(width, height)
	switch r.view {
	case viewPareto:
		return r.paretoLines(t, width, height)
	case viewPivot:
		return r.pivotLines(t, width, height)
	case viewAxis:
		return r.axisLines(t, width, height)
	case viewMatrix:
		return r.matrixLines(t, width, height)
	}
	return r.curvesLines(t, width, height)
}

// moveInView moves the cursor of the view.
func (r *runScreen) moveInView(rows, pages int) {
	switch r.view {
	case viewPareto:
		r.movePareto(rows + 10*pages)
	case viewPivot:
		r.movePivot(rows+5*pages, 0)
	case viewAxis:
		r.moveAxis(rows + pages)
	case viewCurves:
		r.curves.first = max(0, r.curves.first+rows+4*pages)
	case viewMatrix:
		r.moveMatrix(rows+10*pages, 0)
	}
}

// viewTakesMouse lets the wheel move the cursor of the view, or scroll it.
func (r *runScreen) viewTakesMouse(width, height int) {
	r.takesMouse(region{y: 1, width: width, height: height, wheel: func(lines int) { r.moveInView(lines/wheelLines, 0) }})
}

// spotsTakeMouse lets a click put the cursor on the nearest point of a chart, and a second one open
// it.
func (r *runScreen) spotsTakeMouse(s chart.Scatter, y, width, height int, put func(t *table, id int)) {
	point := func(x, y int) {
		if id, ok := s.Hit(width, height, x, y); ok {
			r.look(func(t *table) { put(t, id) })
		}
	}
	click := func(x, y int) tea.Cmd { return act(func() { point(x, y) })() }
	r.takesMouse(region{y: y, width: width, height: height, click: click, again: func(x, y int) tea.Cmd {
		point(x, y)
		return pressEnter()
	}})
}

// look calls f with the table of what is shown.
func (r *runScreen) look(f func(t *table)) {
	r.session.read(func(v *lab.View) {
		t := r.tableNow(v)
		r.arrange(t)
		f(t)
	})
}

// openRow shows a row of the sweep's table in detail.
func (r *runScreen) openRow(t *table, row int) {
	r.row, r.detail = t.sweep.Rows[row].Index, true
	r.arrange(t)
}

// chooseMetric offers the metrics that were measured; directed leaves out those of which neither
// more nor less is better.
func (r *runScreen) chooseMetric(title string, directed bool, take func(key string)) {
	p := &picker{workbench: r.workbench, title: title}
	r.look(func(t *table) {
		for _, m := range t.view.Measured() {
			if !directed || m.Better != lab.Neither {
				p.entries = append(p.entries, entry{m.Label, m.Key + ": " + m.About, act(func() { take(m.Key) })})
			}
		}
	})
	if len(p.entries) == 0 {
		r.say("nothing is measured yet")
		return
	}
	r.push(p)
}

// chooseOf offers names.
func (r *runScreen) chooseOf(title string, names, abouts []string, take func(name string)) {
	p := &picker{workbench: r.workbench, title: title}
	for i, name := range names {
		p.entries = append(p.entries, entry{text.Cut(text.Clean(name), 60), abouts[i], act(func() { take(name) })})
	}
	r.push(p)
}

// copyChart copies what the view shows, and names the command that prints the same.
func (r *runScreen) copyChart() tea.Cmd {
	var b strings.Builder
	var err error
	shown := r.shown()
	r.session.read(func(v *lab.View) {
		var picture report.Picture
		if picture, err = shown.Of(v); err == nil {
			err = picture("csv", &b, 0)
		}
	})
	if err != nil {
		r.say("%s", text.Clean(err.Error()))
		return nil
	}
	words := []string{"slimlab", "show", r.session.id}
	for _, word := range shown.Options() {
		words = append(words, shellWord(word))
	}
	r.say("copied; the same: %s", text.Clean(strings.Join(append(words, "--format", "csv"), " ")))
	return r.copy(b.String())
}

// rowEntry is the entry of a list that opens a row.
func (r *runScreen) rowEntry(t *table, i int, about string) entry {
	return entry{label(t, &t.sweep.Rows[i]), about, act(func() {
		r.look(func(t *table) {
			if i < len(t.sweep.Rows) {
				r.openRow(t, i)
			}
		})
	})}
}

// label names a row in a chart: by its step and its values, short.
func label(t *table, row *sweep.Row) string { return text.Cut(text.Clean(t.sweep.Label(row)), 32) }
