package pruning

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"slimlab/kernels"
	"slimlab/model/calibrate"
)

// problem is the reconstruction of one linear layer with weight w [d, p] (input-major) from statistics of its input:
// over supports S of whole groups of `group` consecutive input channels, and weights W that are zero outside S,
// minimise
//
//	f(W) = ½·tr(WᵀHW) − tr(WᵀG),   G = H·w.
//
// H is damped and G is made with the damped H, so that w itself is the minimum over the full support.
type problem struct {
	d, p, group int
	h           *mat.SymDense // [d, d], mean Gram + damping·mean(diagonal)·I
	shift       float64       // damping·mean(diagonal)
	w, g        *mat.Dense    // [d, p]
}

// newProblem takes the Gram matrix of tokens inputs and the layer's weight [p, d] as in checkpoints. Channels that
// were never active (a zero on the diagonal) lose their weight and get a one on the diagonal, as in OSSCAR.
func newProblem(gram *mat.SymDense, tokens int, weight []float32, group int, damping float64) *problem {
	d := gram.SymmetricDim()
	p := len(weight) / d
	w := mat.NewDense(d, p, nil)
	for o := range p {
		for i, v := range weight[o*d : (o+1)*d] {
			w.Set(i, o, float64(v))
		}
	}
	raw := mat.NewSymDense(d, nil)
	raw.ScaleSym(1/float64(tokens), gram)
	return newProblemFloat64(raw, w, group, damping)
}

func newProblemFloat64(raw *mat.SymDense, w *mat.Dense, group int, damping float64) *problem {
	d, p := w.Dims()
	h := mat.NewSymDense(d, nil)
	h.CopySym(raw)
	w = mat.DenseCopyOf(w)
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
	g.Mul(calibrate.Full(h), w)
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

// solve returns the optimal weight on a support of groups, W_S = H_SS⁻¹·G_S, [d, p] with zeros elsewhere, by a fresh
// Cholesky factorisation.
func (q *problem) solve(support []int) (*mat.Dense, error) {
	c := q.channels(support)
	w := mat.NewDense(q.d, q.p, nil)
	if len(c) == 0 {
		return w, nil
	}
	h, g := mat.NewSymDense(len(c), nil), mat.NewDense(len(c), q.p, nil)
	for a, i := range c {
		for b, j := range c[a:] {
			h.SetSym(a, a+b, q.h.At(i, j))
		}
		g.SetRow(a, q.g.RawRowView(i))
	}
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return nil, errSingular
	}
	var x mat.Dense
	if err := chol.SolveTo(&x, g); err != nil && !isCondition(err) {
		return nil, fmt.Errorf("%w: %w", errSingular, err)
	}
	for a, i := range c {
		w.SetRow(i, x.RawRowView(a))
	}
	return w, nil
}

// isCondition tells gonum's warning about a large condition number, whose result is valid, from a failure.
func isCondition(err error) bool {
	var c mat.Condition
	return errors.As(err, &c) && !math.IsInf(float64(c), 1)
}

// restrict is the dense weight with all groups outside support set to zero: pruning without an update.
func (q *problem) restrict(support []int) *mat.Dense {
	w := mat.NewDense(q.d, q.p, nil)
	for _, i := range q.channels(support) {
		w.SetRow(i, q.w.RawRowView(i))
	}
	return w
}

// relativeError is tr((W−w)ᵀH(W−w)) / tr(wᵀHw) for the damped H and the raw one; 0 for a layer whose output is zero anyway. The raw H differs from the
// damped one by shift·I where the difference of weights is not zero, so one product gives both.
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
	part, of := mat.NewDense(n, p, nil), mat.NewSymDense(n, nil)
	for a, i := range rows {
		part.SetRow(a, w.RawRowView(i))
		for b := a; b < n; b++ {
			of.SetSym(a, b, h.At(i, rows[b]))
		}
	}
	hw := mat.NewDense(n, p, nil)
	hw.Mul(calibrate.Full(of), part)
	for a := range n {
		energy += dot(part.RawRowView(a), hw.RawRowView(a))
	}
	return energy, squares
}

func dot(x, y []float64) float64 {
	return blas64.Dot(blas64.Vector{N: len(x), Data: x, Inc: 1}, blas64.Vector{N: len(y), Data: y, Inc: 1})
}

// tableau holds everything that the search needs for a support S, in the form of the symmetric sweep operator on [H |
// G]. With A = H_SS⁻¹ its blocks are
//
//	           S              not S                             right-hand side
//	S        −A              A·H_S·                            W_S = A·G_S
//	not S    (transposed)    C = H − H_·S·A·H_S·  (Schur)      r = G − H_·S·W_S
//
// One pivot moves a channel in or out of S in O(d·(d+p)) and is exact: for a channel that leaves it is OSSCAR's
// update A ← A − A_{:,i}·A_ii⁻¹·A_{i,:}, W ← W − A_{:,i}·A_ii⁻¹·W_i; several pivots are its block form.
type tableau struct {
	*problem
	t  []float64 // [d, d+p]; of the symmetric part only the upper triangle is kept up to date
	in []bool    // by group: is it in S
}

// fullTableau is the tableau of the full support, by a fresh factorisation.
func (q *problem) fullTableau() (*tableau, error) {
	var chol mat.Cholesky
	if !chol.Factorize(q.h) {
		return nil, errSingular
	}
	inverse := mat.NewSymDense(q.d, nil)
	if err := chol.InverseTo(inverse); err != nil && !isCondition(err) {
		return nil, fmt.Errorf("%w: %w", errSingular, err)
	}
	t := &tableau{problem: q, t: make([]float64, q.d*(q.d+q.p)), in: make([]bool, q.groups())}
	for i := range q.d {
		row := t.row(i)
		for j := range q.d {
			row[j] = -inverse.At(i, j)
		}
		copy(row[q.d:], q.w.RawRowView(i)) // H⁻¹·G
	}
	for g := range t.in {
		t.in[g] = true
	}
	return t, nil
}

func (t *tableau) row(i int) []float64 {
	n := t.d + t.p
	return t.t[i*n : (i+1)*n]
}

func (t *tableau) clone() *tableau {
	return &tableau{t.problem, slices.Clone(t.t), slices.Clone(t.in)}
}

// toggle moves a group into the support or out of it.
func (t *tableau) toggle(group int) {
	for i := group * t.group; i < (group+1)*t.group; i++ {
		t.pivot(i)
	}
	t.in[group] = !t.in[group]
}

// pivot sweeps channel i in (a positive pivot, C_ii) or out (a negative one, −A_ii).
func (t *tableau) pivot(i int) {
	const rows = 64 // rows of a task
	source := slices.Clone(t.row(i))
	for r := range i {
		source[r] = t.row(r)[i]
	}
	d := source[i]
	sign := math.Copysign(1, d)
	kernels.Parallel((t.d+rows-1)/rows, func(task int) {
		for r := task * rows; r < min(t.d, (task+1)*rows); r++ {
			if r == i {
				continue
			}
			row, f := t.row(r), source[r]/d
			n := len(row) - r
			blas64.Axpy(-f, blas64.Vector{N: n, Data: source[r:], Inc: 1}, blas64.Vector{N: n, Data: row[r:], Inc: 1})
			if r < i {
				row[i] = sign * f
			}
		}
	})
	row := t.row(i)
	for j := i + 1; j < len(row); j++ {
		row[j] = sign * source[j] / d
	}
	row[i] = -1 / d
}

// score is the exact change of the optimal objective when a group changes sides alone: for a group in S its increase
// on removal, ½·tr(W_gᵀ·A_gg⁻¹·W_g); for one outside, the decrease on adding it, ½·tr(r_gᵀ·C_gg⁻¹·r_g).
func (t *tableau) score(group int) float64 {
	k, first := t.group, group*t.group
	if k == 1 {
		row := t.row(first)
		rhs := row[t.d:]
		return 0.5 * blas64.Dot(blas64.Vector{N: t.p, Data: rhs, Inc: 1}, blas64.Vector{N: t.p, Data: rhs, Inc: 1}) / math.Abs(row[first])
	}
	sign := 1.0
	if t.in[group] {
		sign = -1
	}
	block, rhs := mat.NewSymDense(k, nil), mat.NewDense(k, t.p, nil)
	for a := range k {
		row := t.row(first + a)
		for b := a; b < k; b++ {
			block.SetSym(a, b, sign*row[first+b])
		}
		rhs.SetRow(a, row[t.d:])
	}
	var chol mat.Cholesky
	if !chol.Factorize(block) { // only for a redundant group and no damping: it can leave and add nothing
		return 0
	}
	var x mat.Dense
	if err := chol.SolveTo(&x, rhs); err != nil && !isCondition(err) {
		return 0
	}
	sum := 0.0
	for a := range k {
		for j, v := range rhs.RawRowView(a) {
			sum += v * x.At(a, j)
		}
	}
	return 0.5 * sum
}

// objective is f at the optimum of the support, −½·tr(W_Sᵀ·G_S).
func (t *tableau) objective() float64 {
	sum := 0.0
	for g, in := range t.in {
		if !in {
			continue
		}
		for i := g * t.group; i < (g+1)*t.group; i++ {
			w := t.row(i)[t.d:]
			sum += blas64.Dot(blas64.Vector{N: t.p, Data: w, Inc: 1}, blas64.Vector{N: t.p, Data: t.g.RawRowView(i), Inc: 1})
		}
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
