package tui

import (
	"context"
	"fmt"
	"math"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// compareScreen is the Compare screen: one run against another.
type compareScreen struct {
	*workbench
	base, next string // ids
	result     *report.Comparison
	grid       grid.Grid
	onlyNew    bool // hide what is the same or within what seeds and clocks differ
}

// comparedMsg is two runs that were read for a comparison.
type comparedMsg struct {
	base, next string
	views      [2]*lab.View
	err        error
}

func (w *workbench) compareRuns(base, next string) tea.Cmd {
	w.say("comparing %s with %s …", text.Clean(next), text.Clean(base))
	return func() tea.Msg {
		msg := comparedMsg{base: base, next: next}
		for i, id := range []string{base, next} {
			if msg.views[i], msg.err = openView(w.ctx, w.bench, id); msg.err != nil {
				break
			}
		}
		return msg
	}
}

func openView(ctx context.Context, b Bench, id string) (*lab.View, error) {
	board, err := b.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return board.Snapshot(), nil
}

func newCompareScreen(w *workbench) *compareScreen { return &compareScreen{workbench: w} }

func (c *compareScreen) Title() string { return "Compare" }

func (c *compareScreen) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case moveMsg:
		c.grid.Move(msg.rows)
		c.grid.Page(msg.pages)
	case comparedMsg:
		if msg.err != nil {
			c.fail("compare", msg.err)
			break
		}
		*c = compareScreen{workbench: c.workbench, base: msg.base, next: msg.next, result: report.Compare(msg.views[0], msg.views[1]), onlyNew: c.onlyNew}
		c.show(c)
	}
	return nil
}

func (c *compareScreen) Keys() []keyGroup {
	if c.result == nil {
		return nil
	}
	column := func(n int) func() tea.Cmd { return act(func() { c.grid.MoveColumn(n) }) }
	return []keyGroup{{"Compare: a run against another", []binding{
		{keys: []string{"<", "left"}, help: "column cursor left (also ←)", do: column(-1)},
		{keys: []string{">", "right"}, footer: "< > column", help: "column cursor right (also →)", do: column(1)},
		{keys: []string{"o"}, footer: "o swap", help: "swap base and new", do: func() tea.Cmd { return c.compareRuns(c.next, c.base) }},
		{keys: []string{"d"}, footer: "d differences only", help: "only what differs beyond seeds and clocks; again: all", do: act(func() {
			c.onlyNew = !c.onlyNew
			c.grid.Row = 0
		})},
	}}}
}

// changes are the lines of the table.
func (c *compareScreen) changes() []report.Change {
	if !c.onlyNew {
		return c.result.Changes
	}
	var out []report.Change
	for _, one := range c.result.Changes {
		if one.Judgement != report.Same && one.Judgement != report.Within {
			out = append(out, one)
		}
	}
	return out
}

func (c *compareScreen) View(width, height int) []string {
	if c.result == nil {
		return centred([]string{
			"Nothing is compared yet.",
			"",
			"Mark two runs on the Bench (1) with space, then press c:",
			"the newer against the older, every metric of every row, judged by seeds and test set.",
		}, width, height)
	}
	lines := []string{
		text.Cut(" base  "+runTitle(c.base, c.result.Base), width),
		text.Cut(" new   "+runTitle(c.next, c.result.New), width),
	}
	for _, reason := range append(append([]string{}, c.result.Reasons...), c.result.Missing...) {
		if len(lines) >= min(7, height/2) {
			break
		}
		lines = append(lines, text.Cut(c.theme.warning.On(" ⚠ "+text.Clean(reason)), width))
	}
	lines = append(lines, text.Cut(" "+judgements(c.result.Changes), width), "")
	changes := c.changes()
	c.fillGrid(changes)
	if len(changes) == 0 {
		return append(lines, "  nothing to show: d shows all")
	}
	c.gridTakesMouse(&c.grid, len(lines), width, max(2, height-len(lines)-1), gridActions{})
	lines = append(lines, c.grid.Render(width, max(2, height-len(lines)-1))...)
	return append(lines, c.explain(changes[c.grid.Row], width))
}

func runTitle(id string, b lab.Begin) string {
	title := text.Clean(id) + "  " + text.Clean(b.Scenario)
	if b.Quick {
		title += " (quick)"
	}
	return title + "  " + text.Clean(b.Machine)
}

// judgements counts them: "12 = same  3 ~ within  1 + better".
func judgements(changes []report.Change) string {
	var parts []string
	for j := report.Same; j <= report.Unknown; j++ {
		n := 0
		for _, c := range changes {
			n += number(c.Judgement == j)
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, j))
		}
	}
	return strings.Join(parts, "   ")
}

func (c *compareScreen) fillGrid(changes []report.Change) {
	g := &c.grid
	g.Columns = []grid.Column{{Title: "step"}, {Title: "metric"}, {Title: "judgement"}, {Title: "base", Right: true}, {Title: "new", Right: true}, {Title: "change", Right: true}, {Title: "p", Right: true}}
	g.Rows, g.Paints = len(changes), c.theme.grid()
	g.At = func(i, column int) grid.Cell {
		one := &changes[i]
		scale := report.ScaleOf(one.Metric.Unit, one.Base.Value, one.New.Value)
		switch column {
		case 0:
			return grid.Cell{Text: text.Clean(one.Row)}
		case 1:
			return grid.Cell{Text: one.Metric.Label}
		case 2:
			return grid.Cell{Text: one.Judgement.String(), Paint: c.judgementPaint(one.Judgement), Mark: warningMark(one.Warnings)}
		case 3:
			return grid.Cell{Text: scale.Summary(one.Base)}
		case 4:
			return grid.Cell{Text: scale.Summary(one.New), Paint: c.theme.bold}
		case 5:
			return grid.Cell{Text: one.DeltaText()}
		}
		if math.IsNaN(one.P) {
			return grid.Cell{Text: report.Missing, Paint: c.theme.dim}
		}
		return grid.Cell{Text: fmt.Sprintf("%.3f", one.P)}
	}
}

func (c *compareScreen) judgementPaint(j report.Judgement) text.Paint {
	switch j {
	case report.Better:
		return c.theme.done
	case report.Worse:
		return c.theme.failed
	case report.Changed, report.Unknown:
		return c.theme.warning
	}
	return c.theme.dim
}

// explain explains the line under the cursor.
func (c *compareScreen) explain(change report.Change, width int) string {
	parts := []string{"  " + rowsSeen(&c.grid) + change.Metric.Key}
	if len(change.Warnings) > 0 {
		parts = append(parts, "* "+text.Clean(strings.Join(change.Warnings, "; ")))
	}
	parts = append(parts, change.Metric.About)
	return c.theme.dim.On(text.Fit(strings.Join(parts, " · "), width))
}
