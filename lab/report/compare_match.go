package report

import (
	"fmt"
	"slices"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// match is a row of the base and the row of the new run that measures the same; one of them is nil
// where only the other run has it.
type match struct {
	base, next *sweep.Row
	at         int    // place of base in its table
	name       string // of the row in both runs
	of         []int  // places in the new run's view of the rows that are compared by it
	from, to   int    // its changes in Comparison.Changes
}

// measured reports which of the two runs has measured the row.
func (m *match) measured() (base, next bool) {
	return m.base != nil && m.base.Done > 0, m.next != nil && m.next.Done > 0
}

// matchRows finds the rows that measure the same in two runs: those of one step at equal values of
// the axes that it depends on, whatever other axes and values the sweeps have. They come in the
// order of the new run, and then those of the base alone. Where only one log says that a step does
// not depend on an axis, its row is matched with each row of the other run at values that it stands
// for.
func matchRows(base, next *sweep.Table) []match {
	identities, labels := map[string]int{}, map[string]int{}
	for i := range base.Rows {
		identities[base.Rows[i].Identity()] = i
		for _, same := range base.Rows[i].Same {
			labels[base.View.Rows[same].Label()] = i
		}
	}
	var out []match
	matched := make([]bool, len(base.Rows))
	for i := range next.Rows {
		row := &next.Rows[i]
		if at, ok := identities[row.Identity()]; ok {
			matched[at] = true
			out = append(out, match{base: &base.Rows[at], next: row, at: at, name: longer(base.FullLabel(&base.Rows[at]), next.FullLabel(row)), of: row.Same})
			continue
		}
		places := map[int]int{} // in out, by the place of the base's row
		for _, same := range row.Same {
			at, ok := labels[next.View.Rows[same].Label()]
			if place, known := places[at]; ok && known {
				out[place].of = append(out[place].of, same)
			} else if ok {
				matched[at], places[at] = true, len(out)
				// of the run whose rows are apart
				name := longer(base.FullLabel(&base.Rows[at]), next.FullLabel(row))
				out = append(out, match{base: &base.Rows[at], next: row, at: at, name: name, of: []int{same}})
			}
		}
		if len(places) == 0 {
			out = append(out, match{next: row, at: -1, name: next.FullLabel(row), of: row.Same})
		}
	}
	for at := range base.Rows {
		if !matched[at] {
			out = append(out, match{base: &base.Rows[at], at: at, name: base.FullLabel(&base.Rows[at])})
		}
	}
	return out
}

// longer is the text of more characters, else the first.
func longer(a, b string) string {
	if len(b) > len(a) {
		return b
	}
	return a
}

// settle places rows on axes that have one value in their run, so that its plan cannot say which
// steps depend on them: those count of which the other run knows that they do, or where the other
// run has one value too, which is another, and made other artifacts.
func settle(t, other *sweep.Table) {
	for i := range t.Rows {
		row := &t.Rows[i]
		for axis := range t.Axes {
			values, at := t.Axes[axis].Values, other.Axis(t.Axes[axis].Key)
			if _, has := row.Param(t.Axes[axis].Key); !has || row.At[axis] != sweep.Any || len(values) != 1 || at < 0 {
				continue
			}
			theirs := other.Axes[at].Values
			depends := func(r sweep.Row) bool { return r.Name == row.Name && r.At[at] != sweep.Any }
			made := func(r sweep.Row) bool {
				return r.Name == row.Name && r.KV == row.KV && named(r.Keys) && slices.Equal(r.Keys, row.Keys)
			}
			if len(theirs) > 1 && slices.ContainsFunc(other.Rows, depends) || len(theirs) == 1 && theirs[0] != values[0] && !slices.ContainsFunc(other.Rows, made) {
				row.At[axis] = 0
			}
		}
	}
}

// EqualRows finds for rows of a run the row of a base that measures the same, by the label of the
// run's row: its place in base.Rows. settled says that no row which is measured later changes that.
func EqualRows(v, base *lab.View) (equal map[string]int, settled bool) {
	old, now := sweep.Of(base), sweep.Of(v)
	settled = len(now.Axes) == 0 || len(v.Begin.Depends) == len(v.Begin.Rows)
	for i := range now.Axes {
		settled = settled && len(now.Axes[i].Values) > 1
	}
	settle(old, now)
	settle(now, old)
	equal = map[string]int{}
	matches := matchRows(old, now)
	for i := range matches {
		if m := &matches[i]; m.base != nil {
			for _, at := range m.of {
				equal[v.Rows[at].Label()] = m.base.Index
			}
		}
	}
	return equal, settled
}

// foldedNote says how many rows repeat others, which are compared once; "" where none does.
func foldedNote(base, next *sweep.Table) string {
	const why = ": a step is compared once for all values of an axis that changes nothing in it"
	switch a, b := base.Folded(), next.Folded(); {
	case a == 0 && b == 0:
		return ""
	case a == b:
		return plural.Of(a, "repeated row") + " folded in each run" + why
	default:
		return fmt.Sprintf("repeated rows folded, %d of the base and %d of the new run%s", a, b, why)
	}
}

// rowChanges are the changes of each matched row that the new run has compared, by the base's row.
func (c *Comparison) rowChanges() map[int][]namedChanges {
	rows := map[int][]namedChanges{}
	for i := range c.matches {
		m := &c.matches[i]
		if m.base == nil || m.from == m.to {
			continue
		}
		one := namedChanges{name: m.name}
		for k := m.from; k < m.to; k++ {
			one.changes = append(one.changes, &c.Changes[k])
		}
		rows[m.at] = append(rows[m.at], one)
	}
	return rows
}

// namedChanges are the changes of a row, and what it is called.
type namedChanges struct {
	name    string
	changes []*Change
}

// rowNames are the names under which comparisons have a row of the base: its own, or those of its
// rows apart where a run has them.
func rowNames(own string, of []map[int][]namedChanges, at int) []string {
	var names []string
	for _, rows := range of {
		for _, one := range rows[at] {
			if one.name != own {
				names = appendNew(names, one.name)
			}
		}
	}
	if names == nil {
		return []string{own}
	}
	return names
}
