package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/stat"
)

// CompareFormats lists what Comparison.Write can write.
func CompareFormats() []string { return []string{"table", "md", "json"} }

// Write writes the comparison in one of CompareFormats.
func (c *Comparison) Write(format string, w io.Writer) error {
	switch format {
	case "table":
		return c.text(w)
	case "md":
		return c.markdown(w)
	case "json":
		return c.json(w)
	}
	return nearest.Check("comparison format", format, CompareFormats())
}

// fields are a change's texts: row, metric, base, new, delta, judgement.
func (one *Change) fields() [6]string {
	scale := ScaleOf(one.Metric.Unit, one.Base.Value, one.New.Value)
	delta := one.DeltaText()
	switch {
	case delta == Missing:
	case one.Metric.Unit == lab.Percent:
		delta += one.bounds(100)
	default:
		base, _ := one.compared()
		delta += one.bounds(100 / math.Abs(base))
	}
	if one.Metric.Timing && !math.IsNaN(one.P) {
		delta += fmt.Sprintf(" (p=%.3f n=%d)", one.P, min(len(one.Base.Seeds), len(one.New.Seeds)))
	}
	return [6]string{one.Row, one.Metric.Label, scale.Summary(one.Base), scale.Summary(one.New), delta, one.Judgement.String()}
}

// DeltaText writes new − base relative to the base: "+3.20%". Of a metric that is a relative change
// itself it writes the difference in points: "−1.00 pt".
func (one *Change) DeltaText() string {
	base, next := one.compared()
	return DeltaText(one.Metric, base, next)
}

// DeltaText writes the difference of two values of a metric as Change.DeltaText does.
func DeltaText(m lab.Metric, base, next float64) string {
	delta := (next - base) / math.Abs(base)
	switch points := next - base; {
	case m.Unit == lab.Percent && !math.IsNaN(points):
		return strings.TrimSuffix(Format(lab.Percent, points), "%") + " pt"
	case m.Unit == lab.Percent || base == 0 || math.IsNaN(delta):
		return Missing
	}
	return Format(lab.Percent, delta)
}

// bounds writes the interval of the difference, times a factor; nothing where a bound is not
// finite.
func (one *Change) bounds(factor float64) string {
	scaled := stat.Interval{Low: one.Low * factor, High: one.High * factor}
	if !scaled.Bounded() {
		return ""
	}
	return fmt.Sprintf(" [%+.2f, %+.2f]", scaled.Low, scaled.High)
}

var compareHead = [6]string{"step", "metric", "base", "new", "Δ", "verdict"}

// pairHeads are the columns of the settings.
var pairHeads = []string{"base", "new"}

// heading is what both runs are, and why they cannot be compared where they cannot.
func (c *Comparison) heading() []string {
	lines := []string{fmt.Sprintf("base %s (%s) against new %s (%s)", c.Base.Run, c.Base.Scenario, c.New.Run, c.New.Scenario)}
	if !c.Comparable {
		lines = append(lines, "NOT COMPARABLE")
	}
	lines = append(append(lines, c.Reasons...), c.apartLines()...)
	if c.folded != "" && c.Comparable {
		lines = append(lines, c.folded)
	}
	return lines
}

// reasons are Reasons, and what is compared once.
func (c *Comparison) reasons() []string {
	if c.folded == "" || !c.Comparable {
		return c.Reasons
	}
	return append(slices.Clone(c.Reasons), c.folded)
}

// apartLines say which rows only one run has measured, a line for each step of a sweep and one for
// all others of a run; none where no row is in both, which is a reason.
func (c *Comparison) apartLines() []string {
	if !c.Comparable {
		return nil
	}
	var lines []string
	for i, rows := range c.Apart {
		for _, one := range joinSingle(rows) {
			lines = append(lines, fmt.Sprintf("only %s has measured %s", []string{"the base", "the new run"}[i], one))
		}
	}
	return lines
}

// verdicts counts the verdicts: "40 = same, 2 - worse".
func (c *Comparison) verdicts() string {
	var counts [Unknown + 1]int
	for _, one := range c.Changes {
		counts[one.Judgement]++
	}
	var parts []string
	for j, n := range counts {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, Judgement(j)))
		}
	}
	return strings.Join(parts, ", ")
}

// footnotes numbers the warnings of all changes in order of appearance.
func (c *Comparison) footnotes() (notes []string, of [][]int) {
	t := &table{}
	for _, one := range c.Changes {
		var numbers []int
		for _, d := range one.Warnings {
			numbers = append(numbers, t.note(d))
		}
		slices.Sort(numbers)
		of = append(of, numbers)
	}
	return t.notes, of
}

// table returns the changes with their footnotes; escape is applied to every cell.
func (c *Comparison) table(of [][]int, escape func(string) string) *texttable.Table {
	t := &texttable.Table{}
	for k, head := range compareHead {
		t.Columns = append(t.Columns, texttable.Column{Head: head, Right: k >= 2 && k <= 4})
	}
	for i := range c.Changes {
		fields := c.Changes[i].fields()
		for k := range fields {
			fields[k] = escape(fields[k])
		}
		fields[5] += marks(of[i])
		t.Add(fields[:]...)
	}
	return t
}

func (c *Comparison) text(w io.Writer) error {
	notes, of := c.footnotes()
	var b strings.Builder
	for _, line := range c.heading() {
		b.WriteString(visible.Line(line) + "\n")
	}
	b.WriteString("\n")
	if len(c.Settings) > 0 {
		b.WriteString(settingsTable(c.Settings, pairHeads, func(s string) string { return s }).Text() + "\n")
	}
	if c.Comparable {
		b.WriteString(c.table(of, func(s string) string { return s }).Text())
		fmt.Fprintf(&b, "%s: %s\n", plural.Of(len(c.Changes), "figure"), c.verdicts())
	}
	for i, note := range notes {
		fmt.Fprintf(&b, "%s %s\n", marks([]int{i + 1}), visible.Line(note))
	}
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

func (c *Comparison) markdown(w io.Writer) error {
	var b strings.Builder
	for i, line := range c.heading() {
		if i == 0 {
			b.WriteString("## ")
		}
		b.WriteString(texttable.Escape(line) + "\n\n")
	}
	if len(c.Settings) > 0 {
		b.WriteString(settingsTable(c.Settings, pairHeads, texttable.Escape).Markdown() + "\n")
	}
	notes, of := c.footnotes()
	if c.Comparable {
		b.WriteString(c.table(of, texttable.Escape).Markdown())
		fmt.Fprintf(&b, "\n%s: %s\n", plural.Of(len(c.Changes), "figure"), texttable.Escape(c.verdicts()))
	}
	markdownList(&b, "", notes, func(i int, note string) string { return marks([]int{i + 1}) + " " + texttable.Escape(note) })
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

func (c *Comparison) json(w io.Writer) error {
	return jsondoc.Write(w, "slimlab.comparison/2", newJSONComparison(c))
}

type jsonComparison struct {
	Base       string           `json:"base"`
	New        string           `json:"new"`
	Comparable bool             `json:"comparable"`
	Timings    bool             `json:"timings"`
	Settings   []jsonDifference `json:"settings,omitempty"`
	Reasons    []string         `json:"reasons"`
	Missing    []string         `json:"missing"`
	Changes    []jsonChange     `json:"changes"`
}

type jsonChange struct {
	Row      string      `json:"row"`
	Metric   string      `json:"metric"`
	Base     jsonSummary `json:"base"`
	New      jsonSummary `json:"new"`
	Delta    lab.Number  `json:"delta"`
	Low      lab.Number  `json:"low"`
	High     lab.Number  `json:"high"`
	P        lab.Number  `json:"p"`
	Adjusted lab.Number  `json:"p_adjusted"`
	Verdict  Judgement   `json:"verdict"`
	Warnings []string    `json:"warnings"`
}

func newJSONComparison(c *Comparison) jsonComparison {
	out := jsonComparison{c.Base.Run, c.New.Run, c.Comparable, c.Timings, newJSONDifferences(c.Settings), orEmpty(c.reasons()), orEmpty(c.Missing), []jsonChange{}}
	for _, one := range c.Changes {
		out.Changes = append(out.Changes, jsonChange{one.Row, one.Metric.Key, newJSONSummary(one.Base), newJSONSummary(one.New),
			lab.Number(one.Delta), lab.Number(one.Low), lab.Number(one.High), lab.Number(one.P), lab.Number(one.Adjusted), one.Judgement, orEmpty(one.Warnings)})
	}
	return out
}
