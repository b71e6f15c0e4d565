package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestCurvesInReports: text and Markdown say where each curve begins and ends, those of several
// cells as ranges; JSON has all points.
func TestCurvesInReports(t *testing.T) {
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &lab.Begin{Run: "r1", Scenario: "tiny", Rows: []string{"a", "b"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}, {ID: "seed=2", Seed: 2}}}}}
	point := func(seed int, name string, step int, value float64) {
		events = append(events, lab.Event{Kind: lab.KindPoint, Cell: fmt.Sprintf("seed=%d", seed), Name: name, Step: step, Value: value})
	}
	point(1, "a.loss", 1, 2.5)
	point(1, "a.loss", 9, 1.5)
	point(2, "a.loss", 1, 2.5)
	point(2, "a.loss", 9, 1.25)
	point(1, "b.divergence", 3, 0.5)
	point(1, "b.divergence", 4, math.NaN())
	point(1, "b.ended", 3, 0)
	point(1, "b.ended", 4, 0.985)
	point(1, "b.length", 3, 300)
	point(1, "b.length", 4, 6.75)
	point(1, "b.repeated", 3, 1)
	view := lab.Fold(events).Snapshot()
	want := []string{"0% → 98.5% at step 4", "300 → 6.75 tokens at step 4", "100% → 100% at step 3", "a.loss", "2.5000 → 1.2500 to 1.5000 at step 9, 2 cells", "b.divergence", "0.5000 → not finite at step 4"}
	for _, format := range []string{"table", "md"} {
		var b bytes.Buffer
		if err := Write(format, &b, view); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(b.String(), text) {
				t.Errorf("%s lacks %q:\n%s", format, text, &b)
			}
		}
	}
	var b bytes.Buffer
	if err := Write("json", &b, view); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Curves []struct {
			Cell, Name string
			Steps      []int
			Values     []*float64
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Curves) != 6 || doc.Curves[0].Name != "a.loss" || len(doc.Curves[0].Steps) != 2 || *doc.Curves[0].Values[1] != 1.5 || doc.Curves[1].Cell != "seed=1" || doc.Curves[1].Values[1] != nil {
		t.Errorf("curves in JSON: %+v", doc.Curves)
	}
}
