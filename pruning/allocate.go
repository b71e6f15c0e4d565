package pruning

import (
	"cmp"
	"math"
	"slices"
)

// choiceOf is one of the choices of an item.
type choiceOf struct {
	cost int64
	loss float64
}

// allocate takes one choice of each item, so that the sum of costs is within the budget and the sum
// of losses is the least; of equals one of the lowest cost. It is exact: after each item it keeps
// every sum that no other has at once a lower cost and a lower loss than. It is not ok where no
// choice fits.
func allocate(items [][]choiceOf, budget int64) (chosen []int, ok bool) {
	type state struct {
		choiceOf
		before, choice int // of the state that this one adds a choice to
	}
	least := make([]int64, len(items)+1) // of the items from here on
	for i := len(items) - 1; i >= 0; i-- {
		least[i] = math.MaxInt64
		for _, c := range items[i] {
			least[i] = min(least[i], least[i+1]+c.cost)
		}
	}
	if least[0] > budget {
		return nil, false
	}
	levels := [][]state{{{}}}
	for i, item := range items {
		var next []state
		for b, s := range levels[i] {
			for c, of := range item {
				if cost := s.cost + of.cost; cost+least[i+1] <= budget {
					next = append(next, state{choiceOf{cost, s.loss + of.loss}, b, c})
				}
			}
		}
		slices.SortFunc(next, func(a, b state) int { return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.loss, b.loss)) })
		kept := next[:0]
		for _, s := range next {
			if len(kept) == 0 || s.loss < kept[len(kept)-1].loss {
				kept = append(kept, s)
			}
		}
		levels = append(levels, slices.Clone(kept))
	}
	chosen = make([]int, len(items))
	at := len(levels[len(items)]) - 1 // the last has the highest cost and the lowest loss
	for i := len(items); i > 0; i-- {
		s := levels[i][at]
		chosen[i-1], at = s.choice, s.before
	}
	return chosen, true
}
