package sweep

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
)

// begin is a sweep of two axes with the steps base, which depends on none, pruned, which depends on
// the ratio, and quantized, which depends on both.
func begin(depends bool) lab.Begin {
	b := lab.Begin{Run: "r", Scenario: "s", Rows: []string{"base", "pruned", "quantized"}}
	if depends {
		b.Depends = [][]string{{}, {"ratio"}, {"ratio", "scheme"}}
	}
	for _, ratio := range []string{"0.25", "50%"} {
		for _, scheme := range []string{"w8a8", "w4a16", "fp8"} {
			for seed := 1; seed <= 2; seed++ {
				b.Cells = append(b.Cells, lab.Cell{ID: fmt.Sprintf("%s %s %d", ratio, scheme, seed), Seed: seed, Params: []lab.Param{{Key: "ratio", Value: ratio}, {Key: "scheme", Value: scheme}}})
			}
		}
	}
	return b
}

// measured has the events of a run whose rows are all measured, with keys that say what they depend
// on.
func measured(b lab.Begin) []lab.Event {
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &b}}
	for _, c := range b.Cells {
		ratio, scheme := c.Params[0].Value, c.Params[1].Value
		for row, key := range map[string]string{"base": "b", "pruned": "p" + ratio, "quantized": "q" + ratio + scheme} {
			events = append(events, lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: row, Key: fmt.Sprint(key, c.Seed), Test: "t", Values: map[string]lab.Measure{"auc": {Value: 0.5}}})
		}
	}
	return events
}

func labels(t *Table) []string {
	var out []string
	for i := range t.Rows {
		out = append(out, t.Label(&t.Rows[i]))
	}
	return out
}

// TestRowsThatDifferInNoAxisAreOne: by the plan at any time, by equal artifacts in logs without it.
func TestRowsThatDifferInNoAxisAreOne(t *testing.T) {
	want := []string{
		"base", "pruned 0.25", "quantized 0.25 w8a8", "quantized 0.25 w4a16", "quantized 0.25 fp8",
		"pruned 50%", "quantized 50% w8a8", "quantized 50% w4a16", "quantized 50% fp8",
	}
	for _, c := range []struct {
		name   string
		events []lab.Event
		want   []string
	}{
		{"planned", measured(begin(true))[:1], want},
		{"planned and measured", measured(begin(true)), want},
		{"an older log, measured", measured(begin(false)), want},
		{"an older log, not measured", measured(begin(false))[:1], nil},
	} {
		table := Of(lab.Fold(c.events).Snapshot())
		if c.want == nil {
			if table.Folded() != 0 || len(table.Rows) != 18 {
				t.Errorf("%s: %d rows, %d folded, expected 18 and 0", c.name, len(table.Rows), table.Folded())
			}
			continue
		}
		if got := labels(table); !slices.Equal(got, c.want) {
			t.Errorf("%s: rows %q, expected %q", c.name, got, c.want)
		}
		if table.Folded() != 9 {
			t.Errorf("%s: %d folded, expected 9", c.name, table.Folded())
		}
	}
}

// TestEachRowStandsOnce: every row of the view is in exactly one row of the table.
func TestEachRowStandsOnce(t *testing.T) {
	for _, depends := range []bool{true, false} {
		table := Of(lab.Fold(measured(begin(depends))).Snapshot())
		seen := map[int]int{}
		for _, r := range table.Rows {
			if !slices.Contains(r.Same, r.Index) || &table.View.Rows[r.Index] != r.TableRow {
				t.Errorf("row %s stands at %d, and for %v", r.Label(), r.Index, r.Same)
			}
			for _, i := range r.Same {
				seen[i]++
			}
		}
		for i := range table.View.Rows {
			if seen[i] != 1 {
				t.Errorf("row %d stands %d times", i, seen[i])
			}
		}
	}
}

// TestFoldedRowsShowWhatIsMeasured: the values are those of the point that is furthest on.
func TestFoldedRowsShowWhatIsMeasured(t *testing.T) {
	b := begin(true)
	last := b.Cells[len(b.Cells)-1].ID
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &b}, {Kind: lab.KindRow, Cell: last, Row: "base", Values: map[string]lab.Measure{"auc": {Value: 0.75}}}}
	table := Of(lab.Fold(events).Snapshot())
	if s, ok := table.Rows[0].Metric("auc"); !ok || s.Value != 0.75 || table.Rows[0].Index != 15 {
		t.Errorf("base shows %v %t of row %d, expected 0.75 of row 15", s.Value, ok, table.Rows[0].Index)
	}
}

func TestAxesOfNumbers(t *testing.T) {
	table := Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: func() *lab.Begin { b := begin(true); return &b }()}}).Snapshot())
	if got := table.Axes[0].Numbers; !slices.Equal(got, []float64{0.25, 0.5}) {
		t.Errorf("numbers of %q are %v", table.Axes[0].Values, got)
	}
	if got := table.Axes[1].Numbers; got != nil {
		t.Errorf("numbers of %q are %v, expected none", table.Axes[1].Values, got)
	}
	if table.Axis("scheme") != 1 || table.Axis("loss") != -1 {
		t.Error("axes are not found by their keys")
	}
}

// TestAllRowsHaveEveryValue: unfolded, each row stands for itself at its own point.
func TestAllRowsHaveEveryValue(t *testing.T) {
	table := All(lab.Fold(measured(begin(true))).Snapshot())
	if len(table.Rows) != 18 || table.Folded() != 0 || table.Label(&table.Rows[15]) != "base 50% fp8" {
		t.Errorf("%d rows, %d folded, row 15 is %q", len(table.Rows), table.Folded(), table.Label(&table.Rows[15]))
	}
}

// TestSortPutsWhatIsMissingLast: in either direction, and equal rows stay in their order.
func TestSortPutsWhatIsMissingLast(t *testing.T) {
	table := Of(lab.Fold(measured(begin(true))).Snapshot())
	columns := table.Columns()
	for _, c := range []struct {
		by   []Order
		want string
	}{
		{[]Order{{Column: columns[1]}}, "1 2 3 4 5 6 7 8 0"},
		{[]Order{{Column: columns[1], Descending: true}}, "5 6 7 8 1 2 3 4 0"},
		{[]Order{{Column: columns[0], Descending: true}, {Column: columns[2]}}, "2 6 3 7 4 8 1 5 0"},
		{[]Order{{Column: Column{Kind: Metric, Key: "bytes"}}}, "0 1 2 3 4 5 6 7 8"},
	} {
		rows := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
		table.Sort(rows, c.by...)
		if got := strings.Trim(fmt.Sprint(rows), "[]"); got != c.want {
			t.Errorf("by %v: %s, expected %s", c.by, got, c.want)
		}
	}
}
