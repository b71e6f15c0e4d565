package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab/report"
	"slimlab/tui/text"
)

func (b *benchScreen) Keys() []keyGroup {
	onScenario := func() bool { return b.selection().scenario != nil }
	runnable := func() bool { it := b.selection(); return it.scenario != nil && it.scenario.Err == nil }
	onFile := func() bool { it := b.selection(); return it.scenario != nil && it.scenario.File != "" }
	onRun := func() bool { return b.selection().run != nil }
	removable := func() bool { r := b.selection().run; return r != nil && r.NoDelete == "" }
	readable := func() bool { it := b.selection(); return it.run != nil && it.run.readable() }
	open := func(replay bool) func() tea.Cmd {
		return func() tea.Cmd { return b.openRun(b.selection().run.ID, replay) }
	}
	return []keyGroup{{"Bench: what can be run, and what has been run", []binding{
		{keys: []string{"enter"}, footer: "enter look", help: "look at the scenario: its details and its text", when: onScenario, do: b.look},
		{keys: []string{"r"}, footer: "r run", help: "run the scenario: a sheet shows what will be done, and takes settings", when: runnable, why: b.noScenario, do: func() tea.Cmd { return b.openSheet(Request{Scenario: b.selection().scenario.ID}) }},
		{keys: []string{"Q"}, footer: "Q quick run", help: "run the scenario's quick version at once: fewer seeds and steps", when: runnable, why: b.noScenario, do: func() tea.Cmd { return b.startRun(Request{Scenario: b.selection().scenario.ID, Quick: true}) }},
		{keys: []string{"E"}, footer: "E edit", help: "open the file in $VISUAL or $EDITOR, at the line of its error", when: onFile, why: b.noFile, do: b.edit},
		{keys: []string{"enter"}, footer: "enter open", help: "open the run", when: readable, why: b.noRun, do: open(false)},
		{keys: []string{"R"}, footer: "R repeat", help: "run it again: its scenario as its log has it, with its settings", when: readable, why: b.noRun, do: b.repeat},
		{keys: []string{"p"}, footer: "p replay", help: "replay the run from its log", when: readable, why: b.noRun, do: open(true)},
		{keys: []string{" "}, footer: "space mark", help: "mark the run, for a comparison", when: readable, why: b.noRun, do: act(b.mark)},
		{keys: []string{"c"}, footer: b.compareFooter(), help: "compare the marked runs, or this one, with the pinned baseline, else with the oldest", do: b.compareMarked},
		{keys: []string{"b"}, footer: "b baseline", help: "pin the run as baseline for all screens; again: unpin", when: readable, why: b.noRun, do: func() tea.Cmd { return b.pin(b.selection().run.ID) }},
		{keys: []string{"e"}, footer: "e export", help: "export the run's report to a file", when: readable, why: b.noRun, do: func() tea.Cmd { return b.export(b.selection().run.ID, report.Shown{}, exported{}) }},
		{keys: []string{"D"}, footer: "D delete", help: "delete the run's log, after a question; its models stay until slimlab clean", when: removable, why: b.noDelete, do: act(b.askDelete)},
		{keys: []string{"y"}, help: "copy the run's id", when: onRun, why: b.noRun, do: func() tea.Cmd { return b.copy(b.selection().run.ID) }},
		{keys: []string{"/"}, footer: "/ filter", help: "filter both lists: words, scenario: state= set: model: row: took> age< and metrics", do: act(b.typeFilter)},
		{keys: []string{"esc"}, help: "clear the filter", when: func() bool { return b.filter.String() != "" }, do: act(func() { b.filter = input{}; b.setQuery() })},
		{keys: []string{"d"}, footer: "d demo", help: "replay the recorded demo", do: func() tea.Cmd { return b.openRun(DemoRun, true) }},
		{keys: []string{"n"}, footer: "n new", help: "new: a scenario that compresses a model, in three steps", do: b.newScenario},
		{keys: []string{"S"}, footer: "S serve", help: "serve a model and watch its engine, or attach to slimlab serve by its URL", do: b.chooseEngine},
		{keys: []string{"]"}, help: "the next section of the list", do: act(func() { b.moveSection(false) })},
		{keys: []string{"["}, help: "the section before", do: act(func() { b.moveSection(true) })},
		{keys: []string{"J"}, help: "scroll the details down", do: act(func() { b.scroll += 3 })},
		{keys: []string{"K"}, help: "scroll the details up", do: act(func() { b.scroll = max(0, b.scroll-3) })},
		{keys: []string{"u"}, help: "read the lists again", do: func() tea.Cmd { return tea.Batch(b.loadLibrary(), b.loadRuns()) }},
	}}}
}

// noScenario says why the line under the cursor cannot be run.
func (b *benchScreen) noScenario() string {
	switch it := b.selection(); {
	case it.run != nil:
		return "it runs scenarios; R repeats this run"
	case it.scenario != nil:
		return text.Clean(scenarioName(it.scenario)) + " cannot be run: its details say why"
	}
	return "no scenario is chosen"
}

// noFile says why there is nothing to edit.
func (b *benchScreen) noFile() string {
	switch it := b.selection(); {
	case it.run != nil:
		return "a run has no file to edit; its scenario's file is edited on its line above"
	case it.scenario != nil && it.scenario.Place == Shipped:
		return text.Clean(it.scenario.Name) + " ships with slimlab; `slimlab scenarios " + text.Clean(it.scenario.Name) + " > mine.yaml` copies it into a file"
	case it.scenario != nil:
		return "this scenario stands only in the log of a run"
	}
	return "no scenario is chosen"
}

// noRun says why nothing can be done with the run under the cursor.
func (b *benchScreen) noRun() string {
	switch it := b.selection(); {
	case it.run != nil:
		return "the log of this run cannot be read: its details say why"
	case it.scenario != nil:
		return "it is for runs (] goes to them)"
	}
	return "no run is chosen"
}

// noDelete says why the run under the cursor cannot be deleted.
func (b *benchScreen) noDelete() string {
	if r := b.selection().run; r != nil {
		return text.Clean(r.NoDelete)
	}
	return b.noRun()
}
