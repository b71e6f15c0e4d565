package run

import (
	"context"
	"fmt"
	"slices"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/refine"
	"slimlab/quant"
	"slimlab/quant/transform"
)

// Transforms is what a quantize step does beside the rounding. Its keys came after models were
// quantized: see Later.
type Transforms struct {
	Smooth smoothing `json:",omitzero" key:"smooth" default:"none" omit:"default" also:"number" doc:"scales that move large channels from activations to weights before the rounding: none; a number from 0 to 1, SmoothQuant's α; auto, α of each input by search; awq, AWQ's by search"`
	Rotate rotation  `json:",omitzero" key:"rotate" default:"none" omit:"default" one:"none|heads|residual" doc:"turn the float model by Hadamard matrices before the rounding: heads, the values of each head; residual, these and the residual stream, which unties a tied head"`
	Clip   bool      `json:",omitempty" key:"clip" default:"false" omit:"default" doc:"narrow the range of each group's grid to that with the least error of the outputs, but for q and k (AWQ's search); for integers"`
}

type smoothing string

// IsZero reports the default.
func (s smoothing) IsZero() bool { return s == "" || s == "none" }

type rotation string

// IsZero reports the default.
func (r rotation) IsZero() bool { return r == "" || r == "none" }

// describe says in words what is done before the rounding; "" is nothing.
func (t *Transforms) describe() string {
	text := ""
	if !t.Rotate.IsZero() {
		text += ", rotated"
	}
	if s, err := transform.ParseSmooth(string(t.Smooth)); err == nil && !s.None() {
		text += ", " + s.Describe()
	}
	if t.Clip {
		text += ", clipped"
	}
	return text
}

// check reports words that are none, and keys that do nothing with the schemes, which another key
// says.
func (t *Transforms) check(schemes []quant.Scheme, with string, bad func(key, with, format string, args ...any)) {
	if _, err := t.smooth(); err != nil {
		bad("smooth", "", "%v", err)
	}
	for _, k := range []struct {
		key   string
		value any
		given bool
	}{{"smooth", t.Smooth, !t.Smooth.IsZero()}, {"rotate", t.Rotate, !t.Rotate.IsZero()}, {"clip", t.Clip, t.Clip}} {
		switch {
		case !k.given:
		case !slices.ContainsFunc(schemes, rounds):
			bad(k.key, with, "is %v, and no weight is rounded: leave %s out, or give a number format", k.value, k.key)
		case k.key == "clip" && slices.ContainsFunc(schemes, func(s quant.Scheme) bool { return rounds(s) && s.Format.Float }):
			bad(k.key, with, "is true, and its %s has floats: it is for integers such as w8a8 or w4a16", with)
		}
	}
}

func (t *Transforms) smooth() (transform.Smooth, error) {
	if t.Smooth.IsZero() {
		return transform.Smooth{}, nil
	}
	return transform.ParseSmooth(string(t.Smooth))
}

// rotation is drawn for a model of a shape; nil is none.
func (t *Transforms) rotation(c model.Config) (*transform.Rotation, error) {
	if t.Rotate.IsZero() {
		return nil, nil
	}
	r, err := transform.NewRotation(string(t.Rotate), c)
	if err != nil {
		return nil, keyError{"rotate", fmt.Errorf("is %s: %w", t.Rotate, err)}
	}
	return r, nil
}

// calibrated reports whether calibration text is needed.
func (t *Transforms) calibrated() bool { return !t.Smooth.IsZero() || t.Clip }

// untied says what a rotation does to the size of a model of a shape.
func (t *Transforms) untied(w *worker, step string, before, after model.Config) {
	if before.TiedHead && !after.TiedHead {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: the head was the embedding and is now a tensor of its own, since rotate: %s moves the weight of the final norm into it: %d bytes more", step, t.Rotate, 2*before.Vocab*before.Hidden))
	}
}

// rounded is the facts of a quantized model.
type rounded struct {
	quant.RoundingReport
	Smoothing []transform.Fold `json:"smoothing,omitempty"`
}

// quantize rounds a model after what comes before, and returns what became of it.
func (t *Transforms) quantize(ctx context.Context, w *worker, m *model.Model, plan quant.Plan, refining refine.Options, sequences []calibrate.Sequence, s calibrate.Settings) (*model.Model, *rounded, error) {
	r, err := t.rotation(m.Config)
	if err != nil {
		return nil, nil, err
	}
	layers, compressed, err := r.InMemory(m)
	if err != nil {
		return nil, nil, err
	}
	if r != nil {
		s.Store = transform.After(s.Store, "rotated, "+string(t.Rotate))
	}
	facts := new(rounded)
	if smooth, err := t.smooth(); err != nil || !smooth.None() {
		if err != nil {
			return nil, nil, err
		}
		found, err := transform.FindSmoothing(ctx, layers, smooth, sequences, transform.Options{Plan: plan, Round: kernels.BFloat16.Round, Store: s.Store,
			OnDone: func(d calibrate.Done[transform.Fold]) { w.progress(d.Done, d.Total, "scales") }})
		if err != nil {
			return nil, nil, err
		}
		facts.Smoothing, layers = found.Folds, found.Layers(layers)
		s.Store = transform.After(s.Store, "smoothed, "+found.Sum())
	}
	report, err := quant.Quantize(ctx, layers, plan, sequences, quant.Options{Scales: kernels.BFloat16, Clip: t.Clip, Statistics: s, Refine: refining}, func(d quant.LinearDone) { w.progress(d.Done, d.Total, "") })
	if err != nil {
		return nil, nil, err
	}
	facts.RoundingReport = *report
	return compressed(), facts, nil
}

// noteScales notes what the scales did.
func (t *Transforms) noteScales(w *worker, facts *rounded) {
	if smooth, err := t.smooth(); err == nil && len(facts.Smoothing) > 0 {
		w.run.note(w.cell.ID, lab.Info, w.stage+": "+smooth.Summary(facts.Smoothing))
	}
}
