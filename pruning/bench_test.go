package pruning

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
)

// BenchmarkHeads prunes half of the groups of 64 channels of one o_proj [d, d] whose Gram matrix is
// given: greedily, with the operations that the method asks for as a share of what the machine's
// float64 arithmetic gives at most, half of its float32; and with both local searches.
func BenchmarkHeads(b *testing.B) {
	const group = 64
	for _, d := range []int{1024, 2048} {
		gram, w := statistics(d), make([]float32, d*d)
		rng := rand.New(rand.NewPCG(3, 4))
		for i := range w {
			w[i] = float32(rng.NormFloat64())
		}
		newLayer := func() *problem {
			return newProblem(context.Background(), matrix.NewDense(d, d, slices.Clone(gram.Data)), w, group, 0.01)
		}
		b.Run(fmt.Sprintf("greedy/d=%d", d), func(b *testing.B) {
			for b.Loop() {
				q := newLayer()
				x := must2(q.fullTableau())(b)
				x.removeLowest(q.groups()/2, 1)
				must2(q.solve(x.support()))(b)
			}
			// multiply-adds count as two; in cubes of d: the right-hand side 2, the inverse 1,
			// moves of half of the channels 3/2, the last solution 13/24, and the scores of a
			// group, group²·d
			n, groups := float64(d), float64(d/group)
			operations := n*n*n*(2+1+1.5+13./24) + 3*groups*groups/8*group*group*n
			rate := operations * float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate/1e9, "GFLOP/s")
			b.ReportMetric(100*rate/float64Peak(), "%peak")
		})
		b.Run(fmt.Sprintf("whole/d=%d", d), func(b *testing.B) {
			for b.Loop() {
				must2(newLayer().osscar(d/group/2, search{batch: 1, swaps: 5, rounds: 30}))(b)
			}
		})
	}
}

// statistics is the mean Gram matrix of random correlated inputs.
func statistics(d int) matrix.Dense {
	rng := rand.New(rand.NewPCG(1, 2))
	x, h := matrix.NewDense(d+d/2, d, nil), matrix.NewDense(d, d, nil)
	for i := range x.Rows {
		common := rng.NormFloat64()
		for j := range d {
			x.Row(i)[j] = rng.NormFloat64() + common
		}
	}
	matrix.AddProduct(context.Background(), h, x.T(), x, 1/float64(x.Rows))
	return h
}

// float64Peak is half of the float32 operations a second of package machine's loop, the best of a
// few times.
func float64Peak() float64 {
	const rounds = 1 << 21
	loop, best := machine.Loops(kernels.Implementation())[0], 0.0
	for range 5 {
		start := time.Now()
		loop.Run(parallel.Threads(), rounds)
		best = max(best, float64(loop.Operations*rounds*parallel.Threads())/time.Since(start).Seconds())
	}
	return best / 2
}
