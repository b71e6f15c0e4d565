package model

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// everyImplementation runs f under each implementation of the kernels.
func everyImplementation(t *testing.T, f func(t *testing.T)) {
	for _, name := range kernels.Implementations() {
		t.Run(name, func(t *testing.T) {
			restore, err := kernels.Use(name)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t)
		})
	}
}

// crossEntropy is the mean cross-entropy of hidden states, its gradient to them, and that of the
// head added to g.
func crossEntropy(m *Model, hidden []float32, targets []int32, g *Gradients) (loss float64, dHidden []float32) {
	rows := len(targets)
	z := make([]float32, rows*m.Vocab)
	head, input, dLogits := kernels.NewTrainedWeight(m.Vocab, m.Hidden, kernels.Float32), new(kernels.Operand), new(kernels.Operand)
	head.Pack(m.Head.Float32())
	input.Pack(hidden, rows, m.Hidden, kernels.Float32, kernels.Rows|kernels.RightSide)
	kernels.Run(head.Begin(z, input))
	each, weight := make([]float32, rows), make([]float32, rows)
	for i := range weight {
		weight[i] = 1 / float32(rows)
	}
	kernels.CrossEntropy(each, z, targets, weight, rows, m.Vocab)
	for _, l := range each {
		loss += float64(l) / float64(rows)
	}
	dHidden = make([]float32, rows*m.Hidden)
	dLogits.Pack(z, rows, m.Vocab, kernels.Float32, kernels.Rows|kernels.LeftSide)
	kernels.Run(head.BeginInput(dHidden, dLogits), kernels.BeginGradient(g.Head, dLogits, input))
	return loss, dHidden
}

func TestGradientsAgainstFiniteDifferences(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) {
			m := random(t, c, 3)
			rng := rand.New(rand.NewPCG(5, 5))
			b := pack(randomTokens(rng, 5, m.Vocab), randomTokens(rng, 1, m.Vocab), randomTokens(rng, 8, m.Vocab))
			targets := randomTokens(rng, len(b.Tokens), m.Vocab)

			ref := newReference(m)
			want := make([]float64, len(ref.flat))
			const h = 1e-5
			for i, v := range ref.flat {
				ref.flat[i] = v + h
				up := ref.loss(b, targets)
				ref.flat[i] = v - h
				want[i] = (up - ref.loss(b, targets)) / (2 * h)
				ref.flat[i] = v
			}
			wantLoss := ref.loss(b, targets)

			everyImplementation(t, func(t *testing.T) {
				options := TraceOptions{Recompute: c.TiedHead}
				// too few: Forward must grow it
				g, trace := NewGradients(m), NewTrace(m, 4, options)
				loss, dHidden := crossEntropy(m, trace.Forward(context.Background(), m, b), targets, g)
				if math.Abs(loss-wantLoss) > 1e-5 {
					t.Errorf("loss %v, reference %v", loss, wantLoss)
				}
				trace.Backward(context.Background(), m, dHidden, g)
				compareGradients(t, g, want, 1)

				// A second pass adds.
				_, dHidden = crossEntropy(m, trace.Forward(context.Background(), m, b), targets, g)
				trace.Backward(context.Background(), m, dHidden, g)
				compareGradients(t, g, want, 2)
			})
		})
	}
}

// TestGradientsThroughStreams: a loss that reads the streams into layers beside the last states,
// one factor for each number of them, against central differences.
func TestGradientsThroughStreams(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) {
			m := random(t, c, 3)
			rng := rand.New(rand.NewPCG(5, 6))
			b := pack(randomTokens(rng, 5, m.Vocab), randomTokens(rng, 1, m.Vocab), randomTokens(rng, 4, m.Vocab))
			n := len(b.Tokens) * m.Hidden
			factors := make([][]float32, 3) // of the stream into either layer, and of the last states
			for i := range factors {
				for range n {
					factors[i] = append(factors[i], float32(rng.NormFloat64()))
				}
			}
			ref := newReference(m)
			loss := func() (sum float64) {
				for s := range len(b.Starts) - 1 {
					add := func(of []float32, x [][]float64) {
						for i := range x {
							for j, v := range x[i] {
								sum += float64(of[(b.Starts[s]+i)*m.Hidden+j]) * v
							}
						}
					}
					ref.stream = func(layer int, x [][]float64) { add(factors[layer], x) }
					add(factors[2], ref.hidden(b.Tokens[b.Starts[s]:b.Starts[s+1]]))
				}
				return sum
			}
			want := make([]float64, len(ref.flat))
			const h = 1e-5
			for i, v := range ref.flat {
				ref.flat[i] = v + h
				up := loss()
				ref.flat[i] = v - h
				want[i] = (up - loss()) / (2 * h)
				ref.flat[i] = v
			}
			for _, recompute := range []bool{false, true} {
				g, trace := NewGradients(m), NewTrace(m, 4, TraceOptions{Recompute: recompute})
				var sum float64
				states := [][]float32{nil, nil, trace.Forward(context.Background(), m, b)}
				states[0], states[1] = trace.Stream(0), trace.Stream(1)
				for i, x := range states {
					for j, v := range x {
						sum += float64(v) * float64(factors[i][j])
					}
				}
				if all := loss(); math.Abs(sum-all) > 1e-5*(1+math.Abs(all)) {
					t.Errorf("loss %v, reference %v", sum, all)
				}
				trace.BackwardThrough(context.Background(), m, slices.Clone(factors[2]), factors[:2], g)
				rest := want
				for _, p := range g.views.Parameters() {
					want := rest[:len(p.Data)]
					rest = rest[len(p.Data):]
					if p.Name == "lm_head.weight" { // no state reads it
						continue
					}
					worst, most := 0.0, 0.0
					for i, v := range p.Data {
						most = max(most, math.Abs(want[i]))
						worst = max(worst, math.Abs(float64(v)-want[i]))
					}
					if !(worst <= 2e-5*most+1e-6) || most == 0 {
						t.Errorf("recompute %t: %s differs by %.3g of %.3g", recompute, p.Name, worst, most)
					}
				}
			}
		})
	}
}

// compareGradients compares tensor by tensor, relative to the tensor's largest gradient.
func compareGradients(t *testing.T, g *Gradients, want []float64, times float64) {
	t.Helper()
	for _, p := range g.views.Parameters() {
		largest, worst, at := 0.0, 0.0, 0
		for i, v := range p.Data {
			w := want[i] * times
			largest = max(largest, math.Abs(w))
			if d := math.Abs(float64(v) - w); d > worst || math.IsNaN(d) {
				worst, at = d, i
			}
		}
		if !(worst <= 2e-5*largest+1e-7) || largest == 0 {
			t.Errorf("%s[%d]: gradient %v, finite difference %v (largest of the tensor %.3g)", p.Name, at, p.Data[at], want[at]*times, largest)
		}
		want = want[len(p.Data):]
	}
}

func TestForwardAgainstTwin(t *testing.T) {
	for name, c := range families() {
		t.Run(name, func(t *testing.T) { forwardAgainstTwin(t, random(t, c, 7)) })
	}
}

func forwardAgainstTwin(t *testing.T, m *Model) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := pack(randomTokens(rng, 90, m.Vocab), randomTokens(rng, 1, m.Vocab), nil, randomTokens(rng, 17, m.Vocab))
	ref := newReference(m)
	var want [][]float64
	for s := range len(b.Starts) - 1 {
		want = append(want, ref.hidden(b.Tokens[b.Starts[s]:b.Starts[s+1]])...)
	}
	everyImplementation(t, func(t *testing.T) {
		m := m.Clone()
		for name, got := range map[string][]float32{"Forward": m.Forward(b, nil), "Trace.Forward": NewTrace(m, len(b.Tokens), TraceOptions{}).Forward(context.Background(), m, b)} {
			worst := 0.0
			for i, v := range got {
				worst = max(worst, math.Abs(float64(v)-want[i/m.Hidden][i%m.Hidden]))
			}
			if !(worst < 5e-6) {
				t.Errorf("%s differs from the reference by %.3g", name, worst)
			}
		}
	})
}

// A sequence's bits depend neither on the batch around it nor on the number of threads.
func TestForwardInvariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	everyImplementation(t, func(t *testing.T) {
		m := random(t, medium(), 1)
		sequences := [][]int32{randomTokens(rng, 70, m.Vocab), randomTokens(rng, 3, m.Vocab), randomTokens(rng, 129, m.Vocab)}
		together := pack(sequences...)
		forward := m.Forward(together, nil)
		trace := NewTrace(m, 1, TraceOptions{})
		traced := slices.Clone(trace.Forward(context.Background(), m, together))
		for s, seq := range sequences {
			from, to := together.Starts[s]*m.Hidden, together.Starts[s+1]*m.Hidden
			if !slices.Equal(m.Forward(pack(seq), nil), forward[from:to]) {
				t.Errorf("Forward: sequence %d has other bits alone", s)
			}
			if !slices.Equal(trace.Forward(context.Background(), m, pack(seq)), traced[from:to]) {
				t.Errorf("Trace.Forward: sequence %d has other bits alone", s)
			}
		}
		targets := randomTokens(rng, len(together.Tokens), m.Vocab)
		gradients := func() []float32 {
			g := NewGradients(m)
			_, dHidden := crossEntropy(m, trace.Forward(context.Background(), m, together), targets, g)
			trace.Backward(context.Background(), m, dHidden, g)
			return g.Flat
		}
		want := gradients()
		for _, threads := range []int{1, 2, 3} {
			restore := parallel.SetThreads(threads)
			if !slices.Equal(m.Forward(together, nil), forward) {
				t.Errorf("Forward has other bits with %d threads", threads)
			}
			if !slices.Equal(gradients(), want) {
				t.Errorf("gradients have other bits with %d threads", threads)
			}
			restore()
		}
	})
}

func TestTrainingLearns(t *testing.T) {
	for _, tied := range []bool{true, false} {
		c := tiny(true, tied)
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(2, 3))
		m.Init(rng)
		b := pack(randomTokens(rng, 12, c.Vocab), randomTokens(rng, 9, c.Vocab))
		targets := randomTokens(rng, len(b.Tokens), c.Vocab)
		trace, g := NewTrace(m, len(b.Tokens), TraceOptions{}), NewGradients(m)
		m1, m2 := make([]float32, len(g.Flat)), make([]float32, len(g.Flat))
		var first, last float64
		for step := 1; step <= 150; step++ {
			g.Zero()
			loss, dHidden := crossEntropy(m, trace.Forward(context.Background(), m, b), targets, g)
			trace.Backward(context.Background(), m, dHidden, g)
			kernels.AdamW{LearningRate: 1e-2, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-8, Step: step, GradScale: 1}.Update(m.Flat(), g.Flat, m1, m2)
			m.Changed()
			if step == 1 {
				first = loss
			}
			last = loss
		}
		if first > math.Log(float64(c.Vocab))+1 || last > 0.2 {
			t.Errorf("tied %t: loss went from %.3f to %.3f, expected from about ln %d to below 0.2", tied, first, last, c.Vocab)
		}
		after := m.Forward(b, nil) // packed anew after Changed
		if !near(after, trace.Forward(context.Background(), m, b), 1e-4) {
			t.Errorf("tied %t: after training Forward and Trace.Forward differ", tied)
		}
	}
}

func near(a, b []float32, tolerance float64) bool {
	for i := range a {
		if !(math.Abs(float64(a[i])-float64(b[i])) <= tolerance) {
			return false
		}
	}
	return len(a) == len(b)
}

// TestRecomputeChangesNothing: layers of different widths share the buffers, and the gradients
// have the same bits.
func TestRecomputeChangesNothing(t *testing.T) {
	m := random(t, medium(), 1)
	for _, precision := range []kernels.Precision{kernels.Float32, kernels.BFloat16} {
		gradients := func(recompute bool) []float32 {
			trace, g := NewTrace(m, 0, TraceOptions{Precision: precision, Recompute: recompute}), NewGradients(m)
			rng := rand.New(rand.NewPCG(9, 10))
			// the buffers grow and shrink
			for _, lengths := range [][]int{{3, 70}, {90, 2, 61}, {5}} {
				var sequences [][]int32
				for _, n := range lengths {
					sequences = append(sequences, randomTokens(rng, n, m.Vocab))
				}
				b := pack(sequences...)
				_, dHidden := crossEntropy(m, trace.Forward(context.Background(), m, b), randomTokens(rng, len(b.Tokens), m.Vocab), g)
				trace.Backward(context.Background(), m, dHidden, g)
			}
			return g.Flat
		}
		if !slices.Equal(gradients(false), gradients(true)) {
			t.Errorf("%v: Recompute changes the gradients", precision)
		}
	}
}

// TestBFloat16Gradients: operands of 8 bits of fraction move the gradient by a percent, not to
// another direction.
func TestBFloat16Gradients(t *testing.T) {
	m := random(t, medium(), 1)
	rng := rand.New(rand.NewPCG(9, 11))
	b := pack(randomTokens(rng, 50, m.Vocab), randomTokens(rng, 30, m.Vocab))
	targets := randomTokens(rng, len(b.Tokens), m.Vocab)
	gradients := func(precision kernels.Precision) *Gradients {
		trace, g := NewTrace(m, 0, TraceOptions{Precision: precision}), NewGradients(m)
		_, dHidden := crossEntropy(m, trace.Forward(context.Background(), m, b), targets, g)
		trace.Backward(context.Background(), m, dHidden, g)
		return g
	}
	exact, rounded := gradients(kernels.Float32).views.Parameters(), gradients(kernels.BFloat16).views.Parameters()
	for i, p := range exact {
		var square, error float64
		for j, v := range p.Data {
			square += float64(v) * float64(v)
			error += math.Pow(float64(rounded[i].Data[j]-v), 2)
		}
		if share := math.Sqrt(error / square); !(share < 0.03) || share == 0 {
			t.Errorf("%s: bfloat16 products change the gradient by %v of its norm, want some, below 0.03", p.Name, share)
		}
	}
}

// TestTrainingStepAllocations: a step reuses its buffers, on more threads than one too.
func TestTrainingStepAllocations(t *testing.T) {
	m := random(t, medium(), 1)
	rng := rand.New(rand.NewPCG(9, 9))
	b := pack(randomTokens(rng, 250, m.Vocab), randomTokens(rng, 100, m.Vocab))
	for _, options := range []TraceOptions{{}, {Precision: kernels.BFloat16, Recompute: true}} {
		for _, threads := range []int{1, 2} {
			restore := parallel.SetThreads(threads)
			trace, g := NewTrace(m, len(b.Tokens), options), NewGradients(m)
			dHidden := make([]float32, len(b.Tokens)*m.Hidden)
			step := func() {
				copy(dHidden, trace.Forward(context.Background(), m, b))
				trace.Backward(context.Background(), m, dHidden, g)
			}
			for range 10 { // until as many buffers are there as threads can hold at once
				step()
			}
			if n := testing.AllocsPerRun(5, step); n > 0 {
				t.Errorf("%+v, %d threads: %v allocations a step", options, threads, n)
			}
			restore()
		}
	}
}

func BenchmarkTrainingStep(b *testing.B) {
	c := Config{Architecture: "LlamaForCausalLM", Vocab: 1024, Hidden: 128, HeadDim: 32, Layers: Uniform(4, 4, 2, 384),
		MaxPositions: 512, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}
	m := random(b, c, 1)
	rng := rand.New(rand.NewPCG(9, 9))
	var sequences [][]int32
	for range 16 {
		sequences = append(sequences, randomTokens(rng, 128, m.Vocab))
	}
	batch := pack(sequences...)
	trace, g := NewTrace(m, len(batch.Tokens), TraceOptions{}), NewGradients(m)
	dHidden := make([]float32, len(batch.Tokens)*m.Hidden)
	b.ReportAllocs()
	for b.Loop() {
		copy(dHidden, trace.Forward(context.Background(), m, batch))
		trace.Backward(context.Background(), m, dHidden, g)
	}
	b.ReportMetric(float64(len(batch.Tokens)*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// From the embeddings on the layers alone compute what a whole pass does, and their gradients are
// its, bit for bit, given that of the stream behind the last one.
func TestStreamPassIsTheLayersOfAWholeOne(t *testing.T) {
	for name, c := range families() {
		m := random(t, c, 4)
		rng := rand.New(rand.NewPCG(6, 6))
		b := pack(randomTokens(rng, 5, m.Vocab), randomTokens(rng, 8, m.Vocab))
		rows := len(b.Tokens)
		dHidden := make([]float32, rows*m.Hidden)
		for i := range dHidden {
			dHidden[i] = float32(rng.NormFloat64())
		}
		whole, g := NewTrace(m, rows, TraceOptions{}), NewGradients(m)
		hidden := slices.Clone(whole.Forward(context.Background(), m, b))
		dOut, dNorm := make([]float32, rows*m.Hidden), make([]float32, m.Hidden)
		m.rmsNorm(m.FinalNorm).Backward(dOut, dNorm, dHidden, whole.last, whole.rstd, rows)
		whole.Backward(context.Background(), m, slices.Clone(dHidden), g)

		x := make([]float32, rows*m.Hidden)
		m.Embed(x, b.Tokens)
		layers, gl := NewTrace(m, rows, TraceOptions{}), NewGradients(m)
		out := slices.Clone(layers.ForwardStream(context.Background(), m, x, b.Starts))
		layers.BackwardStream(context.Background(), m, dOut, gl)
		normed := make([]float32, len(out))
		m.rmsNorm(m.FinalNorm).Forward(normed, nil, out, rows)
		if !slices.Equal(normed, hidden) {
			t.Errorf("%s: other hidden states", name)
		}
		for i := range m.Blocks {
			for j, p := range g.views.BlockTensors(i) {
				if !slices.Equal(p.Data, gl.views.BlockTensors(i)[j].Data) {
					t.Errorf("%s: another gradient of %s", name, p.Name)
				}
			}
		}
	}
}
