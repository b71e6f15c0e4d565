package tui

import (
	"fmt"
	"math"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab/report"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// compareScreen is the Compare screen: any number of runs, or rows of runs, against one of them.
// First come the settings that differ, then the metrics; or the curves of all sides in one chart.
type compareScreen struct {
	*workbench
	sides     []side
	result    *report.Runs // nil: nothing is compared yet
	grid      grid.Grid
	onlyNew   bool                // hide what is the same or within what seeds and clocks differ
	shown     []report.RunsLine   // the metrics of the table
	bare      bool                // hide the settings that differ
	intervals bool                // show them with more than two sides too
	curves    bool                // show the curves in place of the table
	chart     compareCurves       // what of them
	settings  []report.Difference // of the table
	fit       compareFit          // of the table in its window
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
		was := c.grid
		*c = compareScreen{workbench: c.workbench, sides: msg.sides, result: msg.result, onlyNew: c.onlyNew, bare: c.bare, intervals: c.intervals, curves: c.curves, chart: c.chart}
		if len(was.Columns) == 2+len(c.sides) {
			c.grid.Column = was.Column
		}
		c.choose()
		c.show(c)
	}
	return nil
}

func (c *compareScreen) Keys() []keyGroup {
	if c.result == nil {
		return nil
	}
	column := func(n int) func() tea.Cmd { return act(func() { c.grid.MoveColumn(n) }) }
	if c.curves {
		return []keyGroup{{"Compare: curves of all sides", c.curveKeys()}}
	}
	return []keyGroup{{"Compare: runs, or rows, against one of them", []binding{
		{keys: []string{"<", "left"}, help: "column cursor left (also ←)", do: column(-1)},
		{keys: []string{">", "right"}, footer: "< > column", help: "column cursor right (also →)", do: column(1)},
		{keys: []string{"o"}, footer: "o baseline", help: "make the side under the column cursor the baseline; of two, the other one", do: c.swap},
		{keys: []string{"d"}, footer: "d differences only", help: "only what differs beyond seeds and clocks; again: all", do: act(func() {
			c.onlyNew = !c.onlyNew
			c.grid.Row = 0
			c.choose()
		})},
		{keys: []string{"s"}, footer: "s settings", help: "hide or show the settings that differ", when: func() bool { return len(c.result.Settings) > 0 }, do: act(func() {
			c.bare = !c.bare
			c.grid.Row = 0
			c.choose()
		})},
		{keys: []string{"i"}, help: "show or hide intervals (±), which two sides always have", when: func() bool { return len(c.sides) > 2 }, do: act(func() {
			c.intervals = !c.intervals
			c.grid.Forget()
		})},
		{keys: []string{"T"}, footer: "T curves", help: "the curves of all sides in one chart; again: the table", do: act(func() { c.curves = true })},
		{keys: []string{"enter"}, footer: "enter open", help: "open the run of the column under the cursor", do: c.openSide},
		{keys: []string{"b"}, footer: "b pin", help: "pin the run of the column under the cursor as baseline for all screens; again: unpin", do: func() tea.Cmd { return c.pin(c.pinnable()) }},
		{keys: []string{"e"}, footer: "e export", help: "export the comparison to a file", do: c.exportComparison},
		c.notesKey(),
	}}}
}

// pinnable is the run of the column under the cursor, else the baseline's.
func (c *compareScreen) pinnable() string {
	if at := c.sideUnder(); at >= 0 {
		return c.sides[at].run
	}
	return c.sides[c.result.Baseline].run
}

// choose takes the lines of the table: the settings that differ, then the metrics.
func (c *compareScreen) choose() {
	c.settings, c.shown = c.result.Settings, c.shown[:0]
	if c.bare {
		c.settings = nil
	}
	for _, line := range c.result.Lines {
		if !c.onlyNew || differs(&line) {
			c.shown = append(c.shown, line)
		}
	}
	c.grid.Forget()
}

// differs says whether a line has a value that is judged to be another one.
func differs(l *report.RunsLine) bool {
	for _, one := range l.Changes {
		if one != nil && one.Judgement != report.Same && one.Judgement != report.Within {
			return true
		}
	}
	return false
}

func (c *compareScreen) View(width, height int) []string {
	if c.result == nil {
		return centred([]string{
			"Nothing is compared yet.",
			"",
			"Mark runs on the Bench (1) with space, or rows on the Run screen (2), then press c:",
			"first the settings that differ, then every metric, judged by seeds and test set.",
			"b pins a run as baseline: c then compares with it.",
		}, width, height)
	}
	lines := c.sideLines(width, max(2, height/4))
	if c.curves {
		return append(lines, c.curveLines(width, height-len(lines))...)
	}
	lines = append(lines, c.noteLines(width, max(1, min(mostNotes, height/3-len(lines))))...)
	lines = append(lines, text.Cut(" "+c.judgements(), width), "")
	if fit := c.fitIn(width); fit != c.fit {
		c.fit = fit
		c.grid.Forget()
	}
	c.fillGrid()
	if c.grid.Rows == 0 {
		return append(lines, text.Cut("  "+c.nothing(), width))
	}
	c.gridTakesMouse(&c.grid, len(lines), width, max(2, height-len(lines)-1), gridActions{})
	lines = append(lines, c.grid.Render(width, max(2, height-len(lines)-1))...)
	return append(lines, c.explain(width))
}

// judgements counts them over all sides: "12 = same  3 ~ within  1 + better".
func (c *compareScreen) judgements() string {
	counts := map[report.Judgement]int{}
	for i := range c.result.Lines {
		for _, one := range c.result.Lines[i].Changes {
			if one != nil {
				counts[one.Judgement]++
			}
		}
	}
	var parts []string
	for j := report.Same; j <= report.Unknown; j++ {
		if counts[j] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[j], j))
		}
	}
	if n := len(c.result.Settings); n > 0 {
		parts = append([]string{plural.Of(n, "setting") + " " + map[bool]string{true: "differs", false: "differ"}[n == 1]}, parts...)
	}
	return strings.Join(parts, "   ")
}

func (c *compareScreen) fillGrid() {
	g := &c.grid
	g.Columns = []grid.Column{{Title: "step"}, {Title: "metric"}}
	for i := range c.sides {
		title := report.RunMark(i)
		if i == c.result.Baseline {
			title += " base"
		}
		g.Columns = append(g.Columns, grid.Column{Title: title, Right: true})
	}
	g.Rows, g.Paints = len(c.settings)+len(c.shown), c.theme.grid()
	g.At = func(row, column int) grid.Cell {
		if row < len(c.settings) {
			return c.settingCell(&c.settings[row], column)
		}
		return c.metricCell(&c.shown[row-len(c.settings)], column)
	}
}

// settingCell is a cell of a setting that differs: "=" where it is that of the baseline.
func (c *compareScreen) settingCell(d *report.Difference, column int) grid.Cell {
	switch column {
	case 0:
		return grid.Cell{Text: "setting", Paint: c.theme.dim}
	case 1:
		return grid.Cell{Text: text.Cut(text.Clean(d.Key), c.fit.metric)}
	}
	i := column - 2
	value := text.Cut(text.Clean(d.Values[i]), c.fit.value)
	switch {
	case i == c.result.Baseline:
		return grid.Cell{Text: value}
	case d.Values[i] == d.Values[c.result.Baseline]:
		return grid.Cell{Text: "=", Paint: c.theme.dim}
	}
	return grid.Cell{Text: value, Paint: c.theme.bold}
}

// metricCell is a cell of a metric: the value with its judgement and its change.
func (c *compareScreen) metricCell(l *report.RunsLine, column int) grid.Cell {
	switch column {
	case 0:
		return grid.Cell{Text: text.Cut(rowWords(l.Row), c.fit.row)}
	case 1:
		return grid.Cell{Text: text.Cut(l.Metric.Label, c.fit.metric)}
	}
	i := column - 2
	value, ok := l.Value(i, c.result.Baseline)
	if !ok {
		return grid.Cell{Text: report.Missing, Paint: c.theme.dim}
	}
	scale := l.Scale()
	one, shown := l.Changes[i], scale.Format(value.Value)
	if c.intervals || len(c.sides) == 2 {
		shown = scale.Summary(value)
	}
	if one == nil {
		return grid.Cell{Text: shown}
	}
	delta := one.DeltaText()
	if one.Judgement == report.Same || delta == report.Missing || !c.fit.deltas {
		delta = ""
	}
	return grid.Cell{Text: strings.TrimSpace(shown + " " + delta + " " + one.Judgement.Sign()), Paint: c.judgementPaint(one.Judgement), Mark: warningMark(one.Warnings)}
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

// explain explains what is under the cursors.
func (c *compareScreen) explain(width int) string {
	row := c.grid.Row
	if row < len(c.settings) {
		d, said := &c.settings[row], "  "+rowsSeen(&c.grid)
		if at := c.sideUnder(); at >= 0 {
			return c.theme.dim.On(withLegend(said+text.Clean(fmt.Sprintf("%s of %s: %s", d.Key, report.RunMark(at), d.Values[at])), &c.grid, width))
		}
		return c.theme.dim.On(withLegend(said+text.Clean(d.Key+": "+strings.Join(d.Values, " · ")), &c.grid, width))
	}
	l := &c.shown[row-len(c.settings)]
	parts := []string{"  " + rowsSeen(&c.grid) + l.Metric.Key}
	at := c.sideUnder()
	if at < 0 && len(c.sides) == 2 {
		at = 1 - c.result.Baseline
	}
	if at >= 0 && l.Changes[at] != nil {
		one := l.Changes[at]
		said := fmt.Sprintf("%s %s %s", report.RunMark(at), one.DeltaText(), one.Judgement)
		if !math.IsNaN(one.P) {
			said += fmt.Sprintf(" p=%.3f", one.P)
		}
		parts = append(parts, said)
		if len(one.Warnings) > 0 {
			parts = append(parts, "* "+text.Clean(strings.Join(one.Warnings, "; ")))
		}
	}
	parts = append(parts, l.Metric.About)
	line := strings.Join(parts, " · ")
	if at < 0 || l.Changes[at] == nil {
		return c.theme.dim.On(withLegend(line, &c.grid, width))
	}
	return c.theme.dim.On(text.Fit(line, width))
}

// exportComparison writes what the screen compares to a file.
func (c *compareScreen) exportComparison() tea.Cmd {
	p := &picker{workbench: c.workbench, title: "Export the comparison as"}
	result := c.result
	for _, format := range report.RunsFormats() {
		extension := format
		if format == "table" {
			extension = "txt"
		}
		p.entries = append(p.entries, entry{format, exportAs[format].about, func() tea.Cmd {
			return c.writeTo(format, "comparison."+extension, "", func(path string) error { return c.bench.ExportComparison(c.ctx, result, format, path) })
		}})
	}
	c.push(p)
	return nil
}
