package pruning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// DepthReport is which layers of a model were removed as a whole.
type DepthReport struct {
	// of each layer, 1 − the mean over the calibration tokens of cos(x, y), x the residual stream
	// into the layer and y out of it (block importance of ShortGPT, Men et al., 2024)
	Importance []float64 `json:"importance"`
	Kept       []int     `json:"kept"` // layers, in their order
	Tokens     int       `json:"tokens"`
	Layers     Count     `json:"layers"`
	Parameters Count     `json:"parameters"`
}

// Summary says in one line what was removed.
func (d *DepthReport) Summary() string {
	var gone []string
	for i := range d.Importance {
		if !slices.Contains(d.Kept, i) {
			gone = append(gone, fmt.Sprint(i))
		}
	}
	count := Count{d.Parameters.Before, d.Parameters.After}
	return fmt.Sprintf("layers %s of %d removed, %.1f%% of all parameters (%d to %d)", strings.Join(gone, ", "), d.Layers.Before, count.Cut(), count.Before, count.After)
}

// KeptLayers is how many of a model's layers stay. That none or all would is an error with the
// values that would do.
func (c Cut) KeptLayers(layers int) (int, error) {
	p := cutPart{"layers", "layers", c, func(model.LayerConfig) int { return layers }}
	if err := p.check([]model.LayerConfig{{}}); err != nil {
		var of *CutError
		if errors.As(err, &of) {
			of.problem = strings.ReplaceAll(strings.ReplaceAll(of.problem, " of layer 0", ""), "layer 0 has", "the model has")
		}
		return 0, err
	}
	return layers - c.removed(layers), nil
}

// CountOfLayers says to how many of a model's layers a share is rounded; "" where it is not.
func (c Cut) CountOfLayers(layers int) string {
	if !c.rounds(layers) {
		return ""
	}
	return "layers: " + c.countOf(layers, "layers")
}

// ChooseLayers measures how much each layer of a model changes its residual stream, and keeps the
// keep layers that change it most; of equals the earlier. All are measured in the model as it was.
// done may be nil.
func ChooseLayers(ctx context.Context, layers calibrate.Layers, calibration []calibrate.Sequence, keep int, done func(done, total int)) (*DepthReport, error) {
	c := layers.Model().Config
	frame, err := model.Skeleton(c)
	switch {
	case err != nil:
		return nil, err
	case keep < 1 || keep > len(c.Layers):
		return nil, fmt.Errorf("pruning: %d layers are to stay of %d", keep, len(c.Layers))
	case len(calibration) == 0:
		return nil, errors.New("pruning: no calibration sequences")
	}
	if err := calibrate.Check(frame, calibration); err != nil {
		return nil, fmt.Errorf("pruning: %w", err)
	}
	streams := make([][]float32, len(calibration))
	for i, s := range calibration {
		streams[i] = make([]float32, len(s)*c.Hidden)
		if err := layers.Embed(streams[i], s); err != nil {
			return nil, err
		}
	}
	r := &DepthReport{Tokens: calibrate.Tokens(calibration), Layers: Count{len(c.Layers), keep}}
	before := make([]float32, 0, c.Hidden)
	for layer := range c.Layers {
		if err := layers.Source(ctx, frame, layer); err != nil {
			return nil, err
		}
		sum := 0.0
		for i, x := range streams {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			n := len(calibration[i])
			before = append(before[:0], x...)
			frame.Attention(layer, x, model.Batch{Tokens: calibration[i], Starts: []int{0, n}}, nil)
			frame.MLP(layer, x, n, nil)
			for t := range n {
				sum += cosine(before[t*c.Hidden:][:c.Hidden], x[t*c.Hidden:][:c.Hidden])
			}
		}
		frame.Blocks[layer] = model.Block{}
		importance := 1 - sum/float64(r.Tokens)
		if math.IsNaN(importance) || math.IsInf(importance, 0) {
			return nil, fmt.Errorf("pruning: layer %d: %w", layer, calibrate.ErrNotFinite)
		}
		r.Importance = append(r.Importance, importance)
		if done != nil {
			done(layer+1, len(c.Layers))
		}
	}
	order := make([]int, len(c.Layers))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(r.Importance[b], r.Importance[a]), cmp.Compare(a, b)) })
	r.Kept = slices.Sorted(slices.Values(order[:keep]))
	r.Parameters = Count{c.Parameters(), r.Shape(c).Parameters()}
	return r, nil
}

// cosine is 0 where a vector is zero.
func cosine(a, b []float32) float64 {
	ab, aa, bb := 0.0, 0.0, 0.0
	for i, v := range a {
		x, y := float64(v), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// Shape is a shape without the layers that were removed.
func (d *DepthReport) Shape(c model.Config) model.Config {
	before := c.Layers
	c.Layers = nil
	for _, i := range d.Kept {
		c.Layers = append(c.Layers, before[i])
	}
	return c
}

// Apply is m without the layers that were removed, in memory of its own.
func (d *DepthReport) Apply(m *model.Model) (*model.Model, error) {
	small, err := model.Skeleton(d.Shape(m.Config))
	if err != nil {
		return nil, err
	}
	whole := m.Clone()
	small.Embedding, small.FinalNorm, small.Head = whole.Embedding, whole.FinalNorm, whole.Head
	for to, from := range d.Kept {
		small.Blocks[to] = whole.Blocks[from]
	}
	small.Gather()
	return small, nil
}
