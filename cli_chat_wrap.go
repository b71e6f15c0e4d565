package main

import (
	"io"

	"slimlab/internal/visible"
	"slimlab/tui/text"
)

// wordWrapper breaks a text that comes in pieces into lines of a terminal, at spaces and between
// wide characters, which have none. A word is written when its end has come: what stands on the
// screen stays where it is. A word that no line holds is broken.
type wordWrapper struct {
	w     io.Writer
	width int // cells of a line, at least 2
	used  int // of the line
	gap   string
	word  string // whose end has not come
	cells int    // that it takes
	err   error
}

// write takes the next piece.
func (l *wordWrapper) write(piece string) error {
	for _, r := range visible.Text(piece) {
		switch n := text.Width(string(r)); {
		case r == '\n':
			l.end()
			l.put("\n")
			l.used, l.gap = 0, ""
		case r == '\t':
			l.end()
			l.gap += text.Blank(8 - (l.used+len(l.gap))%8)
		case r == ' ':
			l.end()
			l.gap += " "
		case n == 2:
			l.end()
			l.word, l.cells = string(r), n
			l.end()
		case n == 0 && l.word == "" && l.gap == "": // it belongs to what is written
			l.put(string(r))
		default:
			if l.cells+n > l.width {
				l.end()
			}
			l.word += string(r)
			l.cells += n
		}
	}
	return l.err
}

// end writes the word, on a new line where this one has no room for it. Of spaces at the end of a
// line none is written.
func (l *wordWrapper) end() {
	if l.word == "" {
		return
	}
	if l.used+len(l.gap)+l.cells > l.width && l.used+len(l.gap) > 0 {
		l.put("\n")
		l.used, l.gap = 0, ""
	}
	l.put(l.gap + l.word)
	l.used += len(l.gap) + l.cells
	l.gap, l.word, l.cells = "", "", 0
}

func (l *wordWrapper) put(s string) {
	if l.err == nil {
		_, l.err = io.WriteString(l.w, s)
	}
}
