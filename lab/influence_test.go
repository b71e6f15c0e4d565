package lab

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestInfluenceKeepSumAndSize: packed numbers are those of the units to float32, or the sums of
// blocks of neighbours as soon as there are too many, and never take more than 16 KiB.
func TestInfluenceKeepSumAndSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 40, MaxParts - 1, MaxParts, MaxParts + 1, 3*MaxParts - 7}).Draw(t, "units")
		influence := make([]float64, n)
		var sum float64
		for i := range influence {
			influence[i] = math.Sin(float64(i * i))
			sum += influence[i]
		}
		o := NewInfluence("t", "members", influence)
		if err := o.Check(); err != nil || len(o.Parts) > 16<<10 || o.Units != n {
			t.Fatalf("%d units: %d bytes, %v", n, len(o.Parts), err)
		}
		var got float64
		for i, x := range o.Values() {
			got += x
			if n <= MaxParts && x != float64(float32(influence[i])) {
				t.Fatalf("unit %d of %d is %v, expected %v", i, n, x, influence[i])
			}
		}
		if n > MaxParts { // the first block is of the first neighbours
			first := 0.0
			for i := range n {
				if i*MaxParts/n == 0 {
					first += influence[i]
				}
			}
			if x := o.Values()[0]; x != float64(float32(first)) {
				t.Fatalf("%d units: the first block is %v, expected %v", n, x, first)
			}
		}
		if math.Abs(got-sum) > 1e-3 {
			t.Fatalf("%d units: the sum is %v, expected %v", n, got, sum)
		}
	})
}

// TestLogsHoldInfluenceOf4096Parts: what logs hold stays readable, and not one part more.
func TestLogsHoldInfluenceOf4096Parts(t *testing.T) {
	for parts, readable := range map[int]bool{4095: false, 4096: true, 4097: false} {
		o := Influence{Units: 5000, Parts: make([]byte, 4*parts)}
		if err := o.Check(); (err == nil) != readable {
			t.Errorf("%d parts of 5000 units: %v", parts, err)
		}
	}
}

// TestDamagedInfluence: a damaged influence is a note, and the row's value stays.
func TestDamagedInfluence(t *testing.T) {
	for name, o := range map[string]Influence{
		"none":             {Units: 0},
		"cut":              {Units: 1, Parts: []byte{1, 2, 3}},
		"other units":      {Units: 2, Parts: make([]byte, 4)},
		"not a number":     NewInfluence("t", "members", []float64{math.NaN()}),
		"infinite":         NewInfluence("t", "members", []float64{1, math.Inf(-1)}),
		"too many":         {Units: MaxParts + 1, Parts: make([]byte, 4*(MaxParts+1))},
		"a negative count": {Units: -1, Parts: make([]byte, 4)},
	} {
		b := NewBoard()
		b.Apply(Event{Kind: KindBegin, Begin: &Begin{Cells: []Cell{{ID: "seed=1", Seed: 1}}, Rows: []string{"FM"}}})
		b.Apply(Event{Kind: KindRow, Cell: "seed=1", Row: "FM", Values: map[string]Measure{"auc": {Value: 0.8, N: 9}, "loss": {Value: 1}},
			Influence: map[string]Influence{"auc": o, "loss": NewInfluence("t", "examples", []float64{1, -1})}})
		v := b.Snapshot()
		s, ok := v.Rows[0].Metric("auc")
		l, _ := v.Rows[0].Metric("loss")
		if !ok || s.Seeds[0].Influence != nil || l.Seeds[0].Influence == nil || len(v.Notes) != 1 || !strings.Contains(v.Notes[0].Text, "influence on auc") {
			t.Errorf("%s: found %+v, notes %+v", name, s, v.Notes)
		}
	}
}

// TestInfluenceFollowTheirValues: a value that is reported again has the influence of the new
// report, others keep theirs, and a snapshot does not change.
func TestInfluenceFollowTheirValues(t *testing.T) {
	b := NewBoard()
	b.Apply(Event{Kind: KindBegin, Begin: &Begin{Cells: []Cell{{ID: "seed=1", Seed: 1}}, Rows: []string{"FM"}}})
	row := func(of map[string]Influence, keys ...string) {
		e := Event{Kind: KindRow, Cell: "seed=1", Row: "FM", Values: map[string]Measure{}, Influence: of}
		for _, key := range keys {
			e.Values[key] = Measure{Value: 1}
		}
		b.Apply(e)
	}
	row(map[string]Influence{"auc": NewInfluence("t", "m", []float64{1}), "loss": NewInfluence("u", "m", []float64{2})}, "auc", "loss")
	before := b.Snapshot()
	row(nil, "auc")
	after := b.Snapshot()
	has := func(v *View, key string) bool { s, _ := v.Rows[0].Metric(key); return s.Seeds[0].Influence != nil }
	if !has(before, "auc") || !has(before, "loss") || has(after, "auc") || !has(after, "loss") {
		t.Errorf("before: auc %t, loss %t; after: auc %t, loss %t", has(before, "auc"), has(before, "loss"), has(after, "auc"), has(after, "loss"))
	}
}
