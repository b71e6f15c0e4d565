package pruning

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
)

// exhaustiveGroups is the number of groups up to which the local search ends by trying every single
// swap.
const exhaustiveGroups = 64

// improvement is the relative decrease of the objective below which a swap is not taken.
const improvement = 1e-9

// search is what the choice of a support may do.
type search struct {
	batch  int  // groups that greedy removal takes between two scorings
	swaps  int  // groups swapped at first; halved on failure
	rounds int  // local-search rounds at most; 0 switches it off
	single bool // from the greedy start alone
}

// choice is a support, the weight on it, and how it was found.
type choice struct {
	kept    []int
	updates bool         // the kept weights change, to weight
	weight  matrix.Dense // [d, p], zeros outside
	start   string       // "greedy" or "magnitude": the start that won
	curve   []float64    // the relative errors of greedy removal after 0, 1, … groups; may be nil
	swaps   int          // local-search rounds that improved it
}

// osscar keeps `keep` groups: greedy removal, then local search; a second local search from the
// support that magnitude picks; the better of both with the tableau's weights, or, where rounding
// has left them less exact than a fresh factorisation leaves them, with those. So its objective is
// never above that of magnitude with repair.
func (q *problem) osscar(keep int, s search) (choice, error) {
	t, err := q.fullTableau()
	if err != nil {
		return choice{}, err
	}
	t.removeLowest(q.groups()-keep, s.batch)
	best := choice{start: "greedy", updates: true}
	if s.batch == 1 && q.classes() == 1 { // else widths in between are of no support that may be
		best.curve = q.errorsOf(t.path)
	}
	best.swaps = t.localSearch(s)
	best.kept = t.support()
	if err := q.ctx.Err(); err != nil {
		return choice{}, err
	}
	best.weight = t.weight()
	if !s.single {
		f := t.f
		t.moveTo(q.magnitude(keep))
		swaps := t.localSearch(s)
		if t.f < f {
			best.start, best.swaps, best.kept, best.weight = "magnitude", swaps, t.support(), t.weight()
		}
		if err := q.ctx.Err(); err != nil {
			return choice{}, err
		}
	}
	if t.products() {
		best.weight, err = q.solve(best.kept)
	} else {
		best.weight, err = q.solved(best.weight, best.kept)
	}
	return best, err
}

// moveTo makes groups the support.
func (t *tableau) moveTo(groups []int) {
	var moved []int
	for g, in := range t.in {
		if in != slices.Contains(groups, g) {
			moved = append(moved, g)
		}
	}
	t.toggle(moved...)
}

// removeLowest takes n groups out of the support, those with the lowest scores first, batch of them
// between two scorings.
func (t *tableau) removeLowest(n, batch int) {
	room := make([]int, t.classes())
	for _, g := range t.support() {
		room[t.classOf(g)]++
	}
	for c, stay := range t.evenly(len(t.support()) - n) {
		room[c] -= stay
	}
	if t.path == nil {
		t.path = []float64{t.f}
	}
	for n > 0 && t.ctx.Err() == nil {
		var lowest []int
		if t.group == 1 && t.class == 0 {
			var rises []float64
			lowest, rises = t.lowestInOrder(min(n, chosenChannels), n, batch)
			f := t.f
			for _, rise := range rises[:len(rises)-1] {
				f += rise
				t.path = append(t.path, f)
			}
			t.toggle(lowest...)
		} else {
			lowest = t.first(t.ranked(t.side(true)), min(batch, n), room)
			t.toggle(lowest...)
		}
		t.path = append(t.path, t.f)
		n -= len(lowest)
	}
}

// ranked orders groups by score, lowest first; of equals the later group is first, so that it
// leaves.
func (t *tableau) ranked(groups []int) []int {
	scores := make([]float64, t.groups())
	parallel.Range(len(groups), max(1, 64/t.group), func(lo, hi int) {
		for _, g := range groups[lo:hi] {
			scores[g] = t.score(g)
		}
	})
	slices.SortFunc(groups, byScore(scores))
	return groups
}

func byScore(scores []float64) func(a, b int) int {
	return func(a, b int) int { return cmp.Or(cmp.Compare(scores[a], scores[b]), cmp.Compare(b, a)) }
}

// localSearch swaps groups as long as the objective falls: out go the s with the lowest scores, in
// come the s that then gain most (maybe the same ones: no change). A failed round halves s. With
// few groups it ends with the best of all single swaps, tried exhaustively. It leaves t at the
// better support and returns the number of rounds that improved it. Rounds are tried without
// moving anything in the tableau.
func (t *tableau) localSearch(s search) (swaps int) {
	size := min(s.swaps, len(t.side(true)), len(t.side(false)))
	if size == 0 {
		return 0
	}
	for range s.rounds {
		if t.ctx.Err() != nil {
			break
		}
		x := t.lowestForBest(size)
		if !improves(x.f, t.f) && size == 1 && t.groups() <= exhaustiveGroups {
			x = t.bestSwap()
		}
		switch {
		case improves(x.f, t.f):
			t.toggle(x.groups...)
			swaps++
		case size > 1:
			size /= 2
		default:
			return swaps
		}
	}
	return swaps
}

func improves(f, than float64) bool { return f < than-improvement*max(-than, 0) }

// magnitude keeps the groups whose weights have the largest L2 norm.
func (q *problem) magnitude(keep int) []int { return q.largest(keep, squared) }

// largest keeps the groups with the largest sums of a term, by magnitude; of equals the earlier.
func (q *problem) largest(keep int, t term) []int {
	sums := make([]float64, q.groups())
	order := make([]int, q.groups())
	for g := range sums {
		order[g] = g
		for i := g * q.group; i < (g+1)*q.group; i++ {
			for o := range q.p {
				sums[g] += t(q, i, o)
			}
		}
		sums[g] = math.Abs(sums[g])
	}
	slices.SortFunc(order, byScore(sums))
	n := len(order) - keep
	return complement(q.first(order, n, q.evenly(n)), q.groups())
}

// random keeps groups drawn from rng.
func (q *problem) random(keep int, rng *rand.Rand) []int {
	kept := q.first(rng.Perm(q.groups()), keep, q.evenly(keep))
	slices.Sort(kept)
	return kept
}

// complement lists what of 0…n-1 is not in groups, in ascending order.
func complement(groups []int, n int) []int {
	var rest []int
	for g := range n {
		if !slices.Contains(groups, g) {
			rest = append(rest, g)
		}
	}
	return rest
}
