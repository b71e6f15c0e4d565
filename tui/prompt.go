package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// prompt asks for a line of text.
type prompt struct {
	*workbench
	title, about string
	line         input
	do           func(line string) tea.Cmd
}

func (p *prompt) Title() string { return p.title }

func (p *prompt) Keys() []keyGroup {
	return []keyGroup{{p.title, []binding{
		{keys: []string{"letters"}, help: "edit the line", typed: p.line.key},
		{keys: []string{"enter"}, footer: "enter take", help: "take the line", do: func() tea.Cmd {
			p.pop(p)
			return p.do(p.line.String())
		}},
		{keys: []string{"esc"}, footer: "esc close", help: "close", do: act(func() { p.pop(p) })},
	}}}
}

func (p *prompt) View(width, _ int) []string {
	return []string{" " + p.theme.head.On(p.title), " > " + p.line.view(width-4), "", " " + p.about}
}

// question asks for yes or no.
type question struct {
	*workbench
	text string
	yes  func() tea.Cmd
	also []string // more keys that mean yes
}

func (q *question) Title() string { return "A question" }

func (q *question) Keys() []keyGroup {
	return []keyGroup{{q.Title(), []binding{
		{keys: append([]string{"y", "Y", "enter"}, q.also...), footer: "y yes", help: "yes", do: func() tea.Cmd {
			q.pop(q)
			return q.yes()
		}},
		{keys: []string{"n", "N", "esc", "q"}, footer: "n no", help: "no", do: act(func() { q.pop(q) })},
	}}}
}

func (q *question) View(width, height int) []string {
	body := text.Wrap(q.text, min(width-4, 76))
	return centred(append(body, "", q.theme.head.On("y: yes    n: no")), width, height)
}

// filterLine is a filter that is typed in the footer, below the screen whose rows it filters.
type filterLine struct {
	*workbench
	screen  Screen
	line    *input
	changed func()        // after each key
	kept    func()        // when it is no longer typed
	note    func() string // the syntax, or what is wrong with the line
	wrong   func() bool   // that the line cannot be kept, which note says; nil: it always can
}

func (f *filterLine) Title() string { return "Filter" }

func (f *filterLine) Keys() []keyGroup {
	move := func(n int) func() tea.Cmd { return func() tea.Cmd { return f.screen.Update(moveMsg{rows: n}) } }
	return []keyGroup{{f.Title(), []binding{
		{keys: []string{"letters"}, help: "edit the filter; the rows follow", typed: func(k tea.KeyMsg) bool {
			used := f.line.key(k)
			f.changed()
			return used
		}},
		{keys: []string{"enter"}, help: "keep the filter, unless it is wrong", do: act(func() {
			if f.wrong == nil || !f.wrong() {
				f.close()
			}
		})},
		{keys: []string{"esc"}, help: "clear the filter", do: act(func() {
			*f.line = input{}
			f.close()
		})},
		{keys: []string{"up"}, shown: "↑", help: "up", do: move(-1)},
		{keys: []string{"down"}, shown: "↓", help: "down", do: move(1)},
	}}}
}

func (f *filterLine) close() {
	f.pop(f)
	f.kept()
}

func (f *filterLine) View(width, height int) []string { return f.screen.View(width, height) }

// Footer shows the line that is typed, and what can be typed.
func (f *filterLine) Footer(width int) string {
	note := f.note()
	left := " / " + f.line.view(max(20, width-text.Width(note)-8))
	return text.Sides(left, f.theme.dim.On(text.Cut(note, width-text.Width(left)-2))+" ", width)
}
