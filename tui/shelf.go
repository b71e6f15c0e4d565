package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slimlab/lab/report"
	"slimlab/tui/text"
)

// shelf is the Bench screen: what can be run, and what has been run.
type shelf struct {
	scenarios  []ScenarioInfo
	runs       []RunInfo
	haveList   bool
	haveRuns   bool
	cursor     string // the item under the cursor: it stays when the lists change
	top        int    // first line of the list seen
	scroll     int    // first line of the details seen
	filter     input
	isFiltered bool // the filter line is typed
	marks      []string
}

// item is a line of the list: a heading, a scenario or a run.
type item struct {
	id       string // empty: a heading
	heading  string
	scenario *ScenarioInfo
	run      *RunInfo
}

func (s *shelf) setScenarios(list []ScenarioInfo) {
	s.haveList = true
	s.scenarios = slices.Clone(list)
	for i := range s.scenarios {
		c := &s.scenarios[i]
		c.About = text.Clean(c.About)
		c.Rows, c.Sweep, c.Steps, c.Expect = cleanAll(c.Rows), cleanAll(c.Sweep), cleanAll(c.Steps), cleanAll(c.Expect)
	}
}

func (s *shelf) setRuns(list []RunInfo) {
	s.haveRuns = true
	s.runs = slices.Clone(list)
	s.marks = slices.DeleteFunc(s.marks, func(id string) bool {
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
func (s *shelf) items() []item {
	words := strings.Fields(strings.ToLower(s.filter.String()))
	keeps := func(line string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(strings.ToLower(line), w) })
	}
	items := []item{{}}
	for i := range s.scenarios {
		if c := &s.scenarios[i]; keeps(c.Name + " " + c.About) {
			items = append(items, item{id: "s:" + c.Name, scenario: c})
		}
	}
	items[0].heading = heading("scenarios", len(items)-1, s.haveList)
	at := len(items)
	items = append(items, item{})
	for i := range s.runs {
		if r := &s.runs[i]; keeps(r.ID + " " + r.Scenario + " " + r.State.String()) {
			items = append(items, item{id: "r:" + r.ID, run: r})
		}
	}
	items[at].heading = heading("runs", len(items)-1-at, s.haveRuns)
	return items
}

func heading(name string, n int, known bool) string {
	if !known {
		return name + " …"
	}
	return fmt.Sprintf("%s (%d)", name, n)
}

// selected finds the item under the cursor, or the nearest there is; -1 when the list is empty.
func (s *shelf) selected(items []item) int {
	first := -1
	for i, it := range items {
		if it.id == "" {
			continue
		}
		if it.id == s.cursor {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// current is the item under the cursor; it has no id when there is none.
func (s *shelf) current() item {
	items := s.items()
	if at := s.selected(items); at >= 0 {
		return items[at]
	}
	return item{}
}

// move moves the cursor by n items, over headings.
func (s *shelf) move(n int) {
	items := slices.DeleteFunc(s.items(), func(it item) bool { return it.id == "" })
	if len(items) > 0 {
		s.cursor, s.scroll = items[max(0, min(s.selected(items)+n, len(items)-1))].id, 0
	}
}

// mark marks or unmarks a run; the third mark drops the oldest.
func (s *shelf) mark(id string) {
	if i := slices.Index(s.marks, id); i >= 0 {
		s.marks = slices.Delete(s.marks, i, i+1)
		return
	}
	s.marks = append(s.marks, id)
	if len(s.marks) > 2 {
		s.marks = s.marks[1:]
	}
}

// pair returns the two marked runs, the older one first: the list has the newest on top.
func (s *shelf) pair() (older, newer string) {
	for _, r := range s.runs {
		if slices.Contains(s.marks, r.ID) {
			older, newer = r.ID, cmp.Or(newer, r.ID)
		}
	}
	return older, newer
}

func (m *model) shelfLines(width, height int) []string {
	left := max(28, min(width*2/5, 56))
	right := width - left - 3
	list := m.shelfList(left, height)
	details := m.shelfDetails(right)
	if over := len(details) - height + 1; over > 1 {
		m.shelf.scroll = min(m.shelf.scroll, over)
		rest := over - m.shelf.scroll
		details = details[m.shelf.scroll:][:height-1]
		details = append(details[:len(details):len(details)], m.theme.dim.On(text.Cut(fmt.Sprintf("… %s below: J scrolls, K back", plural(rest, "more line")), right)))
	} else {
		m.shelf.scroll = 0
	}
	lines := make([]string, height)
	for i := range lines {
		detail := ""
		if i < len(details) {
			detail = details[i]
		}
		lines[i] = list[i] + m.theme.dim.On(" │ ") + detail
	}
	return lines
}

// shelfList draws the list, scrolled so that the cursor is seen.
func (m *model) shelfList(width, height int) []string {
	s := &m.shelf
	items := s.items()
	at := s.selected(items)
	from := at
	if from == 1 {
		from = 0 // with its heading
	}
	s.top = max(0, min(s.top, from, len(items)-height))
	if at >= s.top+height {
		s.top = at - height + 1
	}
	s.top = max(s.top, 0)
	lines := make([]string, 0, height)
	for i := s.top; i < len(items) && len(lines) < height; i++ {
		lines = append(lines, m.shelfItem(items[i], i == at, width))
	}
	if len(items) == 2 && s.haveList && s.haveRuns && len(lines) < height {
		lines = append(lines, text.Fit("  nothing matches the filter", width))
	}
	for len(lines) < height {
		lines = append(lines, text.Blank(width))
	}
	return lines
}

func (m *model) shelfItem(it item, selected bool, width int) string {
	if it.id == "" {
		return m.theme.head.On(text.Fit(" "+it.heading, width))
	}
	name, note, mark, paint := "", "", " ", text.Paint{}
	if it.scenario != nil {
		name = it.scenario.Name
		note, paint = m.lastWord(it.scenario)
	} else {
		name, note = it.run.Scenario, it.run.Started.Format("01-02 15:04")
		if width < 40 {
			note = it.run.Started.Format("01-02")
		}
		if it.run.Quick {
			name += " (quick)"
		}
		glyph, word, p := m.runState(it.run)
		note, paint = note+" "+glyph+" "+word, p
		if i := slices.Index(m.shelf.marks, it.run.ID); i >= 0 {
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
		return m.theme.selected.On(head + note)
	}
	return head + paint.On(note)
}

// runState is how a past run ended. One that never ended and is not live here has been cut off.
func (m *model) runState(r *RunInfo) (glyph, word string, p text.Paint) {
	if r.Err != nil {
		return "✗", "bad ", m.theme.failed
	}
	glyph, p = m.theme.state(r.State)
	return glyph, text.Fit(r.State.String(), 4), p
}

// lastWord is what the list says of a scenario: that it cannot run, or how its last run ended.
func (m *model) lastWord(c *ScenarioInfo) (note string, p text.Paint) {
	if c.Err != nil {
		return "✗ bad ", m.theme.failed
	}
	if r := m.lastRun(c.Name); r != nil {
		glyph, word, p := m.runState(r)
		return glyph + " " + word, p
	}
	return "○ new ", m.theme.dim
}

func (m *model) lastRun(scenario string) *RunInfo {
	for i := range m.shelf.runs {
		if m.shelf.runs[i].Scenario == scenario {
			return &m.shelf.runs[i]
		}
	}
	return nil
}

func (m *model) shelfDetails(width int) []string {
	it := m.shelf.current()
	switch {
	case it.scenario != nil:
		return m.scenarioDetails(it.scenario, width)
	case it.run != nil:
		return m.runDetails(it.run, width)
	case !m.shelf.haveList:
		return []string{"reading the scenarios …"}
	}
	return []string{"Nothing here matches the filter. esc clears it."}
}

// page collects the lines of a pane.
type page struct {
	width int
	lines []string
	theme *theme
}

func (p *page) say(lines ...string) { p.lines = append(p.lines, lines...) }

func (p *page) heading(s string) {
	if len(p.lines) > 0 {
		p.say("")
	}
	p.say(p.theme.head.On(text.Cut(s, p.width)))
}

// list wraps lines behind a bullet.
func (p *page) list(bullet func(i int) string, lines []string) {
	for i, line := range lines {
		b := bullet(i)
		for j, part := range text.Wrap(line, p.width-text.Width(b)) {
			if j > 0 {
				b = text.Blank(text.Width(b))
			}
			p.say(b + part)
		}
	}
}

func dash(int) string { return "  " }

func (m *model) scenarioDetails(c *ScenarioInfo, width int) []string {
	p := &page{width: width, theme: &m.theme}
	p.say(m.theme.head.On(text.Cut(text.Clean(c.Name), width)))
	p.say(text.Wrap(c.About, width)...)
	if c.Err != nil {
		p.heading("✗ cannot be run")
		p.say(text.Wrap(text.Clean(c.Err.Error()), width)...)
		return p.lines
	}
	p.say("")
	work := plural(c.Seeds, "seed")
	if len(c.Sweep) > 0 {
		work = fmt.Sprintf("%s: %s × %s", plural(c.Cells, "cell"), plural(c.Cells/max(1, c.Seeds), "sweep point"), work)
	}
	p.say(text.Cut(work+" in the full run", width))
	if r := m.lastRun(c.Name); r != nil {
		glyph, word, _ := m.runState(r)
		p.say(text.Cut(fmt.Sprintf("last run %s  %s %s  %s", r.Started.Format("2006-01-02 15:04"), glyph, strings.TrimSpace(word), report.Duration(r.Duration.Seconds())), width))
	} else {
		p.say(text.Cut("never run here; r runs it, Q runs its quick version", width))
	}
	p.heading(fmt.Sprintf("pipeline: %s, a row each", plural(len(c.Steps), "step")))
	p.list(func(i int) string { return fmt.Sprintf("%2d ", i+1) }, c.Steps)
	if len(c.Sweep) > 0 {
		p.heading("sweep")
		p.list(dash, c.Sweep)
	}
	if len(c.Expect) > 0 {
		p.heading("expected")
		p.list(dash, c.Expect)
	}
	return p.lines
}

func (m *model) runDetails(r *RunInfo, width int) []string {
	p := &page{width: width, theme: &m.theme}
	p.say(m.theme.head.On(text.Cut(text.Clean(r.ID), width)))
	if r.Err != nil {
		p.heading("✗ its log cannot be read")
		p.say(text.Wrap(text.Clean(r.Err.Error()), width)...)
		return p.lines
	}
	glyph, word, paint := m.runState(r)
	kind := "full"
	if r.Quick {
		kind = "quick"
	}
	p.say(text.Cut(fmt.Sprintf("%s, %s", text.Clean(r.Scenario), kind), width))
	p.say(paint.On(text.Cut(glyph+" "+strings.TrimSpace(word), width)))
	p.say("")
	p.say(text.Cut("started  "+r.Started.Format("2006-01-02 15:04:05"), width))
	p.say(text.Cut("took     "+report.Duration(r.Duration.Seconds()), width))
	for i, line := range text.Wrap(text.Clean(r.Machine), width-9) {
		p.say([]string{"machine  ", "         "}[min(i, 1)] + line)
	}
	p.say("")
	hint := "enter opens it, p replays it, e exports it."
	switch {
	case m.live != nil && m.live.id == r.ID && !m.live.over():
		hint = "It is live: enter watches it."
	case len(m.shelf.marks) == 2:
		hint = "c compares the two marked runs (◆)."
	case len(m.shelf.marks) == 1:
		hint += " One run is marked (◆): space marks a second, then c compares."
	default:
		hint += " space marks it; two marked runs can be compared with c."
	}
	p.say(text.Wrap(hint, width)...)
	return p.lines
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
