package pruning

import (
	"math"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
)

// tableau holds everything that the search needs for a support S, in the form of the symmetric
// sweep operator on [H | G]. With A = H_SS⁻¹ its blocks are
//
//	           S              not S                             right-hand side R
//	S        −A              A·H_S·                            W_S = A·G_S
//	not S    (transposed)    C = H − H_·S·A·H_S·  (Schur)      r = G − H_·S·W_S
//
// A pivot moves channels P in or out of S and is exact. With B the rows P of the tableau, and D =
// |B_PP| (A_PP of channels that leave, C_PP of channels that come), all but these rows lose
// ±BᵀD⁻¹B, which become D⁻¹B themselves, and their own block ∓D⁻¹: for channels that leave it is
// OSSCAR's update A ← A − A_·P·A_PP⁻¹·A_P·, W ← W − A_·P·A_PP⁻¹·W_P. Many channels at once cost
// little more than one, since the tableau passes through memory once.
//
// No score asks for more of R than products of its rows. Where groups have more than one channel,
// M = R·Rᵀ stands for it: its scores are as small as a group, and G = H·w is not needed. With X =
// D⁻¹B and Y = ±M_P· − ½·M_PP·X a pivot subtracts XᵀY + YᵀX from it.
type tableau struct {
	*problem
	t  []float64    // [d, d+p], or [d, d] beside m; of the symmetric part the upper triangle counts
	m  matrix.Dense // [d, d] M, of which the upper triangle counts; empty where R is in t
	f  float64      // f at the optimum of the support, −½·tr(W_Sᵀ·G_S)
	in []bool       // by group: is it in S
	// f before and after each step of greedy removal; one group at a time has all
	path []float64
}

// pivotChannels is the number of channels that are moved together, if a group has no more.
const pivotChannels = 64

// rowsOfTask is the number of rows that a thread copies at once.
const rowsOfTask = 32

func (q *problem) emptyTableau() *tableau {
	t := &tableau{problem: q, in: make([]bool, q.groups())}
	if q.group > 1 {
		t.m = matrix.NewDense(q.d, q.d, nil)
	}
	t.t = matrix.NewDense(q.d, t.width(), nil).Data
	return t
}

// fullTableau is the tableau of the full support, by a fresh factorisation.
func (q *problem) fullTableau() (*tableau, error) {
	t := q.emptyTableau()
	parallel.Range(q.d, rowsOfTask, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := t.row(i)
			copy(row[i:q.d], q.h.Row(i)[i:])
			if t.products() {
				copy(t.m.Row(i)[i:], q.m.Row(i)[i:])
			} else {
				copy(row[q.d:], q.w.Row(i)) // H⁻¹·G
			}
		}
	})
	t.f = -0.5 * q.total
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

// products reports whether M stands for the right-hand side.
func (t *tableau) products() bool { return t.m.Rows > 0 }

// width is the number of columns of t.
func (t *tableau) width() int {
	if t.products() {
		return t.d
	}
	return t.d + t.p
}

func (t *tableau) matrix() matrix.Dense { return matrix.NewDense(t.d, t.width(), t.t) }

func (t *tableau) row(i int) []float64 {
	n := t.width()
	return t.t[i*n : (i+1)*n]
}

// symmetricRow writes row i of a matrix whose upper triangle counts to row, its part left of the
// diagonal from the column above it.
func symmetricRow(row []float64, m matrix.Dense, i int) { symmetricPart(row, m, i, 0) }

// symmetricPart is symmetricRow for the elements from first on, as many as part has.
func symmetricPart(part []float64, m matrix.Dense, i, first int) {
	above := min(max(i-first, 0), len(part))
	for r := range above {
		part[r] = m.Data[(first+r)*m.RowStride+i]
	}
	copy(part[above:], m.Row(i)[first+above:])
}

// setSymmetricRows is the way back: rows of m become those of rows.
func setSymmetricRows(m matrix.Dense, indices []int, rows matrix.Dense) {
	for a, i := range indices {
		copy(m.Row(i)[i:], rows.Row(a)[i:])
	}
	// the columns above them, row by row of m
	parallel.Range(m.Rows, rowsOfTask, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := m.Row(r)
			for a, i := range indices {
				if i > r {
					row[i] = rows.Row(a)[r]
				}
			}
		}
	})
}

// mirror copies what is above the diagonal of m to below it.
func mirror(m matrix.Dense) {
	for i := range m.Rows {
		for j := range i {
			m.Row(i)[j] = m.Row(j)[i]
		}
	}
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
	b, block := matrix.NewDense(k, t.width(), nil), matrix.NewDense(k, k, nil)
	parallel.For(k, func(a int) { symmetricRow(b.Row(a), t.matrix(), channels[a]) })
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
	matrix.InvertCholesky(t.ctx, block)
	mirror(block)
	x := matrix.NewDense(k, t.width(), nil) // D⁻¹·B
	matrix.AddProduct(t.ctx, x, block, b, 1)
	matrix.AddSymmetric(t.ctx, t.matrix(), b.Block(0, 0, k, d).T(), x, -sign)
	if t.products() {
		t.pivotProducts(channels, block, x, sign)
	} else {
		for a := range k {
			t.f -= 0.5 * sign * matrix.Dot(b.Row(a)[d:], x.Row(a)[d:])
		}
	}
	for a := range k {
		for c, j := range channels {
			x.Row(a)[j] = -sign * block.Row(a)[c]
		}
	}
	setSymmetricRows(t.matrix(), channels, x)
}

// pivotProducts is what a pivot does to M and f, with D⁻¹ and x = D⁻¹B.
func (t *tableau) pivotProducts(channels []int, inverse, x matrix.Dense, sign float64) {
	k, d := len(channels), t.d
	// Y above X, X above Y, and of M the rows P
	yx, xy, rows := matrix.NewDense(2*k, d, nil), matrix.NewDense(2*k, d, nil), matrix.NewDense(k, d, nil)
	y, own := yx.Block(0, 0, k, d), matrix.NewDense(k, k, nil)
	parallel.For(k, func(a int) {
		symmetricRow(rows.Row(a), t.m, channels[a])
		for c, j := range channels {
			own.Row(a)[c] = rows.Row(a)[j]
		}
	})
	matrix.AddProduct(t.ctx, y, own, x, 1)
	parallel.For(k, func(a int) {
		y, m := y.Row(a), rows.Row(a)
		for j, v := range m {
			c := y[j]
			y[j], m[j] = sign*v-0.5*c, v-sign*c
		}
		copy(xy.Row(a), x.Row(a))
		copy(xy.Row(k+a), y)
		copy(yx.Row(k+a), x.Row(a))
	})
	matrix.AddSymmetric(t.ctx, t.m, xy.T(), yx, -1)
	left, both := matrix.NewDense(k, k, nil), matrix.NewDense(k, k, nil)
	matrix.AddProduct(t.ctx, left, inverse, own, 1)
	matrix.AddProduct(t.ctx, both, left, inverse, 1)
	clear(y.Data[:k*d])
	matrix.AddProduct(t.ctx, y, inverse, rows, 1)
	for a := range k {
		t.f -= 0.5 * sign * left.Row(a)[a]
		for c, j := range channels {
			y.Row(a)[j] = both.Row(a)[c]
		}
	}
	setSymmetricRows(t.m, channels, y)
}

// product is the product of rows i and j of the right-hand side.
func (t *tableau) product(i, j int) float64 {
	if t.products() {
		return t.m.Data[min(i, j)*t.m.RowStride+max(i, j)]
	}
	return matrix.Dot(t.row(i)[t.d:], t.row(j)[t.d:])
}

// score is the exact change of the optimal objective when a group changes sides alone: for a group
// in S its increase on removal, ½·tr(W_gᵀ·A_gg⁻¹·W_g); for one outside, the decrease on adding it,
// ½·tr(r_gᵀ·C_gg⁻¹·r_g).
func (t *tableau) score(group int) float64 {
	k, first := t.group, group*t.group
	if k == 1 {
		return 0.5 * t.product(first, first) / math.Abs(t.row(first)[first])
	}
	sign := 1.0
	if t.in[group] {
		sign = -1
	}
	block, m := matrix.NewDense(k, k, nil), t.m.Block(first, first, k, k)
	for a := range k {
		for b := a; b < k; b++ {
			block.Row(a)[b] = sign * t.row(first + a)[first+b]
		}
	}
	return t.energyOf(block, m)
}

// energyOf is ½·tr(C⁻¹·M) for the upper triangles of C, which it changes, and M.
func (t *tableau) energyOf(c, m matrix.Dense) float64 {
	// only for a redundant group and no damping: it can leave and add nothing
	if !matrix.Cholesky(t.ctx, c) {
		return 0
	}
	matrix.InvertCholesky(t.ctx, c)
	diagonal, above := 0.0, 0.0
	for a := range c.Rows {
		inverse, products := c.Row(a), m.Row(a)
		diagonal += inverse[a] * products[a]
		above += matrix.Dot(inverse[a+1:], products[a+1:])
	}
	return 0.5*diagonal + above
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
