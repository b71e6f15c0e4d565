package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// input is a line that is typed.
type input struct {
	runes []rune
	at    int // of the cursor
}

func newInput(s string) input { return input{[]rune(s), len([]rune(s))} }

func (i *input) String() string { return string(i.runes) }

// key edits the line; it reports whether the key was one for it.
func (i *input) key(k tea.KeyMsg) bool {
	switch k.String() {
	case "left", "ctrl+b":
		i.at = max(0, i.at-1)
	case "right", "ctrl+f":
		i.at = min(len(i.runes), i.at+1)
	case "home", "ctrl+a":
		i.at = 0
	case "end", "ctrl+e":
		i.at = len(i.runes)
	case "backspace", "ctrl+h":
		i.cut(max(0, i.at-1), i.at)
	case "delete", "ctrl+d":
		i.cut(i.at, min(len(i.runes), i.at+1))
	case "ctrl+u":
		i.cut(0, i.at)
	case "ctrl+w":
		before := strings.TrimRight(string(i.runes[:i.at]), " ")
		i.cut(len([]rune(before[:strings.LastIndex(before, " ")+1])), i.at)
	default:
		if k.Type != tea.KeyRunes && k.Type != tea.KeySpace || k.Alt {
			return false
		}
		typed := []rune(text.Clean(string(k.Runes)))
		i.runes = append(i.runes[:i.at:i.at], append(typed, i.runes[i.at:]...)...)
		i.at += len(typed)
	}
	return true
}

func (i *input) cut(from, to int) {
	i.runes = append(i.runes[:from:from], i.runes[to:]...)
	i.at = from
}

// view shows the line with its cursor in at most width cells, the cursor always among them.
func (i *input) view(width int) string {
	before, after := string(i.runes[:i.at]), string(i.runes[i.at:])
	for text.Width(before)+1 > width && before != "" {
		before = string([]rune(before)[1:])
	}
	return text.Cut(before+"▏"+after, width)
}
