package pruning

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels/machine/machinetest"
	"slimlab/kernels/matrix"
)

// BenchmarkHeads prunes half of the groups of 64 channels of one o_proj [d, d] whose Gram matrix is
// given: greedily; with a local search after it, as the authors' program does; and with both local
// searches. It gives CPU seconds, since other processes slow it down less in these, and the
// operations that the greedy method needs as a share of what the machine's float64 arithmetic, half
// of its float32, gives in as many of them.
func BenchmarkHeads(b *testing.B) {
	const group = 64
	how := search{batch: 1, swaps: 5, rounds: 30}
	for _, d := range []int{1024, 2048} {
		gram, w := statistics(d), make([]float32, d*d)
		rng := rand.New(rand.NewPCG(3, 4))
		for i := range w {
			w[i] = float32(rng.NormFloat64())
		}
		newLayer := func() *problem {
			return newProblem(context.Background(), inputs{gram: matrix.NewDense(d, d, slices.Clone(gram.Data))}, w, units{group: group}, 0.01)
		}
		greedy := func(b *testing.B, local search) {
			q := newLayer()
			x := must2(q.fullTableau())(b)
			x.removeLowest(q.groups()/2, 1)
			x.localSearch(local)
			must2(q.solve(x.support()))(b)
		}
		// multiply-adds count as two; in cubes of d: products of the weight's rows 1, the inverse
		// 1, moves of half of the channels 3/2, the last solution 25/24
		needed := float64(d) * float64(d) * float64(d) * (1 + 1 + 1.5 + 25./24)
		for name, f := range map[string]func(b *testing.B){
			"greedy": func(b *testing.B) { greedy(b, search{}) },
			"local":  func(b *testing.B) { greedy(b, how) },
			"whole":  func(b *testing.B) { must2(newLayer().osscar(d/group/2, how))(b) },
		} {
			b.Run(fmt.Sprintf("%s/d=%d", name, d), func(b *testing.B) {
				before := machinetest.CPUSeconds()
				for b.Loop() {
					f(b)
				}
				seconds := (machinetest.CPUSeconds() - before) / float64(b.N)
				b.ReportMetric(seconds, "cpu-s/op")
				if name == "greedy" {
					b.ReportMetric(100*needed/seconds/machinetest.Float64Peak(), "%peak")
				}
			})
		}
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

// BenchmarkNeurons prunes a fifth of the neurons of one down_proj [p, d] whose Gram matrix is
// given, with a local search from greedy removal alone and with both. It gives CPU seconds.
func BenchmarkNeurons(b *testing.B) {
	for _, of := range []struct{ d, p int }{{4864, 896}, {14336, 4096}} {
		for _, starts := range []Starts{GreedyStart, BothStarts} {
			b.Run(fmt.Sprintf("starts=%s/d=%d", cmp.Or(starts, "both"), of.d), func(b *testing.B) {
				gram, w := statistics(of.d), make([]float32, of.d*of.p)
				rng := rand.New(rand.NewPCG(3, 4))
				for i := range w {
					w[i] = float32(rng.NormFloat64())
				}
				before := machinetest.CPUSeconds()
				for b.Loop() {
					q := newProblem(context.Background(), inputs{gram: matrix.NewDense(of.d, of.d, slices.Clone(gram.Data))}, w, units{group: 1}, 0.01)
					must2(q.osscar(of.d*4/5, search{batch: 1, swaps: 10, rounds: 30, single: starts == GreedyStart}))(b)
				}
				b.ReportMetric((machinetest.CPUSeconds()-before)/float64(b.N), "cpu-s/op")
			})
		}
	}
}
