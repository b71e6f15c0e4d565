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
		return c.text(w)
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
			lines[i] += ": NOT COMPARABLE"
		}
	}
	return lines
}

func (c *Runs) marks() []string {
	heads := make([]string, len(c.Runs))
	for i := range heads {
		heads[i] = RunMark(i)
	}
	return heads
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

// table is the metrics, a column for each run, with footnotes.
func (c *Runs) table(escape func(string) string) (t *texttable.Table, notes []string) {
	t = &texttable.Table{Columns: []texttable.Column{{Head: "step"}, {Head: "metric"}}}
	for i, mark := range c.marks() {
		t.Columns = append(t.Columns, texttable.Column{Head: mark, Right: true})
		if i != c.Baseline {
			t.Columns = append(t.Columns, texttable.Column{Head: ""})
		}
	}
	foot := &table{}
	for k := range c.Lines {
		l := &c.Lines[k]
		scale, cells := l.Scale(), []string{escape(l.Row), escape(l.Metric.Label)}
		for i := range c.Runs {
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
	return t, foot.notes
}

func (c *Runs) text(w io.Writer) error {
	as := func(s string) string { return s }
	var b strings.Builder
	for _, line := range c.runLines() {
		b.WriteString(visible.Line(line) + "\n")
	}
	b.WriteString("\n")
	if len(c.Settings) > 0 {
		b.WriteString(settingsTable(c.Settings, c.marks(), as).Text() + "\n")
	}
	for _, note := range c.Notes {
		b.WriteString(visible.Line(note) + "\n")
	}
	if len(c.Notes) > 0 {
		b.WriteString("\n")
	}
	t, notes := c.table(as)
	b.WriteString(t.Text() + SignsLegend + "\n")
	for i, note := range notes {
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
		b.WriteString(settingsTable(c.Settings, c.marks(), texttable.Escape).Markdown())
	}
	markdownList(&b, "", c.Notes, item)
	t, notes := c.table(texttable.Escape)
	b.WriteString("\n" + t.Markdown() + "\n" + texttable.Escape(SignsLegend) + "\n")
	markdownList(&b, "", notes, func(i int, note string) string { return marks([]int{i + 1}) + " " + texttable.Escape(note) })
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
