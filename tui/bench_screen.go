package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab/report"
	"slimlab/tui/text"
)

func newBenchScreen(w *workbench) *benchScreen {
	return &benchScreen{workbench: w, cursor: "s:" + w.options.Scenario}
}

func (b *benchScreen) Title() string { return "Bench" }

// Update takes over lists that were read.
func (b *benchScreen) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case moveMsg:
		b.move(msg.rows + msg.pages*max(1, b.seen-1))
	case scenariosMsg:
		b.fail("scenarios", msg.err)
		b.setScenarios(msg.list)
	case runsMsg:
		b.fail("runs", msg.err)
		b.setRuns(msg.list)
	}
	return nil
}

func (b *benchScreen) Keys() []keyGroup {
	onScenario := func() bool { it := b.selection(); return it.scenario != nil && it.scenario.Err == nil }
	onRun := func() bool { return b.selection().run != nil }
	readable := func() bool { it := b.selection(); return it.run != nil && it.run.readable() }
	start := func(quick bool) func() tea.Cmd {
		return func() tea.Cmd { return b.startRun(b.selection().scenario.Name, quick) }
	}
	open := func(replay bool) func() tea.Cmd {
		return func() tea.Cmd { return b.openRun(b.selection().run.ID, replay) }
	}
	return []keyGroup{{"Bench: what can be run, and what has been run", []binding{
		{keys: []string{"r", "enter"}, footer: "r run", help: "run the scenario in full (also enter)", when: onScenario, do: start(false)},
		{keys: []string{"Q"}, footer: "Q quick run", help: "run the scenario's quick version: fewer seeds and steps", when: onScenario, do: start(true)},
		{keys: []string{"enter"}, footer: "enter open", help: "open the run", when: readable, do: open(false)},
		{keys: []string{"p"}, footer: "p replay", help: "replay the run from its log", when: readable, do: open(true)},
		{keys: []string{" "}, footer: "space mark", help: "mark the run, for a comparison", when: readable, do: act(b.mark)},
		{keys: []string{"c"}, footer: "c compare", help: "compare the two marked runs, the newer against the older", when: func() bool { return len(b.marks) == 2 }, do: func() tea.Cmd { return b.compareRuns(b.pair()) }},
		{keys: []string{"e"}, footer: "e export", help: "export the run's report to a file", when: readable, do: func() tea.Cmd { return b.export(b.selection().run.ID) }},
		{keys: []string{"y"}, help: "copy the run's id", when: onRun, do: func() tea.Cmd { return b.copy(b.selection().run.ID) }},
		{keys: []string{"d"}, footer: "d demo", help: "replay the recorded demo", do: func() tea.Cmd { return b.openRun(DemoRun, true) }},
		{keys: []string{"/"}, footer: "/ filter", help: "filter both lists by words", do: act(b.typeFilter)},
		{keys: []string{"esc"}, help: "clear the filter", when: func() bool { return b.filter.String() != "" }, do: act(func() { b.filter = input{} })},
		{keys: []string{"J"}, help: "scroll the details down", do: act(func() { b.scroll += 3 })},
		{keys: []string{"K"}, help: "scroll the details up", do: act(func() { b.scroll = max(0, b.scroll-3) })},
		{keys: []string{"u"}, help: "read the lists again", do: func() tea.Cmd { return tea.Batch(b.loadScenarios(), b.loadRuns()) }},
	}}}
}

func (b *benchScreen) typeFilter() {
	nothing := func() {} // the lists are filtered when they are drawn
	b.push(&filterLine{workbench: b.workbench, screen: b, line: &b.filter, changed: nothing, kept: nothing, note: func() string {
		return "text in name or state · enter keeps · esc clears"
	}})
}

func (b *benchScreen) View(width, height int) []string {
	left := max(28, min(width*2/5, 56))
	right := width - left - 3
	list := b.list(left, height)
	details := b.details(right)
	if over := len(details) - height + 1; over > 1 {
		b.scroll = min(b.scroll, over)
		rest := over - b.scroll
		details = details[b.scroll:][:height-1]
		details = append(details[:len(details):len(details)], b.theme.dim.On(text.Cut(fmt.Sprintf("… %s below: J scrolls, K back", report.Plural(rest, "more line")), right)))
	} else {
		b.scroll = 0
	}
	lines := make([]string, height)
	for i := range lines {
		detail := ""
		if i < len(details) {
			detail = details[i]
		}
		lines[i] = list[i] + b.theme.dim.On(" │ ") + detail
	}
	return lines
}
