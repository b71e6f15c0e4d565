package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/lab"
)

// table is a run's rows laid out: what the text and the Markdown have in common.
type table struct {
	columns []column
	rows    int
	notes   []string // footnotes, in order of their numbers
}

type column struct {
	title string
	left  bool // text, aligned to the left
	cells []cell
	notes []int // footnotes that hold for the whole column
	bound bool  // never dropped for want of width
}

type cell struct {
	value string
	width string // the interval, "±0.003"
	best  bool
	notes []int
}

func newTable(v *lab.View) *table {
	t := &table{rows: len(v.Rows)}
	t.text("step", v, func(r *lab.TableRow) string { return r.Name })
	for _, axis := range v.Axes() {
		t.text(axis, v, func(r *lab.TableRow) string { value, _ := r.Param(axis); return value })
	}
	if slices.ContainsFunc(v.Rows, func(r lab.TableRow) bool { return r.State != lab.Done }) {
		t.text("state", v, func(r *lab.TableRow) string { return r.State.String() })
	}
	for _, m := range v.Columns() {
		t.metric(m, v)
	}
	return t
}

func (t *table) text(title string, v *lab.View, of func(r *lab.TableRow) string) {
	c := column{title: title, left: true, bound: true}
	for i := range v.Rows {
		c.cells = append(c.cells, cell{value: of(&v.Rows[i])})
	}
	t.columns = append(t.columns, c)
}

func (t *table) metric(m lab.Metric, v *lab.View) {
	c := column{title: m.Label}
	var values []float64
	for i := range v.Rows {
		if s, ok := v.Rows[i].Metric(m.Key); ok {
			values = append(values, s.Value)
		}
	}
	scale := ScaleOf(m, values...)
	best, ranked := bestOf(m.Better, values)
	everywhere := t.common(m, v)
	for _, warning := range everywhere {
		c.notes = append(c.notes, t.note(warning))
	}
	for i := range v.Rows {
		s, ok := v.Rows[i].Metric(m.Key)
		if !ok {
			c.cells = append(c.cells, cell{value: Missing})
			continue
		}
		one := cell{value: scale.Format(s.Value), best: ranked && s.Value == best}
		if half := halfWidth(s); half > 0 {
			one.width = scale.Width(half)
		}
		for _, warning := range s.Warnings {
			if !slices.Contains(everywhere, warning) {
				one.notes = append(one.notes, t.note(warning))
			}
		}
		c.cells = append(c.cells, one)
	}
	t.columns = append(t.columns, c)
}

// common returns the warnings that every measured value of a column, of two or more, has.
func (t *table) common(m lab.Metric, v *lab.View) []string {
	var shared []string
	measured := 0
	for i := range v.Rows {
		s, ok := v.Rows[i].Metric(m.Key)
		if !ok {
			continue
		}
		if measured++; measured == 1 {
			shared = slices.Clone(s.Warnings)
			continue
		}
		shared = slices.DeleteFunc(shared, func(d string) bool { return !slices.Contains(s.Warnings, d) })
	}
	if measured < 2 {
		return nil
	}
	return shared
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

// bestOf returns the best value; ok is false where there is none to choose: no direction, or all
// equal.
func bestOf(better lab.Direction, values []float64) (best float64, ok bool) {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if better == lab.Neither || len(values) < 2 {
		return 0, false
	}
	low, high := slices.Min(values), slices.Max(values)
	if better == lab.Lower {
		return low, low != high
	}
	return high, low != high
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
	if !v.Begun {
		return "no run yet"
	}
	parts := []string{v.Begin.Scenario}
	if v.Begin.About != "" {
		parts = append(parts, v.Begin.About)
	}
	return strings.Join(parts, " · ")
}

// subtitle says how the run stands and where it ran.
func subtitle(v *lab.View) string {
	state := map[lab.State]string{lab.Waiting: "waiting", lab.Running: "running", lab.Done: "done", lab.Failed: "failed", lab.Cancelled: "stopped"}[v.State]
	parts := []string{state + " after " + Duration(v.Time)}
	if done := v.Count(lab.Done); done < len(v.Cells) {
		parts = append(parts, fmt.Sprintf("%d of %d cells", done, len(v.Cells)))
	}
	if seeds := seedCount(v); seeds > 0 {
		parts = append(parts, plural(seeds, "seed"))
	}
	if v.Begin.Quick {
		parts = append(parts, "quick")
	}
	if v.Begin.Machine != "" {
		parts = append(parts, v.Begin.Machine)
	}
	return strings.Join(parts, " · ")
}

func seedCount(v *lab.View) int {
	seeds := map[int]bool{}
	for i := range v.Cells {
		seeds[v.Cells[i].Seed] = true
	}
	return len(seeds)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// troubles lists what a reader must not miss: the run's own error, failed cells, warnings and
// errors.
func troubles(v *lab.View) []string {
	var lines []string
	if v.Error != "" {
		lines = append(lines, "run: "+v.Error)
	}
	for i := range v.Cells {
		if c := &v.Cells[i]; c.State == lab.Failed {
			lines = append(lines, fmt.Sprintf("cell %s failed in %s: %s", c.ID, c.Stage, c.Error))
		}
	}
	for _, n := range v.Notes {
		if n.Level == lab.Info {
			continue
		}
		line := n.Level.String() + ": " + n.Text
		if n.Cell != "" {
			line += " (" + n.Cell + ")"
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if v.Dropped > 0 {
		lines = append(lines, plural(v.Dropped, "further note")+" in the log")
	}
	return lines
}
