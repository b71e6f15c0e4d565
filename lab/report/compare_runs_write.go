package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
)

// RunsFormats lists what Runs.Write can write.
func RunsFormats() []string { return []string{"table", "md", "csv", "json"} }

// Write writes the comparison in one of RunsFormats. Two runs are written as Comparison.Write does,
// with the settings that differ before the changes, except as CSV.
func (c *Runs) Write(format string, w io.Writer) error {
	if len(c.Runs) == 2 && slices.Contains(CompareFormats(), format) {
		return c.Against[1-c.Baseline].Write(format, w)
	}
	switch format {
	case "table":
		return c.Text(w, 0)
	case "md":
		return c.markdown(w)
	case "csv":
		return c.csv(w)
	case "json":
		return c.json(w)
	}
	return nearest.Check("comparison format", format, RunsFormats())
}

// SignsLegend says what the signs of judgements mean.
const SignsLegend = "against the baseline: = same, ~ within what chance does, + better, - worse, ! changed, ? not judged"

// runLines names the runs.
func (c *Runs) runLines() []string {
	lines := make([]string, len(c.Runs))
	for i, b := range c.Runs {
		lines[i] = fmt.Sprintf("%s %s (%s)", RunMark(i), b.Run, b.Scenario)
		switch {
		case i == c.Baseline:
			lines[i] += ", the baseline"
		case !c.Against[i].Comparable:
			lines[i] += ": NOT COMPARABLE, shares no row with the baseline"
		default:
			lines[i] += ": " + c.Against[i].verdicts()
		}
	}
	return lines
}

// marks are the marks of runs.
func (c *Runs) marks(runs []int) []string {
	heads := make([]string, len(runs))
	for i, run := range runs {
		heads[i] = RunMark(run)
	}
	return heads
}

// all are the places of all runs.
func (c *Runs) all() []int {
	runs := make([]int, len(c.Runs))
	for i := range runs {
		runs[i] = i
	}
	return runs
}

// settings is the settings that differ, a column for each of some runs; "=" is the baseline's
// value.
func (c *Runs) settings(runs []int, escape func(string) string) *texttable.Table {
	of := make([]Difference, len(c.Settings))
	for i, d := range c.Settings {
		of[i].Key = d.Key
		for _, run := range runs {
			value := d.Values[run]
			if run != c.Baseline && value == d.Values[c.Baseline] {
				value = "="
			}
			of[i].Values = append(of[i].Values, value)
		}
	}
	return settingsTable(of, c.marks(runs), escape)
}

// settingsTable is the settings that differ, a column for each run.
func settingsTable(settings []Difference, runs []string, escape func(string) string) *texttable.Table {
	t := texttable.New(1+len(runs), append([]string{"setting"}, runs...)...)
	for _, d := range settings {
		cells := []string{escape(d.Key)}
		for _, value := range d.Values {
			cells = append(cells, escape(value))
		}
		t.Add(cells...)
	}
	return t
}

// table is the metrics, a column for each of some runs, with its footnotes numbered by foot.
func (c *Runs) table(runs []int, foot *table, escape func(string) string) *texttable.Table {
	t := &texttable.Table{Columns: []texttable.Column{{Head: "step"}, {Head: "metric"}}}
	for _, i := range runs {
		t.Columns = append(t.Columns, texttable.Column{Head: RunMark(i), Right: true})
		if i != c.Baseline {
			t.Columns = append(t.Columns, texttable.Column{Head: ""})
		}
	}
	for k := range c.Lines {
		l := &c.Lines[k]
		scale, cells := l.Scale(), []string{escape(l.Row), escape(l.Metric.Label)}
		for _, i := range runs {
			value, ok := l.Value(i, c.Baseline)
			text := Missing
			if ok {
				text = scale.Summary(value)
			}
			cells = append(cells, text)
			if i == c.Baseline {
				continue
			}
			sign := ""
			if one := l.Changes[i]; one != nil {
				var numbers []int
				for _, warning := range one.Warnings {
					numbers = append(numbers, foot.note(warning))
				}
				slices.Sort(numbers)
				sign = one.Judgement.Sign() + marks(numbers)
			}
			cells = append(cells, sign)
		}
		t.Add(cells...)
	}
	return t
}

// blocks shares out the runs over tables of a width, 0 is without limit. Each has the baseline in
// its place, and at least one other run.
func (c *Runs) blocks(width int, table func(runs []int) *texttable.Table) [][]int {
	if width == 0 || table(c.all()).Width() <= width {
		return [][]int{c.all()}
	}
	var blocks [][]int
	block := []int{c.Baseline}
	for i := range c.Runs {
		if i == c.Baseline {
			continue
		}
		more := append(slices.Clone(block), i)
		slices.Sort(more)
		if len(block) > 1 && table(more).Width() > width {
			blocks = append(blocks, block)
			more = []int{min(c.Baseline, i), max(c.Baseline, i)}
		}
		block = more
	}
	return append(blocks, block)
}

// Text writes the comparison for a terminal of a width, 0 is without limit: runs that do not fit
// beside the others stand in a further table below, again with the baseline.
func (c *Runs) Text(w io.Writer, width int) error {
	if len(c.Runs) == 2 {
		return c.Against[1-c.Baseline].text(w)
	}
	as := func(s string) string { return s }
	var b strings.Builder
	for _, line := range c.runLines() {
		b.WriteString(visible.Line(line) + "\n")
	}
	b.WriteString("\n")
	if len(c.Settings) > 0 {
		table := func(runs []int) *texttable.Table { return c.settings(runs, as) }
		for _, runs := range c.blocks(width, table) {
			b.WriteString(table(runs).Text() + "\n")
		}
	}
	for _, note := range c.Notes {
		b.WriteString(visible.Line(note) + "\n")
	}
	if len(c.Notes) > 0 {
		b.WriteString("\n")
	}
	foot := &table{}
	c.table(c.all(), foot, as) // numbers the footnotes, whose marks have a width
	table := func(runs []int) *texttable.Table { return c.table(runs, foot, as) }
	for i, runs := range c.blocks(width, table) {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(table(runs).Text())
	}
	b.WriteString(SignsLegend + "\n")
	for i, note := range foot.notes {
		fmt.Fprintf(&b, "%s %s\n", marks([]int{i + 1}), visible.Line(note))
	}
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

func (c *Runs) markdown(w io.Writer) error {
	item := func(_ int, text string) string { return texttable.Escape(text) }
	var b strings.Builder
	fmt.Fprintf(&b, "## %d runs\n", len(c.Runs))
	markdownList(&b, "", c.runLines(), item)
	b.WriteString("\n")
	if len(c.Settings) > 0 {
		b.WriteString(c.settings(c.all(), texttable.Escape).Markdown())
	}
	markdownList(&b, "", c.Notes, item)
	foot := &table{}
	b.WriteString("\n" + c.table(c.all(), foot, texttable.Escape).Markdown() + "\n" + texttable.Escape(SignsLegend) + "\n")
	markdownList(&b, "", foot.notes, func(i int, note string) string { return marks([]int{i + 1}) + " " + texttable.Escape(note) })
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

// csv writes a line for each value: those of the baseline have no verdict.
func (c *Runs) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"row", "metric", "run", "value", "low", "high", "delta", "difference_low", "difference_high", "p", "p_adjusted", "verdict", "warnings"})
	for k := range c.Lines {
		l := &c.Lines[k]
		for i, b := range c.Runs {
			value, ok := l.Value(i, c.Baseline)
			if !ok && l.Changes[i] == nil {
				continue
			}
			line := []string{l.Row, l.Metric.Key, b.Run, number(value.Value), "", ""}
			if value.Interval {
				line[4], line[5] = number(value.Low), number(value.High)
			}
			if one := l.Changes[i]; one != nil {
				_, word, _ := strings.Cut(one.Judgement.String(), " ")
				line = append(line, number(one.Delta), number(one.Low), number(one.High), number(one.P), number(one.Adjusted), word, strings.Join(one.Warnings, "; "))
			} else {
				line = append(line, "", "", "", "", "", "baseline", strings.Join(value.Warnings, "; "))
			}
			out.Write(line)
		}
	}
	out.Flush()
	return out.Error()
}

func (c *Runs) json(w io.Writer) error {
	type of struct {
		Run      string `json:"run"`
		Scenario string `json:"scenario"`
	}
	out := struct {
		Runs        []of             `json:"runs"`
		Baseline    string           `json:"baseline"`
		Settings    []jsonDifference `json:"settings"`
		Notes       []string         `json:"notes"`
		Comparisons []jsonComparison `json:"comparisons"`
	}{Baseline: c.Runs[c.Baseline].Run, Settings: newJSONDifferences(c.Settings), Notes: orEmpty(c.Notes), Comparisons: []jsonComparison{}}
	for i, b := range c.Runs {
		out.Runs = append(out.Runs, of{b.Run, b.Scenario})
		if i != c.Baseline {
			out.Comparisons = append(out.Comparisons, newJSONComparison(c.Against[i]))
		}
	}
	return jsondoc.Write(w, "slimlab.comparisons/1", out)
}

type jsonDifference struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

func newJSONDifferences(settings []Difference) []jsonDifference {
	out := []jsonDifference{}
	for _, d := range settings {
		out = append(out, jsonDifference(d))
	}
	return out
}
