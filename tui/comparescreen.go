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
	base, next string // ids
	result     *report.Comparison
	grid       grid.Grid
	onlyNew    bool // hide what is the same or within what seeds and clocks differ
}

func (m *model) compareRuns(base, next string) tea.Cmd {
	m.say("comparing %s with %s …", text.Clean(next), text.Clean(base))
	return func() tea.Msg {
		msg := comparedMsg{base: base, next: next}
		for i, id := range []string{base, next} {
			if msg.views[i], msg.err = openView(m.ctx, m.bench, id); msg.err != nil {
				break
			}
		}
		return msg
	}
}

func openView(ctx context.Context, b Bench, id string) (*lab.View, error) {
	events, err := b.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return lab.Fold(events).Snapshot(), nil
}

func (m *model) compared(msg comparedMsg) {
	if msg.err != nil {
		m.fail("compare", msg.err)
		return
	}
	m.compare = compareScreen{base: msg.base, next: msg.next, result: report.Compare(msg.views[0], msg.views[1]), onlyNew: m.compare.onlyNew}
	m.screen, m.message = screenCompare, ""
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

func (m *model) compareLines(width, height int) []string {
	c := &m.compare
	if c.result == nil {
		return centred([]string{
			"Nothing is compared yet.",
			"",
			"Mark two runs on the Bench (1) with space, then press c:",
			"the newer against the older, every metric of every row, judged by its seeds.",
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
		lines = append(lines, text.Cut(m.theme.warning.On(" ⚠ "+text.Clean(reason)), width))
	}
	lines = append(lines, text.Cut(" "+judgements(c.result.Changes), width), "")
	changes := c.changes()
	m.fillCompare(changes)
	if len(changes) == 0 {
		return append(lines, "  nothing to show: d shows all")
	}
	lines = append(lines, c.grid.Render(width, max(2, height-len(lines)-1))...)
	return append(lines, m.compareFoot(changes[c.grid.Row], width))
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

func (m *model) fillCompare(changes []report.Change) {
	g := &m.compare.grid
	g.Columns = []grid.Column{{Title: "step"}, {Title: "metric"}, {Title: "judgement"}, {Title: "base", Right: true}, {Title: "new", Right: true}, {Title: "change", Right: true}, {Title: "p", Right: true}}
	g.Rows, g.Paints = len(changes), m.theme.grid()
	g.At = func(i, column int) grid.Cell {
		c := &changes[i]
		scale := report.ScaleOf(c.Metric.Unit, c.Base.Value, c.New.Value)
		switch column {
		case 0:
			return grid.Cell{Text: text.Clean(c.Row)}
		case 1:
			return grid.Cell{Text: c.Metric.Label}
		case 2:
			return grid.Cell{Text: c.Judgement.String(), Paint: m.judgementPaint(c.Judgement), Mark: strings.Repeat("*", number(len(c.Warnings) > 0))}
		case 3:
			return grid.Cell{Text: withInterval(scale, c.Base)}
		case 4:
			return grid.Cell{Text: withInterval(scale, c.New), Paint: m.theme.bold}
		case 5:
			return grid.Cell{Text: changeText(c.Delta)}
		}
		if math.IsNaN(c.P) {
			return grid.Cell{Text: report.Missing, Paint: m.theme.dim}
		}
		return grid.Cell{Text: fmt.Sprintf("%.3f", c.P)}
	}
}

func withInterval(scale report.Scale, s lab.Summary) string {
	if math.IsNaN(s.Value) && len(s.Seeds) == 0 {
		return report.Missing
	}
	out := scale.Format(s.Value)
	if half := s.HalfWidth(); half > 0 {
		out += " " + scale.Width(half)
	}
	return out
}

func changeText(delta float64) string {
	switch {
	case math.IsNaN(delta):
		return report.Missing
	case delta == 0:
		return "0"
	case math.Abs(delta) < 5e-5:
		return "<0.01%"
	}
	return fmt.Sprintf("%+.2f%%", delta*100)
}

func (m *model) judgementPaint(j report.Judgement) text.Paint {
	switch j {
	case report.Better:
		return m.theme.done
	case report.Worse:
		return m.theme.failed
	case report.Changed, report.Unknown:
		return m.theme.warning
	}
	return m.theme.dim
}

// compareFoot explains the line under the cursor.
func (m *model) compareFoot(c report.Change, width int) string {
	parts := []string{"  " + rowsSeen(&m.compare.grid) + c.Metric.Key}
	if len(c.Warnings) > 0 {
		parts = append(parts, "* "+text.Clean(strings.Join(c.Warnings, "; ")))
	}
	parts = append(parts, c.Metric.About)
	return m.theme.dim.On(text.Fit(strings.Join(parts, " · "), width))
}
