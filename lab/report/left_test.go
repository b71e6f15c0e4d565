package report

import (
	"testing"

	"slimlab/lab"
)

// TestHowFar: what is not known is said, and no estimate has a fraction of a second.
func TestHowFar(t *testing.T) {
	begin := func(cells int) *lab.View {
		b := &lab.Begin{Rows: []string{"FM"}}
		for i := range cells {
			b.Cells = append(b.Cells, lab.Cell{ID: string(rune('a' + i)), Seed: i})
		}
		return lab.Fold([]lab.Event{
			{Kind: lab.KindBegin, Begin: b},
			{Kind: lab.KindCell, Cell: "a", State: lab.Failed},
			{Kind: lab.KindCell, Cell: "b", State: lab.Running},
		}).Snapshot()
	}
	for _, c := range []struct {
		cells int
		left  lab.Left
		want  string
	}{
		{3, lab.Left{Seconds: 189.2}, "1/3 cells, ~3m 10s left"},
		{3, lab.Left{Seconds: 189.2, AtLeast: true}, "1/3 cells, at least 3m 10s left"},
		{3, lab.Left{Seconds: 189.2, AtLeast: true, Guessed: true}, "1/3 cells, perhaps 3m 10s left"},
		{1, lab.Left{Seconds: 40, AtLeast: true, Guessed: true, Earlier: 2}, "0/1 step, perhaps 40s left, from 2 earlier runs"},
		{3, lab.Left{AtLeast: true}, "1/3 cells, time left not known yet"},
		{1, lab.Left{AtLeast: true, Longer: true}, "0/1 step, time left not known: longer than the steps before"},
		{1, lab.Left{Seconds: 40, AtLeast: true, Longer: true}, "0/1 step, at least 40s left"},
		{1, lab.Left{Seconds: 0.2}, "0/1 step, ~1s left"},
		{1, lab.Left{Seconds: 7500}, "0/1 step, ~2h 05m left"},
	} {
		if got := HowFar(begin(c.cells), c.left); got != c.want {
			t.Errorf("%d cells, %+v: %q, expected %q", c.cells, c.left, got, c.want)
		}
	}
}
