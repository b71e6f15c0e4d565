package calibrate

import (
	"context"
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

// Stats are the statistics of the input of the linear layers at one site of one layer.
type Stats struct {
	Layer   int
	Site    model.Site
	Width   int
	Tokens  int          // 0 where there is no calibration: the rest is empty then
	Gram    matrix.Dense // [width, width], the mean of x·xᵀ over all tokens, not damped
	MaxAbs  []float64    // [width], the largest |x| of each channel
	MeanAbs []float64    // [width], the mean |x| of each channel
}

// Place names the statistics' input, such as "layer 3, input of o_proj".
func (s *Stats) Place() string {
	readers := [...]string{"q_proj, k_proj, v_proj", "o_proj", "gate_proj, up_proj", "down_proj"}
	return fmt.Sprintf("layer %d, input of %s", s.Layer, readers[s.Site])
}

// blockRows bounds the number of products that are summed in float32 before the sum goes to
// float64.
const blockRows = 256

// sums accumulates the statistics of one site.
type sums struct {
	width, tokens  int
	gram           []float64 // upper triangle of [width, width]
	maxAbs, sumAbs []float64
	products       []float32 // of one block
	pending        []float32 // rows that are no whole block yet
}

func newSums(width int) *sums {
	return &sums{width: width, gram: make([]float64, width*width), products: make([]float32, width*width),
		maxAbs: make([]float64, width), sumAbs: make([]float64, width)}
}

// add takes rows more tokens, x [rows, width], unless ctx ends. Blocks are filled across calls, so
// that their sums do not depend on how the tokens were divided between the calls.
func (s *sums) add(ctx context.Context, x []float32, rows int) {
	for size := blockRows * s.width; rows > 0 && ctx.Err() == nil; {
		n := min(rows, blockRows-len(s.pending)/s.width)
		part := x[:n*s.width]
		x, rows = x[n*s.width:], rows-n
		if len(part) == size {
			s.block(part)
			continue
		}
		if s.pending = append(s.pending, part...); len(s.pending) == size {
			s.flush()
		}
	}
}

// flush ends a block, whole or not.
func (s *sums) flush() {
	if len(s.pending) > 0 {
		s.block(s.pending)
		s.pending = s.pending[:0]
	}
}

func (s *sums) block(x []float32) {
	n, rows := s.width, len(x)/s.width
	kernels.Gram(s.products, x, rows, n)
	parallel.Range(n, 64, func(first, last int) {
		for i := first; i < last; i++ {
			sum := s.gram[i*n+i : (i+1)*n]
			for j, v := range s.products[i*n+i : (i+1)*n] {
				sum[j] += float64(v)
			}
		}
		for i := range rows {
			for j := first; j < last; j++ {
				a := math.Abs(float64(x[i*n+j]))
				s.sumAbs[j] += a
				s.maxAbs[j] = max(s.maxAbs[j], a)
			}
		}
	})
	s.tokens += rows
}

// stats ends the sums, whose memory it takes.
func (s *sums) stats() *Stats {
	for j := range s.sumAbs {
		s.sumAbs[j] /= float64(s.tokens)
	}
	s.average()
	return &Stats{Width: s.width, Tokens: s.tokens, Gram: matrix.NewDense(s.width, s.width, s.gram), MaxAbs: s.maxAbs, MeanAbs: s.sumAbs}
}

// average divides the Gram matrix by the number of tokens and fills its lower triangle.
func (s *sums) average() {
	// squares that the caches hold, since one side of the copy is read down its columns
	const square = 64
	n, share := s.width, 1/float64(s.tokens)
	parallel.Range(n, square, func(first, last int) {
		for i := first; i < last; i++ {
			for j := i; j < n; j++ {
				s.gram[i*n+j] *= share
			}
		}
	})
	parallel.Range(n, square, func(first, last int) {
		for left := 0; left < last; left += square {
			for i := first; i < last; i++ {
				for j := left; j < min(left+square, i); j++ {
					s.gram[i*n+j] = s.gram[j*n+i]
				}
			}
		}
	})
}
