package report_test

import (
	"bytes"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/report"
)

// TestChosenBySearches: each row has a line with what its seeds chose; a row of the same models has
// none, and JSON has what each seed chose.
func TestChosenBySearches(t *testing.T) {
	b := lab.NewBoard()
	begin := lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM", "kd"}, Columns: []string{"auc"}}
	for _, data := range []string{"256", "2048"} {
		for seed, id := range []string{"a", "b"} {
			begin.Cells = append(begin.Cells, lab.Cell{ID: data + id, Seed: seed + 1, Params: []lab.Param{{Key: "data", Value: data}}})
		}
	}
	b.Apply(lab.Event{Kind: lab.KindBegin, Begin: &begin})
	for i, chosen := range []string{"rate=1", "rate=2", "rate=4", "rate=4"} {
		cell := begin.Cells[i].ID
		b.Apply(lab.Event{Kind: lab.KindRow, Cell: cell, Row: "FM", Key: "fm", Values: map[string]lab.Measure{"auc": {Value: 0.7}}})
		b.Apply(lab.Event{Kind: lab.KindRow, Cell: cell, Row: "kd", Key: cell, Chosen: chosen, Values: map[string]lab.Measure{"auc": {Value: 0.6}}})
	}
	write := func(format string) string {
		var out bytes.Buffer
		if err := report.Write(format, &out, b.Snapshot()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if text, want := write("table"), "\nchosen by searches\n  kd data=256: rate=1 (seed 1); rate=2 (seed 2)\n  kd data=2048: rate=4\n"; !strings.Contains(text, want) {
		t.Errorf("found\n%s\nexpected in it\n%s", text, want)
	}
	if text, want := write("md"), "### Chosen by searches\n\n- kd data=256: rate=1 (seed 1); rate=2 (seed 2)\n- kd data=2048: rate=4\n"; !strings.Contains(text, want) {
		t.Errorf("found\n%s\nexpected in it\n%s", text, want)
	}
	if text := write("json"); strings.Count(text, `"chosen"`) != 2 || !strings.Contains(text, `"settings": "rate=2"`) {
		t.Errorf("found\n%s", text)
	}
}
