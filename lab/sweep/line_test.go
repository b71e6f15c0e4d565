package sweep

import (
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab"
)

// TestLineOfRows keeps exactly these rows, folded or each for itself.
func TestLineOfRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := drawn(t)
		if rapid.Bool().Draw(t, "folded") {
			table = Of(table.View)
		}
		var rows []int
		for i := range table.Rows {
			if rapid.Bool().Draw(t, "row") {
				rows = append(rows, i)
			}
		}
		if line, ok := table.LineOf(rows); ok != (len(rows) > 0) {
			t.Fatalf("rows %v: %q, %v", rows, line, ok)
		}
	})
}

// TestLineOfRowsThatHaveNone: values that the language reads as one, or not at all, have no line.
func TestLineOfRowsThatHaveNone(t *testing.T) {
	for _, c := range []struct {
		values [2]string
		ok     bool
	}{{[2]string{"0.5", "0.25"}, true}, {[2]string{"0.5", "50%"}, false}, {[2]string{"a b", "a"}, true}, {[2]string{"or", "not"}, true}, {[2]string{`a"b`, "a"}, false}, {[2]string{"fkl", "FKL"}, false}} {
		b := lab.Begin{Run: "r", Rows: []string{"q"}, Depends: [][]string{{"ratio"}}}
		for _, value := range c.values {
			b.Cells = append(b.Cells, lab.Cell{ID: value, Params: []lab.Param{{Key: "ratio", Value: value}}})
		}
		if line, ok := Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &b}}).Snapshot()).LineOf([]int{0}); ok != c.ok {
			t.Errorf("%q of %q: %q, %v", c.values[0], c.values, line, ok)
		}
	}
}
