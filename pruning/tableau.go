package pruning

import (
	"math"
	"slices"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
)

// tableau holds everything that the search needs for a support S, in the form of the symmetric
// sweep operator on [H | G]. With A = H_SS⁻¹ its blocks are
//
//	           S              not S                             right-hand side
//	S        −A              A·H_S·                            W_S = A·G_S
//	not S    (transposed)    C = H − H_·S·A·H_S·  (Schur)      r = G − H_·S·W_S
//
// A pivot moves channels P in or out of S and is exact. With B the rows P of the tableau, and D =
// |B_PP| (A_PP of channels that leave, C_PP of channels that come), all but these rows lose
// ±BᵀD⁻¹B, which become D⁻¹B themselves, and their own block ∓D⁻¹: for channels that leave it is
// OSSCAR's update A ← A − A_·P·A_PP⁻¹·A_P·, W ← W − A_·P·A_PP⁻¹·W_P. Many channels at once cost
// little more than one, since the tableau passes through memory once.
type tableau struct {
	*problem
	t  []float64 // [d, d+p]; of the symmetric part only the upper triangle is kept up to date
	in []bool    // by group: is it in S
}

// pivotChannels is the number of channels that are moved together, if a group has no more.
const pivotChannels = 64

// rowsOfTask is the number of rows that a thread copies at once.
const rowsOfTask = 32

func (q *problem) emptyTableau() *tableau {
	return &tableau{problem: q, t: make([]float64, q.d*(q.d+q.p)), in: make([]bool, q.groups())}
}

// fullTableau is the tableau of the full support, by a fresh factorisation.
func (q *problem) fullTableau() (*tableau, error) {
	t := q.emptyTableau()
	parallel.Range(q.d, rowsOfTask, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := t.row(i)
			copy(row[i:q.d], q.h.Row(i)[i:])
			copy(row[q.d:], q.w.Row(i)) // H⁻¹·G
		}
	})
	inverse := t.matrix().Block(0, 0, q.d, q.d)
	if !matrix.Cholesky(q.ctx, inverse) {
		return nil, q.singular()
	}
	matrix.InvertCholesky(q.ctx, inverse)
	parallel.Range(q.d, rowsOfTask, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := t.row(i)[i:q.d]
			for j, v := range row {
				row[j] = -v
			}
		}
	})
	for g := range t.in {
		t.in[g] = true
	}
	return t, q.ctx.Err()
}

func (t *tableau) matrix() matrix.Dense { return matrix.NewDense(t.d, t.d+t.p, t.t) }

func (t *tableau) row(i int) []float64 {
	n := t.d + t.p
	return t.t[i*n : (i+1)*n]
}

// symmetricRow writes row i to row [d+p], its part left of the diagonal from the column above it.
func (t *tableau) symmetricRow(row []float64, i int) {
	n := t.d + t.p
	copy(row[i:], t.row(i)[i:])
	for r := range i {
		row[r] = t.t[r*n+i]
	}
}

func (t *tableau) clone() *tableau {
	c := t.emptyTableau()
	c.copy(t)
	return c
}

// copy makes t another tableau of the same problem.
func (t *tableau) copy(from *tableau) {
	parallel.Range(len(t.t), 1<<18, func(lo, hi int) { copy(t.t[lo:hi], from.t[lo:hi]) })
	copy(t.in, from.in)
}

// exchange exchanges the supports of two tableaux of the same problem.
func (t *tableau) exchange(with *tableau) {
	t.t, with.t = with.t, t.t
	t.in, with.in = with.in, t.in
}

// toggle moves groups into the support, or out of it: each to its other side.
func (t *tableau) toggle(groups ...int) {
	for _, in := range []bool{true, false} {
		var channels []int
		for _, g := range groups {
			if t.in[g] != in {
				continue
			}
			if len(channels)+t.group > max(pivotChannels, t.group) {
				t.pivot(channels, in)
				channels = channels[:0]
			}
			for i := range t.group {
				channels = append(channels, g*t.group+i)
			}
		}
		if len(channels) > 0 {
			t.pivot(channels, in)
		}
	}
	for _, g := range groups {
		t.in[g] = !t.in[g]
	}
}

// pivot moves channels that are all on one side to the other. Channels whose block D rounding has
// made indefinite are moved one after another.
func (t *tableau) pivot(channels []int, in bool) {
	if t.ctx.Err() != nil {
		return
	}
	k, d := len(channels), t.d
	sign := 1.0 // of the channels' block
	if in {
		sign = -1
	}
	b, block := matrix.NewDense(k, d+t.p, nil), matrix.NewDense(k, k, nil)
	parallel.For(k, func(a int) { t.symmetricRow(b.Row(a), channels[a]) })
	for a := range k {
		for c := range k {
			block.Row(a)[c] = sign * b.Row(a)[channels[c]]
		}
	}
	if k == 1 { // the sign of a single one is seen
		v := b.Row(0)[channels[0]]
		sign = math.Copysign(1, v)
		block.Row(0)[0] = math.Abs(v)
	}
	if !matrix.Cholesky(t.ctx, block) && k > 1 {
		t.pivot(channels[:k/2], in)
		t.pivot(channels[k/2:], in)
		return
	}
	x := matrix.NewDense(k, d+t.p, slices.Clone(b.Data))
	matrix.SolveUpperTransposed(t.ctx, block, x)
	matrix.SolveUpper(t.ctx, block, x)
	matrix.AddSymmetric(t.ctx, t.matrix(), b.Block(0, 0, k, d).T(), x, -sign)
	matrix.InvertCholesky(t.ctx, block)
	for a, i := range channels {
		row := t.row(i)
		copy(row[i+1:], x.Row(a)[i+1:])
		for r, v := range x.Row(a)[:i] {
			t.row(r)[i] = v
		}
	}
	for a, i := range channels {
		for c, j := range channels {
			if i <= j {
				t.row(i)[j] = -sign * block.Row(min(a, c))[max(a, c)]
			}
		}
	}
}

// score is the exact change of the optimal objective when a group changes sides alone: for a group
// in S its increase on removal, ½·tr(W_gᵀ·A_gg⁻¹·W_g); for one outside, the decrease on adding it,
// ½·tr(r_gᵀ·C_gg⁻¹·r_g).
func (t *tableau) score(group int) float64 {
	k, first := t.group, group*t.group
	if k == 1 {
		row := t.row(first)
		return 0.5 * matrix.Dot(row[t.d:], row[t.d:]) / math.Abs(row[first])
	}
	block, rhs := t.block(group)
	return t.energyOf(block, rhs)
}

// block is a group's own block, C_gg or A_gg, of which the upper triangle counts, and its rows of
// the right-hand side.
func (t *tableau) block(group int) (block, rhs matrix.Dense) {
	k, first, sign := t.group, group*t.group, 1.0
	if t.in[group] {
		sign = -1
	}
	block, rhs = matrix.NewDense(k, k, nil), matrix.NewDense(k, t.p, nil)
	for a := range k {
		row := t.row(first + a)
		for b := a; b < k; b++ {
			block.Row(a)[b] = sign * row[first+b]
		}
		copy(rhs.Row(a), row[t.d:])
	}
	return block, rhs
}

// energyOf is ½·tr(rᵀ·C⁻¹·r) for C block and r rhs, both of which it changes.
func (t *tableau) energyOf(block, rhs matrix.Dense) float64 {
	// only for a redundant group and no damping: it can leave and add nothing
	if !matrix.Cholesky(t.ctx, block) {
		return 0
	}
	matrix.SolveUpperTransposed(t.ctx, block, rhs) // rᵀC⁻¹r = ‖U⁻ᵀr‖²
	return 0.5 * matrix.Dot(rhs.Data, rhs.Data)
}

// rest scores groups outside a support as if one group inside had left it: what a pivot would add
// to their blocks is added to copies of those alone.
type rest struct {
	*tableau
	y matrix.Dense // [group, d+p], U⁻ᵀ·B with A_gg = UᵀU and B the rows of the group that left
}

// without is the rest of t when a group has left. A redundant group leaves everything as it is.
func (t *tableau) without(group int) rest {
	r := rest{t, matrix.NewDense(t.group, t.d+t.p, nil)}
	block, _ := t.block(group)
	if !matrix.Cholesky(t.ctx, block) {
		return r
	}
	for a := range t.group {
		t.symmetricRow(r.y.Row(a), group*t.group+a)
	}
	matrix.SolveUpperTransposed(t.ctx, block, r.y)
	return r
}

// score is what the objective falls by when a group that is outside comes in.
func (r rest) score(group int) float64 {
	block, rhs := r.block(group)
	own := r.y.Block(0, group*r.group, r.group, r.group)
	matrix.AddSymmetric(r.ctx, block, own.T(), own, 1)
	matrix.AddProduct(r.ctx, rhs, own.T(), r.y.Block(0, r.d, r.group, r.p), 1)
	return r.energyOf(block, rhs)
}

// objective is f at the optimum of the support, −½·tr(W_Sᵀ·G_S).
func (t *tableau) objective() float64 {
	parts := make([]float64, t.groups())
	parallel.Range(len(parts), max(1, 64/t.group), func(lo, hi int) {
		for g := lo; g < hi; g++ {
			for i := g * t.group; t.in[g] && i < (g+1)*t.group; i++ {
				parts[g] += matrix.Dot(t.row(i)[t.d:], t.g.Row(i))
			}
		}
	})
	sum := 0.0
	for _, v := range parts {
		sum += v
	}
	return -0.5 * sum
}

// support lists the groups in S in ascending order.
func (t *tableau) support() []int { return t.side(true) }

// side lists the groups on one side of the support in ascending order.
func (t *tableau) side(in bool) []int {
	var s []int
	for g, x := range t.in {
		if x == in {
			s = append(s, g)
		}
	}
	return s
}
