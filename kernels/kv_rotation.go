package kernels

import (
	"math"
	"math/rand/v2"
)

// headRotation is an orthogonal matrix of the size of a head that spreads what stands in few
// dimensions over all: random signs, then a Hadamard matrix of the largest power of two that
// divides the size, times a Hartley matrix of the odd rest (Kronecker). Scores of rotated queries
// and keys are those of the plain ones, and a sum of rotated values is the rotated sum.
//
// Without the signs a mean that all dimensions share would all go into the first one.
type headRotation[T float32 | float64] struct {
	signs   []T // [dim], of ±1 and the scale of the Hadamard matrix
	odd     int
	hartley []T // [odd, odd], symmetric and its own inverse; nil where odd is 1
}

func newHeadRotation[T float32 | float64](dim int) *headRotation[T] {
	r := &headRotation[T]{signs: make([]T, dim), odd: dim / (dim & -dim)}
	scale := math.Sqrt(float64(r.odd) / float64(dim))
	random := rand.New(rand.NewPCG(uint64(dim), 0x6b76)) // the same in every process: pages are compared and shared
	for i := range r.signs {
		r.signs[i] = T(scale * float64(1-2*int(random.Uint64()&1)))
	}
	if n := r.odd; n > 1 {
		for i := range n {
			for j := range n {
				s, c := math.Sincos(2 * math.Pi * float64(i*j%n) / float64(n))
				r.hartley = append(r.hartley, T((s+c)/math.Sqrt(float64(n))))
			}
		}
	}
	return r
}

// apply rotates a head. work holds odd elements.
func (r *headRotation[T]) apply(x, work []T) {
	r.sign(x)
	r.spread(x, work)
}

// undo is the inverse of apply.
func (r *headRotation[T]) undo(x, work []T) {
	r.spread(x, work)
	r.sign(x)
}

func (r *headRotation[T]) sign(x []T) {
	for i, s := range r.signs {
		x[i] *= s
	}
}

// spread multiplies x with the symmetric matrix, whose Hadamard part is not scaled. The order of
// additions is fixed by the size alone.
func (r *headRotation[T]) spread(x, work []T) {
	d, n := len(x), r.odd
	if n > 1 {
		for at := 0; at < d; at += n {
			block := x[at : at+n]
			copy(work, block)
			for i := range block {
				sum := T(0)
				for j, h := range r.hartley[i*n : (i+1)*n] {
					sum += T(h * work[j]) // rounded, so that no architecture fuses it
				}
				block[i] = sum
			}
		}
	}
	for n < d {
		if n == 1 && d >= 4 { // two steps at once, in registers
			for at := 0; at+4 <= d; at += 4 {
				q := x[at : at+4 : at+4]
				a, b, c, e := q[0]+q[1], q[0]-q[1], q[2]+q[3], q[2]-q[3]
				q[0], q[1], q[2], q[3] = a+c, b+e, a-c, b-e
			}
			n = 4
			continue
		}
		for at := 0; at < d; at += 2 * n {
			first, second := x[at:at+n], x[at+n:at+2*n]
			for i, a := range first {
				b := second[i]
				first[i], second[i] = a+b, a-b
			}
		}
		n *= 2
	}
}
