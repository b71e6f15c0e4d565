package pruning

import (
	"math"

	"slimlab/kernels/matrix"
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// tableau holds everything that the search needs for a support S, in the form of the symmetric
// sweep operator on [H | G]. With A = H_SS⁻¹ its blocks are
//
//	           S              not S                             right-hand side R
//	S        −A              A·H_S·                            W_S = A·G_S
//	not S    (transposed)    C = H − H_·S·A·H_S·  (Schur)      r = G − H_·S·W_S
//
// A pivot moves channels P in and out of S and is exact. With B the rows P of the tableau and X =
// B_PP⁻¹·B all but these rows lose BᵀX. They become s·X themselves, and their own block
// −s·B_PP⁻¹·s, where s is 1 for channels that come and −1 for those that leave: for the latter it
// is OSSCAR's update A ← A − A_·P·A_PP⁻¹·A_P·, W ← W − A_·P·A_PP⁻¹·W_P. Many channels at once cost
// little more than one, since the tableau passes through memory once.
//
// No score asks for more of R than products of its rows. Where groups have more than one channel,
// M = R·Rᵀ stands for it: its scores are as small as a group, and R itself is not needed. With
// Y = M_P· − ½·M_PP·X a pivot subtracts XᵀY + YᵀX from it.
type tableau struct {
	*problem
	t  []float64    // [d, d+p], or [d, d] beside m; of the symmetric part the upper triangle counts
	m  matrix.Dense // [d, d] M, of which the upper triangle counts; empty where R is in t
	f  float64      // f at the optimum of the support, −½·tr(W_Sᵀ·G_S)
	in []bool       // by group: is it in S
	// f before and after each step of greedy removal; one group at a time has all
	path []float64
}

const (
	// chosenChannels is the number of channels that are chosen before they are moved.
	chosenChannels = 64
	// movedChannels is the number of channels that are moved together, if a group has no more.
	movedChannels = 128
)

// rowsOfTask is the number of rows that a thread copies at once.
const rowsOfTask = 32

// emptyTableau has room for a tableau, of any content.
func (q *problem) emptyTableau() *tableau {
	t := &tableau{problem: q, in: make([]bool, q.groups())}
	if q.group > 1 {
		t.m = matrix.NewDense(q.d, q.d, nil)
	}
	if n := q.d * t.width(); q.room == nil {
		t.t = memory.Aligned[float64](n)
	} else {
		*q.room = memory.Grown(*q.room, n)
		t.t = *q.room
	}
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
	most := max(1, movedChannels/t.group)
	for first := 0; first < len(groups); first += most {
		some := groups[first:min(first+most, len(groups))]
		var channels []int
		leaving := 0
		for _, in := range []bool{true, false} {
			for _, g := range some {
				if t.in[g] == in {
					channels = append(channels, t.channels([]int{g})...)
				}
			}
			if in {
				leaving = len(channels)
			}
		}
		t.pivot(channels, leaving)
	}
	for _, g := range groups {
		t.in[g] = !t.in[g]
	}
}

// pivot moves channels to their other sides: the first of them, so many as leave, out of the
// support, and the rest in. Channels whose block rounding has made neither negative nor positive
// are moved one after another.
func (t *tableau) pivot(channels []int, leaving int) {
	if t.ctx.Err() != nil {
		return
	}
	k, d := len(channels), t.d
	b, inverse := matrix.NewDense(k, t.width(), nil), matrix.NewDense(k, k, nil)
	parallel.For(k, func(a int) { symmetricRow(b.Row(a), t.matrix(), channels[a]) })
	sides := make([]float64, k)
	for a := range k {
		for c := range k {
			inverse.Row(a)[c] = b.Row(a)[channels[c]]
		}
		sides[a] = 1
		if a < leaving {
			sides[a] = -1
		}
	}
	switch {
	case k == 1: // the sign of a single one is seen
		sides[0] = math.Copysign(1, inverse.Row(0)[0])
		inverse.Row(0)[0] = 1 / inverse.Row(0)[0]
	case !t.invert(inverse, leaving):
		t.pivot(channels[:k/2], min(leaving, k/2))
		t.pivot(channels[k/2:], max(leaving-k/2, 0))
		return
	}
	x := matrix.NewDense(k, t.width(), nil)
	matrix.AddProduct(t.ctx, x, inverse, b, 1)
	matrix.AddSymmetric(t.ctx, t.matrix(), b.Block(0, 0, k, d).T(), x, -1)
	if t.products() {
		t.pivotProducts(channels, sides, inverse, x)
	} else {
		for a := range k {
			t.f -= 0.5 * matrix.Dot(b.Row(a)[d:], x.Row(a)[d:])
		}
	}
	for a := range k {
		for c, j := range channels {
			x.Row(a)[j] = -inverse.Row(a)[c] * sides[c]
		}
	}
	scaleRows(x, sides)
	setSymmetricRows(t.matrix(), channels, x)
}

// invert replaces the block of channels of which the first leave, which is [−A, B; Bᵀ, C], by its
// inverse. With D = A⁻¹·B and S = C + Bᵀ·D it is
//
//	[−A⁻¹ + D·S⁻¹·Dᵀ, D·S⁻¹; S⁻¹·Dᵀ, S⁻¹]
//
// It is not ok where A or S is not positive definite; the block is lost then.
func (t *tableau) invert(block matrix.Dense, leaving int) (ok bool) {
	n := block.Rows - leaving
	a, b, s := block.Block(0, 0, leaving, leaving), block.Block(0, leaving, leaving, n), block.Block(leaving, leaving, n, n)
	negate(a)
	if !t.invertDefinite(a) {
		return false
	}
	if n == 0 {
		negate(a)
		return true
	}
	d := matrix.NewDense(leaving, n, nil)
	matrix.AddProduct(t.ctx, d, a, b, 1)
	matrix.AddProduct(t.ctx, s, b.T(), d, 1)
	if !t.invertDefinite(s) {
		return false
	}
	right := matrix.NewDense(leaving, n, nil)
	matrix.AddProduct(t.ctx, right, d, s, 1)
	negate(a)
	for i := range leaving {
		copy(b.Row(i), right.Row(i))
	}
	matrix.AddProduct(t.ctx, a, right, d.T(), 1)
	mirror(block)
	return true
}

// invertDefinite replaces a matrix by its inverse, if it is positive definite.
func (t *tableau) invertDefinite(m matrix.Dense) (ok bool) {
	if m.Rows == 0 {
		return true
	}
	if !matrix.Cholesky(t.ctx, m) {
		return false
	}
	matrix.InvertCholesky(t.ctx, m)
	mirror(m)
	return true
}

func negate(m matrix.Dense) {
	for i := range m.Rows {
		row := m.Row(i)
		for j, v := range row {
			row[j] = -v
		}
	}
}

// scaleRows multiplies each row by its side, 1 or −1.
func scaleRows(rows matrix.Dense, sides []float64) {
	parallel.For(rows.Rows, func(a int) {
		if sides[a] == 1 {
			return
		}
		row := rows.Row(a)
		for j, v := range row {
			row[j] = -v
		}
	})
}

// pivotProducts is what a pivot does to M and f, with B_PP⁻¹ and x = B_PP⁻¹·B.
func (t *tableau) pivotProducts(channels []int, sides []float64, inverse, x matrix.Dense) {
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
			y[j], m[j] = v-0.5*c, v-c
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
		t.f -= 0.5 * left.Row(a)[a]
		for c, j := range channels {
			y.Row(a)[j] = both.Row(a)[c] * sides[c]
		}
	}
	scaleRows(y, sides)
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

// weight is W on the support, [d, p] with zeros elsewhere; empty where M stands for it.
func (t *tableau) weight() matrix.Dense {
	if t.products() {
		return matrix.Dense{}
	}
	w := matrix.NewDense(t.d, t.p, nil)
	parallel.Range(t.d, rowsOfTask, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if t.in[i] {
				copy(w.Row(i), t.row(i)[t.d:])
			}
		}
	})
	return w
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
