package tui

import (
	"strings"

	"github.com/charmbracelet/lipgloss"

	"slimlab/lab"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// theme is the workbench's styles. Colour alone says nothing.
type theme struct {
	ascii                          bool
	head, selected, dim, bold, tab text.Paint
	running, done, failed, warning text.Paint
	lines                          []text.Paint // of curves
}

func newTheme(r *lipgloss.Renderer, ascii bool) theme {
	style := r.NewStyle
	colour := func(c string) text.Paint { return paintOf(style().Foreground(lipgloss.Color(c))) }
	t := theme{
		ascii: ascii,
		head:  paintOf(style().Bold(true)), selected: paintOf(style().Reverse(true)), dim: paintOf(style().Faint(true)),
		bold: paintOf(style().Bold(true)), tab: paintOf(style().Bold(true).Reverse(true)),
		running: colour("39"), done: colour("35"), failed: colour("203"), warning: colour("178"),
	}
	// after Okabe and Ito: distinguishable with colour blindness
	for _, c := range []string{"39", "208", "35", "175", "178", "27"} {
		t.lines = append(t.lines, colour(c))
	}
	return t
}

// paintOf converts a style once, so that using it costs nothing.
func paintOf(s lipgloss.Style) text.Paint {
	opening, closing, _ := strings.Cut(s.Render("x"), "x")
	return text.Paint{Open: opening, Close: closing}
}

func (t *theme) line(i int) text.Paint { return t.lines[i%len(t.lines)] }

func (t *theme) grid() grid.Paints { return grid.Paints{Head: t.head, Selected: t.selected} }

// state is a state's glyph and style. The word is shown beside it.
func (t *theme) state(s lab.State) (glyph string, p text.Paint) {
	switch s {
	case lab.Running:
		return "●", t.running
	case lab.Done:
		return "✓", t.done
	case lab.Failed:
		return "✗", t.failed
	case lab.Cancelled:
		return "■", t.warning
	}
	return "○", t.dim
}
