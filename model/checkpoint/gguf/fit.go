package gguf

import (
	"math"

	"slimlab/internal/half"
)

// The search for scales. A block of numbers x is to become scale·code, or scale·code − minimum,
// with codes within a range, so that the weighted sum of squared errors Σ w·(x − x̂)² is small. For
// given codes the best scale and minimum are a weighted least-squares solution, for given scale and
// minimum the best codes are the nearest. The two steps alternate from several starts, since they
// end in the minimum that is nearest to their start.
//
// Products are converted to float64 before a sum, so that no machine fuses the two: a file has the
// same bytes everywhere.

// starts are the parts of a step by which the first scales differ from the one that fits the
// largest number to the last code: a smaller scale cuts a number off and has finer steps for the
// others.
var starts = [...]float64{0, -0.5, 0.5, 1, -1, 1.5, 2.5, 4}

// alternations bounds how often codes and scale are solved for.
const alternations = 6

// codes are what elements can be: the whole numbers from low to high, or those of a book, in
// ascending order.
type codes struct {
	low, high float64
	book      *[16]int8
}

// nearest is the code next to v.
func (c *codes) nearest(v float64) float64 {
	if c.book == nil {
		return clamped(v, c.low, c.high)
	}
	return float64(c.book[c.entry(v)])
}

// clamped is the whole number next to v, even from the middle, within a range. Numbers of 2⁵² and
// more have no fraction, so the sum with one rounds.
func clamped(v, low, high float64) float64 {
	const whole = 3 << 51
	if v <= low {
		return low
	}
	if v >= high {
		return high
	}
	return v + whole - whole
}

// entry is the number of the code of the book that is next to v.
func (c *codes) entry(v float64) int {
	i := 0
	for i < len(c.book)-1 && 2*v >= float64(c.book[i])+float64(c.book[i+1]) {
		i++
	}
	return i
}

// misfit is the weighted squared error of s·code with the nearest codes, and the sums that the best
// s for these codes follows from.
func misfit(x, w []float64, s float64, of *codes) (err, xq, qq float64) {
	inverse := 0.0
	if s != 0 {
		inverse = 1 / s
	}
	low, high, whole := of.low, of.high, of.book == nil
	w = w[:len(x)]
	for i, v := range x {
		q := float64(v * inverse)
		if whole {
			q = clamped(q, low, high)
		} else {
			q = of.nearest(q)
		}
		e := v - float64(s*q)
		wq := float64(w[i] * q)
		err += float64(w[i] * float64(e*e))
		xq += float64(wq * v)
		qq += float64(wq * q)
	}
	return err, xq, qq
}

// fitScale finds a scale for x. A negative one turns the range of the codes round, which may have
// one more on one side.
func fitScale(x, w []float64, of *codes) float64 {
	extreme := outermost(x)
	best, least := 0.0, math.Inf(1)
	for _, end := range [...]float64{of.low, of.high} {
		for _, shift := range starts {
			if math.Abs(end)+shift <= 0.5 {
				continue
			}
			s := extreme / (end + math.Copysign(shift, end))
			for range alternations {
				err, xq, qq := misfit(x, w, s, of)
				if err < least {
					best, least = s, err
				}
				next := xq / qq
				if qq == 0 || next == s {
					break
				}
				s = next
			}
		}
	}
	return best
}

// outermost is the number of largest magnitude, the first of equals.
func outermost(x []float64) (v float64) {
	for _, n := range x {
		if math.Abs(n) > math.Abs(v) {
			v = n
		}
	}
	return v
}

// offsets are the sums over a block from which the best scale and minimum for its codes follow.
type offsets struct{ err, w, q, qq, x, xq float64 }

// misfitOffset is misfit for s·code − m, with codes from 0 to top.
func misfitOffset(x, w []float64, s, m, top float64) (o offsets) {
	inverse := 0.0
	if s != 0 {
		inverse = 1 / s
	}
	w = w[:len(x)]
	for i, v := range x {
		q := clamped(float64((v+m)*inverse), 0, top)
		e := v + m - float64(s*q)
		wi := w[i]
		wq, wx := float64(wi*q), float64(wi*v)
		o.err += float64(wi * float64(e*e))
		o.w += wi
		o.q += wq
		o.qq += float64(wq * q)
		o.x += wx
		o.xq += float64(wx * q)
	}
	return o
}

// errorOffset is the err of misfitOffset alone.
func errorOffset(x, w []float64, s, m, top float64) (err float64) {
	inverse := 0.0
	if s != 0 {
		inverse = 1 / s
	}
	w = w[:len(x)]
	for i, v := range x {
		q := clamped(float64((v+m)*inverse), 0, top)
		e := v + m - float64(s*q)
		err += float64(w[i] * float64(e*e))
	}
	return err
}

// fitOffset finds a scale and a minimum for x in codes from 0 to top. With positive set the minimum
// is at least 0, as the formats want it whose minima have no sign.
func fitOffset(x, w []float64, top float64, positive bool) (s, m float64) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	if positive {
		low = min(low, 0)
	}
	if high <= low {
		return 0, -low
	}
	s, m = (high-low)/top, -low
	least := math.Inf(1)
	for _, shift := range starts {
		step, base := (high-low)/(top+shift), low
		for range alternations {
			o := misfitOffset(x, w, step, -base, top)
			if o.err < least {
				s, m, least = step, -base, o.err
			}
			determinant := float64(o.w*o.qq) - float64(o.q*o.q)
			if determinant <= 0 {
				break
			}
			next := (float64(o.w*o.xq) - float64(o.x*o.q)) / determinant
			base = (float64(o.qq*o.x) - float64(o.q*o.xq)) / determinant
			if positive && base > 0 {
				base = 0
				next = o.xq / o.qq
			}
			if !(next > 0) || next == step {
				break
			}
			step = next
		}
	}
	return s, m
}

// halved rounds a number to the half that stands for it in a file; one too large becomes the
// largest.
func halved(v float64) (bits uint16, value float64) {
	const largest = 65504
	bits = half.ToFloat16(float32(max(-largest, min(largest, v))))
	return bits, float64(half.FromFloat16(bits))
}

// elements are a block's numbers and the weights of their errors; blocks of 32 use the first.
type elements struct{ x, w [256]float64 }

// load takes a block. Equal weights stand for nil. A weight of next to nothing becomes a thousandth
// of the mean, so that a channel which the calibration text left silent still has the codes next to
// its numbers.
func (b *elements) load(src, weights []float32) {
	mean := 1.0
	if weights != nil {
		mean = 0
		for _, v := range weights {
			mean += float64(v) / float64(len(weights))
		}
	}
	for i, v := range src {
		b.x[i], b.w[i] = float64(v), 1
		if weights != nil && mean > 0 {
			b.w[i] = max(float64(weights[i])/mean, 1e-3)
		}
	}
}

// misfitOf is the weighted squared error of a block's decoded values.
func (b *elements) misfitOf(decoded []float32) (err float64) {
	for i, v := range decoded {
		e := b.x[i] - float64(v)
		err += float64(b.w[i] * float64(e*e))
	}
	return err
}
