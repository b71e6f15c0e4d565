package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// pager is a text that scrolls: help, errors, expectations.
type pager struct {
	title string
	body  func(m *model, width int) []string
	top   int
	seen  int // lines of the last window
}

func (p *pager) hints() string { return "↑↓ scroll  esc close" }

func (p *pager) key(m *model, k tea.KeyMsg) tea.Cmd {
	switch k.String() {
	case "esc", "q", "enter", "?", "!", "v":
		m.overlay = nil
	case "up", "k":
		p.top--
	case "down", "j":
		p.top++
	case "pgup", "b":
		p.top -= p.seen
	case "pgdown", " ", "f":
		p.top += p.seen
	case "home", "g":
		p.top = 0
	case "end", "G":
		p.top = 1 << 30
	}
	return nil
}

func (p *pager) lines(m *model, width, height int) []string {
	body := p.body(m, width-4)
	p.seen = max(1, height-2)
	p.top = max(0, min(p.top, len(body)-p.seen))
	to := min(len(body), p.top+p.seen)
	title := p.title
	if len(body) > p.seen {
		title += fmt.Sprintf("  (%d–%d of %d)", p.top+1, to, len(body))
	}
	lines := []string{" " + m.theme.head.On(title), ""}
	for _, line := range body[p.top:to] {
		lines = append(lines, "  "+line)
	}
	return lines
}

// errorsPager lists what went wrong, in the workbench and in the run that is shown.
func errorsPager() *pager {
	return &pager{title: "Errors and warnings", body: func(m *model, width int) []string {
		p := &page{width: width, theme: &m.theme}
		for i := len(m.problems) - 1; i >= 0; i-- {
			p.list(func(int) string { return m.problems[i].at.Format("15:04:05") + " ✗ " }, []string{m.problems[i].text})
		}
		if s := m.run.session; s != nil {
			s.read(func(v *lab.View) { notes(p, v) })
		}
		if len(p.lines) == 0 {
			p.say("none")
		}
		return p.lines
	}}
}

func notes(p *page, v *lab.View) {
	p.heading("run " + text.Clean(v.Begin.Run))
	n := len(p.lines)
	if v.Error != "" {
		p.list(func(int) string { return "✗ error    " }, []string{text.Clean(v.Error)})
	}
	for i := len(v.Notes) - 1; i >= 0; i-- {
		note := v.Notes[i]
		glyph := map[lab.Level]string{lab.Info: "· info     ", lab.Warning: "⚠ warning  ", lab.Error: "✗ error    "}[note.Level]
		line := text.Clean(note.Text)
		if note.Cell != "" {
			line = text.Clean(note.Cell) + ": " + line
		}
		if note.Count > 1 {
			line += fmt.Sprintf(" (%d times)", note.Count)
		}
		p.list(func(int) string { return fmt.Sprintf("%8s ", report.Duration(note.Time)) + glyph }, []string{line})
	}
	if v.Dropped > 0 {
		p.say(fmt.Sprintf("%d more notes are only in the log", v.Dropped))
	}
	if len(p.lines) == n {
		p.say("no notes")
	}
}

// verdictsPager lists the outcome of each expectation.
func verdictsPager() *pager {
	return &pager{title: "Expectations", body: func(m *model, width int) []string {
		p := &page{width: width, theme: &m.theme}
		m.run.session.read(func(v *lab.View) {
			for _, x := range v.Verdicts {
				glyph, word, paint := "✗", "not held", m.theme.failed
				if x.Held {
					glyph, word, paint = "✓", "held", m.theme.done
				}
				p.say(paint.On(glyph+" "+text.Fit(word, 8)) + "  " + text.Cut(text.Clean(x.Text), width-12))
				p.list(func(int) string { return "            " }, []string{text.Clean(x.Reason)})
			}
			if len(v.Verdicts) == 0 {
				p.say("Expectations are judged when the run ends.")
			}
		})
		return p.lines
	}}
}

// picker chooses one of a list by typing parts of it.
type picker struct {
	title   string
	entries []entry
	line    input
	cursor  int
}

type entry struct {
	name, about string
	do          func(m *model) tea.Cmd
}

func (p *picker) hints() string { return "type to narrow  ↑↓ choose  enter take  esc close" }

func (p *picker) key(m *model, k tea.KeyMsg) tea.Cmd {
	matches := p.matches()
	switch k.String() {
	case "esc":
		m.overlay = nil
	case "up", "ctrl+p":
		p.cursor--
	case "down", "ctrl+n", "tab":
		p.cursor++
	case "pgup":
		p.cursor -= 10
	case "pgdown":
		p.cursor += 10
	case "enter":
		if p.cursor < len(matches) {
			m.overlay = nil
			return matches[p.cursor].do(m)
		}
	default:
		if p.line.key(k) {
			p.cursor = 0
		}
	}
	p.cursor = max(0, min(p.cursor, len(p.matches())-1))
	return nil
}

// matches are the entries that contain all typed words; failing that, those that contain the typed
// letters in order.
func (p *picker) matches() []entry {
	words := strings.Fields(strings.ToLower(p.line.String()))
	var exact, loose []entry
	for _, e := range p.entries {
		line := strings.ToLower(e.name + " " + e.about)
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			exact = append(exact, e)
		} else if inOrder(strings.Join(words, ""), strings.ToLower(e.name)) {
			loose = append(loose, e)
		}
	}
	return append(exact, loose...)
}

func inOrder(letters, line string) bool {
	rest := []rune(letters)
	for _, r := range line {
		if len(rest) > 0 && rest[0] == r {
			rest = rest[1:]
		}
	}
	return len(rest) == 0
}

func (p *picker) lines(m *model, width, height int) []string {
	matches := p.matches()
	lines := []string{" " + m.theme.head.On(p.title), " > " + p.line.view(width-4), ""}
	room := max(1, height-len(lines))
	from := max(0, p.cursor-room+1)
	names := 0
	for _, e := range p.entries {
		names = max(names, text.Width(e.name))
	}
	names = min(names, width/2)
	for i := from; i < min(len(matches), from+room); i++ {
		e := matches[i]
		if i == p.cursor {
			lines = append(lines, m.theme.selected.On(text.Fit("▌"+text.Fit(e.name, names)+"  "+e.about, width)))
		} else {
			lines = append(lines, " "+text.Fit(e.name, names)+"  "+m.theme.dim.On(text.Cut(e.about, width-names-3)))
		}
	}
	if len(matches) == 0 {
		lines = append(lines, "  nothing matches")
	}
	return lines
}

// prompt asks for a line of text.
type prompt struct {
	title, about string
	line         input
	do           func(m *model, line string) tea.Cmd
}

func (p *prompt) hints() string { return "enter take  esc close" }

func (p *prompt) key(m *model, k tea.KeyMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		m.overlay = nil
	case "enter":
		m.overlay = nil
		return p.do(m, p.line.String())
	default:
		p.line.key(k)
	}
	return nil
}

func (p *prompt) lines(m *model, width, _ int) []string {
	return []string{" " + m.theme.head.On(p.title), " > " + p.line.view(width-4), "", " " + p.about}
}

// question asks for yes or no.
type question struct {
	text  string
	yes   func(m *model) tea.Cmd
	quits bool // a second ctrl+c means yes
}

func (q *question) hints() string { return "y yes  n no" }

func (q *question) key(m *model, k tea.KeyMsg) tea.Cmd {
	switch k.String() {
	case "y", "Y", "enter":
		m.overlay = nil
		return q.yes(m)
	case "n", "N", "esc", "q":
		m.overlay = nil
	}
	return nil
}

func (q *question) lines(m *model, width, height int) []string {
	body := text.Wrap(q.text, min(width-4, 76))
	return centred(append(body, "", m.theme.head.On("y: yes    n: no")), width, height)
}
