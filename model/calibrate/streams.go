package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/weight"
)

// ErrNotFinite is in the error of a calibration whose activations are no longer finite numbers.
var ErrNotFinite = errors.New("not finite: the model's numbers are too large to compute with")

// NotFiniteError is an ErrNotFinite that was found in the input of a layer's half.
type NotFiniteError struct {
	Layer   int
	place   string
	channel int
}

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("calibration: %s: channel %d is %v", e.place, e.channel, ErrNotFinite)
}

// Unwrap returns ErrNotFinite.
func (e *NotFiniteError) Unwrap() error { return ErrNotFinite }

// PieceTokens run through half a layer between two looks at the context, or one sequence.
const PieceTokens = 256

// streams is the residual stream of all sequences on its way through the model.
type streams struct {
	model   *model.Model
	batches []model.Batch
	x       [][]float32 // one a batch, [tokens, hidden]
	drawn   []int       // tokens of all, in order, whose inputs are sampled

	precision kernels.Precision // of products with float32 weights, and of Gram matrices

	// what the last site of a half has as input, [tokens, width] of each piece, from its gathering
	// to the move through the half; nil where it was not gathered, or is too large
	inputs [][]float32
	// memory of all inputs, one after the other: of widest numbers a token from the first inputs
	// that are kept on, since those of before would be there still beside a larger one
	kept   []float32
	free   []float32 // of it, behind the inputs
	widest int
}

// InputBytes bounds the inputs of one site of all tokens that a pass keeps, so that it need not
// compute them twice.
const InputBytes = 2 << 30

// KeptInputs is the memory that a pass in the sequential order takes for the inputs of a site of a
// width, of so many tokens, beside all else: of two models where a target asks for the dense one.
// Above InputBytes they are not kept: then it is 0.
func KeptInputs(tokens, width int, target bool) int64 {
	n := 4 * int64(tokens) * int64(width)
	if target {
		n *= 2
	}
	if n > InputBytes {
		return 0
	}
	return n
}

func newStreams(ctx context.Context, m *model.Model, layers Layers, sequences []Sequence, chunk int) (*streams, error) {
	batches, err := pack(m, sequences, chunk)
	if err != nil {
		return nil, err
	}
	s := &streams{model: m, batches: batches}
	for _, b := range batches {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x := make([]float32, len(b.Tokens)*m.Hidden)
		if err := layers.Embed(x, b.Tokens); err != nil {
			return nil, err
		}
		s.x = append(s.x, x)
	}
	return s, nil
}

// pack checks the sequences and joins them, in order, to batches of up to chunk tokens (a longer
// sequence is a batch of its own).
func pack(m *model.Model, sequences []Sequence, chunk int) ([]model.Batch, error) {
	if chunk <= 0 {
		chunk = 2048
	}
	if err := Check(m, sequences); err != nil {
		return nil, err
	}
	var batches []model.Batch
	for _, s := range sequences {
		if n := len(batches); n == 0 || len(batches[n-1].Tokens)+len(s) > chunk {
			batches = append(batches, model.Batch{Starts: []int{0}})
		}
		b := &batches[len(batches)-1]
		b.Tokens = append(b.Tokens, s...)
		b.Starts = append(b.Starts, len(b.Tokens))
	}
	return batches, nil
}

func checkSequence(m *model.Model, i int, s Sequence) error {
	if len(s) == 0 {
		return fmt.Errorf("sequence %d is empty", i)
	}
	if len(s) > m.MaxPositions {
		return fmt.Errorf("sequence %d has %s, the model takes at most %d", i, plural.Of(len(s), "token"), m.MaxPositions)
	}
	for at, token := range s {
		if token < 0 || int(token) >= m.Vocab {
			return fmt.Errorf("sequence %d, token %d is %d, outside the vocabulary of %d", i, at, token, m.Vocab)
		}
	}
	return nil
}

// advance moves all streams through half a layer for good, from the inputs of its last site where
// these were kept. Of them stayed are still there, nil are all.
func (s *streams) advance(ctx context.Context, h half, stayed []int) error {
	s.round(h.layer)
	inputs := s.inputs
	s.inputs = nil
	if inputs != nil {
		return s.project(ctx, h, inputs, stayed)
	}
	for i, b := range s.batches {
		if err := s.run(ctx, s.x[i], b, h, nil); err != nil {
			return err
		}
	}
	return nil
}

// round makes the float32 weights of a layer multiply in the pass's precision.
func (s *streams) round(layer int) {
	for _, l := range s.model.BlockLinears(layer) {
		if d, ok := l.Weight.(*weight.Dense); ok {
			d.MultiplyIn(s.precision)
		}
	}
}

// project moves all streams through the last linear layer of a half.
func (s *streams) project(ctx context.Context, h half, inputs [][]float32, stayed []int) error {
	next := 0
	var selection []float32
	for i, b := range s.batches {
		for _, p := range pieces(b, h.part) {
			if err := ctx.Err(); err != nil {
				return err
			}
			rows := p.to - p.from
			input := inputs[next]
			if stayed != nil {
				selection = memory.Grown(selection, rows*len(stayed))
				selectColumns(selection, input, rows, stayed)
				input = selection
			}
			next++
			s.model.Project(h.layer, sites[h.part][1], s.x[i][p.from*s.model.Hidden:p.to*s.model.Hidden], input, rows)
		}
	}
	return nil
}

// take returns memory of n numbers for the inputs of a piece.
func (s *streams) take(n int) []float32 {
	if s.inputs == nil {
		tokens := 0
		for _, b := range s.batches {
			tokens += len(b.Tokens)
		}
		s.kept = memory.Grown(s.kept, tokens*s.widest)
		s.free = s.kept
	}
	x := s.free[:n:n]
	s.free = s.free[n:]
	return x
}

// selectColumns writes some columns of x, which has rows, to y [rows, columns].
func selectColumns(y, x []float32, rows int, columns []int) {
	width, n := len(x)/rows, len(columns)
	parallel.Range(rows, 16, func(lo, hi int) {
		for row := lo; row < hi; row++ {
			from, to := x[row*width:(row+1)*width], y[row*n:(row+1)*n]
			for at, j := range columns {
				to[at] = from[j]
			}
		}
	})
}

// clone is the same streams on their way through another model.
func (s *streams) clone(m *model.Model) *streams {
	c := &streams{model: m, batches: s.batches, precision: s.precision, widest: s.widest}
	for _, x := range s.x {
		c.x = append(c.x, slices.Clone(x))
	}
	return c
}

// piece is some whole sequences of a batch, or some of its tokens.
type piece struct {
	from, to int   // tokens
	starts   []int // of the sequences, from 0
}

// pieces divides a batch: no token's bits depend on the tokens of other sequences beside it, and
// the tokens of an MLP do not depend on each other.
func pieces(b model.Batch, part int) []piece {
	var list []piece
	if part == mlp {
		for from := 0; from < len(b.Tokens); from += PieceTokens {
			list = append(list, piece{from: from, to: min(from+PieceTokens, len(b.Tokens))})
		}
		return list
	}
	for first := 0; first < len(b.Starts)-1; {
		next, from := first+1, b.Starts[first]
		for next < len(b.Starts)-1 && b.Starts[next+1]-from <= PieceTokens {
			next++
		}
		p := piece{from: from, to: b.Starts[next]}
		for _, start := range b.Starts[first : next+1] {
			p.starts = append(p.starts, start-from)
		}
		list = append(list, p)
		first = next
	}
	return list
}

// run moves one batch's stream x through half a layer, a piece at a time.
func (s *streams) run(ctx context.Context, x []float32, b model.Batch, h half, tap model.Tap) error {
	for _, p := range pieces(b, h.part) {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.move(x, b, h, p, tap)
	}
	return nil
}

// move moves a piece of a batch's stream x through half a layer.
func (s *streams) move(x []float32, b model.Batch, h half, p piece, tap model.Tap) {
	x = x[p.from*s.model.Hidden : p.to*s.model.Hidden]
	if h.part == mlp {
		s.model.MLP(h.layer, x, p.to-p.from, tap)
		return
	}
	s.model.Attention(h.layer, x, model.Batch{Tokens: b.Tokens[p.from:p.to], Starts: p.starts}, tap)
}

// gather runs half a layer up to one of its sites and returns the statistics of that, with those
// across to the same site of other, which may be nil. The streams stay where they are. keep keeps
// the inputs.
func (s *streams) gather(ctx context.Context, h half, want model.Site, other *streams, keep bool) (*Stats, error) {
	var sums *sums
	var x, dense []float32 // of a piece
	width := 0
	copyOf := func(s *streams, to *[]float32) model.Tap {
		return func(_ int, site model.Site, input []float32, _, w int) (more bool) {
			if site != want {
				return true
			}
			if keep {
				*to = s.take(len(input))
			}
			*to, width = appended((*to)[:0], input, len(input)), w
			return false
		}
	}
	own, beside := copyOf(s, &x), copyOf(other, &dense)
	s.round(h.layer)
	if other != nil {
		other.round(h.layer)
	}
	for i, b := range s.batches {
		for _, p := range pieces(b, h.part) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s.move(s.x[i], b, h, p, own)
			if other != nil {
				other.move(other.x[i], b, h, p, beside)
			}
			if sums == nil {
				sums = newSums(width, s.precision, other != nil, s.drawn)
			}
			sums.add(ctx, x, dense, p.to-p.from)
			if !keep {
				continue
			}
			s.inputs = append(s.inputs, x)
			if other != nil {
				other.inputs = append(other.inputs, dense)
			}
		}
		sums.flush()
	}
	return finish(ctx, sums, h.layer, want)
}

// gatherLayer gathers the statistics of some sites of a layer in one run, into all; onward moves
// the streams through it.
func (s *streams) gatherLayer(ctx context.Context, layer int, want map[model.Site]bool, onward bool, all map[model.Site]*Stats) error {
	s.round(layer)
	for part := range sites {
		h, of := half{layer, part}, map[model.Site]*sums{}
		last := model.Site(-1) // that is wanted
		for _, site := range sites[part] {
			if want[site] {
				last = site
			}
		}
		on := onward || part == attention && (want[model.SiteGateUp] || want[model.SiteDown])
		if last < 0 && !on {
			continue
		}
		tap := func(_ int, site model.Site, x []float32, rows, width int) (more bool) {
			if want[site] {
				if of[site] == nil {
					of[site] = newSums(width, s.precision, false, s.drawn)
				}
				of[site].add(ctx, x, nil, rows)
			}
			return on || site != last
		}
		for i, b := range s.batches {
			if err := s.run(ctx, s.x[i], b, h, tap); err != nil {
				return err
			}
			for _, sums := range of {
				sums.flush()
			}
		}
		for site, sums := range of {
			stats, err := finish(ctx, sums, layer, site)
			if err != nil {
				return err
			}
			all[site] = stats
		}
	}
	return nil
}

// finish is the statistics of complete sums.
func finish(ctx context.Context, sums *sums, layer int, site model.Site) (*Stats, error) {
	if err := ctx.Err(); err != nil { // some tokens may be missing
		return nil, err
	}
	stats := sums.stats()
	stats.Layer, stats.Site = layer, site
	for j, v := range stats.MeanAbs {
		// the square of a finite number may be infinite
		if v += stats.Gram.Row(j)[j]; math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, &NotFiniteError{layer, stats.Place(), j}
		}
	}
	return stats, nil
}
