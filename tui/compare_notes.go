package tui

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/lab/report"
	"slimlab/tui/text"
)

// notesShown are the notes that stand above the table: the line of a side says itself that it
// shares no row with the baseline.
func (c *compareScreen) notesShown() []string {
	return slices.DeleteFunc(slices.Clone(c.result.Notes), func(note string) bool {
		return slices.ContainsFunc(c.result.Against, func(against *report.Comparison) bool {
			return against != nil && against.Nothing != "" && strings.HasSuffix(note, ": "+against.Nothing)
		})
	})
}

// nothing says why the table has no line, and which key changes that.
func (c *compareScreen) nothing() string {
	switch {
	case len(c.result.Lines) == 0 && len(c.result.Settings) > 0:
		return "no row is in both: s shows the settings that differ"
	case len(c.result.Lines) == 0:
		return "no row is in both, and no setting differs"
	case c.bare && len(c.result.Settings) > 0:
		return "no figure differs: d shows all, s the settings that differ"
	}
	return "nothing differs: d shows all"
}

// noteLines shows as many notes as fit into a height, and how many there are beside them.
func (c *compareScreen) noteLines(width, height int) []string {
	notes := c.notesShown()
	shown := len(notes)
	if shown > height {
		shown = height - 1
	}
	var lines []string
	for _, note := range notes[:shown] {
		lines = append(lines, text.Cut(c.theme.warning.On(" ⚠ "+text.Clean(note)), width))
	}
	if more := len(notes) - shown; more > 0 {
		which := ""
		if shown > 0 {
			which = "more "
		}
		lines = append(lines, text.Cut(c.theme.warning.On(fmt.Sprintf(" ⚠ %d %s%s: n shows all", more, which, map[bool]string{true: "note", false: "notes"}[more == 1])), width))
	}
	return lines
}

// notesKey shows all notes.
func (c *compareScreen) notesKey() binding {
	return binding{keys: []string{"n"}, footer: "n notes", help: "all notes: what is compared once, what only one side has, what is not judged and why", when: func() bool { return len(c.result.Notes) > 0 }, do: act(func() {
		c.push(&pager{workbench: c.workbench, title: "Notes of the comparison", body: func(width int) []string {
			p := &page{width: width, theme: &c.theme}
			for i := range c.sides {
				p.say(text.Cut(c.sideLine(i), width))
			}
			p.say("")
			for _, note := range c.result.Notes {
				p.list(func(int) string { return "⚠ " }, []string{text.Clean(note)})
			}
			return p.lines
		}})
	})}
}
