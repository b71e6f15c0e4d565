package main

import (
	"fmt"
	"testing"

	"slimlab/lab"
	"slimlab/tui"
)

// TestHeadlineSaysItsAggregate: the best of several rows is called so, the first where no direction
// is better, and the only row neither.
func TestHeadlineSaysItsAggregate(t *testing.T) {
	for _, c := range []struct {
		metric string
		values []float64 // of the rows behind the baseline
		want   tui.Headline
	}{
		{"auc", []float64{0.7, 0.8}, tui.Headline{Value: "0.8000", Metric: "best AUC", Row: "b"}},
		{"loss", []float64{2, 3}, tui.Headline{Value: "2.0000", Metric: "best val loss", Row: "a"}},
		{"auc", []float64{0.7}, tui.Headline{Value: "0.7000", Metric: "AUC", Row: "a"}},
		{"mlp_kept", []float64{0.7, 0.8}, tui.Headline{Value: "0.7000", Metric: "first mlp", Row: "a"}},
	} {
		b := lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM"}, Cells: []lab.Cell{{ID: "c"}}, Columns: []string{c.metric}}
		events := []lab.Event{{Kind: lab.KindBegin, Begin: &b}, {Kind: lab.KindRow, Cell: "c", Row: "FM", Values: map[string]lab.Measure{c.metric: {Value: 0.9}}}}
		for i, x := range c.values {
			name := fmt.Sprintf("%c", 'a'+i)
			b.Rows = append(b.Rows, name)
			events = append(events, lab.Event{Kind: lab.KindRow, Cell: "c", Row: name, Values: map[string]lab.Measure{c.metric: {Value: x}}})
		}
		if got := headline(lab.Fold(events).Snapshot()); got != c.want {
			t.Errorf("%s of %v: %+v, expected %+v", c.metric, c.values, got, c.want)
		}
	}
}
