package doctor

import (
	"fmt"
	"slices"
	"sync/atomic"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// kernelCase is one kernel on one size, ready to run.
type kernelCase struct {
	name, format, shape string
	rows                int
	arithmetic          string // the Loop that limits it
	// of a call; bytes are those of the memory that it touches, each once
	operations, bytes float64
	run               func()
}

// family is cases that share memory, which is allocated when they are measured.
type family struct {
	name string
	make func(g *generator) []kernelCase
}

// sizes are what kernels are measured on.
type sizes struct {
	squares                        []int    // edges of square float32 weights
	weights                        [][2]int // out and in
	rows                           []int
	vocab                          [2]int
	vocabRows                      []int
	prefills                       []int // tokens
	context                        int   // positions before the one that is decoded
	tokens                         int   // rows of row kernels
	hidden, heads, kvHeads, dim    int
	mlp, adamW, logits, logitsRows int
}

// fullSizes are those of a model with half a billion parameters (Qwen2.5-0.5B).
var fullSizes = sizes{
	squares: []int{1024, 2048},
	weights: [][2]int{{4864, 896}, {896, 4864}}, rows: []int{1, 8, 64, 512},
	vocab: [2]int{151936, 896}, vocabRows: []int{1, 8},
	prefills: []int{512, 4096}, context: 4095,
	tokens: 512, hidden: 896, heads: 14, kvHeads: 2, dim: 64, mlp: 4864,
	adamW: 1 << 20, logits: 32000, logitsRows: 64,
}

// quickSizes leave out what is slow or says much the same.
func quickSizes() sizes {
	s := fullSizes
	s.squares, s.weights, s.rows = []int{1024}, s.weights[:1], []int{1, 8, 512}
	s.vocabRows, s.prefills, s.context = nil, []int{512}, 1023
	return s
}

func (s sizes) families(threads int) []family {
	list := []family{{"square weights", s.squareCases}}
	for _, f := range formats {
		for _, shape := range s.weights {
			list = append(list, family{fmt.Sprintf("%s %v", f.name, shapeText(shape)), func(g *generator) []kernelCase { return weightCases(g, f, shape, s.rows) }})
		}
		if len(s.vocabRows) > 0 {
			list = append(list, family{fmt.Sprintf("%s %v", f.name, shapeText(s.vocab)), func(g *generator) []kernelCase { return weightCases(g, f, s.vocab, s.vocabRows) }})
		}
	}
	list = append(list, family{"attention", s.attentionCases}, family{"row kernels", s.rowCases})
	if threads > 1 {
		list = append(list, family{"parallel regions", func(*generator) []kernelCase { return []kernelCase{regionCase(threads)} }})
	}
	return list
}

func shapeText[T [2]int | [3]int](shape T) string {
	switch s := any(shape).(type) {
	case [2]int:
		return fmt.Sprintf("[%d, %d]", s[0], s[1])
	case [3]int:
		return fmt.Sprintf("[%d, %d, %d]", s[0], s[1], s[2])
	}
	return ""
}

// squareCases are float32 weights of other shapes than those of a model's layers: as a model runs
// them, packed.
func (s sizes) squareCases(g *generator) []kernelCase {
	var cases []kernelCase
	for _, n := range s.squares {
		cases = append(cases, weightCases(g, formats[0], [2]int{n, n}, []int{n})...)
	}
	return cases
}

// vector is n numbers of unit variance.
func vector(g *generator, n int) []float32 { return slices.Clone(g.float32s(n, 1)) }

func weightCases(g *generator, f format, shape [2]int, rows []int) []kernelCase {
	out, in := shape[0], shape[1]
	w := f.random(g, out, in)
	most := slices.Max(rows)
	x, y := vector(g, most*in), make([]float32, most*out)
	var cases []kernelCase
	for _, n := range rows {
		cases = append(cases, kernelCase{
			name: "weight", format: f.name, shape: shapeText(shape), rows: n, arithmetic: f.arithmetic,
			operations: 2 * float64(n) * float64(out) * float64(in), bytes: float64(w.Bytes()) + 4*float64(n)*float64(out+in),
			run: func() { w.MulT(y[:n*out], x[:n*in], n) },
		})
	}
	return cases
}

// attentionCases are over caches of each format; the backward pass has no cache.
func (s sizes) attentionCases(g *generator) []kernelCase {
	shape := fmt.Sprintf("%d/%d heads of %d", s.heads, s.kvHeads, s.dim)
	width, kvWidth := s.heads*s.dim, s.kvHeads*s.dim
	var cases []kernelCase
	add := func(name, format, arithmetic string, rows, start int, passes float64, bytes int64, run func()) {
		pairs := float64(rows)*float64(start) + float64(rows)*float64(rows+1)/2
		cases = append(cases, kernelCase{
			name: name, format: format, shape: shape, rows: rows, arithmetic: arithmetic,
			operations: passes * 4 * pairs * float64(width), bytes: float64(bytes), run: run,
		})
	}
	for _, f := range cacheFormats {
		paged := func(name string, rows, start int) {
			l, segments := s.cache(g, f, rows, start)
			q, out := vector(g, rows*width), make([]float32, rows*width)
			add(name, f.String(), cacheArithmetic(f), rows, start, 1, l.Bytes()+int64(8*rows*width), func() {
				kernels.AttentionPaged(out, q, l, segments, s.heads)
			})
		}
		for _, n := range s.prefills {
			paged("prefill", n, 0)
		}
		paged(fmt.Sprintf("decode after %d", s.context), 1, s.context)
	}

	n := s.prefills[0]
	q, k, v, dout := vector(g, n*width), vector(g, n*kvWidth), vector(g, n*kvWidth), vector(g, n*width)
	out, dq, dk, dv := make([]float32, n*width), make([]float32, n*width), make([]float32, n*kvWidth), make([]float32, n*kvWidth)
	lse, starts := make([]float32, n*s.heads), []int{0, n}
	kernels.Attention{Q: q, K: k, V: v, Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim}.Forward(out, lse)
	// Two products forwards are five backwards: the scores again, and a gradient for each of four
	// operands.
	add("attention backward", "float32", "float32", n, 0, 2.5, int64(4*(4*n*width+4*n*kvWidth)), func() {
		kernels.Attention{Q: q, K: k, V: v, Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim}.Backward(dq, dk, dv, dout, out, lse)
	})
	return cases
}

// cacheFormats are those whose attention is measured alone.
var cacheFormats = []kernels.KVFormat{kernels.KVBFloat16, kernels.KVFloat32, kernels.KVInt8, kernels.KVInt4}

// cacheArithmetic is the Loop that limits attention over a cache: codes are widened to bfloat16.
func cacheArithmetic(f kernels.KVFormat) string {
	if f == kernels.KVFloat32 {
		return "float32"
	}
	return "bfloat16"
}

// cache is a layer with random keys and values for rows new positions after start others, in whole
// blocks.
func (s sizes) cache(g *generator, f kernels.KVFormat, rows, start int) (*kernels.KVLayer, []kernels.KVSegment) {
	n := start + rows
	table := make([]int32, (n+kernels.KVBlock-1)/kernels.KVBlock)
	for i := range table {
		table[i] = int32(i)
	}
	l := kernels.NewKVLayer(f, len(table), kernels.KVBlock, s.kvHeads, s.dim)
	k, v := vector(g, n*s.kvHeads*s.dim), vector(g, n*s.kvHeads*s.dim)
	kernels.StoreKV(l, k, v, []kernels.KVSegment{{Table: table, Rows: n}})
	return l, []kernels.KVSegment{{Table: table, Rows: rows, Start: start}}
}

func (s sizes) rowCases(g *generator) []kernelCase {
	n := s.tokens
	x, y, w := vector(g, n*s.hidden), make([]float32, n*s.hidden), vector(g, s.hidden)
	gate, up, h := vector(g, n*s.mlp), vector(g, n*s.mlp), make([]float32, n*s.mlp)
	q, positions, table := vector(g, n*s.heads*s.dim), make([]int32, n), kernels.NewRopeTable(n, kernels.RopeFrequencies(s.dim, 1e4), 1)
	for i := range positions {
		positions[i] = int32(i)
	}
	logits, labels, weights, loss := vector(g, s.logitsRows*s.logits), make([]int32, s.logitsRows), make([]float32, s.logitsRows), make([]float32, s.logitsRows)
	for i := range weights {
		weights[i] = 1
	}
	p, gradient, m, v := vector(g, s.adamW), vector(g, s.adamW), make([]float32, s.adamW), make([]float32, s.adamW)
	adamW := kernels.AdamW{LearningRate: 1e-6, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Step: 10, GradScale: 1}
	// An exponential takes 14 instructions of an element, of which each could have been a
	// multiply-add.
	const exponential = 14
	row := func(name string, rows, width, instructions, bytes int, run func()) kernelCase {
		return kernelCase{
			name: name, shape: fmt.Sprintf("%d wide", width), rows: rows, arithmetic: "float32",
			operations: 2 * float64(instructions) * float64(rows*width), bytes: float64(bytes) * float64(rows*width), run: run,
		}
	}
	return []kernelCase{
		row("RMSNorm", n, s.hidden, 3, 8, func() { kernels.RMSNorm{Weight: w, Epsilon: 1e-6}.Forward(y, nil, x, n) }),
		row("residual sum", n, s.hidden, 1, 8, func() { kernels.Add(y, x) }),
		row("rotary positions", n, s.heads*s.dim, 2, 4, func() { kernels.Rope(q, positions, s.heads, table) }),
		row("SwiGLU", n, s.mlp, exponential+4, 12, func() { kernels.SwiGLU(h, gate, up) }),
		row("cross-entropy", s.logitsRows, s.logits, exponential+4, 4, func() { kernels.CrossEntropy(loss, logits, labels, weights, s.logitsRows, s.logits) }),
		row("AdamW", 1, s.adamW, 13, 16, func() { adamW.Update(p, gradient, m, v) }),
	}
}

// regionCase is what it costs to have every thread begin and to wait for all of them: each piece of
// work waits for the others to have begun.
func regionCase(threads int) kernelCase {
	var begun atomic.Int64
	meet := func(int) {
		begun.Add(1)
		for range 1 << 20 { // a bound for threads that have no core of their own
			if begun.Load() >= int64(threads) {
				return
			}
		}
	}
	return kernelCase{name: "parallel region", shape: fmt.Sprintf("%s %s", plural.Of(threads, "thread"), plural.Words(threads, "alone", "meet")), run: func() {
		begun.Store(0)
		parallel.For(threads, meet)
	}}
}
