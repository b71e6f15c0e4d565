package kernels

import (
	"fmt"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// Sparse is a weight [out, in] of few numbers, those of output o from Start[o] to Start[o+1].
type Sparse struct {
	Out, In int
	Start   []int32 // [out+1]
	Input   []int32
	Value   []float32
}

// AddSparse begins y += x·wᵀ, after a product that writes y: [rows, out] of x [rows, in]. An
// output's products are added up in float32, in the order of its numbers, before they come to y.
func AddSparse(p Pending, w *Sparse, y, x []float32, rows int) Pending {
	checkLen("y", y, rows*w.Out)
	checkLen("x", x, rows*w.In)
	if len(w.Start) != w.Out+1 || len(w.Input) != len(w.Value) || int(w.Start[w.Out]) != len(w.Value) {
		panic(fmt.Sprintf("kernels: sparse weight [%d, %d] has %d starts, %d inputs and %d values", w.Out, w.In, len(w.Start), len(w.Input), len(w.Value)))
	}
	s := freeSparse.Get()
	s.Pending, s.weight, s.y, s.x, s.rows = p, w, y, x, rows
	return s
}

// sparseSum is a product with what is added to it at its end.
type sparseSum struct {
	Pending
	weight *Sparse
	y, x   []float32
	rows   int

	someRows, someOutputs func(lo, hi int) // bound once: each method value allocates
}

var freeSparse = memory.NewFreeList(64, func() *sparseSum {
	s := new(sparseSum)
	s.someRows = func(lo, hi int) { s.add(lo, hi, 0, s.weight.Out) }
	s.someOutputs = func(lo, hi int) { s.add(0, s.rows, lo, hi) }
	return s
})

// work counts a number as eight: each is read from another place.
func (s *sparseSum) work() int { return s.Pending.work() + 8*s.rows*len(s.weight.Value) }

func (s *sparseSum) end() {
	s.Pending.end()
	switch work := 8 * s.rows * len(s.weight.Value); {
	case work < serialWork:
		s.add(0, s.rows, 0, s.weight.Out)
	case s.rows >= 4*parallel.Threads():
		parallel.Range(s.rows, 1, s.someRows)
	default:
		parallel.Range(s.weight.Out, 16, s.someOutputs)
	}
	s.Pending, s.weight, s.y, s.x = nil, nil, nil, nil
	freeSparse.Put(s)
}

// add adds the products of rows r…rEnd-1 and outputs o…oEnd-1.
func (s *sparseSum) add(r, rEnd, o, oEnd int) {
	w := s.weight
	for ; r < rEnd; r++ {
		x, y := s.x[r*w.In:(r+1)*w.In], s.y[r*w.Out:(r+1)*w.Out]
		for k := o; k < oEnd; k++ {
			first, end := w.Start[k], w.Start[k+1]
			inputs, values := w.Input[first:end], w.Value[first:end]
			sum := float32(0)
			for e, i := range inputs {
				sum += x[i] * values[e]
			}
			y[k] += sum
		}
	}
}
