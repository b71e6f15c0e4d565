package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"slimlab/internal/plural"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// table is a run's rows as text, for terminals and Markdown.
type table struct {
	columns []column
	rows    int
	notes   []string // footnotes, in order of their numbers
	beside  string   // what stands beside values; empty: intervals
}

type column struct {
	title string
	name  string // where it is named alone; empty: the title
	left  bool   // text, aligned to the left
	cells []cell
	notes []int // footnotes of the whole column
	fixed bool  // never dropped, however narrow the terminal
}

type cell struct {
	value    string
	interval string
	best     bool
	notes    []int
}

// newTable arranges a table, with what differs from a baseline; nil is none.
func newTable(of *sweep.Table, against *Against) *table {
	t := &table{rows: len(of.Rows)}
	all := of.Chosen() != nil
	for _, c := range of.Columns() {
		switch c.Kind {
		case sweep.Step:
			t.words("step", of, func(r *sweep.Row) string { return r.Name })
		case sweep.Value:
			t.words(c.Key, of, func(r *sweep.Row) string { return of.Value(r, c.Axis) })
		case sweep.State: // that all is done is said in the subtitle
			if all || slices.ContainsFunc(of.Rows, func(r sweep.Row) bool { return r.State != lab.Done }) {
				t.words("state", of, func(r *sweep.Row) string { return r.State.String() })
			}
		case sweep.Metric:
			t.metric(ColumnOf(c.Metric, of), of)
			if against != nil {
				t.deltas(c.Metric, of, against)
			}
		}
	}
	return t
}

func (t *table) words(title string, of *sweep.Table, text func(r *sweep.Row) string) {
	c := column{title: title, left: true, fixed: true}
	for i := range of.Rows {
		c.cells = append(c.cells, cell{value: visible.Line(text(&of.Rows[i]))})
	}
	t.columns = append(t.columns, c)
}

func (t *table) metric(metric Column, of *sweep.Table) {
	c := column{title: metric.Metric.Label}
	for _, warning := range metric.Warnings {
		c.notes = append(c.notes, t.note(warning))
	}
	for i := range of.Rows {
		one := metric.Cell(of.Rows[i].TableRow)
		var notes []int
		for _, warning := range one.Warnings {
			if !slices.Contains(metric.Warnings, warning) {
				notes = append(notes, t.note(warning))
			}
		}
		slices.Sort(notes)
		c.cells = append(c.cells, cell{one.Value, one.Interval, one.Best, notes})
	}
	t.columns = append(t.columns, c)
}

// deltas is what differs of a metric from the baseline, beside its column.
func (t *table) deltas(m lab.Metric, of *sweep.Table, against *Against) {
	c := column{title: "Δ", name: "Δ of " + m.Label}
	for i := range of.Rows {
		text, why := against.Delta(of.Rows[i].TableRow, m)
		one := cell{value: text}
		if why != "" {
			one.notes = []int{t.note(why)}
		}
		c.cells = append(c.cells, one)
	}
	t.columns = append(t.columns, c)
}

// hidden says which rows of the run the table does not have, or has once for several.
func hidden(of *sweep.Table) []string {
	var lines []string
	if of.Where != "" {
		lines = append(lines, fmt.Sprintf("%d of %s: where %s", len(of.Rows), plural.Of(len(of.Rows)+of.Left, "row"), of.Where))
	}
	if n := of.Folded(); n > 0 {
		lines = append(lines, plural.Of(n, "repeated row")+" folded: a step stands once for all values of an axis that changes nothing in it, with that axis blank")
	}
	return lines
}

// note returns the number of a footnote.
func (t *table) note(text string) int {
	at := slices.Index(t.notes, text)
	if at < 0 {
		at = len(t.notes)
		t.notes = append(t.notes, text)
	}
	return at + 1
}

var superscripts = []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")

// marks writes footnote numbers as superscripts, with commas between.
func marks(notes []int) string {
	var b strings.Builder
	for i, n := range notes {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, digit := range strconv.Itoa(n) {
			b.WriteRune(superscripts[digit-'0'])
		}
	}
	return b.String()
}

// title is the run in one line.
func title(v *lab.View) string {
	switch {
	case v.Begun:
	case v.Begin.Scenario != "":
		return visible.Line(v.Begin.Scenario)
	default:
		return "no run yet"
	}
	parts := []string{v.Begin.Scenario}
	if v.Begin.About != "" {
		parts = append(parts, v.Begin.About)
	}
	return visible.Line(strings.Join(parts, " · "))
}

// subtitle is the state of the run and its machine.
func subtitle(v *lab.View) string {
	if !v.Begun && v.State == lab.Failed {
		return "the run did not begin"
	}
	parts := []string{v.State.String() + " after " + Duration(v.Time)}
	if at := AsOf(v); at != "" {
		parts = append(parts, at)
	}
	if done := v.Count(lab.Done); done < len(v.Cells) {
		parts = append(parts, fmt.Sprintf("%d of %d cells", done, len(v.Cells)))
	}
	if seeds := seedCount(v); seeds > 0 {
		parts = append(parts, plural.Of(seeds, "seed"))
	}
	if v.Begin.Quick {
		parts = append(parts, "quick")
	}
	if machines := v.Machines(); len(machines) > 0 {
		parts = append(parts, strings.Join(machines, ", "))
	}
	return visible.Line(strings.Join(parts, " · "))
}

// AsOf says when a picture of a run that has not ended was true: at the latest event of its log;
// "" of a run that has ended.
func AsOf(v *lab.View) string {
	switch v.State {
	case lab.Done, lab.Failed, lab.Stopped:
		return ""
	}
	if !v.Begun || v.Begin.Started == 0 {
		return ""
	}
	return "as of " + latest(v).Format("2006-01-02 15:04:05")
}

// latest is when the latest event came, by the clock of the run's machine.
func latest(v *lab.View) time.Time {
	return time.Unix(v.Begin.Started, v.Begin.Nanoseconds).Add(time.Duration(v.Time * float64(time.Second)))
}

func seedCount(v *lab.View) int {
	seeds := map[int]bool{}
	for i := range v.Cells {
		seeds[v.Cells[i].Seed] = true
	}
	return len(seeds)
}

// troubles lists what a reader must not miss: failed cells, a line for each cause, else the run's
// own error; then warnings and errors.
func troubles(v *lab.View) []string {
	lines := failures(v)
	ofCells := slices.ContainsFunc(v.Cells, func(c lab.CellView) bool {
		return c.State == lab.Failed && strings.Contains(v.Error, c.Error)
	})
	if v.Error != "" && !ofCells {
		lines = append(lines, "run: "+v.Error)
	}
	var said []lab.Note // each text of a level once
	cells := map[lab.Note][]string{}
	for _, n := range v.Notes {
		if n.Level == lab.Info {
			continue
		}
		// said above
		if c := v.Cell(n.Cell); c != nil && n.Level == lab.Error && c.Error == n.Text {
			continue
		}
		text := lab.Note{Level: n.Level, Text: n.Text}
		if _, known := cells[text]; !known {
			said = append(said, text)
		}
		if !slices.Contains(cells[text], n.Cell) {
			cells[text] = append(cells[text], n.Cell)
		}
	}
	for _, n := range said {
		lines = append(lines, n.Level.String()+": "+n.Text+where(cells[n], len(v.Cells)))
	}
	if v.Dropped > 0 {
		lines = append(lines, plural.Of(v.Dropped, "further note")+" in the log")
	}
	return lines
}

// where names the cells that a note is of, the first and a count where they are many.
func where(cells []string, all int) string {
	switch {
	case slices.Contains(cells, ""): // the whole run
		return ""
	case len(cells) <= 2:
		return " (" + strings.Join(cells, ", ") + ")"
	case len(cells) == all:
		return fmt.Sprintf(" (in all %d cells)", all)
	}
	return fmt.Sprintf(" (%s and %d more of %d cells)", cells[0], len(cells)-1, all)
}

// failures says why cells failed, those of one cause in one line.
func failures(v *lab.View) []string {
	var causes []string
	cells := map[string][]string{}
	for i := range v.Cells {
		c := &v.Cells[i]
		if c.State != lab.Failed {
			continue
		}
		if len(cells[c.Error]) == 0 {
			causes = append(causes, c.Error)
		}
		cells[c.Error] = append(cells[c.Error], c.ID)
	}
	var lines []string
	for _, cause := range causes {
		failed := cells[cause]
		what := "cell " + failed[0] + " failed: " + cause
		if len(failed) > 1 {
			what = fmt.Sprintf("%d of %d cells failed: %s (%s)", len(failed), len(v.Cells), cause, strings.Join(failed, ", "))
		}
		lines = append(lines, what)
	}
	return lines
}
