package pruning

import (
	"slices"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
)

// removal chooses channels that leave the support one after another, each with the scores that
// those before it have left, without moving them in the tableau: a move passes over all of the
// tableau's memory, a choice over the right-hand side alone. With f_j = B_j/B_j[q_j] of the j-th
// choice q_j, whose row at that time is B_j, row r is by now that of the tableau less Σ_j
// f_j[r]·B_j. From that follow the diagonal and the squared norms ‖W_r‖² of the scores
// ½·‖W_r‖²/A_rr:
//
//	A_rr ← A_rr + f[r]·B[r]      ‖W_r‖² ← ‖W_r‖² − 2·f[r]·W_r·W_q + f[r]²·‖W_q‖²
type removal struct {
	t       *tableau
	inside  []int     // channels of the support that have not been chosen
	a       []float64 // [d] diagonal of A
	squares []float64 // [d] squared norms of the rows of W
	scores  []float64
	// by choice: B_j [d+p] and f_j [d], 0 where the channel had left
	rows, factors matrix.Dense
	// Products of rows of the right-hand side as they were at the beginning: with those of the
	// channels that are likely to be chosen, by their place, [foreseen, d], and with the row of
	// each choice, as it was then, [choices, d].
	foreseen        map[int]int
	start, products matrix.Dense
}

// foresee multiplies the rows of the right-hand side with those of the channels whose scores are
// lowest now: what leaves the support next is nearly always among them. One product of matrices
// takes the place of passes over all rows, one for each choice.
func (r *removal) foresee(n int) {
	if n = min(n, len(r.inside)); n < fewChoices {
		return
	}
	t := r.t
	likely := r.lowest(n)
	rows := matrix.NewDense(n, t.p, nil)
	r.foreseen, r.start = make(map[int]int, n), matrix.NewDense(n, t.d, nil)
	for a, i := range likely {
		copy(rows.Row(a), t.row(i)[t.d:])
		r.foreseen[i] = a
	}
	matrix.AddProduct(t.ctx, r.start, rows, t.matrix().Block(0, t.d, t.d, t.p).T(), 1)
}

const (
	fewChoices = 8 // for which nothing is foreseen
	// foresight is how many channels are foreseen for each that is chosen
	foresight = 3
)

// lowestInOrder returns up to most channels of the support in the order in which they leave it,
// batch of them (those with the lowest scores) between two scorings, the last of `left` possibly
// fewer. They are still to be moved. With one at a time their scores are what the objective rises
// by at each.
func (t *tableau) lowestInOrder(most, left, batch int) (chosen []int, scores []float64) {
	r := &removal{t: t, inside: t.side(true), a: make([]float64, t.d), squares: make([]float64, t.d), scores: make([]float64, t.d)}
	choices := min(most, left)
	r.rows, r.factors, r.products = matrix.NewDense(choices, t.d+t.p, nil), matrix.NewDense(choices, t.d, nil), matrix.NewDense(choices, t.d, nil)
	parallel.Range(len(r.inside), 64, func(lo, hi int) {
		for _, i := range r.inside[lo:hi] {
			row := t.row(i)
			r.a[i], r.squares[i] = -row[i], matrix.Dot(row[t.d:], row[t.d:])
		}
	})
	for {
		for _, i := range r.inside {
			r.scores[i] = 0.5 * max(0, r.squares[i]) / r.a[i]
		}
		if len(chosen) == 0 && choices >= fewChoices {
			r.foresee(foresight * choices)
		}
		n := min(batch, left-len(chosen))
		lowest := r.lowest(n)
		chosen = append(chosen, lowest...)
		for _, i := range lowest {
			scores = append(scores, r.scores[i])
		}
		if len(chosen)+batch > most || len(chosen) == left || t.ctx.Err() != nil {
			return chosen, scores
		}
		for k, q := range lowest {
			r.remove(q, len(chosen)-len(lowest)+k)
		}
	}
}

// lowest takes the n channels with the lowest scores out of those inside; of equals the later is
// first.
func (r *removal) lowest(n int) []int {
	less := byScore(r.scores)
	if n == 1 { // of thousands, not worth sorting
		return []int{slices.MinFunc(r.inside, less)}
	}
	sorted := slices.SortedFunc(slices.Values(r.inside), less)
	return sorted[:n]
}

// remove updates the state after channel q was chosen, as choice k.
func (r *removal) remove(q, k int) {
	t, d := r.t, r.t.d
	r.inside = slices.DeleteFunc(r.inside, func(i int) bool { return i == q })
	row, factor, raw := r.rows.Row(k), r.factors.Row(k), r.products.Row(k)
	before := make([]float64, k) // factors of q
	for j := range before {
		before[j] = r.factors.Row(j)[q]
	}
	place, seen := r.foreseen[q]
	if seen {
		copy(raw, r.start.Row(place))
	}
	parallel.Range(len(row), removalColumns, func(lo, hi int) {
		symmetricPart(row[lo:hi], t.matrix(), q, lo)
		matrix.Subtract(row[lo:hi], before, r.rows.Block(0, lo, k, hi-lo))
		if hi = min(hi, d); seen && lo < hi {
			matrix.Subtract(raw[lo:hi], before, r.products.Block(0, lo, k, hi-lo))
		}
	})
	w := row[d:]
	norm := matrix.Dot(w, w)
	own := make([]float64, k) // products of the rows before with this one
	for j := range own {
		own[j] = matrix.Dot(r.rows.Row(j)[d:], w)
	}
	if !seen {
		parallel.Range(len(r.inside), 64, func(lo, hi int) {
			for _, i := range r.inside[lo:hi] {
				raw[i] = matrix.Dot(t.row(i)[d:], w)
			}
		})
	}
	product := slices.Clone(raw)
	parallel.Range(d, removalColumns, func(lo, hi int) {
		matrix.Subtract(product[lo:hi], own, r.factors.Block(0, lo, k, hi-lo))
	})
	for _, i := range r.inside {
		f := row[i] / row[q]
		factor[i] = f
		r.a[i] += f * row[i]
		r.squares[i] += f * (f*norm - 2*product[i])
	}
}

// removalColumns is the number of columns that a thread updates at once after a choice.
const removalColumns = 1024
