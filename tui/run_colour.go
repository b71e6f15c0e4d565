package tui

import (
	"strings"

	"slimlab/lab/sweep"
	"slimlab/tui/text"
)

// colouring tells rows apart by an axis of the sweep or by their step: each value has a colour and
// a glyph.
type colouring struct {
	key   string
	names []string
	theme *theme
	table *sweep.Table
	axis  int // -1: the step
	steps map[string]int
}

// colouring is the one that was chosen, else by the first axis that has several values.
func (r *runScreen) colouring(t *table) colouring { return r.colouringBy(t, r.colour) }

// colouringBy is the one by an axis or the step; by the first axis with several values where there
// is no such axis.
func (r *runScreen) colouringBy(t *table, key string) colouring {
	c := colouring{key: key, theme: &r.theme, table: t.sweep, axis: -1, steps: map[string]int{}}
	if c.key == "" || c.key != sweep.StepAxis && t.sweep.Axis(c.key) < 0 {
		c.key = sweep.StepAxis
		for i := range t.sweep.Axes {
			if len(t.sweep.Axes[i].Values) > 1 {
				c.key = t.sweep.Axes[i].Key
				break
			}
		}
	}
	c.axis = t.sweep.Axis(c.key)
	if c.axis >= 0 {
		c.names = t.sweep.Axes[c.axis].Values
		return c
	}
	c.names = t.sweep.Steps()
	for i, name := range c.names {
		c.steps[name] = i
	}
	return c
}

// turnColour goes to the next axis, and from the last to the step.
func (r *runScreen) turnColour() {
	r.look(func(t *table) {
		now := r.colouring(t).key
		keys := t.sweep.PivotAxes()
		for i, key := range keys {
			if key == now {
				r.colour = keys[(i+1)%len(keys)]
				return
			}
		}
		r.say("the run has no axis and one step: nothing tells its rows apart")
	})
}

// of is the place of a row's value in names; -1 where the row does not depend on the axis.
func (c *colouring) of(row *sweep.Row) int {
	if c.axis < 0 {
		return c.steps[row.Name]
	}
	return row.At[c.axis]
}

var (
	filledGlyphs = []rune("●■▲◆▼")
	hollowGlyphs = []rune("○□△◇▽")
)

// letters is the number of values that have a glyph of their own.
const letters = 26

// glyph is the mark of a value: filled, or hollow. Where shapes do not suffice it is a letter,
// upper or lower case.
func (c *colouring) glyph(value int, filled bool) rune {
	shapes := !c.theme.ascii && len(c.names) <= len(filledGlyphs)
	switch {
	case value < 0 || value >= letters:
		if filled {
			return '+'
		}
		return '×'
	case shapes && filled:
		return filledGlyphs[value]
	case shapes:
		return hollowGlyphs[value]
	case filled:
		return 'A' + rune(value)
	}
	return 'a' + rune(value)
}

func (c *colouring) paint(value int) text.Paint {
	if value < 0 {
		return text.Paint{}
	}
	return c.theme.line(value)
}

// legend names the values with their glyphs, in at most width cells; apart says that there are rows
// without one.
func (c *colouring) legend(width int, apart bool) string {
	out := "colour: " + text.Cut(text.Clean(c.key), axisTitleWidth)
	used := text.Width(out)
	for i, name := range c.names {
		name = text.Cut(text.Clean(name), axisValueWidth)
		glyph := string(c.glyph(i, true))
		if used += 4 + text.Width(name); used > width-4 || i >= letters {
			return out + strings.Repeat(" ", min(2, max(0, width-used))) + text.Ellipsis
		}
		out += "  " + c.paint(i).On(glyph) + " " + name
	}
	if none := "  + none"; apart && used+len(none) <= width {
		out += none
	}
	return out
}
