package tui

import (
	"testing"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// TestEqualRowOfTheBaseline: a row that does not depend on an axis has an equal in a pinned run
// without that axis, one that depends on it does not; so have rows that are shown unfolded.
func TestEqualRowOfTheBaseline(t *testing.T) {
	begin := lab.Begin{Run: "base", Rows: []string{"FM", "pruned"}, Cells: []lab.Cell{{ID: "1", Seed: 1}}}
	w := &workbench{baseline: baseline{run: "base"}}
	w.takeBaseline(pinnedMsg{run: "base", view: lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &begin}}).Snapshot()})
	swept := begin
	swept.Depends, swept.Cells = [][]string{{}, {"ratio"}}, nil
	for _, ratio := range []string{"0.2", "0.4"} {
		swept.Cells = append(swept.Cells, lab.Cell{ID: ratio, Seed: 1, Params: []lab.Param{{Key: "ratio", Value: ratio}}})
	}
	view := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &swept}}).Snapshot()
	for _, row := range sweep.Of(view).Rows {
		if at, ok := w.baseline.equal(view, &row); ok != (row.Name == "FM") || at != 0 {
			t.Errorf("%s: row %d, %t", row.TableRow.Label(), at, ok)
		}
	}
	w.takeBaseline(pinnedMsg{run: "base", view: view})
	for i, row := range sweep.All(view).Rows {
		want := i
		if row.Name == "FM" {
			want = 0 // the others repeat it
		}
		if at, ok := w.baseline.equal(view, &row); at != want || !ok {
			t.Errorf("%s: row %d, %t", row.TableRow.Label(), at, ok)
		}
	}
}

// A run at one value of an axis is no equal of the pinned run at another one, though neither plan
// says which steps depend on it.
func TestRowsAtOneValueAreNotEqual(t *testing.T) {
	at := func(ratio string) *lab.View {
		cell := lab.Cell{ID: "1", Seed: 1, Params: []lab.Param{{Key: "ratio", Value: ratio}}}
		begin := lab.Begin{Run: ratio, Rows: []string{"FM", "pruned"}, Depends: [][]string{{}, {}}, Cells: []lab.Cell{cell}}
		events := []lab.Event{{Kind: lab.KindBegin, Begin: &begin}}
		for row, key := range map[string]string{"FM": "fm", "pruned": "pruned " + ratio} {
			events = append(events, lab.Event{Kind: lab.KindRow, Cell: "1", Row: row, Key: key, Values: map[string]lab.Measure{"auc": {Value: 1}}})
		}
		return lab.Fold(events).Snapshot()
	}
	w := &workbench{baseline: baseline{run: "0.2"}}
	w.takeBaseline(pinnedMsg{run: "0.2", view: at("0.2")})
	for ratio, want := range map[string]bool{"0.2": true, "0.4": false} {
		view := at(ratio)
		view.Begin.Run = "other " + ratio
		for _, row := range sweep.Of(view).Rows {
			if _, ok := w.baseline.equal(view, &row); ok != (want || row.Name == "FM") {
				t.Errorf("%s at %s: equal %t", row.Name, ratio, ok)
			}
		}
	}
}
