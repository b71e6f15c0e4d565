package sweep

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab"
)

// TestRenewedTableIsAFreshOne: whatever comes in whatever order, a table that is brought up to its
// view is the one that is made anew, with the same values.
func TestRenewedTableIsAFreshOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := begin(true)
		board := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &plan}})
		arrange := rapid.SampledFrom([]func(*lab.View) *Table{Of, All}).Draw(t, "arrange")
		var table *Table
		board.Read(func(v *lab.View) { table = arrange(v) })
		table.Decades(nil, "auc")
		for n := range rapid.IntRange(1, 12).Draw(t, "rounds") {
			for range rapid.IntRange(0, 4).Draw(t, "events") {
				cell := rapid.SampledFrom(plan.Cells).Draw(t, "cell").ID
				step := rapid.SampledFrom(plan.Rows).Draw(t, "step")
				if rapid.Bool().Draw(t, "row") {
					board.Apply(lab.Event{Kind: lab.KindRow, Cell: cell, Row: step, Values: map[string]lab.Measure{"auc": {Value: float64(n)}}})
				} else {
					state := rapid.SampledFrom([]lab.State{lab.Running, lab.Done, lab.Failed}).Draw(t, "state")
					board.Apply(lab.Event{Kind: lab.KindCell, Cell: cell, State: state, Stage: step})
				}
			}
			board.Read(func(v *lab.View) {
				if !table.Renew() {
					t.Fatal("a plan that says what its steps depend on was not renewed")
				}
				fresh := arrange(v)
				for i := range fresh.Rows {
					a, b := &table.Rows[i], &fresh.Rows[i]
					if a.Index != b.Index || a.TableRow != b.TableRow || !slices.Equal(a.Same, b.Same) {
						t.Fatalf("row %d shows row %d of the view, made anew %d", i, a.Index, b.Index)
					}
					x, has := table.values("auc").finite(i)
					if y, really := b.Values["auc"]; has != really || has && x.Value != y.Value {
						t.Fatalf("row %d has %v, made anew %v", i, x.Value, y.Value)
					}
				}
			})
		}
	})
}

// TestLogsWithoutDependenceAreArrangedAnew: which rows are the same is found in their artifacts,
// so that it changes while they come.
func TestLogsWithoutDependenceAreArrangedAnew(t *testing.T) {
	plan := begin(false)
	if Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &plan}}).Snapshot()).Renew() {
		t.Error("renewed in place, expected false")
	}
}
