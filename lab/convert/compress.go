package convert

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"slimlab/lab/recipe"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/model/checkpoint/engines"
	"slimlab/quant/transform"
)

// compression is what Prune and Quantize do to the layers of a checkpoint on their way to a new
// folder.
type compression interface {
	// recipe is all that the layers depend on, with each option as it was given, or as it is meant
	// where it was not: what is written out equals what is implied. plan comes before.
	recipe(ctx context.Context, from string, o *Options) (recipe.Recipe, error)
	calibration() *Calibration
	gathering() *Gathering
	// passes are the walks of the calibration text in which statistics are gathered; there are none
	// without a text. plan comes before.
	passes() []pass
	// plan completes the method for a model of a shape. It returns the shape that the model will
	// have and the form of its linear layers.
	plan(c model.Config) (model.Config, checkpoint.Storage, error)
	// result predicts the bytes that are written, from the shapes of both models and the form of
	// the linear layers; sure is false where there may be far fewer. plan comes before.
	result(before, after model.Config, s checkpoint.Storage, dtype checkpoint.DType) (bytes int64, sure bool)
	// rotated is how the model is turned on its way, nil for not; plan has drawn it.
	rotated() *transform.Rotation
	// differentiates reports whether the method needs gradients, and so the whole model in memory.
	differentiates() bool
	// changes reports whether linear layers that read a site of a layer are changed, which must be
	// floats; plan comes before
	changes(layer int, site model.Site) bool
	// compress compresses the layers of the stream and adds its report to r.
	compress(ctx context.Context, s *stream, sequences []calibrate.Sequence, r *Result) error
}

func compress(ctx context.Context, from, to string, c compression, o Options) (*Result, error) {
	start := time.Now()
	source, r, err := o.begin(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	calibration := c.calibration()
	calibration.fit(source.Config())
	if err := calibration.check(source.Config()); err != nil {
		return nil, err
	}
	if err := calibration.read(ctx, source); err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, calibration.notes()...)
	shape, scheme, err := c.plan(source.Config())
	if err != nil {
		return nil, err
	}
	of, err := c.recipe(ctx, from, &o)
	if err != nil {
		return nil, err
	}
	gathering := c.gathering()
	if err := checkFloats(ctx, source, from, c); err != nil {
		return nil, err
	}
	if calibration.given() {
		if err := gathering.checkFolder(from, to); err != nil {
			return nil, err
		}
	}
	if err := source.CheckFinite(ctx, from); err != nil {
		return nil, err
	}
	large, err := tooLarge(ctx, source)
	if err != nil {
		return nil, err
	}
	// matrices of hundreds of megabytes come and go, and there are few objects to look at
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	needs, err := o.foresee(source.Config(), c)
	if err != nil {
		return nil, err
	}
	if err := gathering.checkRoom(&o, needs.Kept); err != nil {
		return nil, err
	}
	var sure bool
	if needs.Result, sure = c.result(source.Config(), shape, scheme, o.DType); sure {
		if err := o.checkRoom(to, needs.Result+source.OtherBytes()); err != nil {
			return nil, err
		}
	}
	o.rotation = c.rotated()
	if len(shape.Layers) < len(source.Config().Layers) {
		o.layers = shape.Layers
	}
	s, err := newStream(ctx, source, to, of, o)
	if err != nil {
		return nil, err
	}
	for layer := range shape.Layers {
		if s.to.Finished(layer) {
			needs.Finished++
		}
	}
	if needs.Time, err = o.foreseeTime(ctx, source.Config(), c, s.precision, needs.Finished); err != nil {
		return nil, errors.Join(err, s.to.Abandon())
	}
	o.Begin(needs, engines.CheckResult(source, shape, scheme))
	sequences, err := calibration.sequences(ctx, source)
	r.Notes = append(r.Notes, calibration.warnings()...)
	if err == nil {
		s.statistics, err = gathering.settings(ctx, of, sequences)
		s.statistics.Precision = s.precision
	}
	if err == nil {
		err = c.compress(ctx, s, sequences, r)
		r.Notes = append(r.Notes, gathering.notes()...)
		r.Notes = append(r.Notes, s.resumed()...)
		r.Warnings = append(r.Warnings, large...)
	}
	if err == nil {
		err = s.finish(ctx)
	}
	if err != nil {
		return nil, errors.Join(Cause(ctx, source, from, err), s.to.Abandon())
	}
	return r, r.complete(to, start)
}

// checkFloats refuses a source of which a linear layer that is to be changed is quantized. The
// layer that it is in comes into memory: formats that no product reads become floats.
func checkFloats(ctx context.Context, source *checkpoint.Checkpoint, from string, c compression) error {
	m, err := source.Skeleton()
	if err != nil {
		return err
	}
	forms := source.Quantization()
	for i, l := range m.Linears() {
		if s := forms[i].Storage; s.Dense() || s.Packing == checkpoint.GGUF || !c.changes(l.Layer, l.Site) {
			continue
		}
		if err := source.LoadBlock(ctx, m, l.Layer); err != nil {
			return err
		}
		for _, l := range m.BlockLinears(l.Layer) {
			if c.changes(l.Layer, l.Site) {
				if _, err := calibrate.Dense(l); err != nil {
					return Cause(ctx, source, from, err)
				}
			}
		}
		return nil // the other layers are of the same formats, or end the pass
	}
	return nil
}
