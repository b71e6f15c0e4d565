package sweep

import (
	"reflect"
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
					board.Apply(lab.Event{Kind: lab.KindRow, Cell: cell, Row: step, Values: map[string]lab.Measure{"auc": {Value: float64(n)}, "bytes": {Value: float64(n % 3)}}})
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
				checkFronts(t, table, fresh)
			})
		}
	})
}

// checkFronts: the front of a table, of some rows or all, is that of the table that is made anew.
func checkFronts(t *rapid.T, table, fresh *Table) {
	rows := rapid.SliceOfDistinct(rapid.IntRange(0, len(fresh.Rows)-1), rapid.ID[int]).Draw(t, "rows")
	for _, rows := range [][]int{rows, nil} {
		got, err := table.Front(rows, metric(t, "bytes"), metric(t, "auc"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := fresh.Front(rows, got.X, got.Y)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("front of %v: %+v, made anew %+v (%v)", rows, got, want, err)
		}
	}
}

// TestLogsWithoutDependenceAreArrangedAnew: which rows are the same is found in their artifacts,
// so that it changes while they come.
func TestLogsWithoutDependenceAreArrangedAnew(t *testing.T) {
	plan := begin(false)
	if Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &plan}}).Snapshot()).Renew() {
		t.Error("renewed in place, expected false")
	}
}
