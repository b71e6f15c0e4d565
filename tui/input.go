package tui

import (
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// input is a line that is typed. The editing is that of bubbles' text input; the drawing is ours,
// since a cursor must be seen without colour too.
type input struct {
	value string
	at    int // of the cursor, in runes
}

func newInput(s string) input { return input{s, len([]rune(s))} }

func (i *input) String() string { return i.value }

// key edits the line; it reports whether the key was one for it.
func (i *input) key(k tea.KeyMsg) bool {
	if k.Type == tea.KeyRunes {
		k.Runes = []rune(text.Clean(string(k.Runes)))
	}
	line := textinput.New()
	line.Focus()
	line.SetValue(i.value)
	line.SetCursor(i.at)
	line, _ = line.Update(k)
	edited := input{line.Value(), line.Position()}
	if edited == *i && !movesInLine(k) {
		return false
	}
	*i = edited
	return true
}

// movesInLine reports whether a key belongs to a line even where it has nothing to do, such as left
// at its beginning.
func movesInLine(k tea.KeyMsg) bool {
	switch k.Type {
	case tea.KeyRunes, tea.KeySpace:
		return !k.Alt
	case tea.KeyLeft, tea.KeyRight, tea.KeyHome, tea.KeyEnd, tea.KeyBackspace, tea.KeyDelete:
		return true
	}
	return false
}

// view shows the line with its cursor in at most width cells, the cursor always among them.
func (i *input) view(width int) string {
	runes := []rune(i.value)
	before, after := string(runes[:i.at]), string(runes[i.at:])
	room := width - 1 // beside the cursor
	if after != "" {
		room-- // the mark of what is cut would else stand in the cursor's place
	}
	for text.Width(before) > room && before != "" {
		before = string([]rune(before)[1:])
	}
	return text.Cut(before+"▏"+after, width)
}
