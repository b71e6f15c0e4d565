package convert

import (
	"context"
	"fmt"
	"slices"

	"slimlab/internal/half"
	"slimlab/internal/nearest"
	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/quant"
	"slimlab/quant/transform"
)

// Transformation is what Quantize does to the float model before its weights are rounded.
type Transformation struct {
	Smooth   transform.Smooth
	Rotate   string // one of Rotations; "" is none
	Clip     bool   // narrow the range of each group's grid, see quant.Options
	rotation *transform.Rotation
}

// Rotations lists what can be turned.
func Rotations() []string { return transform.Rotations() }

// Set sets the words of --smooth and --rotate.
func (t *Transformation) Set(smooth, rotate string) (err error) {
	if t.Smooth, err = transform.ParseSmooth(smooth); err != nil {
		return fmt.Errorf("--smooth %w", err)
	}
	t.Rotate = rotate
	return nearest.Check("--rotate", rotate, Rotations())
}

// check reports flags that need what is not there.
func (t *Transformation) check(schemes []quant.Scheme, flag string, c Calibration) error {
	if t.Clip && slices.ContainsFunc(schemes, func(s quant.Scheme) bool { return rounds(s) && s.Format.Float }) {
		return fmt.Errorf("--clip with %s: it is for integers, such as w8a8 or w4a16", flag)
	}
	switch {
	case !t.Smooth.None():
		return c.require("--smooth " + t.Smooth.String())
	case t.Clip:
		return c.require("--clip")
	}
	return nil
}

// values are the parameters of a recipe: what is done, and nothing for what is not.
func (t *Transformation) values() recipe.Values {
	v := recipe.Values{}
	if !t.Smooth.None() {
		v["smooth"] = t.Smooth.String()
	}
	if t.Rotate != "" && t.Rotate != Rotations()[0] {
		v["rotate"] = t.Rotate
	}
	if t.Clip {
		v["clip"] = true
	}
	return v
}

// open draws the rotation for a model of a shape, which may become another.
func (t *Transformation) open(c model.Config) (model.Config, error) {
	if t.Rotate == "" {
		return c, nil
	}
	var err error
	if t.rotation, err = transform.NewRotation(t.Rotate, c); err != nil {
		return c, fmt.Errorf("--rotate %s: %w", t.Rotate, err)
	}
	return t.rotation.Config(c), nil
}

// rotated implements compression.
func (t *Transformation) rotated() *transform.Rotation { return t.rotation }

func (t *Transformation) differentiates() bool { return false }

// layers are those of the stream, changed as they are read. Scales are found in a first pass over
// all layers, which is repeated when interrupted work goes on.
func (t *Transformation) layers(ctx context.Context, s *stream, o transform.Options, sequences []calibrate.Sequence, r *Result) (calibrate.Layers, error) {
	layers := t.rotation.Layers(s)
	if t.rotation != nil {
		s.statistics.Store = transform.After(s.statistics.Store, "rotated, "+t.Rotate)
	}
	if text := t.untied(s); text != "" {
		r.Notes = append(r.Notes, text)
	}
	if t.Smooth.None() {
		return layers, nil
	}
	o.ChunkTokens, o.Store, o.Round = chunkTokens, s.statistics.Store, roundingOf(s.dtype)
	o.OnDone = func(d calibrate.Done[transform.Fold]) { s.progress(d.Done, d.Total, d.Report.String()) }
	found, err := transform.FindSmoothing(ctx, layers, t.Smooth, sequences, o)
	if err != nil {
		return nil, err
	}
	r.Smoothing = found.Folds
	r.Notes = append(r.Notes, t.Smooth.Summary(found.Folds))
	s.statistics.Store = transform.After(s.statistics.Store, "smoothed, "+found.Sum())
	return found.Layers(layers), nil
}

// roundingOf rounds floats to what files of a type hold.
func roundingOf(dtype checkpoint.DType) transform.Rounding {
	switch dtype {
	case checkpoint.BF16:
		return kernels.BFloat16.Round
	case checkpoint.F16:
		return func(x []float32) {
			for i, v := range x {
				x[i] = half.FromFloat16(half.ToFloat16(v))
			}
		}
	}
	return nil
}

// turnedEnds lists embedding, final norm and head of a model whose residual stream is turned.
func turnedEnds(r *transform.Rotation, from *checkpoint.Checkpoint, dtype checkpoint.DType) ([]checkpoint.Tensor, error) {
	c := from.Config()
	norm := make([]float32, c.Hidden)
	if err := from.ReadRows(norm, finalNormName, 0, 1); err != nil {
		return nil, err
	}
	stored := headName
	if c.TiedHead {
		stored = embeddingName
	}
	made := func(name, stored string, turn func(x []float32)) checkpoint.Tensor {
		return checkpoint.MadeFloats(name, dtype, []int{c.Vocab, c.Hidden}, func(dst []float32, first, n int) error {
			if err := from.ReadRows(dst, stored, first, n); err != nil {
				return err
			}
			turn(dst)
			return nil
		})
	}
	return []checkpoint.Tensor{
		made(embeddingName, embeddingName, r.Embedding),
		checkpoint.MadeFloats(finalNormName, dtype, []int{c.Hidden}, func(dst []float32, _, _ int) error {
			for i := range dst {
				dst[i] = 1
			}
			return nil
		}),
		made(headName, stored, func(x []float32) { r.Head(x, norm) }),
	}, nil
}

// untied says what a rotation does to a tied head; "" is nothing.
func (t *Transformation) untied(s *stream) string {
	c := s.from.Config()
	if !c.TiedHead || !t.rotation.Stream() {
		return ""
	}
	bytes := int64(c.Vocab) * int64(c.Hidden) * s.dtype.Size()
	return fmt.Sprintf("--rotate %s: the head was the embedding and is now a tensor of its own, since the weight of the final norm moves into it: %d bytes more", t.Rotate, bytes)
}

const finalNormName = "model.norm.weight"
