package sweep

import (
	"maps"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestFindNamesOneRow: a row is found by its label, by its step, and by values of its axes in any
// order, with or without their keys.
func TestFindNamesOneRow(t *testing.T) {
	table := Of(lab.Fold(measured(begin(true))).Snapshot())
	for text, want := range map[string]string{
		"base": "base", "BASE": "base", "step=base": "base", "base ratio=50% scheme=fp8": "base",
		"pruned 0.25": "pruned 0.25", "pruned ratio=0.25": "pruned 0.25", "ratio=25% step=pruned": "pruned 0.25", "pruned ratio=0.25 scheme=fp8": "pruned 0.25",
		"0.5 FP8": "quantized 50% fp8", "scheme=fp8 0.50": "quantized 50% fp8", "  quantized   50%  w4a16 ": "quantized 50% w4a16",
		`"quantized" "50%" fp8`: "quantized 50% fp8", "quantized ratio=0.25 scheme=w8a8": "quantized 0.25 w8a8",
	} {
		at, err := table.Find(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := table.Label(&table.Rows[at]); got != want {
			t.Errorf("%q found %s, expected %s", text, got, want)
		}
	}
}

// TestFindErrorsListRows: what names no row, or several, says which there are.
func TestFindErrorsListRows(t *testing.T) {
	table := Of(lab.Fold(measured(begin(true))).Snapshot())
	for text, want := range map[string][]string{
		"":                {"found no name of a row", "pruned ratio=0.25"},
		"quantised":       {`row "quantised"`, "did you mean \"quantized"},
		"pruned":          {"2 rows meet its words, expected one: pruned ratio=0.25; pruned ratio=50%"},
		"0.25":            {"4 rows meet its words"},
		"ratio=0.3":       {`ratio "0.3": expected one of 0.25, 50%`},
		"rato=0.25":       {`row "rato=0.25"`},
		"pruned fp8":      {"no row meets all its words; expected one of base; pruned ratio=0.25"},
		`quantized "fp8`:  {`expected a closing "`},
		`"ratio=0.25"`:    {`row "ratio=0.25"`},
		"quantized 0.25 ": {"3 rows meet its words"},
	} {
		_, err := table.Find(text)
		for _, one := range want {
			if err == nil || !strings.Contains(err.Error(), one) {
				t.Errorf("%q: %v, expected %q in it", text, err, one)
			}
		}
	}
}

// TestFindLabelBeforeWords: a step whose name is made of the words of others is found by its label,
// and so are steps whose names have signs of the language.
func TestFindLabelBeforeWords(t *testing.T) {
	b := lab.Begin{Run: "r", Rows: []string{"a", "a b", "a=b", `"c`, "مرحبا", "b"}, Cells: []lab.Cell{{ID: "1", Seed: 1}}}
	table := Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &b}}).Snapshot())
	for i, name := range b.Rows {
		if at, err := table.Find(name); err != nil || at != i {
			t.Errorf("%q found %d (%v), expected %d", name, at, err, i)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, text := range []string{"base", "pruned 0.25", "ratio=25% step=pruned", `"fp8" 0.5`, `"`, "=", "step=", "ratio=", "quantized ratio=0.25 scheme=w8a8", "  "} {
		f.Add(text)
	}
	table := Of(lab.Fold(measured(begin(true))).Snapshot())
	f.Fuzz(func(t *testing.T, text string) {
		at, err := table.Find(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		again, err := table.Find(table.FullLabel(&table.Rows[at]))
		if err != nil || again != at {
			t.Errorf("%q found row %d, whose label finds %d (%v)", text, at, again, err)
		}
	})
}

// TestIdentityOfRows: rows of a step are equal at the same values of the axes that they depend on,
// however the values are written and in whatever order the axes are.
func TestIdentityOfRows(t *testing.T) {
	one := Of(lab.Fold(measured(begin(true))).Snapshot())
	other := begin(true)
	for i := range other.Cells {
		p := other.Cells[i].Params
		ratio := map[string]string{"0.25": "25%", "50%": "0.50"}[p[0].Value]
		other.Cells[i].Params = []lab.Param{p[1], {Key: "ratio", Value: ratio}}
	}
	two := Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &other}}).Snapshot())
	alone := Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &lab.Begin{Run: "r", Rows: []string{"base", "pruned"}, Cells: []lab.Cell{{ID: "1", Seed: 1}}}}}).Snapshot())
	of := func(table *Table) map[string]int {
		found := map[string]int{}
		for i := range table.Rows {
			found[table.Rows[i].Identity()]++
		}
		return found
	}
	a, b, c := of(one), of(two), of(alone)
	if len(a) != len(one.Rows) || !maps.Equal(a, b) {
		t.Errorf("found %v and %v", a, b)
	}
	if a["base\x00"] != 1 || c["base\x00"] != 1 || a["pruned\x00"] != 0 || c["pruned\x00"] != 1 {
		t.Errorf("found %v and %v", a, c)
	}
}
