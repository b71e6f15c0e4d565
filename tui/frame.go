package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// The smallest window that the screens are drawn for.
const (
	minWidth  = 60
	minHeight = 15
)

// The smallest window that panes are drawn for which can do with less.
const (
	leastWidth  = 40
	leastHeight = 10
)

// compact is a pane that may be drawn in a window of leastWidth and leastHeight.
type compact interface{ compact() bool }

// least is the smallest window that the pane on top is drawn for.
func (m *model) least() (width, height int) {
	if p, ok := m.top().(compact); ok && p.compact() {
		return leastWidth, leastHeight
	}
	return minWidth, minHeight
}

// frame puts the lines of a window together: exactly as many as it has, none wider than it is.
func (m *model) frame() string {
	if m.width <= 0 || m.height <= 0 {
		return ""
	}
	m.regions = m.regions[:0]
	var lines []string
	if width, height := m.least(); m.width < width || m.height < height {
		lines = m.tooSmall()
	} else {
		lines = m.lines()
	}
	var b strings.Builder
	for i := range m.height {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i < len(lines) {
			b.WriteString(text.Cut(lines[i], m.width))
		}
	}
	if m.theme.ascii {
		return text.ASCII(b.String())
	}
	return b.String()
}

// tooSmall says in one line what of the screen can be said anywhere and, where there is room, what
// size the screens need.
func (m *model) tooSmall() []string {
	what := m.brief()
	width, height := m.least()
	needed := fmt.Sprintf("  %d×%d needed", width, height)
	line := what.in(m.width)
	if room := m.width - text.Width(needed); text.Width(line) <= room {
		line += m.theme.dim.On(needed)
	}
	return []string{line}
}

// lines draws title, pane and footer.
func (m *model) lines() []string {
	above := 1
	if m.height >= 30 { // a blank line where there is room for it
		above = 2
	}
	height := m.height - above - 1
	body := m.top().View(m.width, height)
	for len(body) < height {
		body = append(body, "")
	}
	if lost := len(body) - height; lost > 0 { // the run sheet in a small window
		body[height-1] = m.theme.warning.On(fmt.Sprintf("… %s more: a higher window shows them", plural.Of(lost+1, "line")))
	}
	for i := range m.regions {
		m.regions[i].y += above
	}
	lines := append(make([]string, above, m.height), body[:height]...)
	lines[0] = m.title()
	return append(lines, m.footer())
}

func (m *model) title() string {
	var b strings.Builder
	if m.width >= minWidth {
		b.WriteString(m.theme.bold.On(" slimlab") + " ")
	}
	at := text.Width(b.String())
	for i, s := range m.screens {
		name := fmt.Sprintf("%d %s", i+1, s.Title())
		if s == m.current {
			b.WriteString(m.theme.tab.On("[" + name + "]"))
		} else {
			b.WriteString(" " + name + " ")
		}
		if len(m.overlays) == 0 {
			m.takesMouse(region{x: at, width: text.Width(name) + 2, height: 1, click: clicked(act(func() { m.show(s) }))})
		}
		at += text.Width(name) + 2
	}
	right := m.theme.bold.On(m.baselineText()) + m.liveText()
	if machine := text.Clean(m.options.Machine); machine != "" && m.width-text.Width(b.String())-text.Width(right)-text.Width(machine) > 8 {
		right += m.theme.dim.On(machine) + " "
	}
	return text.Sides(b.String(), right, m.width)
}

// liveText says on every screen that a run is live.
func (m *model) liveText() string {
	switch {
	case m.quitting:
		return m.theme.warning.On("● stopping") + "  "
	case m.starting:
		return m.theme.running.On("◌ starting") + "  "
	case !m.running():
		return ""
	}
	words := ""
	m.live.board.Read(func(v *lab.View) {
		words = "● " + text.Clean(v.Begin.Scenario) + " "
		if m.width >= 110 {
			words += report.HowFar(v, m.live.left(v, m.now()))
			return
		}
		done, all := 0, 0
		for i := range v.Rows {
			done, all = done+v.Rows[i].Done, all+v.Rows[i].Of
		}
		words += fmt.Sprintf("%d of %d rows", done, all)
	})
	return m.theme.running.On(words) + "  "
}

// footer is the line of keys; a message takes its place until the next key.
func (m *model) footer() string {
	if f, ok := m.top().(footed); ok {
		return f.Footer(m.width)
	}
	switch {
	case m.message != "" && m.failed:
		return m.theme.failed.On(text.Fit(" ✗ "+m.message, m.width))
	case m.message != "":
		return text.Fit(" "+m.message, m.width)
	}
	right := ""
	if n := m.errorCount(); n > 0 {
		right = fmt.Sprintf("! %s ", plural.Of(n, "problem"))
	}
	m.takesMouse(region{x: m.width - text.Width(right), y: m.height - 1, width: text.Width(right), height: 1, click: clicked(m.showErrors)})
	groups, last := m.keyGroups(), []binding{{footer: "? help", do: act(m.help)}}
	if len(m.overlays) > 0 {
		groups, last = m.top().Keys(), nil
	}
	keys := m.keyLine(groups, last, m.width-text.Width(right)-1)
	return text.Sides(m.theme.dim.On(keys), m.theme.failed.On(right), m.width)
}

// keyLine names as many keys as fit before the last ones. A click on a key is the key.
func (m *model) keyLine(groups []keyGroup, last []binding, width int) string {
	line, reserved := " ", 0
	for _, b := range last {
		reserved += text.Width(b.footer) + 1
	}
	add := func(b binding, behind string) {
		if b.do != nil {
			m.takesMouse(region{x: text.Width(line), y: m.height - 1, width: text.Width(b.footer), height: 1, click: clicked(b.do)})
		}
		line += b.footer + behind
	}
	for _, group := range groups {
		for _, b := range group.bindings {
			if b.footer != "" && b.works() && text.Width(line)+text.Width(b.footer)+2+reserved <= width {
				add(b, "  ")
			}
		}
	}
	for _, b := range last {
		add(b, " ")
	}
	return text.Cut(line, width)
}

// clicked makes of an action what a click does.
func clicked(do func() tea.Cmd) func(x, y int) tea.Cmd {
	return func(int, int) tea.Cmd { return do() }
}
