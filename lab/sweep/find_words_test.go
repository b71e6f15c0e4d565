package sweep

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestLabelOfTwoRows names neither; their words may.
func TestLabelOfTwoRows(t *testing.T) {
	b := lab.Begin{Run: "r", Rows: []string{"a", "a b"}, Cells: []lab.Cell{{ID: "1", Seed: 1, Params: []lab.Param{{Key: "x", Value: "b c"}}}, {ID: "2", Seed: 1, Params: []lab.Param{{Key: "x", Value: "c"}}}}}
	table := Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &b}}).Snapshot())
	if at := table.labelled("a b c"); at != -1 {
		t.Errorf("the label of two rows is that of row %d, %q", at, labels(table))
	}
	if at, err := table.Find(`a x="b c"`); err != nil || table.Label(&table.Rows[at]) != "a b c" || table.Rows[at].Name != "a" {
		t.Errorf("row %d, %v", at, err)
	}
}

// TestFindByAnAxisThatIsCalledStep: its values, not the steps of the pipeline, are meant by the
// key.
func TestFindByAnAxisThatIsCalledStep(t *testing.T) {
	b := begin(true)
	for i := range b.Cells {
		b.Cells[i].Params[1].Key = StepAxis
	}
	for _, axes := range b.Depends {
		for i := range axes {
			if axes[i] == "scheme" {
				axes[i] = StepAxis
			}
		}
	}
	table := Of(lab.Fold(measured(b)).Snapshot())
	if at, err := table.Find("step=fp8 ratio=0.25"); err != nil || table.Label(&table.Rows[at]) != "quantized 0.25 fp8" {
		t.Errorf("row %d, %v", at, err)
	}
	if _, err := table.Find("step=base"); err == nil || !strings.Contains(err.Error(), `step "base": expected one of w8a8, w4a16, fp8`) {
		t.Errorf("step=base: %v", err)
	}
}

// TestNumbersAreTheSame however they are written.
func TestNumbersAreTheSame(t *testing.T) {
	for i := range 200 {
		for _, pair := range [][2]string{{fmt.Sprintf("%d%%", i), fmt.Sprint(float64(i) / 100)}, {fmt.Sprintf("%dms", i), fmt.Sprint(float64(i) / 1000)}, {fmt.Sprintf("%d.0", i), fmt.Sprint(i)}, {fmt.Sprint(float64(i) * 0.1), fmt.Sprint(float64(i) / 10)}} {
			if !sameValue(pair[0], pair[1]) || sameValue(pair[0], fmt.Sprint(float64(i)+0.5)) && i > 0 {
				t.Errorf("%s and %s: not the same, or the same as another", pair[0], pair[1])
			}
		}
	}
}

// TestErrorsListManyRows: so many, and how many more there are.
func TestErrorsListManyRows(t *testing.T) {
	b := lab.Begin{Run: "r", Cells: []lab.Cell{{ID: "1", Seed: 1}}}
	for n := range most + 3 {
		b.Rows = append(b.Rows, fmt.Sprintf("row%02d", n))
		table := Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &b}}).Snapshot())
		_, err := table.Find("another")
		listed, more := strings.Count(err.Error(), "row")-1, 0
		if _, rest, found := strings.Cut(err.Error(), "… and "); found {
			fmt.Sscanf(rest, "%d more", &more)
		}
		if listed != min(n+1, most) || listed+more != n+1 {
			t.Errorf("of %d rows %d are listed, %d more: %v", n+1, listed, more, err)
		}
	}
}
