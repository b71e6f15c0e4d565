package quant

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

// inEveryFormat returns the same model with weights in each format that inference knows.
func inEveryFormat(t *testing.T) map[string]*model.Model {
	t.Helper()
	m := newModel(t, "LlamaForCausalLM", 96)
	m.MaxPositions = 128
	models := map[string]*model.Model{"float32": m, "bfloat16": m.InBFloat16()}
	for _, name := range []string{"w8a8", "w4a16-rtn-g32", "w4a16-asym-rtn-g32", "w4a8-rtn-g32"} {
		q, _ := quantize(t, m, name, nil)
		models[name] = q
	}
	return models
}

// run extends sequences through a pool of their own, chunk tokens of each at a time, and returns
// each one's last hidden state.
func run(t *testing.T, m *model.Model, format kernels.KVFormat, pageSize, chunk int, sequences [][]int32) [][]float32 {
	t.Helper()
	const pages = 128
	pool, err := model.NewKVPool(m.Config, format, pages, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	free := rand.New(rand.NewPCG(5, 5)).Perm(pages)
	tables := make([][]int32, len(sequences))
	for i, s := range sequences {
		for range (len(s) + pageSize - 1) / pageSize {
			tables[i] = append(tables[i], int32(free[0]))
			free = free[1:]
		}
	}
	step := model.NewExtender(m.Config, 64)
	last := make([][]float32, len(sequences))
	for start := 0; ; start += chunk {
		var segments []model.Segment
		var of []int
		for i, s := range sequences {
			if start < len(s) {
				segments = append(segments, model.Segment{Tokens: s[start:min(start+chunk, len(s))], Start: start, Pages: tables[i]})
				of = append(of, i)
			}
		}
		if len(segments) == 0 {
			return last
		}
		hidden := step.Extend(m, pool, segments)
		for i, s := range of {
			last[s] = slices.Clone(hidden[i*m.Hidden : (i+1)*m.Hidden])
		}
	}
}

// TestBitsDoNotDependOnTheStep: in every format of weights and of the cache a sequence has the same
// bits alone and among others, whole and in chunks, in pages of any size, on any number of threads.
func TestBitsDoNotDependOnTheStep(t *testing.T) {
	for name, m := range inEveryFormat(t) {
		for _, format := range []kernels.KVFormat{kernels.KVFloat32, kernels.KVBFloat16, kernels.KVInt8, kernels.KVInt4} {
			t.Run(fmt.Sprintf("%s/%v", name, format), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(7, 7))
				var sequences [][]int32
				for _, n := range []int{70, 1, 33, 70, 17} {
					s := make([]int32, n)
					for i := range s {
						s[i] = int32(rng.IntN(m.Vocab))
					}
					sequences = append(sequences, s)
				}
				want := make([][]float32, len(sequences))
				for i, s := range sequences {
					want[i] = run(t, m, format, 64, len(s), [][]int32{s})[0]
				}
				for _, c := range []struct{ pageSize, chunk, threads int }{{16, 70, 2}, {64, 1, 1}, {2, 7, 3}, {32, 40, 2}} {
					restore := parallel.SetThreads(c.threads)
					got := run(t, m, format, c.pageSize, c.chunk, sequences)
					restore()
					for i := range want {
						if !slices.Equal(got[i], want[i]) {
							t.Errorf("%+v: sequence %d of %d tokens has other bits than alone", c, i, len(sequences[i]))
						}
					}
				}
			})
		}
	}
}

// TestDecodeStepAllocations: a step that decodes a token of each sequence, its logits included,
// allocates nothing once buffers are there.
func TestDecodeStepAllocations(t *testing.T) {
	for name, m := range inEveryFormat(t) {
		for _, threads := range []int{1, 2} {
			restore := parallel.SetThreads(threads)
			pool, err := model.NewKVPool(m.Config, kernels.KVBFloat16, 8, 64)
			if err != nil {
				t.Fatal(err)
			}
			step := model.NewExtender(m.Config, 4)
			segments := []model.Segment{
				{Tokens: []int32{1}, Start: 40, Pages: []int32{3}},
				{Tokens: []int32{2}, Start: 70, Pages: []int32{5, 1}},
			}
			logits := make([]float32, 2*m.Vocab)
			decode := func() { m.Logits(logits, step.Extend(m, pool, segments), 2) }
			for range 10 { // until as many buffers are there as threads can hold at once
				decode()
			}
			if n := testing.AllocsPerRun(20, decode); n > 0 {
				t.Errorf("%s on %d threads: %v allocations a step", name, threads, n)
			}
			restore()
		}
	}
}
