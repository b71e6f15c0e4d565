package tui

import (
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"slimlab/lab"
	"slimlab/tui/colours"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// theme is the workbench's styles. Colour alone says nothing.
type theme struct {
	ascii                          bool
	head, selected, dim, bold, tab text.Paint
	running, done, failed, warning text.Paint
	lines                          []text.Paint // of curves
	heats                          []text.Paint // of cells, from the lowest value to the highest
	palette                        colours.Palette
	renderer                       *lipgloss.Renderer
}

func newTheme(r *lipgloss.Renderer, p colours.Palette, ascii bool) theme {
	shade := func(c colours.Colour) lipgloss.TerminalColor {
		cube := strconv.Itoa(int(c.Cube))
		return lipgloss.CompleteColor{TrueColor: cube, ANSI256: cube, ANSI: strconv.Itoa(int(c.Basic))}
	}
	text := func(c colours.Colour) text.Paint { return paintOf(r.NewStyle().Foreground(shade(c))) }
	fill := func(f colours.Fill) lipgloss.Style {
		return r.NewStyle().Foreground(shade(f.Text)).Background(shade(f.Back))
	}
	bold := paintOf(r.NewStyle().Bold(true))
	t := theme{
		ascii: ascii, palette: p, renderer: r,
		head: bold, bold: bold, dim: text(p.Dim),
		selected: paintOf(fill(p.Selected)), tab: paintOf(fill(p.Selected).Bold(true)),
		running: text(p.Running), done: text(p.Done), failed: text(p.Failed), warning: text(p.Warning),
	}
	for _, c := range p.Lines {
		t.lines = append(t.lines, text(c))
	}
	for _, f := range p.Heat {
		t.heats = append(t.heats, paintOf(fill(f)))
	}
	return t
}

// themeNamed is the theme of a palette by its name; an empty or unknown name is the one that the
// terminal's COLORFGBG asks for.
func themeNamed(r *lipgloss.Renderer, name, colorFGBG string, ascii bool) theme {
	p, ok := colours.Named(name)
	if !ok {
		p = colours.Default(colorFGBG)
	}
	return newTheme(r, p, ascii)
}

// next is the same theme in the palette after its own.
func (t *theme) next() theme {
	all := colours.All()
	at := slices.IndexFunc(all, func(p colours.Palette) bool { return p.Name == t.palette.Name })
	return newTheme(t.renderer, all[(at+1)%len(all)], t.ascii)
}

// Palettes lists the names that Options.Palette can have.
func Palettes() []string {
	var names []string
	for _, p := range colours.All() {
		names = append(names, p.Name)
	}
	return names
}

// paintOf converts a style once, so that using it costs nothing.
func paintOf(s lipgloss.Style) text.Paint {
	opening, closing, _ := strings.Cut(s.Render("x"), "x")
	return text.Paint{Open: opening, Close: closing}
}

func (t *theme) line(i int) text.Paint { return t.lines[i%len(t.lines)] }

// heat is the style of a cell that shows a value of 0…1: its background says how high the value is,
// and its text can be read on it. Without colours it is no style: the cell must say its value too.
func (t *theme) heat(value float64) text.Paint { return t.heats[t.palette.Step(value)] }

func (t *theme) grid() grid.Paints { return grid.Paints{Head: t.head, Selected: t.selected} }

// state is a state's glyph and style. The word is shown beside it.
func (t *theme) state(s lab.State) (glyph string, p text.Paint) {
	switch s {
	case lab.Running:
		return "●", t.running
	case lab.Done:
		return "✓", t.done
	case lab.Failed, lab.Crashed, lab.Damaged, lab.Newer:
		return "✗", t.failed
	case lab.Stopped:
		return "■", t.warning
	case lab.Silent:
		return "◌", t.warning
	case lab.Deleted:
		return "−", t.warning
	case lab.NotRun, lab.Unknown:
		return "–", t.dim
	}
	return "○", t.dim
}
