package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// picker chooses one of a list by typing parts of it.
type picker struct {
	*workbench
	title   string
	entries []entry
	line    input
	cursor  int
	typed   func(line string) entry // what was typed, as an entry of its own; nil is none
}

type entry struct {
	name, about string
	do          func() tea.Cmd
}

// compact says that a list can be chosen from in any window.
func (p *picker) compact() bool { return true }

func (p *picker) Title() string { return p.title }

func (p *picker) Keys() []keyGroup {
	by := func(n int) func() tea.Cmd { return act(func() { p.move(n) }) }
	return []keyGroup{{p.title, []binding{
		{keys: []string{"letters"}, footer: "type to narrow", help: "narrow the list: words, or letters in their order", typed: p.narrow},
		{keys: []string{"up", "ctrl+p"}, shown: "↑", footer: "↑↓ choose", help: "up", do: by(-1)},
		{keys: []string{"down", "ctrl+n", "tab"}, shown: "↓", help: "down", do: by(1)},
		{keys: []string{"pgup"}, help: "ten up", do: by(-10)},
		{keys: []string{"pgdown"}, shown: "pgdn", help: "ten down", do: by(10)},
		{keys: []string{"enter"}, footer: "enter take", help: "take the entry under the cursor", do: p.take},
		{keys: []string{"esc"}, footer: "esc close", help: "close", do: act(func() { p.pop(p) })},
	}}}
}

func (p *picker) move(n int) { p.cursor = max(0, min(p.cursor+n, len(p.matches())-1)) }

func (p *picker) narrow(k tea.KeyMsg) bool {
	if !p.line.key(k) {
		return false
	}
	p.cursor = 0
	return true
}

func (p *picker) take() tea.Cmd {
	matches := p.matches()
	if p.cursor >= len(matches) {
		return nil
	}
	p.pop(p)
	return matches[p.cursor].do()
}

// matches are the entry that is called as was typed; the entries that contain all typed words; then
// those that contain the typed letters in order.
func (p *picker) matches() []entry {
	words := strings.Fields(strings.ToLower(p.line.String()))
	var called, exact, loose []entry
	for _, e := range p.entries {
		line := strings.ToLower(e.name + " " + e.about)
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if strings.EqualFold(e.name, strings.TrimSpace(p.line.String())) {
			called = append(called, e)
		} else if all {
			exact = append(exact, e)
		} else if inOrder(strings.Join(words, ""), strings.ToLower(e.name)) {
			loose = append(loose, e)
		}
	}
	if line := strings.TrimSpace(p.line.String()); p.typed != nil && line != "" {
		loose = append(loose, p.typed(line))
	}
	return slices.Concat(called, exact, loose)
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

func (p *picker) View(width, height int) []string {
	matches := p.matches()
	lines := []string{" " + p.theme.head.On(p.title), " > " + p.line.view(width-4), ""}
	room := max(1, height-len(lines))
	from := max(0, p.cursor-room+1)
	p.takesMouse(region{y: len(lines), width: width, height: height - len(lines), wheel: func(n int) { p.move(n) }, click: func(_, y int) tea.Cmd {
		if from+y >= len(matches) {
			return nil
		}
		p.cursor = from + y
		return p.take()
	}})
	names := 0
	for _, e := range p.entries {
		names = max(names, text.Width(e.name))
	}
	names = min(names, width/2)
	for i := from; i < min(len(matches), from+room); i++ {
		e := matches[i]
		if i == p.cursor {
			lines = append(lines, p.theme.selected.On(text.Fit("▌"+text.Fit(e.name, names)+"  "+e.about, width)))
		} else {
			lines = append(lines, " "+text.Fit(e.name, names)+"  "+p.theme.dim.On(text.Cut(e.about, width-names-3)))
		}
	}
	if len(matches) == 0 {
		lines = append(lines, "  nothing matches")
	}
	return lines
}
