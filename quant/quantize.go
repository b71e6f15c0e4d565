package quant

import (
	"context"
	"errors"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// Options say how to quantize. The zero value of each field but Scheme is its default.
type Options struct {
	Scheme Scheme
	// GPTQ: added to the diagonal of the mean Gram matrix, relative to the diagonal's mean; 0 is
	// 0.01
	Damping float64
	// GPTQ: inputs between two updates of all the rest; 0 is 128. It does not change the result
	Block int
	// calibration tokens that run together; 0 is the default of package calibrate
	ChunkTokens int
	// BFloat16Scales rounds scales to bfloat16 before codes are chosen, so that a file whose scales
	// have 16 bits, as other engines want them, holds the same weights.
	BFloat16Scales bool
}

// LinearReport is what happened to one linear layer.
type LinearReport struct {
	Name        string  // "model.layers.0.self_attn.q_proj"
	Format      string  // "w4a16-g32"
	WeightError float64 // ‖W−Ŵ‖²/‖W‖²
	// Error is the squared error of the output relative to the squared output on the calibration
	// data, tr(ΔHΔᵀ)/tr(WHWᵀ), Δ = W−Ŵ, with H as measured: that of the weights' rounding alone.
	// Without calibration data (Report.Tokens is 0) it is not measured and 0.
	Error float64
	// DampedLoss is tr(ΔHΔᵀ) with the damped mean Gram matrix, which GPTQ minimises; 0 for round to
	// nearest.
	DampedLoss float64
	Damping    float64 // as it was used in the end; 0 for round to nearest
}

// Report is the outcome of Quantize.
type Report struct {
	Scheme Scheme // with the group size that was used
	Tokens int    // calibration tokens
	Layers []LinearReport
	// BytesBefore and BytesAfter are the model's weights in their formats, model.Model.Bytes: 4-bit
	// codes at half a byte, scales at four.
	BytesBefore, BytesAfter int64
	Warnings                []string
}

// Step reports one finished linear layer.
type Step struct {
	Done, Total int
	Layer       LinearReport
}

// Quantize returns m with all linear layers of its blocks in the scheme's format; embedding and
// head stay float32. m, whose linear layers must be float32, is not touched. GPTQ needs calibration
// sequences; round to nearest uses them, if there are any, to measure its error. onStep may be nil;
// it is called after each linear layer.
//
// With an automatic group size all layers get the largest of 128, 64, 32, 16 and 8 that divides the
// inputs of each; Report.Scheme says which.
func Quantize(ctx context.Context, m *model.Model, calibration []calibrate.Sequence, o Options, onStep func(Step)) (*model.Model, Report, error) {
	if o.Scheme.Bits != 0 {
		for _, l := range m.Linears() {
			if err := dense(l); err != nil {
				return nil, Report{}, fmt.Errorf("quantization: %w", err)
			}
		}
	}
	q := m.Clone()
	report, err := QuantizeBlocks(ctx, q, nil, calibration, o, onStep)
	if err != nil {
		return nil, Report{}, err
	}
	q.Gather() // lets the memory of the float32 weights go
	report.BytesBefore, report.BytesAfter = m.Bytes(), q.Bytes()
	return q, report, nil
}

// QuantizeBlocks quantizes m in place. With blocks, m is a skeleton whose layers they bring one at
// a time: what each has become is theirs to keep in Leave. The report says nothing of bytes, nor of
// layers that were finished before.
func QuantizeBlocks(ctx context.Context, m *model.Model, blocks calibrate.Blocks, calibration []calibrate.Sequence, o Options, onStep func(Step)) (Report, error) {
	p, err := newPass(m, calibration, o, onStep)
	if err != nil {
		return Report{}, fmt.Errorf("quantization: %w", err)
	}
	switch {
	case len(calibration) == 0 || o.Scheme.Bits == 0:
		err = p.withoutCalibration(ctx, blocks)
	default:
		err = calibrate.Walk(ctx, m, calibration, calibrate.Options{ChunkTokens: o.ChunkTokens, Blocks: blocks}, p.visit)
	}
	if err != nil {
		return Report{}, fmt.Errorf("quantization: %w", err)
	}
	return p.report, nil
}

func dense(l model.LinearLayer) error {
	if _, ok := l.Weight.(*weight.Dense); !ok {
		return fmt.Errorf("%s is %s already, expected float32", l.Name, l.Weight.Format())
	}
	return nil
}

// pass is one run of Quantize: the model as far as it is quantized, and the report as far as it is
// known.
type pass struct {
	Options
	model  *model.Model
	report Report
	onStep func(Step)
	total  int
}

func newPass(m *model.Model, calibration []calibrate.Sequence, o Options, onStep func(Step)) (*pass, error) {
	if err := o.Scheme.check(); err != nil {
		return nil, err
	}
	if o.Damping < 0 || o.Block < 0 {
		return nil, fmt.Errorf("damping %g, block %d: found a negative value", o.Damping, o.Block)
	}
	if o.Scheme.GPTQ && len(calibration) == 0 {
		return nil, fmt.Errorf("%s needs calibration sequences, found none", o.Scheme)
	}
	if o.Scheme.Bits == 4 {
		group, err := o.Scheme.GroupFor(m)
		if err != nil {
			return nil, err
		}
		o.Scheme.Group = group
	}
	if o.Damping == 0 {
		o.Damping = 0.01
	}
	if o.Block == 0 {
		o.Block = 128
	}
	return &pass{Options: o, model: m, onStep: onStep, total: len(m.Linears()),
		report: Report{Scheme: o.Scheme, Tokens: calibrate.Tokens(calibration)}}, nil
}

func (p *pass) withoutCalibration(ctx context.Context, blocks calibrate.Blocks) error {
	for layer := range p.model.Blocks {
		finished := false
		if blocks != nil {
			var err error
			if finished, err = blocks.Load(layer); err != nil {
				return err
			}
		}
		for _, l := range p.model.Linears() {
			if l.Layer != layer || finished || p.Scheme.Bits == 0 {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.quantize(l, nil); err != nil {
				return err
			}
		}
		if blocks != nil {
			if err := blocks.Leave(layer); err != nil {
				return err
			}
		}
	}
	return nil
}

// visit quantizes the linear layers that read the site.
func (p *pass) visit(s *calibrate.Stats) error {
	raw := s.Gram
	raw.ScaleSym(1/float64(s.Tokens), raw)
	input := &statistics{raw: raw}
	if p.Scheme.GPTQ {
		var err error
		if input, err = newStatistics(raw, p.Damping, p.Scheme.ActOrder); err != nil {
			return fmt.Errorf("layer %d, %s: %w", s.Layer, calibrate.SiteName(s.Site), err)
		}
		where := fmt.Sprintf("layer %d, %s: ", s.Layer, calibrate.SiteName(s.Site))
		if s.Tokens < s.Width {
			p.report.Warnings = append(p.report.Warnings,
				fmt.Sprintf("%s%d calibration tokens for %d channels: only damping makes the solution unique", where, s.Tokens, s.Width))
		}
		if input.note != "" {
			p.report.Warnings = append(p.report.Warnings, where+input.note)
		}
	}
	for _, l := range p.model.Linears() {
		if l.Layer == s.Layer && l.Site == s.Site {
			if err := p.quantize(l, input); err != nil {
				return err
			}
		}
	}
	return nil
}

// quantize replaces one linear layer's weight. input is nil where nothing was measured.
func (p *pass) quantize(l model.LinearLayer, input *statistics) error {
	if err := dense(l); err != nil {
		return err
	}
	w, group := l.Weight.Float32(), l.In
	if p.Scheme.Bits == 4 {
		group = p.Scheme.Group
	}
	g, err := newGrid(w, l.Out, l.In, group, p.Scheme, p.BFloat16Scales)
	if err != nil {
		return fmt.Errorf("%s: %w", l.Name, err)
	}
	r := LinearReport{Name: l.Name}
	var q []int8
	if p.Scheme.GPTQ {
		q, r.DampedLoss = g.gptq(w, input, p.Block)
		r.Damping = input.damping
	} else {
		q = g.roundToNearest(w)
	}
	packed, err := g.weight(q, p.Scheme.Int8Activations)
	if err != nil {
		return fmt.Errorf("%s: %w", l.Name, err)
	}
	l.Linear.Weight = packed
	r.Format = packed.Format()
	r.WeightError = relativeError(w, packed.Float32())
	if input != nil {
		r.Error = g.outputError(w, q, input.raw)
	}
	p.report.Layers = append(p.report.Layers, r)
	if p.onStep != nil {
		p.onStep(Step{Done: len(p.report.Layers), Total: p.total, Layer: r})
	}
	return nil
}

// weight makes the weight of codes on the grid; int8Activations tells W4A8 from W4A16.
func (g *grid) weight(q []int8, int8Activations bool) (weight.Weight, error) {
	switch {
	case g.float8:
		codes := make([]byte, len(q))
		for i, v := range q {
			codes[i] = byte(v)
		}
		return weight.NewFP8(codes, g.scale, 0, g.out, g.in)
	case g.highest == 127:
		return weight.NewInt8(q, g.scale, g.out, g.in)
	case g.highest == 7 && int8Activations:
		return weight.NewInt4A8(q, g.scale, g.out, g.in, g.group)
	case g.highest == 7:
		return weight.NewInt4(q, g.scale, g.out, g.in, g.group)
	}
	return nil, errors.New("no format for this grid")
}

// outputError is tr(ΔhΔᵀ)/tr(whwᵀ); 0 for a layer whose output is zero anyway.
func (g *grid) outputError(w []float32, q []int8, h *mat.SymDense) float64 {
	zero := make([]int8, len(q))
	if total := g.squaredError(w, zero, h); total > 0 {
		return g.squaredError(w, q, h) / total
	}
	return 0
}

// relativeError is ‖a−b‖²/‖a‖²; 0 where a is zero.
func relativeError(a, b []float32) float64 {
	difference, total := 0.0, 0.0
	for i, v := range a {
		d := float64(v) - float64(b[i])
		difference += d * d
		total += float64(v) * float64(v)
	}
	if total == 0 {
		return 0
	}
	return difference / total
}
