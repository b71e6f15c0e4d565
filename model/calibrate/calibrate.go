// Package calibrate runs calibration sequences through a model once, layer by layer, and gathers
// what layer-wise compression needs to know about the input of every linear layer: the Gram matrix
// Σ x·xᵀ, the token count, the largest and the mean magnitude of each channel.
//
// The residual stream of all sequences is kept, [tokens, hidden], and moved through one half of a
// layer at a time. A Visitor sees the statistics of an input before the linear layers that read it
// are used for good, and may replace them: the walk then goes on through the changed model, so that
// later layers are calibrated on what they will really see (OSSCAR's and GPTQ's sequential order:
// q, k, v, then o, then gate and up, then down, then the next layer).
//
// With Options.Blocks a model need not be in memory: its layers come one at a time and may go again
// when the walk has left them.
//
// Promises: the statistics are those of exactly the given tokens (sequences are packed, there is no
// padding to leak in), attention's output is seen before o_proj, and the same sequences give the
// same bits whatever the number of threads. Products are float32 over blocks of at most blockRows
// tokens; sums over blocks are float64.
//
// It leaves out: choosing and tokenizing the text, keeping statistics on disk, cross moments
// between two models.
package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"slimlab/kernels"
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

// Sequence is the token ids of one calibration text.
type Sequence = []int32

// Stats are the input statistics of the linear layers at one site of one layer.
type Stats struct {
	Layer  int
	Site   model.Site
	Width  int
	Tokens int
	Gram   *mat.SymDense // [width, width], Σ x·xᵀ over all tokens: neither divided nor damped
	MaxAbs []float64     // [width], the largest |x| of each channel
	// MeanAbs is the mean |x| of each channel, [width].
	MeanAbs []float64
}

// Visitor is shown the statistics of a site before its linear layers are used for good. It may
// replace weights and widths of that half of the layer in the model being walked. The Stats are its
// own to keep.
type Visitor func(*Stats) error

// Options say what to gather and how.
type Options struct {
	Sites       []model.Site // the sites that the visitor wants to see; none means all four
	ChunkTokens int          // whole sequences run together up to this many tokens; 0 means 2048
	Blocks      Blocks       // of a model that is not in memory; nil for one that is
}

// Blocks brings the layers of a model into memory one at a time, and its embeddings.
type Blocks interface {
	// Embed writes the embeddings of tokens to x [tokens, hidden].
	Embed(x []float32, tokens []int32) error
	// Load brings a layer into the model, in ascending order. A finished one is not visited, but
	// run.
	Load(layer int) (finished bool, err error)
	// Leave is called when the walk needs the layer no more, all that the visitor did to it
	// included.
	Leave(layer int) error
}

// inMemory is a model that is there as a whole.
type inMemory struct{ m *model.Model }

func (b inMemory) Embed(x []float32, tokens []int32) error { b.m.Embed(x, tokens); return nil }
func (inMemory) Load(int) (bool, error)                    { return false, nil }
func (inMemory) Leave(int) error                           { return nil }

// blockRows bounds the number of products that are summed in float32 before the sum goes to
// float64.
const blockRows = 256

// Walk moves the sequences through m, layer by layer, and calls visit for each wanted site in the
// order of the data: SiteQKV, SiteO, SiteGateUp, SiteDown. Each half of a layer runs up to each of
// its wanted sites, and once more, to its end, for good.
func Walk(ctx context.Context, m *model.Model, sequences []Sequence, o Options, visit Visitor) error {
	batches, err := pack(m, sequences, o.ChunkTokens)
	if err != nil {
		return err
	}
	blocks := o.Blocks
	if blocks == nil {
		blocks = inMemory{m}
	}
	w := walk{model: m, batches: batches}
	if err := w.embed(blocks); err != nil {
		return err
	}
	for layer := range m.Blocks {
		finished, err := blocks.Load(layer)
		if err != nil {
			return err
		}
		if err := w.layer(ctx, layer, finished, o.Sites, visit); err != nil {
			return err
		}
		if err := blocks.Leave(layer); err != nil {
			return err
		}
	}
	return nil
}

// layer shows the wanted sites of a layer, unless it is finished, and moves the streams through it.
func (w *walk) layer(ctx context.Context, layer int, finished bool, wanted []model.Site, visit Visitor) error {
	halves := [][]model.Site{{model.SiteQKV, model.SiteO}, {model.SiteGateUp, model.SiteDown}}
	for half, sites := range halves {
		for _, site := range sites {
			if finished || len(wanted) > 0 && !slices.Contains(wanted, site) {
				continue
			}
			stats, err := w.gather(ctx, layer, half, site)
			if err != nil {
				return err
			}
			if err := visit(stats); err != nil {
				return err
			}
		}
		if layer == len(w.model.Blocks)-1 && half == len(halves)-1 {
			break // nobody looks at what leaves the last layer
		}
		if err := w.advance(ctx, layer, half); err != nil {
			return err
		}
	}
	return nil
}

// Tokens counts the tokens of the sequences.
func Tokens(sequences []Sequence) int {
	n := 0
	for _, s := range sequences {
		n += len(s)
	}
	return n
}

// walk is the residual stream of all sequences on its way through the model.
type walk struct {
	model   *model.Model
	batches []model.Batch
	streams [][]float32 // one a batch, [tokens, hidden]
}

// pack checks the sequences and joins them, in order, to batches of up to chunk tokens (a longer
// sequence is a batch of its own).
func pack(m *model.Model, sequences []Sequence, chunk int) ([]model.Batch, error) {
	if len(sequences) == 0 {
		return nil, errors.New("calibration: no sequences")
	}
	if chunk <= 0 {
		chunk = 2048
	}
	var batches []model.Batch
	for i, s := range sequences {
		if len(s) == 0 {
			return nil, fmt.Errorf("calibration: sequence %d is empty", i)
		}
		if len(s) > m.MaxPositions {
			return nil, fmt.Errorf("calibration: sequence %d has %d tokens, the model takes at most %d", i, len(s), m.MaxPositions)
		}
		for at, token := range s {
			if token < 0 || int(token) >= m.Vocab {
				return nil, fmt.Errorf("calibration: sequence %d, token %d is %d, outside the vocabulary of %d", i, at, token, m.Vocab)
			}
		}
		if n := len(batches); n == 0 || len(batches[n-1].Tokens)+len(s) > chunk {
			batches = append(batches, model.Batch{Starts: []int{0}})
		}
		b := &batches[len(batches)-1]
		b.Tokens = append(b.Tokens, s...)
		b.Starts = append(b.Starts, len(b.Tokens))
	}
	return batches, nil
}

func (w *walk) embed(blocks Blocks) error {
	for _, b := range w.batches {
		x := make([]float32, len(b.Tokens)*w.model.Hidden)
		if err := blocks.Embed(x, b.Tokens); err != nil {
			return err
		}
		w.streams = append(w.streams, x)
	}
	return nil
}

// run moves one batch's stream x through half a layer: 0 is attention, 1 is the MLP.
func (w *walk) run(x []float32, b model.Batch, layer, half int, tap model.Tap) {
	if half == 0 {
		w.model.Attention(layer, x, b, tap)
	} else {
		w.model.MLP(layer, x, len(b.Tokens), tap)
	}
}

// advance moves the streams through half a layer for good.
func (w *walk) advance(ctx context.Context, layer, half int) error {
	for i, b := range w.batches {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.run(w.streams[i], b, layer, half, nil)
	}
	return nil
}

// gather runs half a layer up to one of its sites and returns the statistics of that.
func (w *walk) gather(ctx context.Context, layer, half int, want model.Site) (*Stats, error) {
	var sums *sums
	tap := func(_ int, site model.Site, x []float32, rows, width int) (more bool) {
		if site != want {
			return true
		}
		if sums == nil {
			sums = newSums(width)
		}
		sums.add(x, rows)
		return false
	}
	for i, b := range w.batches {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w.run(w.streams[i], b, layer, half, tap)
	}
	s := sums.stats()
	s.Layer, s.Site = layer, want
	for j, v := range s.MeanAbs {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("calibration: layer %d, %s: channel %d is not finite", layer, SiteName(want), j)
		}
	}
	return s, nil
}

// Matrix is a symmetric matrix for products and factorisations, over the same memory, whose lower
// triangle it fills.
func Matrix(h *mat.SymDense) matrix.Dense {
	raw := h.RawSymmetric()
	// squares that the caches hold, since one side of the copy is read down its columns
	const block = 64
	parallel.Range(raw.N, block, func(first, last int) {
		for left := 0; left < last; left += block {
			for i := first; i < last; i++ {
				for j := left; j < min(left+block, i); j++ {
					raw.Data[i*raw.Stride+j] = raw.Data[j*raw.Stride+i]
				}
			}
		}
	})
	return matrix.Dense{Rows: raw.N, Cols: raw.N, RowStride: raw.Stride, ColStride: 1, Data: raw.Data}
}

// Dense is a dense matrix for products and factorisations, over the same memory.
func Dense(m *mat.Dense) matrix.Dense {
	raw := m.RawMatrix()
	return matrix.Dense{Rows: raw.Rows, Cols: raw.Cols, RowStride: raw.Stride, ColStride: 1, Data: raw.Data}
}

// SiteName is the Hugging Face name of the linear layers that read a site.
func SiteName(s model.Site) string {
	return [...]string{"input of q_proj, k_proj, v_proj", "input of o_proj", "input of gate_proj, up_proj", "input of down_proj"}[s]
}

// sums accumulates the statistics of one site.
type sums struct {
	width, tokens  int
	gram           []float64 // upper triangle of [width, width]
	maxAbs, sumAbs []float64
	block          []float32 // one block's float32 products
}

func newSums(width int) *sums {
	return &sums{width: width, gram: make([]float64, width*width), block: make([]float32, width*width),
		maxAbs: make([]float64, width), sumAbs: make([]float64, width)}
}

// add takes rows more tokens, x [rows, width].
func (s *sums) add(x []float32, rows int) {
	n := s.width
	for start := 0; start < rows; start += blockRows {
		r := min(blockRows, rows-start)
		xb := x[start*n : (start+r)*n]
		kernels.Gram(s.block, xb, r, n)
		parallel.Range(n, 64, func(first, last int) {
			for i := first; i < last; i++ {
				sum := s.gram[i*n+i : (i+1)*n]
				for j, v := range s.block[i*n+i : (i+1)*n] {
					sum[j] += float64(v)
				}
			}
			for i := range r {
				for j := first; j < last; j++ {
					a := math.Abs(float64(xb[i*n+j]))
					s.sumAbs[j] += a
					s.maxAbs[j] = max(s.maxAbs[j], a)
				}
			}
		})
	}
	s.tokens += rows
}

func (s *sums) stats() *Stats {
	for j := range s.sumAbs {
		s.sumAbs[j] /= float64(s.tokens)
	}
	return &Stats{Width: s.width, Tokens: s.tokens, Gram: mat.NewSymDense(s.width, s.gram), MaxAbs: s.maxAbs, MeanAbs: s.sumAbs}
}
