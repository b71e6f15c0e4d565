package calibrate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"slimlab/kernels"
	"slimlab/kernels/matrix"
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

// Stats are the statistics of the input x of the linear layers at one site of one layer.
type Stats struct {
	Layer   int
	Site    model.Site
	Width   int
	Tokens  int          // 0 where there is no calibration: the rest is empty then
	Gram    matrix.Dense // [width, width], the mean of x·xᵀ over all tokens, not damped, of float32 numbers
	MaxAbs  []float64    // [width], the largest |x| of each channel
	MeanAbs []float64    // [width], the mean |x| of each channel
	Mean    []float64    // [width], the mean x of each channel
	Sample  []float32    // [tokens, width], the input of some tokens; see Settings
	// [width, width], the mean of x·dᵀ, d the input in the dense model; empty where x is that, or
	// where no target asks for it
	Cross matrix.Dense
	Blend float64 // the share of the dense model in the target, see Target
}

var siteNames = [...]string{"input of q_proj, k_proj, v_proj", "input of o_proj", "input of gate_proj, up_proj", "input of down_proj"}

// Place names the statistics' input, such as "layer 3, input of o_proj".
func (s *Stats) Place() string { return fmt.Sprintf("layer %d, %s", s.Layer, siteNames[s.Site]) }

const (
	// BlockRows of inputs are gathered and multiplied at a time.
	BlockRows = 1024
	// sumRows bounds the number of products that are summed in float32 before the sum goes to
	// float64
	sumRows = 4096
)

// sums accumulates the statistics of one site.
type sums struct {
	width, tokens int
	precision     kernels.Precision
	gram          []float64 // upper triangle of [width, width]
	cross         []float64 // [width, width]; nil where there is no dense model beside
	largest       []float32
	sumAbs, sum   []float64
	products      []float32 // sums of up to sumRows
	crossProducts []float32 // the same of cross
	summed        int       // rows in these sums
	pending       []float32 // rows that are no whole block yet
	pendingDense  []float32 // the same of the dense model

	seen   int       // tokens, whole blocks or not
	drawn  []int     // tokens to come that are sampled
	sample []float32 // their inputs
}

func newSums(width int, precision kernels.Precision, cross bool, drawn []int) *sums {
	s := &sums{width: width, precision: precision, drawn: drawn, gram: memory.Aligned[float64](width * width), products: memory.Aligned[float32](width * width),
		largest: make([]float32, width), sumAbs: make([]float64, width), sum: make([]float64, width)}
	if cross {
		s.cross, s.crossProducts = memory.Aligned[float64](width*width), memory.Aligned[float32](width*width)
	}
	return s
}

// draw draws n of the numbers below tokens, in order, or all where they are fewer.
func draw(tokens, n int) []int {
	if n == 0 {
		return nil
	}
	rng := rand.New(rand.NewPCG(uint64(tokens), uint64(n)))
	drawn := make([]int, 0, min(n, tokens))
	for i := range tokens {
		if wanted := n - len(drawn); rng.IntN(tokens-i) < wanted {
			drawn = append(drawn, i)
		}
	}
	return drawn
}

// add takes rows more tokens, x [rows, width] and, beside a dense model, dense [rows, width],
// unless ctx ends. Blocks are filled across calls, so that their sums do not depend on how the
// tokens were divided between the calls.
func (s *sums) add(ctx context.Context, x, dense []float32, rows int) {
	for len(s.drawn) > 0 && s.drawn[0] < s.seen+rows {
		at := (s.drawn[0] - s.seen) * s.width
		s.sample, s.drawn = append(s.sample, x[at:at+s.width]...), s.drawn[1:]
	}
	s.seen += rows
	for size := BlockRows * s.width; rows > 0 && ctx.Err() == nil; {
		n := min(rows, BlockRows-len(s.pending)/s.width)
		part, partDense := x[:n*s.width], dense
		if s.cross != nil {
			partDense, dense = dense[:n*s.width], dense[n*s.width:]
		}
		x, rows = x[n*s.width:], rows-n
		if len(part) == size {
			s.block(part, partDense)
			continue
		}
		if s.cross != nil {
			s.pendingDense = appended(s.pendingDense, partDense, size)
		}
		if s.pending = appended(s.pending, part, size); len(s.pending) == size {
			s.flush()
		}
	}
}

// appended is append on all threads: the inputs of a wide layer are megabytes. What is appended to
// once is so again, up to most numbers, and has memory for all of them then.
func appended(x, more []float32, most int) []float32 {
	n := len(x)
	if all := n + len(more); cap(x) < all {
		if n > 0 {
			all = max(all, most)
		}
		room := memory.Aligned[float32](all)[:n]
		parallel.Range(n, 1<<16, func(lo, hi int) { copy(room[lo:hi], x[lo:hi]) })
		x = room
	}
	x = x[:n+len(more)]
	parallel.Range(len(more), 1<<16, func(lo, hi int) { copy(x[n+lo:n+hi], more[lo:hi]) })
	return x
}

// flush ends a block, whole or not.
func (s *sums) flush() {
	if len(s.pending) > 0 {
		s.block(s.pending, s.pendingDense)
		s.pending, s.pendingDense = s.pending[:0], s.pendingDense[:0]
	}
}

func (s *sums) block(x, dense []float32) {
	n, rows := s.width, len(x)/s.width
	kernels.AddGram(s.products, x, rows, n, s.precision)
	if s.cross != nil {
		kernels.AddCrossGram(s.crossProducts, x, dense, rows, n, s.precision)
	}
	kernels.AddMoments(s.sum, s.sumAbs, s.largest, x, rows)
	s.tokens += rows
	if s.summed += rows; s.summed >= sumRows {
		s.widen()
	}
}

// widen adds the sums of products to those in float64.
func (s *sums) widen() {
	n := s.width
	s.summed = 0
	parallel.Range(n, 64, func(first, last int) {
		for i := first; i < last; i++ {
			take(s.gram[i*n+i:(i+1)*n], s.products[i*n+i:(i+1)*n])
			if s.cross != nil {
				take(s.cross[i*n:(i+1)*n], s.crossProducts[i*n:(i+1)*n])
			}
		}
	})
}

// take adds numbers to sums, and leaves zeros.
func take(sums []float64, numbers []float32) {
	sums = sums[:len(numbers)]
	for j, v := range numbers {
		sums[j] += float64(v)
	}
	clear(numbers)
}

// stats ends the sums, whose memory it takes.
func (s *sums) stats() *Stats {
	if s.summed > 0 {
		s.widen()
	}
	maxAbs := make([]float64, s.width)
	for j := range s.sumAbs {
		maxAbs[j] = float64(s.largest[j])
		s.sumAbs[j] /= float64(s.tokens)
		s.sum[j] /= float64(s.tokens)
	}
	s.average()
	of := &Stats{Width: s.width, Tokens: s.tokens, Gram: matrix.NewDense(s.width, s.width, s.gram), MaxAbs: maxAbs, MeanAbs: s.sumAbs, Mean: s.sum, Sample: s.sample}
	if s.cross != nil {
		of.Cross = matrix.NewDense(s.width, s.width, s.cross)
	}
	return of
}

// average divides the moments by the number of tokens and rounds them to float32, as they are kept:
// a pass has the same bits with what it gathers and with what it finds. It fills the lower triangle
// of the Gram matrix.
func (s *sums) average() {
	n, share := s.width, 1/float64(s.tokens)
	parallel.Range(n, 64, func(first, last int) {
		for i := first; i < last; i++ {
			for j := i; j < n; j++ {
				s.gram[i*n+j] = float64(float32(s.gram[i*n+j] * share))
			}
			if s.cross != nil {
				for j := range n {
					s.cross[i*n+j] = float64(float32(s.cross[i*n+j] * share))
				}
			}
		}
	})
	Mirror(matrix.NewDense(n, n, s.gram))
}

// Mirror copies the upper triangle of a square matrix to the lower.
func Mirror(m matrix.Dense) {
	a, n := m.Data, m.Rows
	// squares that the caches hold, since one side of the copy is read down its columns
	const square = 64
	parallel.Range(n, square, func(first, last int) {
		for left := 0; left < last; left += square {
			for i := first; i < last; i++ {
				for j := left; j < min(left+square, i); j++ {
					a[i*n+j] = a[j*n+i]
				}
			}
		}
	})
}

// Silent counts the channels that were zero in all tokens.
func (s *Stats) Silent() int {
	n := 0
	for i := range s.Gram.Rows {
		if s.Gram.Row(i)[i] == 0 {
			n++
		}
	}
	return n
}

// Clone is a copy in memory of its own.
func (s *Stats) Clone() *Stats {
	c := *s
	c.Gram.Data, c.Cross.Data = slices.Clone(s.Gram.Data), slices.Clone(s.Cross.Data)
	c.MaxAbs, c.MeanAbs, c.Mean = slices.Clone(s.MaxAbs), slices.Clone(s.MeanAbs), slices.Clone(s.Mean)
	return &c
}
