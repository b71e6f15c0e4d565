package tui

import (
	"fmt"
	"strings"

	"slimlab/lab"
	"slimlab/tui/text"
)

// The smallest window that the screens are drawn for.
const (
	minWidth  = 60
	minHeight = 15
)

// View returns the last frame, drawn anew when something in it has changed.
func (m *model) View() string {
	if m.dirty {
		m.frame, m.dirty = m.draw(), false
		m.second = m.now().Unix()
	}
	return m.frame
}

func (m *model) draw() string {
	if m.width <= 0 || m.height <= 0 {
		return ""
	}
	if s := m.run.session; s != nil {
		m.version = s.board.Version() // before reading: what comes meanwhile is drawn next time
	}
	var lines []string
	if m.width < minWidth || m.height < minHeight {
		lines = []string{text.Cut(fmt.Sprintf("%d×%d needed, have %d×%d", minWidth, minHeight, m.width, m.height), m.width)}
	} else {
		lines = m.screenLines()
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

// screenLines draws title, screen and footer.
func (m *model) screenLines() []string {
	lines := append(make([]string, 0, m.height), m.title())
	if m.height >= 30 { // air, where there is room for it
		lines = append(lines, "")
	}
	height := m.height - len(lines) - 1
	var body []string
	switch {
	case m.overlay != nil:
		body = m.overlay.lines(m, m.width, height)
	case m.screen == screenBench:
		body = m.shelfLines(m.width, height)
	case m.screen == screenRun:
		body = m.runLines(m.width, height)
	default:
		body = m.compareLines(m.width, height)
	}
	for len(body) < height {
		body = append(body, "")
	}
	return append(append(lines, body[:height]...), m.footer())
}

func (m *model) title() string {
	var b strings.Builder
	b.WriteString(m.theme.bold.On(" slimlab") + " ")
	for s := range screens {
		name := fmt.Sprintf("%d %s", s+1, s)
		if s == m.screen {
			b.WriteString(m.theme.tab.On("[" + name + "]"))
		} else {
			b.WriteString(" " + name + " ")
		}
	}
	right := m.liveWord()
	if machine := text.Clean(m.options.Machine); machine != "" && m.width-text.Width(b.String())-text.Width(right)-text.Width(machine) > 8 {
		right += m.theme.dim.On(machine) + " "
	}
	return text.Sides(b.String(), right, m.width)
}

// liveWord says on every screen that a run is live.
func (m *model) liveWord() string {
	switch {
	case m.quitting:
		return m.theme.warning.On("● stopping") + "  "
	case m.starting:
		return m.theme.running.On("◌ starting") + "  "
	case m.live == nil || m.live.over():
		return ""
	}
	name, done, all := "", 0, 0
	m.live.board.Read(func(v *lab.View) {
		name = text.Clean(v.Begin.Scenario)
		for i := range v.Rows {
			done, all = done+v.Rows[i].Done, all+v.Rows[i].Of
		}
	})
	return m.theme.running.On(fmt.Sprintf("● %s %d of %d rows", name, done, all)) + "  "
}

// footer is the line of keys; a message takes its place until the next key.
func (m *model) footer() string {
	right := ""
	if n := m.errorCount(); n > 0 {
		right = m.theme.failed.On(fmt.Sprintf("! %s ", plural(n, "problem")))
	}
	room := m.width - text.Width(right) - 1
	switch line := m.typing(); {
	case line != nil && m.overlay == nil:
		return m.filterFooter(line)
	case m.message != "" && m.failed:
		return m.theme.failed.On(text.Fit(" ✗ "+m.message, m.width))
	case m.message != "":
		return text.Fit(" "+m.message, m.width)
	case m.overlay != nil:
		return text.Sides(m.theme.dim.On(text.Cut(" "+m.overlay.hints(), room)), right, m.width)
	}
	left, more := " ", "? help "
	for _, group := range m.keyGroups() {
		for _, b := range group.bindings {
			if b.short == "" || !b.works(m) {
				continue
			}
			if word := b.name() + " " + b.short + "  "; text.Width(left)+text.Width(word)+text.Width(more) <= room {
				left += word
			}
		}
	}
	return text.Sides(m.theme.dim.On(left+more), right, m.width)
}

// filterFooter shows the line that is typed, and why it is no filter yet.
func (m *model) filterFooter(line *input) string {
	note := "text in name or state · enter keeps · esc clears"
	if m.screen == screenRun {
		note = "text  key=value  key<number  has:key  not …  ·  enter keeps, esc clears"
		if m.run.wrong != nil {
			note = "✗ " + text.Clean(m.run.wrong.Error())
		}
	}
	left := " / " + line.view(max(20, m.width-text.Width(note)-8))
	return text.Sides(left, m.theme.dim.On(text.Cut(note, m.width-text.Width(left)-2))+" ", m.width)
}

// errorCount counts errors and warnings that ! would list.
func (m *model) errorCount() int {
	n := len(m.problems)
	if s := m.run.session; s != nil {
		s.read(func(v *lab.View) { n += v.Errors + v.Warnings })
	}
	return n
}
