package convert

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
)

// readers are the linear layers that read each site of a layer.
var readers = [...][]string{
	model.SiteQKV:    {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
	model.SiteO:      {"self_attn.o_proj"},
	model.SiteGateUp: {"mlp.gate_proj", "mlp.up_proj"},
	model.SiteDown:   {"mlp.down_proj"},
}

// importance is the mean square of each input channel of the linear layers and the head over some
// sequences, by the names of their weights: what a squared error of that channel's weights does to
// the outputs. The layers come into memory one at a time.
func importance(ctx context.Context, from *checkpoint.Checkpoint, sequences []calibrate.Sequence, progress func(done, total int, text string)) (map[string][]float32, error) {
	m, err := from.Skeleton()
	if err != nil {
		return nil, err
	}
	streams := make([][]float32, len(sequences))
	for i, s := range sequences {
		streams[i] = make([]float32, len(s)*m.Hidden)
		if err := from.Embed(streams[i], s); err != nil {
			return nil, err
		}
	}
	list := map[string][]float32{}
	for layer := range m.Blocks {
		var sums [len(readers)]squares
		tap := func(_ int, site model.Site, x []float32, _, width int) (more bool) {
			sums[site].add(x, width)
			return true
		}
		if err := from.LoadBlock(ctx, m, layer); err != nil {
			return nil, err
		}
		for i, s := range sequences {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			m.Attention(layer, streams[i], model.Batch{Tokens: s, Starts: []int{0, len(s)}}, tap)
			m.MLP(layer, streams[i], len(s), tap)
		}
		for site, s := range sums {
			mean, err := s.mean()
			if err != nil {
				return nil, &unfitError{layer, fmt.Errorf("calibration: layer %d, input of %s: %w", layer, readers[site][0], err)}
			}
			for _, name := range readers[site] {
				list[fmt.Sprintf("%s%d.%s.weight", layerPrefix, layer, name)] = mean
			}
		}
		m.Blocks[layer] = model.Block{}
		debug.FreeOSMemory() // the collector would wait until twice as much is in use
		progress(layer+1, len(m.Blocks), fmt.Sprintf("layer %d read", layer))
	}
	return list, addHead(m, streams, list)
}

// addHead adds the input of the head: the normed streams behind the last layer.
func addHead(m *model.Model, streams [][]float32, list map[string][]float32) error {
	var sum squares
	for _, x := range streams {
		m.Norm(x, len(x)/m.Hidden)
		sum.add(x, m.Hidden)
	}
	mean, err := sum.mean()
	if err != nil {
		return &unfitError{len(m.Blocks), fmt.Errorf("calibration: input of the head: %w", err)}
	}
	list[headName] = mean
	if m.TiedHead {
		list[embeddingName] = mean
	}
	return nil
}

// unfitError is a calibrate.ErrNotFinite of what a layer, or the head behind the last, reads.
type unfitError struct {
	layer int
	error
}

// Unwrap returns the error without its layer.
func (e *unfitError) Unwrap() error { return e.error }

// squares sums the squares of channels.
type squares struct {
	sum  []float64
	rows int
}

func (s *squares) add(x []float32, width int) {
	if s.sum == nil {
		s.sum = make([]float64, width)
	}
	for ; len(x) > 0; x = x[width:] {
		for j, v := range x[:width] {
			s.sum[j] += float64(v) * float64(v)
		}
		s.rows++
	}
}

func (s *squares) mean() ([]float32, error) {
	mean := make([]float32, len(s.sum))
	for j, v := range s.sum {
		mean[j] = float32(v / float64(s.rows))
		if v := float64(mean[j]); math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("channel %d is %w", j, calibrate.ErrNotFinite)
		}
	}
	return mean, nil
}
