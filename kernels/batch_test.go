package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels/parallel"
)

// Products in one region have the bits of each alone, whatever their formats, sizes and the
// threads; empty ones may be among them.
func TestBatchIsEachAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	const in = 64
	drawn := func(n int) []float32 {
		x := make([]float32, n)
		normals(x, rng)
		return x
	}
	int8s := func(n int) []int8 {
		q := make([]int8, n)
		for i := range q {
			q[i] = int8(rng.IntN(15) - 7)
		}
		return q
	}
	type packed interface {
		Begin(y, x []float32, rows int) Pending
		MulT(y, x []float32, rows int)
	}
	for _, rows := range []int{0, 1, 7, 1500} { // more than maxRows
		x := drawn(rows * in)
		for _, outs := range [][]int{{3}, {700, 0, 33}, {40, 2000, 17}, {5000, 5000}} {
			for _, threads := range []int{1, 2, 5} {
				restore := parallel.SetThreads(threads)
				var pending []Pending
				var got, want [][]float32
				for i, out := range outs {
					w := []packed{
						PackFloat32(drawn(out*in), out, in), PackInt8(int8s(out*in), drawn(out), out, in),
						PackInt4(int8s(out*in), drawn(out*in/32), out, in, 32),
					}[(i+len(outs))%3]
					alone, batched := make([]float32, rows*out), make([]float32, rows*out)
					w.MulT(alone, x, rows)
					pending = append(pending, w.Begin(batched, x, rows))
					got, want = append(got, batched), append(want, alone)
				}
				Run(pending...)
				restore()
				for i := range got {
					if !slices.Equal(got[i], want[i]) {
						t.Errorf("%d rows, %v outputs, %d threads: product %d differs from it alone", rows, outs, threads, i)
					}
				}
			}
		}
	}
	t.Run("too many", func(t *testing.T) {
		defer func() {
			if fmt.Sprint(recover()) != "kernels: Run of 5 products, expected at most 4" {
				t.Error("no panic that names the numbers")
			}
		}()
		Run(empty{}, empty{}, empty{}, empty{}, empty{})
	})
}
