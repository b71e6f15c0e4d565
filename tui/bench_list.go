package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slimlab/tui/text"
)

// benchScreen is the Bench screen: what can be run, and what has been run.
type benchScreen struct {
	*workbench
	scenarios []ScenarioInfo
	runs      []RunInfo
	haveList  bool
	haveRuns  bool
	cursor    string // the item under the cursor: it stays when the lists change
	first     int    // line of the list seen
	seen      int    // lines of the list seen
	scroll    int    // first line of the details seen
	filter    input
	marks     []string // ids of runs
}

// item is a line of the list: a heading, a scenario or a run.
type item struct {
	id       string // empty: a heading
	heading  string
	scenario *ScenarioInfo
	run      *RunInfo
}

func (b *benchScreen) setScenarios(list []ScenarioInfo) {
	b.haveList = true
	b.scenarios = slices.Clone(list)
	for i := range b.scenarios {
		c := &b.scenarios[i]
		c.About = text.Clean(c.About)
		c.Rows, c.Sweep, c.Steps, c.Expect = cleanAll(c.Rows), cleanAll(c.Sweep), cleanAll(c.Steps), cleanAll(c.Expect)
	}
}

func (b *benchScreen) setRuns(list []RunInfo) {
	b.haveRuns = true
	b.runs = slices.Clone(list)
	b.marks = slices.DeleteFunc(b.marks, func(id string) bool {
		return !slices.ContainsFunc(list, func(r RunInfo) bool { return r.ID == id })
	})
}

func cleanAll(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = text.Clean(line)
	}
	return out
}

// items are the lines of the list that meet the filter.
func (b *benchScreen) items() []item {
	words := strings.Fields(strings.ToLower(b.filter.String()))
	keeps := func(line string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(strings.ToLower(line), w) })
	}
	items := []item{{}}
	for i := range b.scenarios {
		if c := &b.scenarios[i]; keeps(c.Name + " " + c.About) {
			items = append(items, item{id: "s:" + c.Name, scenario: c})
		}
	}
	items[0].heading = heading("scenarios", len(items)-1, b.haveList)
	at := len(items)
	items = append(items, item{})
	for i := range b.runs {
		if r := &b.runs[i]; keeps(r.ID + " " + r.Scenario + " " + r.State.String()) {
			items = append(items, item{id: "r:" + r.ID, run: r})
		}
	}
	items[at].heading = heading("runs", len(items)-1-at, b.haveRuns)
	return items
}

func heading(name string, n int, known bool) string {
	if !known {
		return name + " …"
	}
	return fmt.Sprintf("%s (%d)", name, n)
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

// mark marks or unmarks the run under the cursor and goes on to the next; the third mark drops the
// oldest.
func (b *benchScreen) mark() {
	id := b.selection().run.ID
	defer b.move(1)
	if i := slices.Index(b.marks, id); i >= 0 {
		b.marks = slices.Delete(b.marks, i, i+1)
		return
	}
	b.marks = append(b.marks, id)
	if len(b.marks) > 2 {
		b.marks = b.marks[1:]
	}
}

// pair returns the two marked runs, the older one first: the list has the newest on top.
func (b *benchScreen) pair() (older, newer string) {
	for _, r := range b.runs {
		if slices.Contains(b.marks, r.ID) {
			older, newer = r.ID, cmp.Or(newer, r.ID)
		}
	}
	return older, newer
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
	lines := make([]string, 0, height)
	for i := b.first; i < len(items) && len(lines) < height; i++ {
		lines = append(lines, b.itemLine(items[i], i == at, width))
	}
	if len(items) == 2 && b.haveList && b.haveRuns && len(lines) < height {
		lines = append(lines, text.Fit("  nothing matches the filter", width))
	}
	for len(lines) < height {
		lines = append(lines, text.Blank(width))
	}
	return lines
}

func (b *benchScreen) itemLine(it item, selected bool, width int) string {
	if it.id == "" {
		return b.theme.head.On(text.Fit(" "+it.heading, width))
	}
	name, note, mark, paint := "", "", " ", text.Paint{}
	if it.scenario != nil {
		name = it.scenario.Name
		note, paint = b.lastWord(it.scenario)
	} else {
		name, note = it.run.Scenario, it.run.Started.Format("01-02 15:04")
		if it.run.Started.IsZero() { // its log cannot be read
			name, note = it.run.ID, ""
		} else if width < 40 {
			note = it.run.Started.Format("01-02")
		}
		if it.run.Quick {
			name += " (quick)"
		}
		glyph, word, p := b.runState(it.run)
		note, paint = note+" "+glyph+" "+word, p
		if i := slices.Index(b.marks, it.run.ID); i >= 0 {
			mark = "◆"
		}
	}
	name = text.Clean(name)
	cursor := " "
	if selected {
		cursor = "▌"
	}
	room := width - 3 - text.Width(note)
	if room < 8 {
		note, room = "", width-3
	}
	head := cursor + mark + text.Fit(name, room) + " "
	if selected {
		return b.theme.selected.On(head + note)
	}
	return head + paint.On(note)
}

// runState is how a past run ended. One that never ended and is not live here has been cut off.
func (b *benchScreen) runState(r *RunInfo) (glyph, word string, p text.Paint) {
	if r.Err != nil {
		return "✗", "bad ", b.theme.failed
	}
	glyph, p = b.theme.state(r.State)
	return glyph, text.Fit(r.State.String(), 4), p
}

// lastWord is what the list shows of a scenario: that it cannot run, or how its last run ended.
func (b *benchScreen) lastWord(c *ScenarioInfo) (note string, p text.Paint) {
	if c.Err != nil {
		return "✗ bad ", b.theme.failed
	}
	if r := b.lastRun(c.Name); r != nil {
		glyph, word, p := b.runState(r)
		return glyph + " " + word, p
	}
	return "○ new ", b.theme.dim
}

func (b *benchScreen) lastRun(scenario string) *RunInfo {
	for i := range b.runs {
		if b.runs[i].Scenario == scenario {
			return &b.runs[i]
		}
	}
	return nil
}
