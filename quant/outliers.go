package quant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"slimlab/internal/half"
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// Outliers says how many numbers a weight has beside its codes. The zero value is none.
type Outliers struct {
	Share   float64 // of all weights, above 0 and at most 1
	Columns bool    // all weights of some inputs, not single ones
}

// String is the share, and the shape where that is whole columns.
func (o Outliers) String() string {
	text := strconv.FormatFloat(100*o.Share, 'g', 6, 64) + "%"
	if o.Columns {
		text += " columns"
	}
	return text
}

// none reports whether there are no numbers beside the codes.
func (o Outliers) none() bool { return o == Outliers{} }

func (o Outliers) check() error {
	if o.none() || o.Share > 0 && o.Share <= 1 {
		return nil
	}
	return fmt.Errorf("outliers of a share of %g, expected above 0 and at most 1", o.Share)
}

// count is the number of entries, or of columns, of a weight: at least one.
func (o Outliers) count(out, in int) int {
	n := out * in
	if o.Columns {
		n = in
	}
	return min(n, max(1, int(math.Round(o.Share*float64(n)))))
}

const (
	// a round is some steps of hard thresholding and some sweeps through the codes
	outlierRounds = 12
	outlierSteps  = 4
	outlierSweeps = 2
)

// split is a weight W as codes and numbers, W ≈ Ŵ + O, on its way to the least tr(ΔHΔᵀ),
// Δ = W−Ŵ−O (Behdin et al., 2023: outlier-aware). In turn O takes steps of iterative hard
// thresholding, O ← TopK(O − η∇) with ∇ = −2ΔH and η = 1/(2·λmax(H)), none of which makes the error
// larger; each of its numbers the value that is best while all others stay; and the codes some
// sweeps of coordinate descent towards W−O.
type split struct {
	w    *weight.Dense
	h    matrix.Dense
	of   Outliers
	act  bool // inputs in order of activation
	grid Grid

	codes    []byte
	values   matrix.Dense // O, [out, in], zero but at the support
	support  [][]int32    // inputs of each output, ascending
	left     matrix.Dense // Δ
	residual matrix.Dense // ΔH
	loss     float64      // tr(ΔHΔᵀ)
	largest  float64      // eigenvalue of H, or above
	stored   func(v float64) float64
	scratch  []float64
}

// newSplit begins with codes and without numbers.
func newSplit(ctx context.Context, w *weight.Dense, h matrix.Dense, of Outliers) *split {
	s := &split{w: w, h: h, of: of, values: matrix.NewDense(w.Out, w.In, nil), left: matrix.NewDense(w.Out, w.In, nil),
		residual: matrix.NewDense(w.Out, w.In, nil), support: make([][]int32, w.Out), stored: storedOutlier}
	s.largest = largestEigenvalue(ctx, h)
	return s
}

// storedOutlier is the number of bfloat16 that is nearest.
func storedOutlier(v float64) float64 {
	return float64(half.FromBFloat16(half.ToBFloat16(float32(v))))
}

// largestEigenvalue is that of a positive semidefinite matrix, a little above or below.
func largestEigenvalue(ctx context.Context, h matrix.Dense) float64 {
	n := h.Rows
	v, next := matrix.NewDense(n, 1, nil), matrix.NewDense(n, 1, nil)
	for i := range n {
		v.Data[i] = 1 + math.Sqrt(max(0, h.Row(i)[i]))
	}
	value := 0.0
	for range 24 {
		clear(next.Data)
		matrix.AddProduct(ctx, next, h, v, 1)
		length := 0.0
		for _, x := range next.Data {
			length += x * x
		}
		if length = math.Sqrt(length); length == 0 || ctx.Err() != nil {
			return value
		}
		value = length
		for i, x := range next.Data {
			v.Data[i] = x / length
		}
	}
	return value * 1.02
}

// refresh computes Δ, ΔH and the error anew.
func (s *split) refresh(ctx context.Context) {
	s.eachOutput(func(o int) {
		left, value, row := s.left.Row(o), s.values.Row(o), s.w.Data[o*s.w.In:(o+1)*s.w.In]
		for i, v := range row {
			left[i] = float64(v) - value[i] - s.grid.Decode(s.codes[o*s.w.In+i], o, i)
		}
	})
	clear(s.residual.Data)
	matrix.AddProduct(ctx, s.residual, s.left, s.h, 1)
	s.loss = s.measured()
}

// measured is tr(ΔHΔᵀ) of what is kept.
func (s *split) measured() float64 {
	parts := make([]float64, s.w.Out)
	s.eachOutput(func(o int) { parts[o] = matrix.Dot(s.left.Row(o), s.residual.Row(o)) })
	sum := 0.0
	for _, v := range parts {
		sum += v
	}
	return max(0, sum)
}

func (s *split) eachOutput(f func(o int)) {
	parallel.Range(s.w.Out, rowsOfTask, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			f(o)
		}
	})
}

// move changes a number of O, and Δ and ΔH with it.
func (s *split) move(o int, i int32, by float64) {
	if by == 0 {
		return
	}
	s.values.Row(o)[i] += by
	s.left.Row(o)[i] -= by
	matrix.Subtract(s.residual.Row(o), []float64{by}, s.h.Block(int(i), 0, 1, s.w.In))
}

// numbers are O without its zeros.
type numbers struct {
	support [][]int32
	values  [][]float64
}

func (s *split) numbers() numbers {
	n := numbers{support: s.support, values: make([][]float64, s.w.Out)}
	for o, inputs := range s.support {
		for _, i := range inputs {
			n.values[o] = append(n.values[o], s.values.Row(o)[i])
		}
	}
	return n
}

// set makes n the numbers of O.
func (s *split) set(n numbers) {
	s.eachOutput(func(o int) {
		values, at := s.values.Row(o), 0
		for _, i := range s.support[o] {
			for at < len(n.support[o]) && n.support[o][at] < i {
				at++
			}
			if at == len(n.support[o]) || n.support[o][at] != i {
				s.move(o, i, -values[i])
				values[i] = 0
			}
		}
		for k, i := range n.support[o] {
			s.move(o, i, n.values[o][k]-values[i])
			values[i] = n.values[o][k]
		}
	})
	s.support = n.support
}

// step is one of hard thresholding. One that would raise the error, since the eigenvalue was taken
// for less than it is, is undone, and the next is half as long.
func (s *split) step() {
	if s.largest <= 0 { // all inputs were silent
		return
	}
	before, was := s.numbers(), s.loss
	s.set(s.thresholded())
	if s.loss = s.measured(); s.loss > was*(1+1e-12) {
		s.set(before)
		s.loss, s.largest = was, 2*s.largest
	}
}

// thresholded is TopK(O + ΔH/λ).
func (s *split) thresholded() numbers {
	inverse := 1 / s.largest
	n := numbers{support: s.chosen(func(o int, row []float64) {
		values, residual := s.values.Row(o), s.residual.Row(o)
		for i := range row {
			row[i] = math.Abs(values[i] + residual[i]*inverse)
		}
	}), values: make([][]float64, s.w.Out)}
	for o, inputs := range n.support {
		for _, i := range inputs {
			n.values[o] = append(n.values[o], s.values.Row(o)[i]+s.residual.Row(o)[i]*inverse)
		}
	}
	return n
}

// chosen is the places of the largest scores, of equal ones the first; the columns of the largest
// sums of squares where whole ones are wanted.
func (s *split) chosen(score func(o int, row []float64)) [][]int32 {
	out, in := s.w.Out, s.w.In
	if len(s.scratch) == 0 {
		s.scratch = make([]float64, out*in)
	}
	scores := s.scratch
	fill := func(o int) { score(o, scores[o*in:(o+1)*in]) }
	s.eachOutput(fill)
	support := make([][]int32, out)
	count := s.of.count(out, in)
	if s.of.Columns {
		columns := largestColumns(scores, in, count)
		for o := range support {
			support[o] = columns
		}
		return support
	}
	least := nthLargest(scores, count)
	s.eachOutput(fill) // the search has moved them
	equal := count     // that are taken beside those above
	for _, v := range scores {
		if v > least {
			equal--
		}
	}
	for o := range support {
		for i, v := range scores[o*in : (o+1)*in] {
			if v == least && equal > 0 {
				equal--
			} else if !(v > least) {
				continue
			}
			support[o] = append(support[o], int32(i))
		}
	}
	return support
}

// largestColumns are the columns of the largest sums of squares, in ascending order.
func largestColumns(scores []float64, in, count int) []int32 {
	sums, order := make([]float64, in), make([]int32, in)
	for row := range slices.Chunk(scores, in) {
		for i, v := range row {
			sums[i] += v * v
		}
	}
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(sums[b], sums[a]) })
	order = order[:count]
	slices.Sort(order)
	return order
}

// nthLargest is the n-th largest of values, which it moves.
func nthLargest(values []float64, n int) float64 {
	lo, hi, at := 0, len(values)-1, n-1
	for lo < hi {
		a, b, c := values[lo], values[(lo+hi)/2], values[hi]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := lo, hi
		for i <= j {
			for values[i] > pivot {
				i++
			}
			for values[j] < pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case at <= j:
			hi = j
		case at >= i:
			lo = i
		default:
			return values[at]
		}
	}
	return values[lo]
}

// settle gives each number in turn the value, of those that are stored, that is best while all
// others stay.
func (s *split) settle() {
	s.eachOutput(func(o int) {
		values, residual := s.values.Row(o), s.residual.Row(o)
		for _, i := range s.support[o] {
			v := values[i]
			if h := s.h.Row(int(i))[i]; h > 0 {
				v += residual[i] / h
			}
			v = s.stored(v)
			s.move(o, i, v-values[i])
			values[i] = v
		}
	})
	s.loss = s.measured()
}

// rest is W−O.
func (s *split) rest() *weight.Dense {
	rest := weight.NewDense(slices.Clone(s.w.Data), s.w.Out, s.w.In)
	for o, inputs := range s.support {
		for _, i := range inputs {
			at := &rest.Data[o*s.w.In+int(i)]
			*at = float32(float64(*at) - s.values.Row(o)[i])
		}
	}
	return rest
}

// sweep takes the codes some sweeps on, from where they are.
func (s *split) sweep(ctx context.Context) {
	q := QuantEase{Sweeps: outlierSweeps, Start: FromGPTQ, ActOrder: s.act}
	s.codes = newDescent(ctx, q, s.rest(), s.grid, s.h, s.codes).run(ctx)
	s.refresh(ctx)
}

// alternate goes from where s is to the best that it finds, which is never worse.
func (s *split) alternate(ctx context.Context) {
	best, codes, least := s.numbers(), s.codes, s.loss
	idle := 0 // rounds without much gain
	for round := 0; round < outlierRounds && idle < 2 && ctx.Err() == nil; round++ {
		for range outlierSteps {
			s.step()
		}
		s.settle()
		s.sweep(ctx)
		if idle++; s.loss < least*(1-1e-3) {
			idle = 0
		}
		if s.loss < least*(1-rounding) {
			best, codes, least = s.numbers(), s.codes, s.loss
		}
	}
	s.codes = codes
	s.set(best)
	s.refresh(ctx)
}

// tails are the places of the largest weights, each measured by the root mean square of its output,
// or of the columns that weigh most on the outputs. Inputs that were never active have none.
func (s *split) tails() [][]int32 {
	return s.chosen(func(o int, row []float64) {
		square := 0.0
		for _, v := range s.w.Data[o*s.w.In : (o+1)*s.w.In] {
			square += float64(v) * float64(v)
		}
		scale := 0.0
		if square > 0 {
			scale = math.Sqrt(float64(s.w.In) / square)
		}
		for i, v := range s.w.Data[o*s.w.In : (o+1)*s.w.In] {
			h := s.h.Row(i)[i]
			switch {
			case s.of.Columns:
				row[i] = math.Abs(float64(v)) * math.Sqrt(max(0, h))
			case h > 0:
				row[i] = math.Abs(float64(v)) * scale
			default:
				row[i] = 0
			}
		}
	})
}

// sparse is O as weights have it.
func (s *split) sparse() *weight.Sparse {
	sparse := &weight.Sparse{Out: s.w.Out, In: s.w.In, Start: make([]int32, 1, s.w.Out+1), Columns: s.of.Columns}
	for o, inputs := range s.support {
		for _, i := range inputs {
			sparse.Input, sparse.Value = append(sparse.Input, i), append(sparse.Value, float32(s.values.Row(o)[i]))
		}
		sparse.Start = append(sparse.Start, int32(len(sparse.Input)))
	}
	return sparse
}

// roundBeside chooses codes and numbers for w. fit makes the grid of the weights less those at some
// places, which are outside of its range. There are two ways, and the better is kept: the tails are
// left out of the range from the start; or they are not, and codes begin as they are without
// numbers, so that the end is never above QuantEase alone.
func (q QuantEase) roundBeside(ctx context.Context, w *weight.Dense, m *Moments, of Outliers, fit func(without [][]int32) (Grid, error)) (*split, Rounding, error) {
	if err := errors.Join(q.check(), of.check()); err != nil {
		return nil, Rounding{}, err
	}
	var best *split
	var rounding Rounding
	for _, out := range []bool{true, false} {
		s := newSplit(ctx, w, m.Gram, of)
		s.act = q.ActOrder
		if out {
			s.support = s.tails()
			for o, inputs := range s.support {
				for _, i := range inputs {
					s.values.Row(o)[i] = s.stored(float64(w.Data[o*w.In+int(i)]))
				}
			}
		}
		var err error
		if s.grid, err = fit(s.support); err != nil {
			return nil, rounding, err
		}
		r, err := q.Round(ctx, s.rest(), s.grid, m)
		if err != nil {
			return nil, r, err
		}
		s.codes = r.Codes
		s.refresh(ctx)
		s.alternate(ctx)
		s.left, s.residual, s.scratch = matrix.Dense{}, matrix.Dense{}, nil
		if r.Codes = s.codes; best == nil || s.loss < best.loss {
			best, rounding = s, r
		}
	}
	return best, rounding, ctx.Err()
}
