package report

import (
	"slices"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// repeatsOf names for each row that repeats another in both runs the first row that it repeats,
// where both runs have measured that one: one measurement is compared once.
func repeatsOf(base, next *lab.View) map[string]string {
	repeats := map[string]string{}
	inBase := firstRows(base)
	for row, first := range firstRows(next) {
		if other := inBase[row]; other != nil && other.Label() == first.Label() && other.Done > 0 && first.Done > 0 {
			repeats[row] = first.Label()
		}
	}
	return repeats
}

// repeatsNote says what is not compared again.
func (c *Comparison) repeatsNote() string {
	return Plural(len(c.repeats), "repeated row") + " folded: a step is compared once for all values of an axis that changes nothing in it"
}

// firstRows finds for each row that repeats an earlier one the first of its kind.
func firstRows(v *lab.View) map[string]*lab.TableRow {
	t := sweep.Of(v)
	firsts := map[string]*lab.TableRow{}
	for i := range t.Rows {
		same := slices.Sorted(slices.Values(t.Rows[i].Same))
		for _, at := range same[1:] {
			firsts[v.Rows[at].Label()] = &v.Rows[same[0]]
		}
	}
	return firsts
}
