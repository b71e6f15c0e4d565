package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"

	"slimlab/model"
)

// ErrNotFinite is in the error of a calibration whose activations are no longer finite numbers.
var ErrNotFinite = errors.New("not finite: the model's numbers are too large to compute with")

// pieceTokens run through half a layer between two looks at the context.
const pieceTokens = blockRows

// streams is the residual stream of all sequences on its way through the model.
type streams struct {
	model   *model.Model
	batches []model.Batch
	x       [][]float32 // one a batch, [tokens, hidden]
}

func newStreams(ctx context.Context, layers Layers, sequences []Sequence, chunk int) (*streams, error) {
	m := layers.Model()
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
	var batches []model.Batch
	for i, s := range sequences {
		if err := checkSequence(m, i, s); err != nil {
			return nil, fmt.Errorf("calibration: %w", err)
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

func checkSequence(m *model.Model, i int, s Sequence) error {
	if len(s) == 0 {
		return fmt.Errorf("sequence %d is empty", i)
	}
	if len(s) > m.MaxPositions {
		return fmt.Errorf("sequence %d has %d tokens, the model takes at most %d", i, len(s), m.MaxPositions)
	}
	for at, token := range s {
		if token < 0 || int(token) >= m.Vocab {
			return fmt.Errorf("sequence %d, token %d is %d, outside the vocabulary of %d", i, at, token, m.Vocab)
		}
	}
	return nil
}

// advance moves all streams through half a layer for good.
func (s *streams) advance(ctx context.Context, h half) error {
	for i, b := range s.batches {
		if err := s.run(ctx, s.x[i], b, h, nil); err != nil {
			return err
		}
	}
	return nil
}

// run moves one batch's stream x through half a layer, a piece at a time: no token's bits depend
// on the tokens of other sequences beside it.
func (s *streams) run(ctx context.Context, x []float32, b model.Batch, h half, tap model.Tap) error {
	hidden := s.model.Hidden
	for first := 0; first < len(b.Starts)-1; {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, from := first+1, b.Starts[first]
		for next < len(b.Starts)-1 && b.Starts[next+1]-from <= pieceTokens {
			next++
		}
		to := b.Starts[next]
		if h.part == attention {
			piece := model.Batch{Tokens: b.Tokens[from:to]}
			for _, start := range b.Starts[first : next+1] {
				piece.Starts = append(piece.Starts, start-from)
			}
			s.model.Attention(h.layer, x[from*hidden:to*hidden], piece, tap)
		} else if err := s.mlp(ctx, x[from*hidden:to*hidden], h.layer, tap); err != nil {
			return err
		}
		first = next
	}
	return nil
}

// mlp moves x [tokens, hidden] through an MLP, whose tokens do not depend on each other.
func (s *streams) mlp(ctx context.Context, x []float32, layer int, tap model.Tap) error {
	for hidden := s.model.Hidden; len(x) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows := min(pieceTokens, len(x)/hidden)
		s.model.MLP(layer, x[:rows*hidden], rows, tap)
		x = x[rows*hidden:]
	}
	return nil
}

// gather runs half a layer up to one of its sites and returns the statistics of that.
func (s *streams) gather(ctx context.Context, h half, want model.Site) (*Stats, error) {
	var sums *sums
	tap := func(_ int, site model.Site, x []float32, rows, width int) (more bool) {
		if site != want {
			return true
		}
		if sums == nil {
			sums = newSums(width)
		}
		sums.add(ctx, x, rows)
		return false
	}
	for i, b := range s.batches {
		if err := s.run(ctx, s.x[i], b, h, tap); err != nil {
			return nil, err
		}
		sums.flush()
	}
	if err := ctx.Err(); err != nil { // some tokens may be missing
		return nil, err
	}
	stats := sums.stats()
	stats.Layer, stats.Site = h.layer, want
	for j, v := range stats.MeanAbs {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("calibration: %s: channel %d is %w", stats.Place(), j, ErrNotFinite)
		}
	}
	return stats, nil
}
