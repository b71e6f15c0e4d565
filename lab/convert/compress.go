package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
	"slimlab/quant"
)

// Opener opens what a MODEL names.
type Opener func(name string) (*checkpoint.Checkpoint, error)

// DType is an element type of float tensors: F32, F16 or BF16, in letters of either case.
type DType = checkpoint.DType

// Verdict is what an engine would do with a checkpoint.
type Verdict = checkpoint.Verdict

// Options are what every conversion takes.
type Options struct {
	Open Opener
	// of float tensors; "" is that of the source's, or BF16 where the source has none that folders
	// hold
	DType     checkpoint.DType
	Tokenizer string   // a folder whose tokenizer a random model gets; "" is none
	Progress  Progress // may be nil
	// told before work begins what it needs, and which engines would load the result; may be nil
	Begin func(Estimate, []Verdict)
}

func (o *Options) complete(from *checkpoint.Checkpoint) error {
	if o.DType = checkpoint.DType(strings.ToUpper(string(o.DType))); o.DType == "" {
		o.DType = floatType(from)
	}
	if o.DType != checkpoint.F32 && o.DType != checkpoint.BF16 && o.DType != checkpoint.F16 {
		return fmt.Errorf("dtype is %q, expected F32, F16 or BF16", o.DType)
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	if o.Begin == nil {
		o.Begin = func(Estimate, []checkpoint.Verdict) {}
	}
	return nil
}

// floatType is the element type of a checkpoint's embedding.
func floatType(from *checkpoint.Checkpoint) checkpoint.DType {
	for _, t := range from.Tensors() {
		if t.Name == embeddingName || t.Name == headName {
			switch t.DType {
			case checkpoint.F32, checkpoint.F16, checkpoint.BF16:
				return t.DType
			}
		}
	}
	return checkpoint.BF16
}

const (
	embeddingName = "model.embed_tokens.weight"
	headName      = "lm_head.weight"
)

// Result is what became of a checkpoint.
type Result struct {
	Parameters pruning.Count
	Bytes      struct{ Before, After int64 } // of all tensors as they are stored
	Lines      []string                      // what the method reports, a line each
	Warnings   []string
	Seconds    float64
	Peak       int64 // the largest resident memory of the process, 0 where the system does not tell
	Verdicts   []checkpoint.Verdict
}

// Pruning is what Prune removes and how.
type Pruning struct {
	pruning.Options
	Calibration Calibration
}

// Methods lists the names of pruning methods.
func Methods() []string { return pruning.Methods() }

// Set sets the method by its name, and the cuts, each a share such as "20%" or "0.2", a number, or
// "" for none.
func (p *Pruning) Set(method, mlp, heads string) (err error) {
	if p.Method, err = pruning.ParseMethod(method); err != nil {
		return err
	}
	if p.MLP, err = parseCut(mlp); err != nil {
		return fmt.Errorf("mlp: %w", err)
	}
	if p.Heads, err = parseCut(heads); err != nil {
		return fmt.Errorf("heads: %w", err)
	}
	if p.MLP == (pruning.Cut{}) && p.Heads == (pruning.Cut{}) {
		return errors.New("nothing is to be removed, expected a share or number of MLP neurons or heads")
	}
	return nil
}

func parseCut(text string) (pruning.Cut, error) {
	if text == "" {
		return pruning.Cut{}, nil
	}
	if n, err := strconv.Atoi(text); err == nil {
		return pruning.Cut{Count: n}, nil
	}
	share, percent := strings.CutSuffix(text, "%")
	ratio, err := strconv.ParseFloat(share, 64)
	if percent {
		ratio /= 100
	}
	if err != nil || !(ratio >= 0 && ratio < 1) {
		return pruning.Cut{}, fmt.Errorf("found %q, expected a share below 1 such as 20%% or 0.2, or a whole number", text)
	}
	return pruning.Cut{Ratio: ratio}, nil
}

// statisticsCopies of OSSCAR and GPTQ: the sums, which become the damped mean, the sums' last part,
// two tableaux or a factor, and one of work.
const statisticsCopies = 5

// Prune writes the checkpoint from, a folder or file, without some of its neurons and heads to the
// new folder to.
//
// With Align 0 the neurons that stay are rounded up to the largest of 128, 64, 32, 16 and 8 that
// keeps at most a twentieth of a layer's more.
func Prune(ctx context.Context, from, to string, p Pruning, o Options) (*Result, error) {
	return compress(ctx, from, to, p.Calibration, o, "prune "+p.recipe(), p.planned, func(s *stream, r *Result, progress Progress) error {
		sequences, err := p.Calibration.sequences(s.from)
		if err != nil {
			return err
		}
		p.Precision, p.ChunkTokens = s.precision, chunkTokens
		if p.Align == 0 {
			p.Align = alignment(s.model.Layers, p.MLP)
			r.Lines = append(r.Lines, fmt.Sprintf("MLP sizes are multiples of %d", p.Align))
		}
		report, err := pruning.PruneBlocks(ctx, s.model, s, sequences, p.Options, func(step pruning.Step) {
			l := step.Layer
			progress(step.Done, step.Total, fmt.Sprintf("layer %d %s: %d of %d kept, error %.2e", l.Layer, l.Part, l.Kept, l.Before, l.Updated.Undamped))
		})
		if err != nil {
			return err
		}
		if report.Parameters.After == report.Parameters.Before {
			return fmt.Errorf("prune: nothing would be removed: %s", strings.Join(report.Warnings, "; "))
		}
		r.Lines, r.Warnings = append(r.Lines, report.Summary()), report.Warnings
		for _, part := range []pruning.Part{pruning.Heads, pruning.MLP} {
			masked, updated, n := 0.0, 0.0, 0
			for _, l := range report.Layers {
				if l.Part == part {
					masked, updated, n = masked+l.Masked.Undamped, updated+l.Updated.Undamped, n+1
				}
			}
			if n > 0 {
				r.Lines = append(r.Lines, fmt.Sprintf("%s: mean relative output error on the calibration text %.4g, %.4g without the update of weights", part, updated/float64(n), masked/float64(n)))
			}
		}
		return nil
	})
}

// planned is the shape that the pruned model will have.
func (p Pruning) planned(c model.Config) (model.Config, checkpoint.Scheme, error) {
	if p.Align == 0 {
		p.Align = alignment(c.Layers, p.MLP)
	}
	for i := range c.Layers {
		l := &c.Layers[i]
		neurons, err := p.MLP.Kept(l.MLP, p.Align, fmt.Sprintf("layer %d's MLP neurons", i))
		if err != nil {
			return c, checkpoint.Scheme{}, err
		}
		groups, err := p.Options.Heads.Kept(l.KVHeads, 1, fmt.Sprintf("layer %d's KV groups", i))
		if err != nil {
			return c, checkpoint.Scheme{}, err
		}
		l.MLP, l.Heads, l.KVHeads = neurons, l.Heads/l.KVHeads*groups, groups
	}
	return c, checkpoint.Scheme{}, nil
}

// alignment chooses the multiple that the kept neurons are rounded up to.
func alignment(layers []model.LayerConfig, cut pruning.Cut) int {
	for _, align := range []int{128, 64, 32, 16} {
		fits := true
		for _, l := range layers {
			kept := l.MLP - cut.Count - int(math.Round(cut.Ratio*float64(l.MLP)))
			fits = fits && (kept+align-1)/align*align-kept <= l.MLP/20
		}
		if fits {
			return align
		}
	}
	return 8
}

func (p Pruning) recipe() string {
	return fmt.Sprintf("%s mlp %v heads %v align %d step %d swaps %d rounds %d damping %g seed %d, %v",
		p.Method, p.MLP, p.Heads, p.Align, p.Step, p.Swaps, p.LocalSearch, p.Damping, p.Seed, p.Calibration)
}

// Schemes lists the names of number formats.
func Schemes() []string {
	return slices.DeleteFunc(quant.Schemes(), func(s string) bool { return s == "none" })
}

// ParseScheme reads the name of one.
func ParseScheme(name string) (quant.Scheme, error) { return quant.ParseScheme(name) }

// Quantization is the scheme that Quantize writes.
type Quantization struct {
	quant.Options
	// may be left out for round to nearest, whose output error is then not measured
	Calibration Calibration
}

// Quantize writes the checkpoint from, a folder or file, with its linear layers in another format
// to the new folder to.
func Quantize(ctx context.Context, from, to string, q Quantization, o Options) (*Result, error) {
	recipe := fmt.Sprintf("quantize %v damping %g, %v", q.Scheme, q.Damping, q.Calibration)
	return compress(ctx, from, to, q.Calibration, o, recipe, q.planned, func(s *stream, r *Result, progress Progress) error {
		if q.Scheme.Bits == 0 {
			return errors.New("scheme none changes nothing, expected a format")
		}
		var sequences [][]int32
		if q.Calibration.given() {
			var err error
			if sequences, err = q.Calibration.sequences(s.from); err != nil {
				return err
			}
		}
		// files of 16 bits hold scales of 16 bits, as other engines want them
		q.ChunkTokens, q.BFloat16Scales = chunkTokens, s.dtype != checkpoint.F32
		report, err := quant.QuantizeBlocks(ctx, s.model, s, sequences, q.Options, func(step quant.Step) {
			l := step.Layer
			text := fmt.Sprintf("%s: error of weights %.2e", l.Name, l.WeightError)
			if len(sequences) > 0 {
				text = fmt.Sprintf("%s: error of outputs %.2e", l.Name, l.Error)
			}
			progress(step.Done, step.Total, text)
		})
		if err != nil {
			return err
		}
		weight, output := 0.0, 0.0
		for _, l := range report.Layers {
			weight, output = weight+l.WeightError/float64(len(report.Layers)), output+l.Error/float64(len(report.Layers))
		}
		line := fmt.Sprintf("%s: mean relative error of weights %.4g", report.Scheme, weight)
		if report.Tokens > 0 {
			line += fmt.Sprintf(", of outputs on the calibration text %.4g", output)
		}
		r.Lines, r.Warnings = append(r.Lines, line), report.Warnings
		return nil
	})
}

// planned is the shape of the model, and the form that its linear layers will have.
func (q Quantization) planned(c model.Config) (model.Config, checkpoint.Scheme, error) {
	s := checkpoint.Scheme{Format: checkpoint.PackQuantized, Bits: q.Scheme.Bits, Group: q.Scheme.Group}
	switch {
	case q.Scheme.Bits == 0:
		return c, checkpoint.Scheme{}, nil
	case q.Scheme.Float:
		s.Format, s.Activations = checkpoint.FloatQuantized, checkpoint.Token
	case q.Scheme.Bits == 8:
		s.Format, s.Activations = checkpoint.IntQuantized, checkpoint.Token
	case q.Scheme.Int8Activations:
		s.Activations = checkpoint.Token
	}
	if q.Scheme.Bits == 4 && s.Group == 0 {
		frame, err := model.Frame(c)
		if err != nil {
			return c, s, err
		}
		if s.Group, err = q.Scheme.GroupFor(frame); err != nil {
			return c, s, err
		}
	}
	return c, s, nil
}

// begin opens what is converted, completes the options by it, and begins the result.
func (o *Options) begin(from string) (*checkpoint.Checkpoint, *Result, error) {
	source, err := o.Open(from)
	if err != nil {
		return nil, nil, err
	}
	if err := o.complete(source); err != nil {
		source.Close()
		return nil, nil, err
	}
	r := new(Result)
	r.Parameters.Before, r.Bytes.Before = source.Config().Parameters(), source.Bytes()
	return source, r, nil
}

// compress runs a method over the layers of a checkpoint on their way to a new folder.
func compress(ctx context.Context, from, to string, c Calibration, o Options, recipe string, planned func(c model.Config) (model.Config, checkpoint.Scheme, error), method func(s *stream, r *Result, progress Progress) error) (*Result, error) {
	start := time.Now()
	source, r, err := o.begin(from)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	shape, scheme, err := planned(source.Config())
	if err != nil {
		return nil, err
	}
	// matrices of hundreds of megabytes come and go, and there are few objects to look at
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	o.Begin(estimate(source.Config(), c, statisticsCopies), checkpoint.LoadsIn(shape, scheme))
	s, err := newStream(source, from, to, recipe, o.DType)
	if err != nil {
		return nil, err
	}
	err = method(s, r, o.Progress)
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return nil, errors.Join(err, s.to.Abandon())
	}
	return r, r.complete(to, start)
}

// complete looks at the new folder as a stranger would.
func (r *Result) complete(to string, start time.Time) error {
	written, err := checkpoint.Open(to, quant.LoadOptions())
	if err != nil {
		return fmt.Errorf("the new checkpoint cannot be opened: %w", err)
	}
	defer written.Close()
	r.Parameters.After, r.Bytes.After = written.Config().Parameters(), written.Bytes()
	r.Verdicts = written.LoadsIn()
	r.Seconds = time.Since(start).Seconds()
	r.Peak, _ = peakResident()
	return nil
}

// layerPrefix begins the names of the tensors that belong to a layer.
const layerPrefix = "model.layers."
