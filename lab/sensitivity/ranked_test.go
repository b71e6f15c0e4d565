package sensitivity

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Ranked lists what trying all allocations finds, in their order, with bytes that have no common
// divisor and budgets that an allocation takes to the byte.
func TestRankedIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		layers := make([][]Option, 1+rng.IntN(4))
		all := []Allocation{{}}
		for i := range layers {
			for range 1 + rng.IntN(5) {
				layers[i] = append(layers[i], Option{Bytes: 1 + rng.Int64N(1_000_000), Cost: rng.Float64()})
			}
			var next []Allocation
			for _, a := range all {
				for at, o := range layers[i] {
					next = append(next, Allocation{Choice: append(slices.Clone(a.Choice), at), Bytes: a.Bytes + o.Bytes, Cost: a.Cost + o.Cost})
				}
			}
			all = next
		}
		budget := all[rng.IntN(len(all))].Bytes
		odd := func(a Allocation) bool { return a.Choice[0]%2 == 0 }
		var want []Allocation
		for _, a := range all {
			if a.Bytes <= budget && odd(a) {
				want = append(want, a)
			}
		}
		slices.SortFunc(want, func(a, b Allocation) int { return cmp.Compare(a.Cost, b.Cost) })
		n := 1 + rng.IntN(8)
		want = want[:min(n, len(want))]
		got, err := Ranked(t.Context(), layers, budget, n, odd)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d allocations, expected %d: %v", len(got), len(want), err)
		}
		for i, a := range got {
			if a.Bytes > budget || math.Abs(a.Cost-want[i].Cost) > 1e-12 || !slices.Equal(a.Choice, want[i].Choice) {
				t.Errorf("place %d: %+v, expected %+v", i, a, want[i])
			}
		}
	}
	if got, err := Ranked(t.Context(), [][]Option{{{Bytes: 5, Cost: 1}}}, 4, 3, nil); len(got) > 0 || err != nil {
		t.Errorf("%v fits 4 bytes: %v", got, err)
	}
}
