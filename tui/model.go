package tui

import (
	"slices"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// model is the whole workbench as bubbletea runs it: screens in a list, of which one is current,
// and the panes above it.
type model struct {
	*workbench
	screens   []Screen
	tickLater func(after time.Duration) tea.Cmd // the commands that wait, which tests leave out
	lookLater func() tea.Cmd
	awaitEnd  func(s *session) tea.Cmd

	width, height int
	ticking       bool
	drawn         string  // the last frame
	second        int64   // of the clock in it
	held          *region // the mouse button was pressed in it; nil: it is not held down
	clicked       lastClick
}

// keyGroups are the key tables that count now; an earlier row wins.
func (m *model) keyGroups() []keyGroup {
	if len(m.overlays) > 0 {
		return append(m.top().Keys(), keyGroup{"Everywhere", m.globalKeys()})
	}
	move := func(rows, pages int) { m.current.Update(moveMsg{rows, pages}) }
	own := m.current.Keys()
	return append(own,
		keyGroup{"Everywhere", append(m.screenKeys(), m.globalKeys()...)},
		keyGroup{"Moving", free(movingKeys(move), own)},
	)
}

// free is the bindings without second keys that a screen has of its own: "g" for "home".
func free(bindings []binding, own []keyGroup) []binding {
	for i := range bindings {
		b := &bindings[i]
		for _, key := range b.keys[1:] {
			taken := slices.ContainsFunc(own, func(g keyGroup) bool {
				return slices.ContainsFunc(g.bindings, func(o binding) bool { return o.has(key) })
			})
			if taken {
				b.keys = slices.DeleteFunc(slices.Clone(b.keys), func(k string) bool { return k == key })
				b.shown = strings.TrimSuffix(b.shown, " "+key)
			}
		}
	}
	return bindings
}

// screenKeys turn from screen to screen.
func (m *model) screenKeys() []binding {
	var keys []binding
	for i, s := range m.screens {
		keys = append(keys, binding{keys: []string{strconv.Itoa(i + 1)}, help: s.Title(), do: act(func() { m.show(s) })})
	}
	by := func(n int) func() tea.Cmd {
		return act(func() {
			at := slices.Index(m.screens, m.current) + n + len(m.screens)
			m.show(m.screens[at%len(m.screens)])
		})
	}
	return append(keys,
		binding{keys: []string{"tab"}, help: "next screen", do: by(1)},
		binding{keys: []string{"shift+tab"}, help: "previous screen", do: by(-1)},
		binding{keys: []string{"esc"}, help: "go out: of a detail, a filter, a screen", do: act(func() { m.show(m.screens[0]) })},
	)
}

// globalKeys work on every screen and, where it does not take them itself, in every overlay.
func (m *model) globalKeys() []binding {
	return []binding{
		{keys: []string{"?", "f1"}, help: "this help", do: act(m.help)},
		{keys: []string{":", "f2"}, help: "list of every action that works here", do: act(m.actions)},
		{keys: []string{"f3"}, help: "turn the colours: " + strings.Join(Palettes(), ", "), do: act(m.turnColours)},
		{keys: []string{"f4"}, help: "mouse on or off: where it is off, the terminal selects text", do: m.turnMouse},
		{keys: []string{"!"}, help: "errors and warnings", do: m.showErrors},
		{keys: []string{"ctrl+z"}, help: "suspend; the shell's fg comes back (a live run waits too)", when: func() bool { return canSuspend }, do: suspend},
		{keys: []string{"q", "ctrl+c"}, footer: "q quit", help: "quit (asks while a run is live)", do: m.quit},
	}
}

// help shows the key tables.
func (m *model) help() {
	groups := m.keyGroups()
	m.push(&pager{workbench: m.workbench, title: "Keys", body: func(width int) []string {
		p := &page{width: width, theme: &m.theme}
		for i, group := range groups {
			works := slices.DeleteFunc(slices.Clone(group.bindings), func(b binding) bool { return !b.works() })
			if len(works) == 0 {
				continue
			}
			if i > 0 {
				p.say("")
			}
			p.say(m.theme.head.On(group.title))
			for _, b := range works {
				p.list(func(int) string { return "  " + text.Fit(b.name(), 11) }, []string{b.help})
			}
		}
		p.say("", m.theme.head.On("Mouse"))
		p.list(dash, []string{
			"the wheel scrolls what is under it; a click takes a row, a second one opens it; a click on a column's head sorts by it, again: the other way round",
			"screens, the footer's keys and entries of lists are clicked; the line between table and chart is dragged",
			"shift held down leaves the mouse to the terminal, which then selects text",
		})
		p.say("")
		p.say(text.Wrap("○ waiting  ● running  ◌ silent  ✓ done  ✗ failed, crashed, damaged  ■ stopped  – not run     * behind a value: take it with care, the line below the table says why", width)...)
		return p.lines
	}})
}

// turnColours goes on to the next palette.
func (m *model) turnColours() {
	m.theme = m.theme.next()
	if m.theme.dim.Open == "" {
		m.say("colours are off: NO_COLOR is set, or TERM names a terminal without them")
		return
	}
	m.say("colours: %s; SLIMLAB_PALETTE=%s keeps them", m.theme.palette.Name, m.theme.palette.Name)
}

// actions lists every action of the key tables that works here.
func (m *model) actions() {
	p := &picker{workbench: m.workbench, title: "Actions"}
	for _, group := range m.keyGroups() {
		for _, b := range group.bindings {
			if b.do != nil && b.works() {
				p.entries = append(p.entries, entry{b.help, "key " + text.Fit(b.name(), 9), b.do})
			}
		}
	}
	m.push(p)
}

// quit leaves, after a question when a run is live. A second time it does not ask.
func (m *model) quit() tea.Cmd {
	if !m.running() || m.quitting {
		return tea.Quit
	}
	m.push(&question{
		workbench: m.workbench, also: []string{"ctrl+c"},
		text: "A run is live. Stop it and quit? What it has finished is kept: the next run goes on from there.",
		yes: func() tea.Cmd {
			m.quitting, m.overlays = true, nil
			m.say("stopping the run …  (ctrl+c again closes the screen)")
			return m.cancelLive()
		},
	})
	return nil
}
