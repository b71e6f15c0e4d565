package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// binding is a key and what it does. The tables below are all there is: they dispatch, they are the
// footer, the help and the palette.
type binding struct {
	keys  []string // as bubbletea names them
	shown string   // in footer and help; empty: the first key
	short string   // its word in the footer; empty: only in the help
	help  string
	when  func(m *model) bool // nil: always
	do    func(m *model) tea.Cmd
}

func (b binding) has(key string) bool { return slices.Contains(b.keys, key) }

func (b binding) works(m *model) bool { return b.when == nil || b.when(m) }

func (b binding) name() string {
	if b.shown != "" {
		return b.shown
	}
	return b.keys[0]
}

// keyGroup is a part of the help.
type keyGroup struct {
	title    string
	bindings []binding
}

// keyGroups are the keys that count now; an earlier group wins.
func (m *model) keyGroups() []keyGroup {
	var groups []keyGroup
	switch {
	case m.screen == screenBench:
		groups = append(groups, keyGroup{"Bench: what can be run, and what has been run", benchKeys()})
	case m.screen == screenRun && m.run.session == nil:
	case m.screen == screenRun && m.run.detail:
		groups = append(groups, keyGroup{"One row of a run", detailKeys()}, keyGroup{"Replay", replayKeys()})
	case m.screen == screenRun:
		groups = append(groups, keyGroup{"Run: its table and its curves", runKeys()}, keyGroup{"Replay", replayKeys()})
	case m.compare.result != nil:
		groups = append(groups, keyGroup{"Compare: a run against another", compareKeys()})
	}
	return append(groups, keyGroup{"Everywhere", globalKeys()}, keyGroup{"Moving", movingKeys()})
}

func globalKeys() []binding {
	return []binding{
		{keys: []string{"1"}, help: "Bench", do: turnTo(screenBench)},
		{keys: []string{"2"}, help: "Run", do: turnTo(screenRun)},
		{keys: []string{"3"}, help: "Compare", do: turnTo(screenCompare)},
		{keys: []string{"tab"}, help: "next screen", do: func(m *model) tea.Cmd { return turnTo((m.screen + 1) % screens)(m) }},
		{keys: []string{"shift+tab"}, help: "previous screen", do: func(m *model) tea.Cmd { return turnTo((m.screen + screens - 1) % screens)(m) }},
		{keys: []string{"esc"}, help: "go out: of a detail, a filter, a screen", do: (*model).out},
		{keys: []string{"?"}, help: "this help", do: (*model).help},
		{keys: []string{":"}, help: "palette: every action that works here", do: (*model).palette},
		{keys: []string{"!"}, help: "errors and warnings", do: func(m *model) tea.Cmd { m.overlay = errorsPager(); return nil }},
		{keys: []string{"q"}, short: "quit", help: "quit (asks while a run is live)", do: (*model).quit},
	}
}

func movingKeys() []binding {
	return []binding{
		{keys: []string{"up", "k"}, shown: "↑ k", help: "up", do: moving(-1, 0)},
		{keys: []string{"down", "j"}, shown: "↓ j", help: "down", do: moving(1, 0)},
		{keys: []string{"pgup", "ctrl+b"}, shown: "pgup", help: "a page up", do: moving(0, -1)},
		{keys: []string{"pgdown", "ctrl+f"}, shown: "pgdn", help: "a page down", do: moving(0, 1)},
		{keys: []string{"home", "g"}, shown: "home g", help: "first", do: moving(-1<<30, 0)},
		{keys: []string{"end", "G"}, shown: "end G", help: "last", do: moving(1<<30, 0)},
	}
}

func benchKeys() []binding {
	onScenario := func(m *model) bool { it := m.shelf.current(); return it.scenario != nil && it.scenario.Err == nil }
	onRun := func(m *model) bool { return m.shelf.current().run != nil }
	readable := func(m *model) bool { it := m.shelf.current(); return it.run != nil && it.run.Err == nil }
	return []binding{
		{keys: []string{"r", "enter"}, shown: "r", short: "run", help: "run the scenario in full (also enter)", when: onScenario, do: func(m *model) tea.Cmd { return m.startRun(m.shelf.current().scenario.Name, false) }},
		{keys: []string{"Q"}, short: "quick run", help: "run the scenario's quick version: fewer seeds and steps", when: onScenario, do: func(m *model) tea.Cmd { return m.startRun(m.shelf.current().scenario.Name, true) }},
		{keys: []string{"enter"}, short: "open", help: "open the run", when: readable, do: (*model).openSelected},
		{keys: []string{"p"}, short: "replay", help: "replay the run from its log", when: readable, do: func(m *model) tea.Cmd { return m.openRun(m.shelf.current().run.ID, true) }},
		{keys: []string{" "}, shown: "space", short: "mark", help: "mark the run, for a comparison", when: readable, do: func(m *model) tea.Cmd {
			m.shelf.mark(m.shelf.current().run.ID)
			m.shelf.move(1)
			return nil
		}},
		{keys: []string{"c"}, short: "compare", help: "compare the two marked runs, the newer against the older", when: func(m *model) bool { return len(m.shelf.marks) == 2 }, do: func(m *model) tea.Cmd { return m.compareRuns(m.shelf.pair()) }},
		{keys: []string{"e"}, short: "export", help: "export the run's report to a file", when: readable, do: func(m *model) tea.Cmd { return m.export(m.shelf.current().run.ID) }},
		{keys: []string{"y"}, help: "copy the run's id", when: onRun, do: func(m *model) tea.Cmd { return m.copy(m.shelf.current().run.ID) }},
		{keys: []string{"d"}, short: "demo", help: "replay the recorded demo", do: func(m *model) tea.Cmd { return m.openRun(DemoRun, true) }},
		{keys: []string{"/"}, short: "filter", help: "filter both lists by words", do: func(m *model) tea.Cmd { m.shelf.isFiltered = true; return nil }},
		{keys: []string{"J"}, help: "scroll the details down", do: func(m *model) tea.Cmd { m.shelf.scroll += 3; return nil }},
		{keys: []string{"K"}, help: "scroll the details up", do: func(m *model) tea.Cmd { m.shelf.scroll = max(0, m.shelf.scroll-3); return nil }},
		{keys: []string{"u"}, help: "read the lists again", do: func(m *model) tea.Cmd { return tea.Batch(m.loadScenarios(), m.loadRuns()) }},
	}
}

func runKeys() []binding {
	return []binding{
		{keys: []string{"enter"}, short: "detail", help: "all that is known of the row", when: (*model).hasRow, do: func(m *model) tea.Cmd { m.run.detail = true; return nil }},
		{keys: []string{"<", "left"}, shown: "<", help: "column cursor left (also ←)", do: func(m *model) tea.Cmd { m.run.grid.MoveColumn(-1); return nil }},
		{keys: []string{">", "right"}, shown: "< >", short: "column", help: "column cursor right (also →)", do: func(m *model) tea.Cmd { m.run.grid.MoveColumn(1); return nil }},
		{keys: []string{"s"}, short: "sort", help: "sort by the column under the cursor; again: the other way round", do: (*model).sort},
		{keys: []string{"z"}, help: "unsort: the run's own order", when: func(m *model) bool { return m.run.sorted > 0 }, do: func(m *model) tea.Cmd { m.run.sorted = 0; return nil }},
		{keys: []string{"/"}, short: "filter", help: "filter rows: text, key=value, key<number, has:key, not …", do: func(m *model) tea.Cmd { m.run.isTyped = true; return nil }},
		{keys: []string{"m"}, short: "chart", help: "choose what the chart shows: a curve, a metric of all rows, quality against bytes", do: (*model).chooseChart},
		{keys: []string{"M"}, help: "chart the metric of the column under the cursor", when: (*model).onMetric, do: (*model).chartColumn},
		{keys: []string{"l"}, short: "log", help: "axes: linear, log y, log x, log-log", do: (*model).turnAxes},
		{keys: []string{" "}, shown: "space", help: "mark the row: its loss curve is drawn with those of other marked rows", when: (*model).hasRow, do: (*model).markRow},
		{keys: []string{"i"}, help: "show or hide intervals (±)", do: func(m *model) tea.Cmd {
			m.run.intervals = !m.run.intervals
			m.run.grid.Forget()
			return nil
		}},
		{keys: []string{"["}, shown: "[ ]", help: "less room for the table, more for the chart", do: func(m *model) tea.Cmd { m.run.split = max(20, m.run.split-10); return nil }},
		{keys: []string{"]"}, help: "more room for the table", do: func(m *model) tea.Cmd { m.run.split = min(90, m.run.split+10); return nil }},
		{keys: []string{"v"}, help: "expectations and whether they held", do: func(m *model) tea.Cmd { m.overlay = verdictsPager(); return nil }},
		{keys: []string{"."}, help: "freeze the view, never the run; again: go on", do: (*model).freeze},
		{keys: []string{"x"}, short: "stop", help: "stop the live run (asks); what it has finished is kept", when: (*model).showsLive, do: (*model).stop},
		{keys: []string{"p"}, short: "replay", help: "replay this run from its log", when: func(m *model) bool { return m.run.session.replay == nil && m.run.session.over() }, do: func(m *model) tea.Cmd { return m.openRun(m.run.session.id, true) }},
		{keys: []string{"e"}, short: "export", help: "export the run's report to a file", when: (*model).exportable, do: func(m *model) tea.Cmd { return m.export(m.run.session.id) }},
		{keys: []string{"y"}, help: "copy the row to the clipboard, tab-separated (OSC 52)", when: (*model).hasRow, do: (*model).copyRow},
	}
}

func detailKeys() []binding {
	return []binding{
		{keys: []string{"esc", "enter"}, shown: "esc", short: "back", help: "back to the table", do: (*model).out},
		{keys: []string{"n", ">"}, shown: "n", short: "next row", help: "next row", do: func(m *model) tea.Cmd { return m.nextRow(1) }},
		{keys: []string{"N", "<"}, shown: "N", help: "previous row", do: func(m *model) tea.Cmd { return m.nextRow(-1) }},
		{keys: []string{"m"}, short: "curve", help: "choose the curve", do: (*model).chooseCurve},
		{keys: []string{"left"}, shown: "← →", short: "inspect", help: "move the inspect cursor along the curve", do: func(m *model) tea.Cmd { m.run.inspect = min(m.run.inspect+1, inspectSteps); return nil }},
		{keys: []string{"right"}, shown: "→", help: "move it back; past the end it goes away", do: func(m *model) tea.Cmd { m.run.inspect = max(m.run.inspect-1, -1); return nil }},
		{keys: []string{"l"}, short: "log", help: "axes: linear, log y, log x, log-log", do: (*model).turnAxes},
		{keys: []string{"v"}, help: "expectations and whether they held", do: func(m *model) tea.Cmd { m.overlay = verdictsPager(); return nil }},
		{keys: []string{"."}, help: "freeze the view, never the run; again: go on", do: (*model).freeze},
		{keys: []string{"x"}, short: "stop", help: "stop the live run (asks); what it has finished is kept", when: (*model).showsLive, do: (*model).stop},
		{keys: []string{"y"}, short: "copy", help: "copy the row to the clipboard, tab-separated (OSC 52)", do: (*model).copyRow},
	}
}

func replayKeys() []binding {
	replaying := func(m *model) bool { return m.run.session != nil && m.run.session.replay != nil }
	return []binding{
		{keys: []string{"p"}, short: "pause", help: "pause, go on; at the end: from the start", when: replaying, do: (*model).pauseReplay},
		{keys: []string{"}"}, shown: "{ }", short: "speed", help: "twice as fast", when: replaying, do: func(m *model) tea.Cmd { return m.replaySpeed(2) }},
		{keys: []string{"{"}, help: "half as fast", when: replaying, do: func(m *model) tea.Cmd { return m.replaySpeed(0.5) }},
		{keys: []string{"f"}, shown: "f b", short: "step", help: "pause and go forward to the next change of the table", when: replaying, do: func(m *model) tea.Cmd {
			m.run.session.replay.forward(m.run.session.board)
			return nil
		}},
		{keys: []string{"b"}, help: "pause and go back by one change of the table", when: replaying, do: func(m *model) tea.Cmd { return m.rewind(m.run.session.replay.back()) }},
		{keys: []string{"("}, shown: "( )", help: "to the start", when: replaying, do: func(m *model) tea.Cmd { return m.rewind(0) }},
		{keys: []string{")"}, help: "to the end", when: replaying, do: func(m *model) tea.Cmd { return m.rewind(len(m.run.session.replay.events)) }},
	}
}

func compareKeys() []binding {
	return []binding{
		{keys: []string{"<", "left"}, shown: "<", help: "column cursor left (also ←)", do: func(m *model) tea.Cmd { m.compare.grid.MoveColumn(-1); return nil }},
		{keys: []string{">", "right"}, shown: "< >", short: "column", help: "column cursor right (also →)", do: func(m *model) tea.Cmd { m.compare.grid.MoveColumn(1); return nil }},
		{keys: []string{"o"}, short: "swap", help: "swap base and new", do: func(m *model) tea.Cmd { return m.compareRuns(m.compare.next, m.compare.base) }},
		{keys: []string{"d"}, short: "differences only", help: "only what differs beyond seeds and clocks; again: all", do: func(m *model) tea.Cmd {
			m.compare.onlyNew = !m.compare.onlyNew
			m.compare.grid.Row = 0
			return nil
		}},
	}
}

// help is made of the key tables.
func (m *model) help() tea.Cmd {
	groups := m.keyGroups()
	m.overlay = &pager{title: "Keys", body: func(m *model, width int) []string {
		p := &page{width: width, theme: &m.theme}
		for i, group := range groups {
			works := slices.DeleteFunc(slices.Clone(group.bindings), func(b binding) bool { return !b.works(m) })
			if len(works) == 0 {
				continue
			}
			if i > 0 {
				p.say("")
			}
			p.say(m.theme.head.On(group.title))
			for _, b := range works {
				name := b.name()
				// the footer shows a pair by one word
				if len(strings.Fields(name)) == 2 && strings.Contains("[ ] { } ( ) < > f b", name) {
					name = b.keys[0]
				}
				p.list(func(int) string { return "  " + text.Fit(name, 11) }, []string{b.help})
			}
		}
		p.say("")
		p.say(text.Wrap("○ wait  ● run  ✓ done  ✗ fail  ■ stop     * behind a value: take it with care, the line below the table says why", width)...)
		return p.lines
	}}
	return nil
}

// palette lists every action that works here.
func (m *model) palette() tea.Cmd {
	p := &picker{title: "Actions"}
	for _, group := range m.keyGroups() {
		if group.title == "Moving" {
			continue
		}
		for _, b := range group.bindings {
			if b.works(m) && b.keys[0] != ":" {
				p.entries = append(p.entries, entry{b.help, "key " + text.Fit(b.keyName(), 9), b.do})
			}
		}
	}
	m.overlay = p
	return nil
}

func (b binding) keyName() string {
	if b.keys[0] == " " {
		return "space"
	}
	return b.keys[0]
}
