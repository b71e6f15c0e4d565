package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/sweep"
	"slimlab/tui/text"
)

func newRunScreen(w *workbench) *runScreen { return &runScreen{workbench: w, split: 50} }

// compact says that a matrix scrolls in any window.
func (r *runScreen) compact() bool { return r.session != nil && r.view == viewMatrix && !r.detail }

func (r *runScreen) Title() string { return "Run" }

func (r *runScreen) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case watchMsg:
		r.forget()
		r.show(r)
	case moveMsg:
		if r.session != nil {
			r.move(msg.rows, msg.pages)
		}
	case settledMsg:
		return tea.Batch(r.readModel(), r.readTokens())
	case tokensMsg:
		r.takeTokens(msg)
	case modelMsg:
		r.takeModel(msg)
	case tickMsg:
		if s := r.session; s != nil && s.frozen == nil && r.current == r && s.board.Version() != r.version {
			r.dirty = true
		}
	}
	return nil
}

func (r *runScreen) Keys() []keyGroup {
	switch {
	case r.session == nil:
		return nil
	case r.detail:
		return []keyGroup{{"One row of a run", r.detailKeys()}, {"Replay", r.replayKeys()}}
	case r.view != viewTable:
		return r.inView()
	case r.grouping():
		return []keyGroup{{"Run: groups of its rows", r.groupKeys()}, {"Replay", r.replayKeys()}}
	}
	return []keyGroup{{"Run: its table and its curves", r.tableKeys()}, {"Replay", r.replayKeys()}}
}

func (r *runScreen) tableKeys() []binding {
	column := func(n int) func() tea.Cmd { return act(func() { r.grid.MoveColumn(n) }) }
	return append([]binding{
		{keys: []string{"enter"}, footer: "enter detail", help: "all that is known of the row", when: r.hasRow, do: act(func() { r.detail = true })},
		r.tokensKey(),
		r.samplesKey(),
		{keys: []string{"<", "left"}, help: "column cursor left (also ←)", do: column(-1)},
		{keys: []string{">", "right"}, footer: "< > column", help: "column cursor right (also →)", do: column(1)},
		{keys: []string{"s"}, footer: "s sort", help: "sort by the column under the cursor; again: the other way round", do: act(r.sort)},
		{keys: []string{"z"}, help: "unsort: the run's own order", when: func() bool { return r.sorted != columnID{} }, do: act(func() { r.sorted = columnID{} })},
		{keys: []string{"/"}, footer: "/ filter", help: "filter rows by conditions: " + sweep.FilterSyntax, do: act(r.typeFilter)},
		{keys: []string{"a"}, help: "show or fold the rows that differ in no axis of the sweep", when: r.folds, do: act(r.foldRows)},
		{keys: []string{"g"}, footer: r.groupFooter(), help: "group the rows by step and axes: n, what each metric comes to, the best row", do: act(r.chooseGroups)},
		{keys: []string{"esc"}, help: "back to the groups", when: func() bool { return r.within != nil }, do: act(func() { r.within = nil })},
		{keys: []string{"esc"}, help: "clear the filter", when: func() bool { return r.line.String() != "" }, do: act(r.clearFilter)},
		{keys: []string{"M"}, help: "chart the metric of the column under the cursor", when: r.onMetric, do: act(r.chartColumn)},
		{keys: []string{" "}, help: "mark the row: curves, comparison (c) and export (e) are of the marked rows", when: r.hasRow, do: act(r.markRow)},
		{keys: []string{"c"}, help: "compare the marked rows; one alone with the equal row of the pinned baseline", do: r.compareRows},
		{keys: []string{"B"}, help: "show in place of each value how it differs from the pinned baseline's; again: the values", do: r.turnDeltas},
		{keys: []string{"i"}, help: "show or hide intervals (±)", do: act(func() {
			r.intervals = !r.intervals
			r.grid.Forget()
		})},
		{keys: []string{"y"}, help: "copy the row to the clipboard, tab-separated (OSC 52)", when: r.hasRow, do: r.copyRow},
	}, r.chartKeys()...)
}

// chartKeys are what tables of rows and of groups have in common: columns, chart, run.
func (r *runScreen) chartKeys() []binding {
	split := func(n int) func() tea.Cmd { return act(func() { r.split = min(max(r.split+n, 20), 90) }) }
	keys := []binding{{keys: []string{"m"}, footer: "m chart", help: "choose the chart: Pareto front, heat map, metric along an axis, curves, a metric of all rows", do: act(r.chooseChart)}}
	return slices.Concat(keys, r.viewKeys(), []binding{
		{keys: []string{"l"}, footer: "l log", help: "axes: linear, log y, log x, log-log", do: act(r.turnAxes)},
		r.smoothKey(""),
		{keys: []string{"C"}, help: "show, hide and order the columns", do: act(r.chooseColumns)},
		{keys: []string{"["}, help: "less room for the table, more for the chart", do: split(-10)},
		{keys: []string{"]"}, help: "more room for the table", do: split(10)},
		{keys: []string{"v"}, help: "expectations and whether they held", do: r.showVerdicts},
		{keys: []string{"."}, help: "freeze the view, never the run; again: go on", do: act(r.freeze)},
		r.stopKey(),
		{keys: []string{"p"}, footer: "p replay", help: "replay this run from its log", when: func() bool { return r.session.replay == nil && r.replayable() }, why: r.noLog, do: func() tea.Cmd { return r.openRun(r.session.id, true) }},
		r.exportKey(),
	})
}

// stopKey stops the run. Views whose x chooses an axis have none.
func (r *runScreen) stopKey() binding {
	return binding{keys: []string{"x"}, footer: "x stop", help: "stop the live run (asks); what it has finished is kept", when: r.showsLive, why: r.noStop, do: act(r.stop)}
}

func (r *runScreen) detailKeys() []binding {
	row := func(n int) func() tea.Cmd { return act(func() { r.nextRow(n) }) }
	inspect := func(n int) func() tea.Cmd { return act(func() { r.inspect = min(max(r.inspect+n, -1), inspectSteps) }) }
	return []binding{
		{keys: []string{"esc", "enter"}, footer: "esc back", help: "back to the table", do: act(func() { r.detail, r.inspect = false, -1 })},
		r.tokensKey(),
		r.samplesKey(),
		{keys: []string{"n", ">"}, footer: "n next row", help: "next row", do: row(1)},
		{keys: []string{"N", "<"}, help: "previous row", do: row(-1)},
		{keys: []string{"m"}, footer: "m curve", help: "choose the curve", do: act(r.chooseCurve)},
		{keys: []string{"left"}, shown: "← →", footer: "← → inspect", help: "move the inspect cursor along the curve", do: inspect(1)},
		{keys: []string{"right"}, shown: "→", help: "move it back; past the end it goes away", do: inspect(-1)},
		r.smoothKey(""),
		{keys: []string{"l"}, footer: "l log", help: "axes: linear, log y, log x, log-log", do: act(r.turnAxes)},
		{keys: []string{"v"}, help: "expectations and whether they held", do: r.showVerdicts},
		{keys: []string{"."}, help: "freeze the view, never the run; again: go on", do: act(r.freeze)},
		r.stopKey(),
		{keys: []string{"J"}, help: "scroll what is known of the model down", do: act(func() { r.scrollPage(3) })},
		{keys: []string{"K"}, help: "scroll it up", do: act(func() { r.scrollPage(-3) })},
		{keys: []string{"Y"}, footer: "Y command", help: "copy a command that goes on with the model, or its name (OSC 52)", when: func() bool { return r.model.Model != "" }, do: act(r.copyCommand)},
		{keys: []string{"y"}, footer: "y copy", help: "copy the row to the clipboard, tab-separated (OSC 52)", do: r.copyRow},
	}
}

func (r *runScreen) View(width, height int) []string {
	if r.session == nil {
		return centred([]string{
			"No run is open.",
			"",
			"Choose a scenario on the Bench (1) and run it with r, or Q for its quick version;",
			"or open a past run there with enter.",
		}, width, height)
	}
	r.version = r.session.board.Version() // before reading: what comes meanwhile is drawn next time
	var lines []string
	r.session.read(func(v *lab.View) {
		if !v.Begun {
			lines = centred([]string{"The run has not begun yet."}, width, height)
			return
		}
		t := r.tableNow(v)
		r.arrange(t)
		lines = append(lines, r.statusLine(v, width))
		doubt, first := r.doubtLine(v, width), len(r.regions)
		if doubt != "" {
			lines = append(lines, doubt)
		}
		lines = append(lines, r.below(t, width, height-len(lines))...)
		for i := first; doubt != "" && i < len(r.regions); i++ {
			r.regions[i].y++
		}
	})
	return lines
}

// below draws what stands under the status line: the regions of the mouse are those of a pane whose
// first line that is.
func (r *runScreen) below(t *table, width, height int) []string {
	switch {
	case r.detail && len(r.order) > 0:
		return r.detailLines(t, width, height)
	case r.view != viewTable:
		return r.viewLines(t, width, height)
	case r.grouping():
		return r.groupLines(t, width, height)
	}
	return r.tableAndChart(t, width, height)
}

// tableAndChart shares the height: the table takes no more than it has rows, the chart no less than
// it can use.
func (r *runScreen) tableAndChart(t *table, width, height int) []string {
	rows := max(3, height*r.split/100)
	rows = min(rows, len(r.order)+2) // head, rows, explanation
	rows = max(rows, 3)
	if height-rows < 6 {
		rows = height
	}
	r.fillGrid(t)
	lines := r.grid.Render(width, rows-1)
	if len(r.order) == 0 && len(lines) > 1 {
		lines[1] = text.Fit("  no row meets the filter; esc clears it", width)
	}
	lines = append(lines, r.explain(t, width))
	// below the status line
	r.gridTakesMouse(&r.grid, 1, width, rows-1, gridActions{sort: r.sort, chosen: r.keepRow, open: pressEnter})
	return append(lines, r.chartBelow(t, rows, width, height)...)
}

// chartBelow draws the chart below a table with its rows, and lets the mouse move the line between.
func (r *runScreen) chartBelow(t *table, rows, width, height int) []string {
	if height <= rows {
		return nil
	}
	r.takesMouse(region{y: 1 + rows, width: width, height: 1, drag: func(_, y int) {
		r.split = min(max((100*(rows+y)+height-1)/height, 10), 90)
	}})
	return r.chartLines(t, height-rows, width)
}
