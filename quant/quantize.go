package quant

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/refine"
	"slimlab/model/weight"
)

// Options say how to quantize. The zero value has the defaults.
type Options struct {
	// that scales are rounded to before codes are chosen: BFloat16 for files whose scales have 16
	// bits, as other engines want them
	Scales kernels.Precision
	// calibration tokens that run together; 0 is the default of package calibrate
	ChunkTokens int
	// which statistics are gathered
	Statistics calibrate.Settings
	// Clip narrows the range of each group's grid, but in q_proj and k_proj, to that which rounds
	// the group to nearest with the least error of the outputs; the weights are then rounded to it
	// by the scheme's way. It is for integers and needs calibration sequences.
	Clip bool
	// gradient steps on each layer's output with the grids fixed, after its rounding; the treatment
	// of activations is that of the schemes
	Refine refine.Options
}

// LinearReport is what happened to one linear layer.
type LinearReport struct {
	Name        string  `json:"name"`         // "model.layers.0.self_attn.q_proj"
	Format      string  `json:"format"`       // "w4a16-g32"
	WeightError float64 `json:"weight_error"` // ‖W−Ŵ‖²/‖W‖²
	// Error is the squared error of the output relative to the squared output on the calibration
	// data, tr(ΔHΔᵀ)/tr(WHWᵀ), Δ = W−Ŵ, with H as measured: that of the weights' rounding alone.
	// With a target W is the weight that meets it best, see calibrate.Stats.Target.
	// Without calibration data (RoundingReport.Tokens is 0) it is not measured and 0.
	Error float64 `json:"error"`
	// DampedLoss is tr(ΔHΔᵀ) with the damped mean Gram matrix, which GPTQ minimises; 0 for round to
	// nearest.
	DampedLoss float64 `json:"damped_loss"`
	Damping    float64 `json:"damping"` // as it was used in the end; 0 for round to nearest
}

// RoundingReport is what Quantize did to a model.
type RoundingReport struct {
	// names of the plan's schemes, with the group sizes that were used
	Schemes []string       `json:"schemes"`
	Tokens  int            `json:"tokens"` // calibration tokens
	Linears []LinearReport `json:"linears"`
	// of the layers that were refined
	Refined  []refine.Report `json:"refined,omitempty"`
	Warnings []string        `json:"warnings"`
	// what became of channels, groups and weights that are not as others
	Notes []string `json:"notes,omitempty"`
}

// LinearDone says how far Quantize is, after each linear layer.
type LinearDone = calibrate.Done[LinearReport]

// Quantize gives each linear layer of a model the format that the plan says, layer by layer; the
// layers keep what became of them. Embedding and head stay as they are. Linear layers that change
// must be float32. GPTQ and QuantEase need calibration sequences; round to nearest uses them, if
// there are any, to measure its error. done may be nil. Of layers that were finished before, the
// report has what a calibrate.Journal kept.
func Quantize(ctx context.Context, layers calibrate.Layers, plan Plan, calibration []calibrate.Sequence, o Options, done func(LinearDone)) (*RoundingReport, error) {
	q, err := newQuantizer(layers.Model(), plan, calibration, o)
	if err == nil {
		run := calibrate.Options[LinearReport]{Settings: q.statistics(), ChunkTokens: o.ChunkTokens, OnDone: done}
		q.report.Linears, err = calibrate.Run(ctx, layers, calibration, run, q)
	}
	if err != nil {
		return nil, fmt.Errorf("quantization: %w", err)
	}
	q.report.Notes = q.counts.notes()
	return q.report, nil
}

// counts are what a report notes once for all layers.
type counts struct {
	Silent, Inputs     int // channels that were zero in all tokens, and inputs that have some
	Zeros              int // groups of weights that are all zero
	Narrower, Groups   int // groups of a range that clamps weights, of all
	Tiny, Lost         tooSmall
	Clipped, Clippable int // groups whose range a search has narrowed, of those that it looked at
	// numbers beside codes, of all weights, and what they take
	Outliers, Weights int
	OutlierBytes      int64
}

// tooSmall are groups of weights that are too small for their scale, and the linear layers that
// have them.
type tooSmall struct {
	Groups int
	Names  []string
}

func (t *tooSmall) add(name string, groups int) {
	if groups > 0 {
		t.Groups += groups
		t.Names = append(t.Names, fmt.Sprintf("%s (%d)", name, groups))
	}
}

func (t tooSmall) String() string {
	const most = 4
	of := strings.Join(t.Names[:min(len(t.Names), most)], ", ")
	if more := len(t.Names) - most; more > 0 {
		of += " and " + plural.Of(more, "more tensor")
	}
	return fmt.Sprintf("%s of weights of %s %s too small", plural.Of(t.Groups, "group"), of, plural.Verb(t.Groups))
}

func (c counts) notes() (notes []string) {
	if c.Silent > 0 {
		notes = append(notes, fmt.Sprintf("%s of %s %s zero in all calibration tokens: weights of such are rounded to nearest", plural.Of(c.Silent, "channel"), plural.Of(c.Inputs, "input"), plural.Verb(c.Silent)))
	}
	if c.Zeros > 0 {
		notes = append(notes, fmt.Sprintf("%s of weights %s all zero: the scale of such is 1", plural.Of(c.Zeros, "group"), plural.Verb(c.Zeros)))
	}
	if c.Tiny.Groups > 0 {
		notes = append(notes, fmt.Sprintf("%s for a scale of float16, as files of 3 bits have it: the scale is the smallest, %.3g", c.Tiny, leastFloat16))
	}
	if c.Lost.Groups > 0 {
		notes = append(notes, fmt.Sprintf("%s for any scale: they become zeros", c.Lost))
	}
	if c.Groups > 0 {
		notes = append(notes, fmt.Sprintf("range %s is narrower than the weights in %d of %s, whose largest are clamped", MSE, c.Narrower, plural.Of(c.Groups, "group")))
	}
	if c.Clippable > 0 {
		notes = append(notes, fmt.Sprintf("clip narrowed the range of %d of %s of weights, where the error of the outputs is less with it; those of q_proj and k_proj are left", c.Clipped, plural.Of(c.Clippable, "group")))
	}
	if c.Outliers > 0 {
		notes = append(notes, fmt.Sprintf("%d of %s (%.2f%%) have a number of 16 bits beside their codes, %.2f bits a weight: no other engine reads them", c.Outliers, plural.Of(c.Weights, "weight"), 100*float64(c.Outliers)/float64(c.Weights), 8*float64(c.OutlierBytes)/float64(c.Weights)))
	}
	return notes
}

// zeroGroups counts the groups of weights that are all zero.
func zeroGroups(w []float32, group int) int {
	n := 0
	for ; len(w) > 0; w = w[group:] {
		if !slices.ContainsFunc(w[:group], func(v float32) bool { return v != 0 }) {
			n++
		}
	}
	return n
}

// quantizer is the calibrate.Method of one Quantize.
type quantizer struct {
	Options
	schemes map[string]Scheme // by the name of the linear layer
	model   *model.Model
	grids   map[string]refine.Grid // of the present layer, where it is to be refined
	report  *RoundingReport
	counts  counts
	room    []float64 // of the factors, one after another

	refined, warned int // entries of the report that accounts of layers have
}

func newQuantizer(m *model.Model, plan Plan, calibration []calibrate.Sequence, o Options) (*quantizer, error) {
	schemes, err := plan.Schemes(m)
	if err != nil {
		return nil, err
	}
	q := &quantizer{Options: o, model: m, schemes: map[string]Scheme{}, grids: map[string]refine.Grid{}}
	q.report = &RoundingReport{Schemes: names(schemes), Tokens: calibrate.Tokens(calibration)}
	for i, l := range m.Linears() {
		if schemes[i].Calibrated() && len(calibration) == 0 {
			return nil, fmt.Errorf("%s: %s needs calibration sequences, found none", l.Name, schemes[i])
		}
		if !schemes[i].Outliers.none() && o.Refine.Steps > 0 {
			return nil, fmt.Errorf("%s: outliers beside %d refining steps, whose grids have no numbers beside the codes: expected one of them", l.Name, o.Refine.Steps)
		}
		if o.Clip && schemes[i].Rounder != nil {
			if err := checkClip(schemes[i].Format, len(calibration)); err != nil {
				return nil, fmt.Errorf("%s: %w", l.Name, err)
			}
		}
		q.schemes[l.Name] = schemes[i]
	}
	return q, nil
}

// statistics are the settings of the pass with a description of the method.
func (q *quantizer) statistics() calibrate.Settings {
	s := q.Statistics
	s.Describe = func(l model.LinearLayer) string {
		scheme := q.schemes[l.Name]
		text := fmt.Sprintf("quantize %+v %T %+v range %s scales %v clip %t refined %+v", scheme.Format, scheme.Rounder, scheme.Rounder, scheme.Range, q.Scales, q.Clip, q.Options.Refine)
		if !scheme.Outliers.none() {
			text += " outliers " + scheme.Outliers.String()
		}
		if q.Options.Refine.Rate > 0 { // which was of floats alone once
			text += " at a rate of grids"
		}
		return text
	}
	return s
}

// Refines implements calibrate.Refiner.
func (q *quantizer) Refines() bool { return q.Options.Refine.Steps > 0 }

// Refine implements calibrate.Refiner.
func (q *quantizer) Refine(ctx context.Context, b *calibrate.Block) error {
	o := q.Options.Refine
	o.Precision, o.Activations = q.Scales, weight.Token
	for _, l := range q.model.BlockLinears(b.Layer) {
		if q.schemes[l.Name].Format.Activations != weight.Token { // some inputs are not rounded: none are here
			o.Activations = weight.Kept
		}
	}
	r, err := refine.Layer(ctx, q.model, b, q.grids, o)
	clear(q.grids)
	if err == nil {
		q.report.Refined = append(q.report.Refined, r)
	}
	return err
}

// targetDamping keeps a weight that is solved for a target near the one that it was.
const targetDamping = 0.01

// Wants implements calibrate.Method.
func (q *quantizer) Wants(l model.LinearLayer) bool { return q.schemes[l.Name].Rounder != nil }

// Compress implements calibrate.Method.
func (q *quantizer) Compress(ctx context.Context, s *calibrate.Stats, linears []model.LinearLayer, report func(LinearReport)) error {
	moments := &Moments{Stats: s, room: &q.room}
	if slices.ContainsFunc(linears, func(l model.LinearLayer) bool { return q.schemes[l.Name].Calibrated() }) {
		if n := s.Silent(); n > 0 {
			q.counts.Silent, q.counts.Inputs = q.counts.Silent+n, q.counts.Inputs+1
		}
	}
	for _, l := range linears {
		if q.schemes[l.Name].Calibrated() && s.Tokens < s.Width {
			q.warn(s, fmt.Sprintf("%s for %s: only damping makes the solution unique", plural.Of(s.Tokens, "calibration token"), plural.Of(s.Width, "channel")))
		}
		r, err := q.quantize(ctx, l, moments)
		if err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		report(r)
	}
	return nil
}

// Stayed implements calibrate.Keeper: all inputs stay.
func (q *quantizer) Stayed(int, model.Site) []int { return nil }

// warn adds a warning of an input, once for all linear layers that read it.
func (q *quantizer) warn(s *calibrate.Stats, text string) {
	if text = s.Place() + ": " + text; !slices.Contains(q.report.Warnings, text) {
		q.report.Warnings = append(q.report.Warnings, text)
	}
}

// quantize replaces the weight of a linear layer.
func (q *quantizer) quantize(ctx context.Context, l model.LinearLayer, m *Moments) (LinearReport, error) {
	r := LinearReport{Name: l.Name}
	w, err := calibrate.Dense(l)
	if err != nil {
		return r, err
	}
	s := q.schemes[l.Name]
	fitted := w
	if q.Clip && clippable(l) {
		var cut, groups int
		if fitted, cut, groups, err = clipped(ctx, w, s.Format, q.Scales, m.Gram); err != nil {
			return r, err
		}
		q.counts.Clipped, q.counts.Clippable = q.counts.Clipped+cut, q.counts.Clippable+groups
	}
	target, err := m.Target(ctx, w, targetDamping)
	if err != nil {
		return r, err
	}
	c, err := q.round(ctx, s, target, fitted, m)
	if err != nil {
		return r, err
	}
	if g, ok := c.grid.(*intGrid); ok {
		q.counts.Zeros += zeroGroups(w.Data, g.group)
		q.counts.Tiny.add(l.Name, g.tiny)
		q.counts.Lost.add(l.Name, g.lost)
	}
	if c.Note != "" {
		q.warn(m.Stats, c.Note)
	}
	quantized, err := weight.New(c.grid.Encoding(), c.Codes)
	if err == nil && c.outliers != nil {
		q.counts.Outliers, q.counts.Weights = q.counts.Outliers+len(c.outliers.Value), q.counts.Weights+len(w.Data)
		q.counts.OutlierBytes += c.outliers.Bytes()
		quantized, err = weight.NewOutliers(quantized, c.outliers)
	}
	if err != nil {
		return r, err
	}
	r.Format, r.DampedLoss, r.Damping, r.Error = quantized.Format(), c.DampedLoss, c.Damping, c.loss
	rounded := quantized.Float32()
	var largest float32
	overflow := false
	parallel.For(2, func(task int) {
		if task == 0 { // one sum in the order of the weights
			r.WeightError = weightError(w.Data, rounded)
		} else {
			largest, overflow = calibrate.Largest(w.Data), !finite(rounded)
		}
	})
	if overflow {
		return r, fmt.Errorf("weights of up to %.3g, rounded to %s, are above the largest float32, %.3g: expected smaller weights", largest, r.Format, math.MaxFloat32)
	} else if text := calibrate.TooLarge(l.Name, largest); text != "" {
		q.report.Warnings = append(q.report.Warnings, text)
	}
	if err := ctx.Err(); err != nil { // the error may be wrong
		return r, err
	}
	l.Linear.Weight = quantized
	if q.Refines() {
		q.grids[l.Name] = c.grid
	}
	return r, nil
}

func finite(w []float32) bool {
	for _, v := range w {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// choice is what became of a linear layer.
type choice struct {
	Rounding
	grid     Grid
	outliers *weight.Sparse // nil is none
	loss     float64        // LinearReport.Error
}

// round chooses a grid that fits the weights fitted, and codes for a target on it.
func (q *quantizer) round(ctx context.Context, s Scheme, target, fitted *weight.Dense, m *Moments) (c choice, err error) {
	narrower := map[Grid]int{}
	fit := func(fitted *weight.Dense) (Grid, error) {
		grid, err := NewGrid(s.Format, fitted, q.Scales)
		if g, ok := grid.(*intGrid); ok && err == nil && s.Range == MSE {
			narrower[grid] = g.shrink(fitted.Data, q.Scales)
		}
		return grid, err
	}
	if s.Outliers.none() {
		if c.grid, err = fit(fitted); err == nil {
			c.Rounding, err = s.Rounder.Round(ctx, target, c.grid, m)
		}
		if err == nil && m.Tokens > 0 {
			c.loss = m.outputError(ctx, target, c.grid, c.Rounding)
		}
	} else {
		rounder, _ := s.Rounder.(QuantEase) // which the scheme was checked for
		var best *split
		best, c.Rounding, err = rounder.roundBeside(ctx, target, m, s.Outliers, func(without [][]int32) (Grid, error) { return fit(less(fitted, without)) })
		if err == nil {
			c.grid, c.outliers = best.grid, best.sparse()
			if energy := m.energy(ctx, target); energy > 0 {
				c.loss = best.loss / energy
			}
		}
	}
	if g, ok := c.grid.(*intGrid); ok && err == nil && s.Range == MSE {
		q.counts.Narrower += narrower[c.grid]
		q.counts.Groups += len(g.scale)
	}
	return c, err
}

// less is w with zeros at some places of each output.
func less(w *weight.Dense, places [][]int32) *weight.Dense {
	rest := weight.NewDense(slices.Clone(w.Data), w.Out, w.In)
	for o, inputs := range places {
		for _, i := range inputs {
			rest.Data[o*w.In+int(i)] = 0
		}
	}
	return rest
}
