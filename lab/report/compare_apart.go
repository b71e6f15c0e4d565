package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab/sweep"
)

// Apart are the rows of one step that only one of two runs has measured.
type Apart struct {
	Step     string
	Rows, Of int    // how many, of all that this run has measured of the step
	Where    string // at which values of the axes; "" where the step depends on none
}

// String is "5 of 9 rows of quantized (all of scheme=w4a16)".
func (a Apart) String() string {
	var text string
	switch {
	case a.Rows == a.Of && a.Of == 1:
		text = "the row " + a.Step
	case a.Rows == a.Of:
		text = fmt.Sprintf("all %d rows of %s", a.Of, a.Step)
	default:
		text = fmt.Sprintf("%d of %s of %s", a.Rows, plural.Of(a.Of, "row"), a.Step)
	}
	if a.Where != "" {
		text += " (" + a.Where + ")"
	}
	return text
}

// LostText names the rows that the base alone has measured, by step.
func (c *Comparison) LostText() string { return strings.Join(joinSingle(c.Apart[0]), ", ") }

// joinSingle writes rows that are apart: a text for each step of a sweep, and one for the steps
// that have one row.
func joinSingle(rows []Apart) []string {
	var texts, single []string
	for _, one := range rows {
		if one.Of == 1 && one.Where == "" {
			single = append(single, one.Step)
			continue
		}
		texts = append(texts, one.String())
	}
	switch len(single) {
	case 0:
		return texts
	case 1:
		return slices.Insert(texts, 0, "the row "+single[0])
	}
	return slices.Insert(texts, 0, "the rows "+few(single))
}

// apartRows collects the rows of a table that are apart, by step.
func apartRows(t *sweep.Table, apart func(*sweep.Row) bool) []Apart {
	var steps []string
	measured := map[string][]*sweep.Row{}
	for i := range t.Rows {
		if r := &t.Rows[i]; r.Done > 0 {
			steps = appendNew(steps, r.Name)
			measured[r.Name] = append(measured[r.Name], r)
		}
	}
	var out []Apart
	for _, step := range steps {
		of := measured[step]
		rows := slices.DeleteFunc(slices.Clone(of), func(r *sweep.Row) bool { return !apart(r) })
		if len(rows) == 0 {
			continue
		}
		one := Apart{Step: step, Rows: len(rows), Of: len(of), Where: valuesOf(t, rows)}
		if len(rows) < len(of) {
			one.Where = whereApart(t, of, rows, apart)
		}
		out = append(out, one)
	}
	return out
}

// valuesOf lists the values of rows on the axes that they depend on: "ratio=0, 0.2; scheme=w8a8".
func valuesOf(t *sweep.Table, rows []*sweep.Row) string {
	var texts []string
	for axis := range t.Axes {
		var values []string
		for _, r := range rows {
			if r.At[axis] != sweep.Any {
				values = appendNew(values, t.Value(r, axis))
			}
		}
		if len(values) > 0 {
			texts = append(texts, t.Axes[axis].Key+"="+few(values))
		}
	}
	return strings.Join(texts, "; ")
}

// mostApart is how many rows are named that no value of an axis has in common.
const mostApart = 4

// whereApart says where rows are: at the values of axes whose rows are all apart or, where these
// are not all, each by itself.
func whereApart(t *sweep.Table, of, rows []*sweep.Row, apart func(*sweep.Row) bool) string {
	covered := map[*sweep.Row]bool{}
	var texts []string
	for axis := range t.Axes {
		var values []string
		for at, value := range t.Axes[axis].Values {
			here := func(r *sweep.Row) bool { return r.At[axis] == at }
			if !slices.ContainsFunc(rows, here) || slices.ContainsFunc(of, func(r *sweep.Row) bool { return here(r) && !apart(r) }) {
				continue
			}
			values = append(values, value)
			for _, r := range rows {
				covered[r] = covered[r] || here(r)
			}
		}
		if len(values) > 0 {
			texts = append(texts, t.Axes[axis].Key+"="+few(values))
		}
	}
	if len(rows) > 1 && len(covered) > 0 && !slices.ContainsFunc(rows, func(r *sweep.Row) bool { return !covered[r] }) {
		return "all of " + strings.Join(texts, " and of ")
	}
	var names []string
	for _, r := range rows[:min(mostApart, len(rows))] {
		_, values, _ := strings.Cut(t.FullLabel(r), r.Name+" ")
		names = append(names, values)
	}
	if more := len(rows) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("… and %d more", more))
	}
	return strings.Join(names, "; ")
}

// nothingShared says in one line why no row was measured in both runs.
func nothingShared(base, next *sweep.Table, matches []match) string {
	if slices.ContainsFunc(matches, func(m match) bool { return m.base != nil && m.next != nil }) {
		return "no row was measured in both runs"
	}
	before, after := stepsOf(base), stepsOf(next)
	common := slices.DeleteFunc(slices.Clone(before), func(step string) bool { return !slices.Contains(after, step) })
	if len(common) == 0 {
		return fmt.Sprintf("no row is in both runs: the base has %s; the new run %s", few(before), few(after))
	}
	var where []string
	for _, t := range []*sweep.Table{base, next} {
		var rows []*sweep.Row
		for i := range t.Rows {
			if r := &t.Rows[i]; r.Name == common[0] {
				rows = append(rows, r)
			}
		}
		where = append(where, cmp.Or(valuesOf(t, rows), "no axis"))
	}
	return fmt.Sprintf("no row is in both runs: both have %s, the base over %s and the new run over %s", few(common), where[0], where[1])
}

func stepsOf(t *sweep.Table) []string {
	var steps []string
	for i := range t.Rows {
		steps = appendNew(steps, t.Rows[i].Name)
	}
	return steps
}

// few lists the first names, and how many more there are.
func few(names []string) string {
	const most = 8
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
