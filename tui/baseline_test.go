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
		if at, ok := w.baseline.equal(&row); ok != (row.Name == "FM") || at != 0 {
			t.Errorf("%s: row %d, %t", row.TableRow.Label(), at, ok)
		}
	}
	w.takeBaseline(pinnedMsg{run: "base", view: view})
	for i, row := range sweep.All(view).Rows {
		if at, ok := w.baseline.equal(&row); at != i || !ok {
			t.Errorf("%s: row %d, %t", row.TableRow.Label(), at, ok)
		}
	}
}
