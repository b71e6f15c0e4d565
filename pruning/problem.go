package pruning

import (
	"context"
	"math/rand/v2"
	"slices"

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
// support: 2·f is, up to a constant, the mean of ‖Wᵀx − wᵀx‖² + shift·‖W − w‖², whose ridge pulls
// to w, and not to zero.
//
// A problem belongs to one call of Prune and holds its context. When that ends, all methods return
// soon with wrong numbers: the caller looks at the context before it uses them.
type problem struct {
	ctx  context.Context
	d, p int
	units
	h        matrix.Dense // [d, d], mean Gram + damping·mean(diagonal)·I
	power    []float64    // [d], the mean square of each channel: the diagonal before damping
	mean     []float64    // [d], the mean of each channel; nil where it is not known
	centred  bool         // H is that of x − mean: the layer has a bias that is solved too
	gradient []float32    // [p, d], of the loss; nil unless a method scores by it
	shift    float64      // damping·mean(diagonal)
	w        matrix.Dense // [d, p]
	m        matrix.Dense // [d, d], the upper triangle of w·wᵀ, where they have more; else empty
	total    float64      // tr(wᵀHw)
	constant float64      // ‖wᵀ·mean‖² where H is centred, which belongs to the layer's output
	room     *[]float64   // memory of a tableau that the next problem uses again; nil is none
}

// units says which channels are kept or removed together.
type units struct {
	group int // channels
	// consecutive groups that are one class, of which each keeps as many as any other; 0 is all
	// groups
	class int
}

// inputs are the statistics of what a layer reads.
type inputs struct {
	gram    matrix.Dense // [d, d], the mean of x·xᵀ
	mean    []float64    // [d], of x; nil is unknown
	centred bool         // the layer has a bias, which is to be solved too
}

// newProblem takes statistics of the inputs, of which it keeps and changes the Gram matrix, and the
// layer's weight [p, d] as in checkpoints. Channels that were never active (a zero on the diagonal)
// lose their weight and get a one on the diagonal, as in OSSCAR.
//
// With a bias b that is solved too, the least of the mean of ‖Wᵀx + b − wᵀx‖² over b has b = (w −
// W)ᵀ·mean, and is tr((W−w)ᵀ·(H − mean·meanᵀ)·(W−w)): the problem with the centred H. Its damping
// is that of the H that is not centred, so that the objective of no support is larger with a bias.
func newProblem(ctx context.Context, x inputs, weight []float32, of units, damping float64) *problem {
	return newProblemFloat64(ctx, x, inputMajor(weight, x.gram.Rows), of, damping)
}

// inputMajor is a weight [p, d] as [d, p], in float64.
func inputMajor(weight []float32, d int) matrix.Dense {
	p := len(weight) / d
	w := matrix.NewDense(d, p, nil)
	parallel.Range(d, 64, func(lo, hi int) {
		for o := range p {
			for i := lo; i < hi; i++ {
				w.Row(i)[o] = float64(weight[o*d+i])
			}
		}
	})
	return w
}

// newProblemFloat64 keeps and changes the Gram matrix and w.
func newProblemFloat64(ctx context.Context, x inputs, w matrix.Dense, of units, damping float64) *problem {
	h := x.gram
	q := &problem{ctx: ctx, d: w.Rows, p: w.Cols, units: of, h: h, power: make([]float64, w.Rows), mean: x.mean, centred: x.centred, w: w}
	trace := 0.0
	for i := range q.d {
		if q.power[i] = h.Row(i)[i]; q.power[i] == 0 {
			h.Row(i)[i] = 1
			clear(w.Row(i))
		}
		trace += h.Row(i)[i]
	}
	q.shift = damping * trace / float64(q.d)
	if q.centred {
		q.centre()
	}
	for i := range q.d {
		h.Row(i)[i] += q.shift
	}
	if q.group == 1 {
		q.total = q.energyOfAll()
		return q
	}
	q.m = matrix.NewDense(q.d, q.d, nil)
	matrix.AddSymmetric(q.ctx, q.m, w, w.T(), 1)
	for i := range q.d {
		h, m := h.Row(i)[i:], q.m.Row(i)[i:]
		q.total += 2*matrix.Dot(h, m) - h[0]*m[0]
	}
	return q
}

// energyOfAll is tr(wᵀHw), by what is right of H's diagonal alone.
func (q *problem) energyOfAll() float64 {
	product := matrix.NewDense(min(stripRows, q.d), q.p, nil)
	sum := 0.0
	for lo := 0; lo < q.d; lo += stripRows {
		n := min(stripRows, q.d-lo)
		right, some := q.d-lo-n, product.Block(0, 0, n, q.p)
		clear(some.Data)
		matrix.AddProduct(q.ctx, some, q.h.Block(lo, lo, n, n), q.w.Block(lo, 0, n, q.p), 1)
		matrix.AddProduct(q.ctx, some, q.h.Block(lo, lo+n, n, right), q.w.Block(lo+n, 0, right, q.p), 2)
		for a := range n {
			sum += matrix.Dot(some.Row(a), q.w.Row(lo+a))
		}
	}
	return sum
}

// stripRows is the number of rows of a product with H that are there at once: the whole is as large
// as H itself.
const stripRows = 512

// centre takes mean·meanᵀ from H. What rounding leaves of a channel that is nearly constant is no
// less than a part of its power, so that it is not taken for one that was never active.
func (q *problem) centre() {
	const least = 1e-12
	parallel.Range(q.d, 64, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := q.h.Row(i)
			for j := range row {
				row[j] -= q.mean[i] * q.mean[j]
			}
			if q.power[i] > 0 {
				row[i] = max(row[i], least*q.power[i])
			}
		}
	})
	q.constant = q.shifted(q.w)
}

// shifted is ‖wᵀ·mean‖².
func (q *problem) shifted(w matrix.Dense) float64 {
	sum := 0.0
	output := make([]float64, q.p)
	for i, m := range q.mean {
		for o, v := range w.Row(i) {
			output[o] += m * v
		}
	}
	for _, v := range output {
		sum += v * v
	}
	return sum
}

func (q *problem) groups() int { return q.d / q.group }

func (q *problem) classes() int {
	if q.class == 0 {
		return 1
	}
	return q.groups() / q.class
}

func (q *problem) classOf(group int) int {
	if q.class == 0 {
		return 0
	}
	return group / q.class
}

// first takes up to n groups from the front of a list, of each class no more than room has, which
// it uses up.
func (q *problem) first(list []int, n int, room []int) []int {
	var taken []int
	for _, g := range list {
		if c := q.classOf(g); len(taken) < n && room[c] > 0 {
			room[c]--
			taken = append(taken, g)
		}
	}
	return taken
}

// evenly is room for n groups, as many of each class.
func (q *problem) evenly(n int) []int { return slices.Repeat([]int{n / q.classes()}, q.classes()) }

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

// ErrSingular is the error of statistics that nothing can be solved with.
var ErrSingular = calibrate.ErrSingular

// solve returns the optimal weight on a support S of groups, [d, p] with zeros elsewhere, by a
// fresh Cholesky factorisation: W_S = w_S + H_SS⁻¹·H_S·w of the channels outside.
func (q *problem) solve(support []int) (matrix.Dense, error) {
	c, outside := q.channels(support), q.channels(complement(support, q.groups()))
	w := matrix.NewDense(q.d, q.p, nil)
	if len(c) == 0 {
		return w, nil
	}
	h, x := matrix.NewDense(len(c), len(c), nil), matrix.NewDense(len(c), q.p, nil)
	across, lost := matrix.NewDense(len(c), len(outside), nil), matrix.NewDense(len(outside), q.p, nil)
	parallel.Range(len(c), rowsOfTask, func(lo, hi int) {
		for a := lo; a < hi; a++ {
			row, all := h.Row(a), q.h.Row(c[a])
			for b, j := range c[a:] {
				row[a+b] = all[j]
			}
			row = across.Row(a)
			for b, j := range outside {
				row[b] = all[j]
			}
		}
	})
	parallel.Range(len(outside), rowsOfTask, func(lo, hi int) {
		for a := lo; a < hi; a++ {
			copy(lost.Row(a), q.w.Row(outside[a]))
		}
	})
	matrix.AddProduct(q.ctx, x, across, lost, 1)
	if !matrix.Cholesky(q.ctx, h) {
		return w, q.singular()
	}
	matrix.SolveUpperTransposed(q.ctx, h, x)
	matrix.SolveUpper(q.ctx, h, x)
	parallel.Range(len(c), rowsOfTask, func(lo, hi int) {
		for a := lo; a < hi; a++ {
			row, before := w.Row(c[a]), q.w.Row(c[a])
			for o, v := range x.Row(a) {
				row[o] = before[o] + v
			}
		}
	})
	return w, q.ctx.Err()
}

// solved is w where it solves the problem on a support, and else the weight of a fresh
// factorisation: a tableau whose rounding errors have grown is not trusted.
func (q *problem) solved(w matrix.Dense, support []int) (matrix.Dense, error) {
	if q.solves(w, support) {
		return w, q.ctx.Err()
	}
	return q.solve(support)
}

// solves reports whether w, of a support, solves the problem as well as a factorisation does. Its
// gradient H·(W − w) is zero on the support then: products of it with a few random vectors show, at
// the cost of these alone, whether it is.
func (q *problem) solves(w matrix.Dense, support []int) bool {
	const (
		vectors   = 2
		tolerance = 1e-10 // of the gradient's terms; a factorisation leaves about 1e-15
	)
	rng := rand.New(rand.NewPCG(uint64(q.d), uint64(len(support))))
	signs := matrix.NewDense(q.p, vectors, nil)
	for i := range signs.Data[:q.p*vectors] {
		signs.Data[i] = float64(2*rng.IntN(2) - 1)
	}
	in := make([]bool, q.d)
	for _, i := range q.channels(support) {
		in[i] = true
	}
	delta, _ := q.change(w)
	// the changes of channels inside, which answer to those outside, beside the latter
	change, sides := matrix.NewDense(q.d, vectors, nil), matrix.NewDense(q.d, 2*vectors, nil)
	matrix.AddProduct(q.ctx, change, delta, signs, 1)
	for i := range q.d {
		first := vectors
		if in[i] {
			first = 0
		}
		copy(sides.Row(i)[first:], change.Row(i))
	}
	gradient := matrix.NewDense(q.d, 2*vectors, nil)
	matrix.AddProduct(q.ctx, gradient, q.h, sides, 1)
	terms, left := 0.0, 0.0
	for i := range q.d {
		if !in[i] {
			continue
		}
		for a := range vectors {
			x, y := gradient.Row(i)[a], gradient.Row(i)[vectors+a]
			terms += x*x + y*y
			left += (x + y) * (x + y)
		}
	}
	return left <= tolerance*tolerance*terms
}

// singular is the error of a factorisation that failed.
func (q *problem) singular() error {
	if err := q.ctx.Err(); err != nil {
		return err
	}
	return ErrSingular
}

// restrict is the dense weight with all groups outside support set to zero: pruning without an
// update.
func (q *problem) restrict(support []int) matrix.Dense {
	w, c := matrix.NewDense(q.d, q.p, nil), q.channels(support)
	parallel.Range(len(c), rowsOfTask, func(lo, hi int) {
		for _, i := range c[lo:hi] {
			copy(w.Row(i), q.w.Row(i))
		}
	})
	return w
}

// relativeError is tr((W−w)ᵀH(W−w)) / tr(wᵀHw) for the damped H and the raw one, with the bias that
// is best for W where H is centred; 0 for a layer whose output is zero anyway. The raw H differs
// from the damped one by shift·I where the difference of weights is not zero, so one product gives
// both.
func (q *problem) relativeError(w matrix.Dense) Error { return q.errorOf(w, q.centred) }

// errorOf is relativeError with a bias or without one.
func (q *problem) errorOf(w matrix.Dense, bias bool) Error {
	delta, squares := q.change(w)
	return q.errorOfChange(delta, squares, nil, bias)
}

// optimalError is relativeError of the W that solves the problem on a support. Its gradient
// H·(W−w) is zero there, so that the other rows of it are all of the sum: a fifth of the work
// where a fifth of the groups has left.
func (q *problem) optimalError(w matrix.Dense, support []int) Error {
	delta, squares := q.change(w)
	left := make([]bool, q.d)
	for _, i := range q.channels(complement(support, q.groups())) {
		left[i] = true
	}
	return q.errorOfChange(delta, squares, left, q.centred)
}

// change is W − w, and ‖w‖².
func (q *problem) change(w matrix.Dense) (delta matrix.Dense, squares float64) {
	delta = matrix.NewDense(q.d, q.p, nil)
	of := make([]float64, q.d) // rows
	parallel.Range(q.d, rowsOfTask, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row, before := delta.Row(i), q.w.Row(i)
			for j, v := range w.Row(i) {
				row[j] = v - before[j]
			}
			of[i] = matrix.Dot(before, before)
		}
	})
	for _, s := range of {
		squares += s
	}
	return delta, squares
}

// errorOfChange is the error of a change of w, whose gradient is zero but in some rows; nil are
// all.
func (q *problem) errorOfChange(delta matrix.Dense, squares float64, in []bool, bias bool) Error {
	damped, change := q.energy(delta, in)
	if q.centred && !bias {
		damped += q.shifted(delta)
	}
	total := q.total + q.constant
	relative := func(part, of float64) float64 {
		if of <= 0 {
			return 0
		}
		return max(0, part) / of
	}
	return Error{Damped: relative(damped, total), Undamped: relative(damped-q.shift*change, total-q.shift*squares)}
}

// energy is tr(wᵀHw) with the damped H, and ‖w‖². Rows of zeros, as a support leaves them, cost
// nothing; nor do those where H·w is zero, all but in, of which nil are all.
func (q *problem) energy(w matrix.Dense, in []bool) (energy, squares float64) {
	var rows []int
	var wanted []int // of rows
	for i := range w.Rows {
		if s := matrix.Dot(w.Row(i), w.Row(i)); s > 0 {
			if in == nil || in[i] {
				wanted = append(wanted, len(rows))
			}
			rows, squares = append(rows, i), squares+s
		}
	}
	n := len(rows)
	if len(wanted) == 0 {
		return 0, squares
	}
	part := matrix.NewDense(n, w.Cols, nil)
	for a, i := range rows {
		copy(part.Row(a), w.Row(i))
	}
	for first := 0; first < len(wanted); first += stripRows {
		some := wanted[first:min(first+stripRows, len(wanted))]
		of, product := matrix.NewDense(len(some), n, nil), matrix.NewDense(len(some), w.Cols, nil)
		parallel.Range(len(some), rowsOfTask, func(lo, hi int) {
			for a := lo; a < hi; a++ {
				row, all := of.Row(a), q.h.Row(rows[some[a]])
				for b, j := range rows {
					row[b] = all[j]
				}
			}
		})
		matrix.AddProduct(q.ctx, product, of, part, 1)
		for a, at := range some {
			energy += matrix.Dot(part.Row(at), product.Row(a))
		}
	}
	return energy, squares
}
