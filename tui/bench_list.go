package tui

import (
	"cmp"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// benchScreen is the Bench screen: what can be run, and what has been run.
type benchScreen struct {
	*workbench
	library  Library
	runs     []RunInfo
	figures  map[string]RunFigures // that were read, by run
	reading  bool                  // entries of the library are being read
	counting bool                  // figures are being read
	haveList bool
	haveRuns bool
	cursor   string // the item under the cursor: it stays when the lists change
	first    int    // line of the list seen
	seen     int    // lines of the list seen
	scroll   int    // first line of the details seen
	filter   input
	query    query    // of the filter, as far as it is one
	wrong    error    // why the filter is none
	marks    []string // ids of runs
}

// item is a line of the list: a heading, a scenario or a run.
type item struct {
	id       string // empty: a heading
	heading  string
	scenario *ScenarioInfo
	run      *RunInfo
}

func (b *benchScreen) setRuns(list []RunInfo) {
	b.haveRuns = true
	b.runs = slices.Clone(list)
	b.marks = slices.DeleteFunc(b.marks, func(id string) bool {
		return !slices.ContainsFunc(list, func(r RunInfo) bool { return r.ID == id })
	})
}

// dropRun takes a run out of the list whose log is gone.
func (b *benchScreen) dropRun(id string) {
	items := b.items()
	at := b.selected(items)
	if at >= 0 && items[at].run != nil && items[at].run.ID == id { // the cursor goes to a neighbour
		for _, near := range []int{at + 1, at - 1} {
			if near >= 0 && near < len(items) && items[near].run != nil {
				b.cursor = items[near].id
				break
			}
		}
	}
	b.setRuns(slices.DeleteFunc(slices.Clone(b.runs), func(r RunInfo) bool { return r.ID == id }))
}

func cleanAll(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = text.Clean(line)
	}
	return out
}

// items are the lines of the list that meet the filter: the scenarios by their places, then the
// runs.
func (b *benchScreen) items() []item {
	var items []item
	for place, title := range []string{Shipped: "scenarios", Own: "scenarios here", Earlier: "scenarios of earlier runs"} {
		at, all := len(items), 0
		items = append(items, item{})
		for i := range b.library.Scenarios {
			c := &b.library.Scenarios[i]
			if c.Place != Place(place) {
				continue
			}
			if all++; b.query.keepsScenario(c) {
				items = append(items, item{id: "s:" + c.ID, scenario: c})
			}
		}
		items[at].heading = heading(title, len(items)-1-at, all, b.haveList)
		switch {
		case Place(place) == Own && b.library.Others > 0:
			items[at].heading += fmt.Sprintf(" · %d other YAML", b.library.Others)
		case Place(place) != Shipped && all == 0:
			items = items[:at]
		}
	}
	at := len(items)
	items = append(items, item{})
	for i := range b.runs {
		if r := &b.runs[i]; b.keepsRun(r) {
			items = append(items, item{id: "r:" + r.ID, run: r})
		}
	}
	items[at].heading = heading("runs", len(items)-1-at, len(b.runs), b.haveRuns)
	if b.counting && b.query.any != nil { // a condition on figures keeps only runs that were read
		items[at].heading += " · reading their figures"
	}
	return items
}

// heading names a section and counts its lines, those that the filter keeps among all.
func heading(name string, kept, all int, known bool) string {
	switch {
	case !known:
		return name + " …"
	case kept < all:
		return fmt.Sprintf("%s (%d of %d)", name, kept, all)
	}
	return fmt.Sprintf("%s (%d)", name, all)
}

// selected finds the item under the cursor, or the nearest there is; -1 when the list is empty.
func (b *benchScreen) selected(items []item) int {
	first := -1
	for i, it := range items {
		if it.id == "" {
			continue
		}
		if it.id == b.cursor {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// selection is the item under the cursor; it has no id when there is none.
func (b *benchScreen) selection() item {
	items := b.items()
	if at := b.selected(items); at >= 0 {
		return items[at]
	}
	return item{}
}

// move moves the cursor by n items, over headings.
func (b *benchScreen) move(n int) {
	items := slices.DeleteFunc(b.items(), func(it item) bool { return it.id == "" })
	if len(items) > 0 {
		b.cursor, b.scroll = items[max(0, min(b.selected(items)+n, len(items)-1))].id, 0
	}
}

// moveSection moves the cursor to the first line of the next section, or back to that of this one
// or of the one before.
func (b *benchScreen) moveSection(back bool) {
	items := b.items()
	at := b.selected(items)
	var starts []int
	for i := 1; i < len(items); i++ {
		if items[i].id != "" && items[i-1].id == "" {
			starts = append(starts, i)
		}
	}
	if back {
		slices.Reverse(starts)
	}
	for _, start := range starts {
		if !back && start > at || back && start < at {
			b.cursor, b.scroll = items[start].id, 0
			return
		}
	}
}

// clickList takes the item on a line of the list.
func (b *benchScreen) clickList(_, y int) tea.Cmd {
	if items := b.items(); b.first+y < len(items) && items[b.first+y].id != "" {
		b.cursor, b.scroll = items[b.first+y].id, 0
	}
	return nil
}

// clickListAgain opens it.
func (b *benchScreen) clickListAgain(x, y int) tea.Cmd {
	if items := b.items(); b.first+y < len(items) && items[b.first+y].id == b.cursor {
		return pressEnter()
	}
	return b.clickList(x, y)
}

// mark marks or unmarks the run under the cursor and goes on to the next.
func (b *benchScreen) mark() {
	id := b.selection().run.ID
	defer b.move(1)
	if i := slices.Index(b.marks, id); i >= 0 {
		b.marks = slices.Delete(b.marks, i, i+1)
		return
	}
	b.marks = append(b.marks, id)
}

// compared are the runs that c compares, the oldest first: those that are marked, else the one
// under the cursor, with the pinned baseline.
func (b *benchScreen) compared() []string {
	var ids []string
	cursor := b.selection().run
	for i := len(b.runs) - 1; i >= 0; i-- { // the list has the newest on top
		r := &b.runs[i]
		chosen := slices.Contains(b.marks, r.ID) || len(b.marks) == 0 && cursor != nil && cursor.ID == r.ID
		if r.readable() && (chosen || r.ID == b.baseline.run) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// comparedBase is the index of the baseline among the runs that c compares.
func (b *benchScreen) comparedBase() int { return max(0, slices.Index(b.compared(), b.baseline.run)) }

// compareFooter names the key c where it has runs to compare.
func (b *benchScreen) compareFooter() string {
	if len(b.compared()) > 1 {
		return "c compare"
	}
	return ""
}

// compareMarked compares runs, or says how they are chosen.
func (b *benchScreen) compareMarked() tea.Cmd {
	ids := b.compared()
	if len(ids) > 1 {
		return b.compareRuns(ids, b.comparedBase())
	}
	cursor := b.selection().run
	switch {
	case len(b.marks) == 1 && b.marks[0] == b.baseline.run:
		b.say("the marked run is the baseline itself: mark another with space")
	case len(b.marks) == 1:
		b.say("one run is marked: mark another with space, or pin one with b as baseline, then press c")
	case cursor != nil && cursor.ID == b.baseline.run:
		b.say("this run is the baseline itself: c on another run compares that with it")
	case cursor != nil && !cursor.readable():
		b.say("the log of this run cannot be read: mark two others with space, then press c")
	default:
		b.say("mark two runs with space, or pin one with b as baseline, then press c")
	}
	return nil
}

// list draws the list, scrolled so that the cursor is seen.
func (b *benchScreen) list(width, height int) []string {
	items := b.items()
	at := b.selected(items)
	b.seen = height
	from := at
	if from == 1 {
		from = 0 // with its heading
	}
	b.first = max(0, min(b.first, from, len(items)-height))
	if at >= b.first+height {
		b.first = at - height + 1
	}
	b.first = max(b.first, 0)
	shown := items[b.first:min(b.first+height, len(items))]
	lines := b.itemLines(shown, at-b.first, width)
	if at < 0 && b.haveList && b.haveRuns && len(lines) < height {
		lines = append(lines, text.Fit("  nothing matches the filter", width))
	}
	for len(lines) < height {
		lines = append(lines, text.Blank(width))
	}
	return lines
}

// itemLines draws the lines that are seen, in equal columns.
func (b *benchScreen) itemLines(items []item, selected, width int) []string {
	room := width - 2 // behind the cursor and the mark
	runs := make([]runLine, 0, len(items))
	names := 0
	for _, it := range items {
		switch {
		case it.run != nil:
			runs = append(runs, b.runLine(it.run))
		case it.scenario != nil:
			names = max(names, text.Width(text.Clean(scenarioName(it.scenario))))
		}
	}
	columns := columnsOf(runs, room)
	lines := make([]string, 0, len(items))
	for i, it := range items {
		var line, note string
		var paint text.Paint
		switch {
		case it.run != nil:
			line, note = columns.write(&runs[0])
			paint, runs = runs[0].paint, runs[1:]
		case it.scenario != nil:
			line, note, paint = b.scenarioLine(it.scenario, names, room)
		default:
			lines = append(lines, b.theme.head.On(text.Fit(" "+it.heading, width)))
			continue
		}
		head := " " + b.markOf(it) + line
		if i == selected {
			lines = append(lines, b.theme.selected.On(text.Fit("▌"+head[1:]+note, width)))
		} else {
			lines = append(lines, head+paint.On(note))
		}
	}
	return lines
}

// markOf is the sign before a run that is marked, or the baseline.
func (b *benchScreen) markOf(it item) string {
	switch {
	case it.run == nil:
	case it.run.ID == b.baseline.run:
		return "◆"
	case slices.Contains(b.marks, it.run.ID):
		return "•"
	}
	return " "
}

func scenarioName(c *ScenarioInfo) string { return cmp.Or(c.File, c.Name) }

// scenarioLine is a scenario in width cells: its name, what it is about, and its last word.
func (b *benchScreen) scenarioLine(c *ScenarioInfo, names, width int) (line, note string, p text.Paint) {
	note, p = b.lastWord(c)
	room := width - text.Width(note) - 1
	name := text.Clean(scenarioName(c))
	names = min(names, room*2/5)
	if about := room - names - 2; about >= 20 && c.About != "" && text.Width(name) <= names {
		return text.Fit(name, names) + "  " + b.theme.dim.On(text.Fit(c.About, about)) + " ", note, p
	}
	return text.Fit(name, room) + " ", note, p
}

// runState is how a run is, in a word.
func (b *benchScreen) runState(r *RunInfo) (glyph, word string, p text.Paint) {
	glyph, p = b.theme.state(r.State)
	return glyph, r.State.String(), p
}
