package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// atOnce is how many entries one command reads: few enough for a screen that follows, and for the
// cursor to be served soon.
const atOnce = 16

// setLibrary takes over a list. What was read of entries that have not changed stays.
func (b *benchScreen) setLibrary(l Library) tea.Cmd {
	b.haveList = true
	was := map[string]ScenarioInfo{}
	for _, s := range b.library.Scenarios {
		was[s.ID] = s
	}
	l.Scenarios = slices.Clone(l.Scenarios)
	for i, s := range l.Scenarios {
		if old, known := was[s.ID]; known && s.Pending && old.Stamp == s.Stamp {
			l.Scenarios[i] = old
		} else {
			l.Scenarios[i].clean()
		}
	}
	b.library = l
	return b.readScenarios()
}

// setScenarios takes over entries that were read, and goes on with the next.
func (b *benchScreen) setScenarios(list []ScenarioInfo) tea.Cmd {
	b.reading = false
	for _, s := range list {
		s.clean()
		at := slices.IndexFunc(b.library.Scenarios, func(c ScenarioInfo) bool { return c.ID == s.ID })
		if at >= 0 { // else it is gone
			b.library.Scenarios[at] = s
		}
	}
	return b.readScenarios()
}

// clean makes the texts safe that come from a file.
func (s *ScenarioInfo) clean() {
	s.About = text.Clean(s.About)
	s.Rows, s.Sweep, s.Steps, s.Expect = cleanAll(s.Rows), cleanAll(s.Sweep), cleanAll(s.Steps), cleanAll(s.Expect)
}

// readScenarios reads the next entries of the library that are pending: the one under the cursor
// first, then those that are seen.
func (b *benchScreen) readScenarios() tea.Cmd {
	if b.reading {
		return nil
	}
	var ids []string
	want := func(s *ScenarioInfo) {
		if s != nil && s.Pending && len(ids) < atOnce && !slices.Contains(ids, s.ID) {
			ids = append(ids, s.ID)
		}
	}
	items := b.items()
	if at := b.selected(items); at >= 0 {
		want(items[at].scenario)
	}
	for _, it := range items[min(b.first, len(items)):min(b.first+b.seen, len(items))] {
		want(it.scenario)
	}
	for i := range b.library.Scenarios {
		want(&b.library.Scenarios[i])
	}
	if len(ids) == 0 {
		return nil
	}
	b.reading = true
	return func() tea.Msg {
		var list []ScenarioInfo
		for _, id := range ids {
			list = append(list, b.bench.Scenario(b.ctx, id))
		}
		return scenariosMsg{list}
	}
}

// readFigures reads what the next runs measured: those that are seen first, then the newest.
func (b *benchScreen) readFigures() tea.Cmd {
	if b.counting {
		return nil
	}
	const few = 4 // a log can be long
	var ids []string
	want := func(r *RunInfo) {
		if r == nil || len(ids) == few || !r.readable() || slices.Contains(ids, r.ID) {
			return
		}
		if _, known := b.figures[b.figuresKey(r)]; !known {
			ids = append(ids, r.ID)
		}
	}
	items := b.items()
	for _, it := range items[min(b.first, len(items)):min(b.first+b.seen, len(items))] {
		want(it.run)
	}
	for i := range b.runs {
		want(&b.runs[i])
	}
	if len(ids) == 0 {
		return nil
	}
	keys := make([]string, len(ids))
	for i := range b.runs {
		if at := slices.Index(ids, b.runs[i].ID); at >= 0 {
			keys[at] = b.figuresKey(&b.runs[i])
		}
	}
	b.counting = true
	return func() tea.Msg {
		msg := figuresMsg{read: map[string]RunFigures{}}
		for i, id := range ids {
			// a log that cannot be read says so where the run is opened
			msg.read[keys[i]], _ = b.bench.Figures(b.ctx, id)
		}
		return msg
	}
}

func (b *benchScreen) setFigures(msg figuresMsg) tea.Cmd {
	b.counting = false
	for key, f := range msg.read {
		f.Headline = f.Headline.clean()
		b.figures[key] = f
	}
	return b.readFigures()
}
