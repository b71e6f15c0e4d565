package pruning

import (
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/calibrate"
)

// problem is the reconstruction of one linear layer with weight w [d, p] (input-major) from
// statistics of its input: over supports S of whole groups of `group` consecutive input channels,
// and weights W that are zero outside S, minimise
//
//	f(W) = ½·tr(WᵀHW) − tr(WᵀG),   G = H·w.
//
// H is damped and G is made with the damped H, so that w itself is the minimum over the full
// support.
type problem struct {
	d, p, group int
	h           *mat.SymDense // [d, d], mean Gram + damping·mean(diagonal)·I
	shift       float64       // damping·mean(diagonal)
	w, g        *mat.Dense    // [d, p]
}

// newProblem takes the Gram matrix of tokens inputs, which it keeps and changes, and the layer's
// weight [p, d] as in checkpoints. Channels that were never active (a zero on the diagonal) lose
// their weight and get a one on the diagonal, as in OSSCAR.
func newProblem(gram *mat.SymDense, tokens int, weight []float32, group int, damping float64) *problem {
	d := gram.SymmetricDim()
	p := len(weight) / d
	w := mat.NewDense(d, p, nil)
	for o := range p {
		for i, v := range weight[o*d : (o+1)*d] {
			w.Set(i, o, float64(v))
		}
	}
	gram.ScaleSym(1/float64(tokens), gram)
	return newProblemFloat64(gram, w, group, damping)
}

// newProblemFloat64 keeps and changes h, the mean Gram matrix, and w.
func newProblemFloat64(h *mat.SymDense, w *mat.Dense, group int, damping float64) *problem {
	d, p := w.Dims()
	for i := range d {
		if h.At(i, i) == 0 {
			h.SetSym(i, i, 1)
			clear(w.RawRowView(i))
		}
	}
	shift := damping * mat.Trace(h) / float64(d)
	for i := range d {
		h.SetSym(i, i, h.At(i, i)+shift)
	}
	g := mat.NewDense(d, p, nil)
	matrix.AddProduct(calibrate.Dense(g), calibrate.Matrix(h), calibrate.Dense(w), 1)
	return &problem{d: d, p: p, group: group, h: h, shift: shift, w: w, g: g}
}

func (q *problem) groups() int { return q.d / q.group }

// channels lists the input channels of groups in ascending order.
func (q *problem) channels(groups []int) []int {
	var c []int
	for _, g := range groups {
		for i := range q.group {
			c = append(c, g*q.group+i)
		}
	}
	return c
}

var errSingular = errors.New("the input statistics are singular: too few calibration tokens for the width, or damping too small")

// solve returns the optimal weight on a support of groups, W_S = H_SS⁻¹·G_S, [d, p] with zeros
// elsewhere, by a fresh Cholesky factorisation.
func (q *problem) solve(support []int) (*mat.Dense, error) {
	c := q.channels(support)
	w := mat.NewDense(q.d, q.p, nil)
	if len(c) == 0 {
		return w, nil
	}
	h, x := matrix.NewDense(len(c), len(c), nil), matrix.NewDense(len(c), q.p, nil)
	for a, i := range c {
		row := h.Row(a)
		for b, j := range c[a:] {
			row[a+b] = q.h.At(i, j)
		}
		copy(x.Row(a), q.g.RawRowView(i))
	}
	if !matrix.Cholesky(h) {
		return nil, errSingular
	}
	matrix.SolveUpperTransposed(h, x)
	matrix.SolveUpper(h, x)
	for a, i := range c {
		copy(w.RawRowView(i), x.Row(a))
	}
	return w, nil
}

// restrict is the dense weight with all groups outside support set to zero: pruning without an
// update.
func (q *problem) restrict(support []int) *mat.Dense {
	w := mat.NewDense(q.d, q.p, nil)
	for _, i := range q.channels(support) {
		w.SetRow(i, q.w.RawRowView(i))
	}
	return w
}

// relativeError is tr((W−w)ᵀH(W−w)) / tr(wᵀHw) for the damped H and the raw one; 0 for a layer
// whose output is zero anyway. The raw H differs from the damped one by shift·I where the
// difference of weights is not zero, so one product gives both.
func (q *problem) relativeError(w *mat.Dense) Error {
	delta := mat.NewDense(q.d, q.p, nil)
	delta.Sub(w, q.w)
	total, squares := 0.0, 0.0
	for i := range q.d {
		total += dot(q.w.RawRowView(i), q.g.RawRowView(i))
		squares += dot(q.w.RawRowView(i), q.w.RawRowView(i))
	}
	damped, change := energy(q.h, delta)
	relative := func(part, of float64) float64 {
		if of <= 0 {
			return 0
		}
		return max(0, part) / of
	}
	return Error{Damped: relative(damped, total), Undamped: relative(damped-q.shift*change, total-q.shift*squares)}
}

// energy is tr(wᵀHw), and ‖w‖². Rows of zeros, as a support leaves them, cost nothing.
func energy(h *mat.SymDense, w *mat.Dense) (energy, squares float64) {
	d, p := w.Dims()
	var rows []int
	for i := range d {
		if s := dot(w.RawRowView(i), w.RawRowView(i)); s > 0 {
			rows, squares = append(rows, i), squares+s
		}
	}
	n := len(rows)
	if n == 0 {
		return 0, 0
	}
	// rows at a time: the product is as large as w otherwise, and H's rows are as many as all
	const strip = 512
	part := matrix.NewDense(n, p, nil)
	for a, i := range rows {
		copy(part.Row(a), w.RawRowView(i))
	}
	for first := 0; first < n; first += strip {
		some := rows[first:min(first+strip, n)]
		of, product := matrix.NewDense(len(some), n, nil), matrix.NewDense(len(some), p, nil)
		for a, i := range some {
			row := of.Row(a)
			for b, j := range rows {
				row[b] = h.At(i, j)
			}
		}
		matrix.AddProduct(product, of, part, 1)
		for a := range some {
			energy += dot(part.Row(first+a), product.Row(a))
		}
	}
	return energy, squares
}

func dot(x, y []float64) float64 {
	return blas64.Dot(blas64.Vector{N: len(x), Data: x, Inc: 1}, blas64.Vector{N: len(y), Data: y, Inc: 1})
}

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

// fullTableau is the tableau of the full support, by a fresh factorisation.
func (q *problem) fullTableau() (*tableau, error) {
	t := &tableau{problem: q, t: make([]float64, q.d*(q.d+q.p)), in: make([]bool, q.groups())}
	h := q.h.RawSymmetric()
	for i := range q.d {
		row := t.row(i)
		copy(row[i:q.d], h.Data[i*h.Stride+i:])
		copy(row[q.d:], q.w.RawRowView(i)) // H⁻¹·G
	}
	inverse := t.matrix().Block(0, 0, q.d, q.d)
	if !matrix.Cholesky(inverse) {
		return nil, errSingular
	}
	matrix.InvertCholesky(inverse)
	for i := range q.d {
		row := t.row(i)[i:q.d]
		for j, v := range row {
			row[j] = -v
		}
	}
	for g := range t.in {
		t.in[g] = true
	}
	return t, nil
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
	return &tableau{t.problem, slices.Clone(t.t), slices.Clone(t.in)}
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
	if !matrix.Cholesky(block) && k > 1 {
		t.pivot(channels[:k/2], in)
		t.pivot(channels[k/2:], in)
		return
	}
	x := matrix.NewDense(k, d+t.p, slices.Clone(b.Data))
	matrix.SolveUpperTransposed(block, x)
	matrix.SolveUpper(block, x)
	matrix.AddSymmetric(t.matrix(), b.Block(0, 0, k, d).T(), x, -sign)
	matrix.InvertCholesky(block)
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
		return 0.5 * dot(row[t.d:], row[t.d:]) / math.Abs(row[first])
	}
	sign := 1.0
	if t.in[group] {
		sign = -1
	}
	block, rhs := matrix.NewDense(k, k, nil), matrix.NewDense(k, t.p, nil)
	for a := range k {
		row := t.row(first + a)
		for b := a; b < k; b++ {
			block.Row(a)[b] = sign * row[first+b]
		}
		copy(rhs.Row(a), row[t.d:])
	}
	// only for a redundant group and no damping: it can leave and add nothing
	if !matrix.Cholesky(block) {
		return 0
	}
	matrix.SolveUpperTransposed(block, rhs) // rᵀC⁻¹r = ‖U⁻ᵀr‖²
	return 0.5 * dot(rhs.Data, rhs.Data)
}

// objective is f at the optimum of the support, −½·tr(W_Sᵀ·G_S).
func (t *tableau) objective() float64 {
	parts := make([]float64, t.groups())
	parallel.Range(len(parts), max(1, 64/t.group), func(lo, hi int) {
		for g := lo; g < hi; g++ {
			for i := g * t.group; t.in[g] && i < (g+1)*t.group; i++ {
				parts[g] += dot(t.row(i)[t.d:], t.g.RawRowView(i))
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
