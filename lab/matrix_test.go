package lab

import (
	"slices"
	"strings"
	"testing"
)

// Matrices of several cells and steps have one name each, in the order of the cells; a cell gives
// its own by that name.
func TestMatricesOfARun(t *testing.T) {
	begin := &Begin{Run: "r", Rows: []string{"a", "b"}, Cells: []Cell{{ID: "seed=1"}, {ID: "seed=2"}}}
	events := []Event{{Kind: KindBegin, Begin: begin}}
	add := func(cell, stage, name string, value float64) {
		events = append(events, Event{Kind: KindMatrix, Cell: cell, Stage: stage, Name: name, Matrix: &Matrix{Rows: 2, Columns: 1, RowLabels: []string{"layer 0", " "}, Values: []float64{value, value}}})
	}
	add("seed=1", "a", "KL", 1)
	add("seed=1", "a", "output error", 2)
	add("seed=2", "a", "KL", 3)
	add("seed=2", "b", "KL", 4)
	v := Fold(events).Snapshot()
	if want := []MatrixID{{"a", "KL"}, {"a", "output error"}, {"b", "KL"}}; !slices.Equal(v.MatrixIDs(), want) {
		t.Errorf("found %v, expected %v", v.MatrixIDs(), want)
	}
	for _, c := range []struct {
		cell string
		id   MatrixID
		want float64 // 0: none
	}{{"seed=1", MatrixID{"a", "KL"}, 1}, {"seed=2", MatrixID{"a", "KL"}, 3}, {"seed=2", MatrixID{"b", "KL"}, 4}, {"seed=1", MatrixID{"b", "KL"}, 0}} {
		m := v.Cell(c.cell).Matrix(c.id)
		switch {
		case (m == nil) != (c.want == 0):
			t.Errorf("%s of %s: %v", c.id, c.cell, m)
		case m != nil && (m.At(1, 0) != c.want || m.ID() != c.id || m.Row(0) != "layer 0" || m.Row(1) != "row 2" || m.Column(0) != "column 1"):
			t.Errorf("%s of %s: %+v", c.id, c.cell, m)
		}
	}
	if s := (MatrixID{"a", "KL"}).String() + " " + (MatrixID{"", "KL"}).String(); s != "a.KL KL" {
		t.Errorf("names %q", s)
	}
}

// A run without a matrix says why: it may come, it came to no step that has one, or no step has.
func TestNoMatrix(t *testing.T) {
	for want, events := range map[string][]Event{
		"none is measured yet":          {{Kind: KindBegin, Begin: &Begin{Run: "r"}}},
		"the run ended (stopped)":       {{Kind: KindBegin, Begin: &Begin{Run: "r"}}, {Kind: KindEnd, State: Stopped}},
		"none of its steps measures":    {{Kind: KindBegin, Begin: &Begin{Run: "r"}}, {Kind: KindEnd, State: Done}},
		"a step sensitivity reports KL": nil,
	} {
		if why := Fold(events).Snapshot().NoMatrix(); !strings.Contains(why, want) {
			t.Errorf("%q, expected %q in it", why, want)
		}
	}
	if MatrixOf("KL").Better != Lower || MatrixOf("anything").Better != Neither || MatrixOf("anything").Name != "anything" {
		t.Error("what is known of matrices is another")
	}
}
