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
	rows    [][]float64
	factors [][]float64
	scores  []float64
}

// lowestInOrder returns up to most channels of the support in the order in which they leave it,
// batch of them (those with the lowest scores) between two scorings, the last of `left` possibly
// fewer. They are still to be moved. With one at a time their scores are what the objective rises
// by at each.
func (t *tableau) lowestInOrder(most, left, batch int) (chosen []int, scores []float64) {
	r := &removal{t: t, inside: t.side(true), a: make([]float64, t.d), squares: make([]float64, t.d), scores: make([]float64, t.d)}
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
		n := min(batch, left-len(chosen))
		lowest := r.lowest(n)
		chosen = append(chosen, lowest...)
		for _, i := range lowest {
			scores = append(scores, r.scores[i])
		}
		if len(chosen)+batch > most || len(chosen) == left || t.ctx.Err() != nil {
			return chosen, scores
		}
		for _, q := range lowest {
			r.remove(q)
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

// remove updates the state after channel q was chosen.
func (r *removal) remove(q int) {
	t, d := r.t, r.t.d
	r.inside = slices.DeleteFunc(r.inside, func(i int) bool { return i == q })
	row, factor := make([]float64, d+t.p), make([]float64, d)
	symmetricRow(row, t.matrix(), q)
	for j, f := range r.factors {
		matrix.Subtract(row, []float64{f[q]}, matrix.NewDense(1, len(row), r.rows[j]))
	}
	w := row[d:]
	norm := matrix.Dot(w, w)
	products := make([]float64, len(r.rows)) // of the rows before with this one
	for j, b := range r.rows {
		products[j] = matrix.Dot(b[d:], w)
	}
	parallel.Range(len(r.inside), 64, func(lo, hi int) {
		for _, i := range r.inside[lo:hi] {
			f := row[i] / row[q]
			product := matrix.Dot(t.row(i)[d:], w)
			for j, p := range products {
				product -= r.factors[j][i] * p
			}
			factor[i] = f
			r.a[i] += f * row[i]
			r.squares[i] += f * (f*norm - 2*product)
		}
	})
	r.rows, r.factors = append(r.rows, row), append(r.factors, factor)
}
