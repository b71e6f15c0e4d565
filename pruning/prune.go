package pruning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/refine"
	"slimlab/model/weight"
)

// Options say what to remove and how. The zero value of each field but Method and Cuts is its
// default.
type Options struct {
	Method Method
	Cuts   []LayerCut // one a layer
	Budget *Budget    // has Cuts chosen; nil takes them as they are
	Align  int        // the kept number of neurons is rounded up to a multiple of Align; 0 is 1

	// added to the diagonal of the mean Gram matrix, relative to the diagonal's mean; 0 is 0.01
	Damping float64
	// units that the greedy search removes between two scorings; 0 is 1, the most exact
	Batch int

	// units that a round of local search swaps at first; 0 is 10 neurons or 5 KV groups
	Swaps       int
	LocalSearch int // rounds of local search at most; 0 is 30, -1 is none
	Starts      Starts

	// Intercept solves the bias of o_proj with the weights. Models whose o_proj has none are
	// refused with it, and so are cuts of neurons: down_proj has no bias in the formats that models
	// are written in.
	Intercept bool
	Curve     bool // keeps the errors of the widths in between in the report

	// that new weights are rounded to: of the file that they will be in
	Precision kernels.Precision
	Seed      uint64 // of the random methods
	// the whole model in memory, of which taylor needs gradients; other methods take none
	Whole *model.Model
	// calibration tokens that run together; 0 is the default of package calibrate
	ChunkTokens int
	// called as the layers are measured for a budget; may be nil
	Measured func(done, total int)
	// which statistics are gathered; a target is for the methods that solve the weights anew
	Statistics calibrate.Settings
	// gradient steps on each layer's output after its cuts; the precision is the one above
	Refine refine.Options
}

// LayerDone says how far Prune is, after each half of a layer.
type LayerDone = calibrate.Done[LayerReport]

// Prune removes what the cuts say from a model, layer by layer; the layers keep what became of
// them. Methods that read no inputs, without a budget and refining, need no calibration sequences:
// with some, their errors are measured. done may be nil. Of layers that were finished before, the
// report has what a calibrate.Journal kept.
//
// A cut that is impossible, and calibration data that do not fit the model, are errors; data that
// are too few for the width is a warning in the report.
func Prune(ctx context.Context, layers calibrate.Layers, calibration []calibrate.Sequence, o Options, done func(LayerDone)) (*CutReport, error) {
	m := layers.Model()
	var budget *BudgetReport
	if o.Budget != nil && len(calibration) > 0 {
		var err error
		if budget, err = o.chooseWidths(ctx, layers, calibration); err != nil {
			return nil, fmt.Errorf("pruning: %w", err)
		}
	}
	p, err := newPruner(m, calibration, o)
	if err == nil && o.Method.Differentiates() {
		p.gradients, err = p.differentiate(ctx, calibration)
	}
	if err == nil {
		run := calibrate.Options[LayerReport]{Settings: p.statistics(), ChunkTokens: o.ChunkTokens, OnDone: done}
		p.report.Layers, err = calibrate.Run(ctx, looked{layers, p.report}, calibration, run, p)
	}
	if err != nil {
		return nil, fmt.Errorf("pruning: %w", err)
	}
	if p.silent > 0 {
		p.report.warn("%s of %s %s zero in all calibration tokens: nothing is lost with such", plural.Of(p.silent, "channel"), plural.Of(p.silentInputs, "input"), plural.Verb(p.silent))
	}
	p.report.Budget = budget
	before := m.Config
	before.Layers = p.before
	p.report.count(before, m.Config)
	return p.report, nil
}

// looked are layers whose weights are looked at as they are left.
type looked struct {
	calibrate.Layers
	report *CutReport
}

// Inner implements calibrate.Around.
func (l looked) Inner() calibrate.Layers { return l.Layers }

// Leave warns of weights that are too large to compute with, which those of the calibration text
// need not show, and magnitudes and activations alone never do.
func (l looked) Leave(ctx context.Context, layer int) error {
	l.report.Warnings = append(l.report.Warnings, TooLarge(l.Model(), layer)...)
	return l.Layers.Leave(ctx, layer)
}

// TooLarge says which tensors of a layer have numbers that are too large to compute with.
func TooLarge(m *model.Model, layer int) (warnings []string) {
	for _, t := range m.BlockTensors(layer) {
		if text := calibrate.TooLarge(t.Name, calibrate.Largest(t.Data)); text != "" {
			warnings = append(warnings, text)
		}
	}
	return warnings
}

// statistics are the settings of the pass with a description of the method: all options.
func (p *pruner) statistics() calibrate.Settings {
	of := p.Options
	of.Cuts, of.Statistics, of.ChunkTokens = nil, calibrate.Settings{}, 0
	of.Whole, of.Curve, of.Budget, of.Measured = nil, false, nil, nil
	text := fmt.Sprintf("prune %+v", of)
	s := p.Statistics
	s.Describe = func(l model.LinearLayer) string { return fmt.Sprintf("%s to %+v", text, p.after[l.Layer]) }
	return s
}

// DefaultDamping is the damping where none is given.
const DefaultDamping = 0.01

// DefaultLocalSearch is the rounds of local search at most where none are given.
const DefaultLocalSearch = 30

// complete sets the defaults.
func (o *Options) complete() error {
	if _, err := ParseMethod(string(o.Method)); err != nil {
		return err
	}
	if o.Statistics.Target > 0 && !o.Method.Updates() {
		return fmt.Errorf("target %g: %s leaves the weights that stay as they are, expected a method that solves them, such as osscar, or target 0", o.Statistics.Target, o.Method)
	}
	if o.Damping < 0 || o.Batch < 0 || o.Swaps < 0 || o.LocalSearch < -1 || o.Align < 0 {
		return fmt.Errorf("damping %g, batch %d, swaps %d, local search %d, align %d: found a negative value",
			o.Damping, o.Batch, o.Swaps, o.LocalSearch, o.Align)
	}
	if o.Damping == 0 {
		o.Damping = DefaultDamping
	}
	o.Batch, o.Align = max(1, o.Batch), max(1, o.Align)
	switch o.LocalSearch {
	case 0:
		o.LocalSearch = DefaultLocalSearch
	case -1:
		o.LocalSearch = 0
	}
	return nil
}

// pruner is the calibrate.Method of one Prune.
type pruner struct {
	Options
	model         *model.Model
	before, after []model.LayerConfig
	gradients     map[place][]float32 // of the linear layers whose inputs are pruned
	report        *CutReport
	room          []float64 // of the searches, one after another
	stayed        []int     // channels of the input that was compressed last
	silent        int       // channels that were zero in all tokens
	silentInputs  int       // that have such channels

	refined, warned int // entries of the report that accounts of layers have
}

func newPruner(m *model.Model, calibration []calibrate.Sequence, o Options) (*pruner, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if len(calibration) == 0 && (o.Method.Reads() || o.Budget != nil || o.Refine.Steps > 0) {
		return nil, errors.New("no calibration sequences")
	}
	after, err := WidthsAfter(m.Layers, o.Cuts, o.Align)
	if err != nil {
		return nil, err
	}
	p := &pruner{Options: o, model: m, before: slices.Clone(m.Layers), after: after}
	if err := p.checkIntercept(); err != nil {
		return nil, err
	}
	p.report = &CutReport{Method: o.Method, Damping: o.Damping, Align: o.Align, Tokens: calibrate.Tokens(calibration)}
	p.warnOfNone()
	p.warnOfFLAP()
	return p, nil
}

// checkIntercept reports what no bias can be solved of.
func (p *pruner) checkIntercept() error {
	if !p.Intercept {
		return nil
	}
	if p.Statistics.Target > 0 {
		return fmt.Errorf("intercept with target %g: the mean of the dense model's outputs is not known, expected target 0 or no intercept", p.Statistics.Target)
	}
	if !p.Method.Updates() {
		return fmt.Errorf("intercept: %s leaves the weights that stay as they are, expected a method that solves them, such as osscar", p.Method)
	}
	for i, l := range p.before {
		switch {
		case p.after[i].MLP < l.MLP:
			return errors.New("intercept: down_proj has no bias in the models that are written (mlp_bias is not supported), expected cuts of heads alone")
		case p.after[i].Heads < l.Heads && !p.model.OBias:
			return errors.New("intercept: o_proj of this model has no bias (its config has no attention_bias), expected a model that has one")
		}
	}
	return nil
}

// warnOfFLAP says where FLAP has no bias to put the mean of what it removes in.
func (p *pruner) warnOfFLAP() {
	if p.Method.Choice() != FLAP {
		return
	}
	mlp, heads := false, false
	for i, l := range p.before {
		mlp, heads = mlp || p.after[i].MLP < l.MLP, heads || p.after[i].Heads < l.Heads
	}
	if mlp {
		p.report.warn("down_proj has no bias, so the mean of what %s removes from it is not compensated", p.Method)
	}
	switch {
	case heads && !p.model.OBias:
		p.report.warn("o_proj has no bias, so the mean of what %s removes from it is not compensated", p.Method)
	case heads && p.Statistics.Target > 0:
		p.report.warn("with a target %s leaves the bias of o_proj, since the mean of the dense model's outputs is not known", p.Method)
	}
}

// warnOfNone warns of cuts that round to nothing in every layer.
func (p *pruner) warnOfNone() {
	var mlp, heads, queries, cutsMLP, cutsHeads, cutsQueries bool
	for i, l := range p.before {
		mlp, cutsMLP = mlp || p.Cuts[i].MLP != (Cut{}), cutsMLP || p.after[i].MLP != l.MLP
		heads, cutsHeads = heads || p.Cuts[i].Heads != (Cut{}), cutsHeads || p.after[i].KVHeads != l.KVHeads
		queries, cutsQueries = queries || p.Cuts[i].QueryHeads != (Cut{}), cutsQueries || p.after[i].Heads != l.Heads
	}
	if mlp && !cutsMLP {
		p.report.warn("the cut of MLP neurons removes none after rounding to the alignment of %d", p.Align)
	}
	if heads && !cutsHeads {
		p.report.warn("the cut of KV groups rounds to none")
	}
	if queries && !cutsQueries {
		p.report.warn("the cut of query heads rounds to none")
	}
}

// Wants implements calibrate.Method: down_proj stands for the neurons that it reads, o_proj for the
// heads.
func (p *pruner) Wants(l model.LinearLayer) bool {
	before, after := p.before[l.Layer], p.after[l.Layer]
	return l.Site == model.SiteO && after.Heads < before.Heads || l.Site == model.SiteDown && after.MLP < before.MLP
}

// Compress implements calibrate.Method.
func (p *pruner) Compress(ctx context.Context, s *calibrate.Stats, linears []model.LinearLayer, report func(LayerReport)) error {
	h := p.half(s)
	for _, l := range p.model.BlockLinears(s.Layer) {
		if _, err := calibrate.Dense(l); err != nil && h.has(l.Site) {
			return fmt.Errorf("%w: prune before quantizing", err)
		}
	}
	if s.Tokens < s.Width && p.Method.Updates() {
		p.report.warn("layer %d, %s: %s for %s: only damping makes the solution unique",
			s.Layer, h.part, plural.Of(s.Tokens, "calibration token"), plural.Of(s.Width, "channel"))
	}
	if d, ok := linears[0].Weight.(*weight.Dense); ok && !slices.ContainsFunc(d.Data, func(v float32) bool { return v != 0 }) {
		p.report.warn("layer %d, %s: all weights of %s are zero: this half of the layer does nothing but add its bias, if it has one, and any cut of it is free", s.Layer, h.part, linears[0].Name)
	}
	if s.Tokens == 0 {
		return p.pruneUnread(ctx, h, s, linears[0], report)
	}
	if n := s.Silent(); n > 0 {
		p.silent, p.silentInputs = p.silent+n, p.silentInputs+1
	}
	r, err := p.prune(ctx, h, s, linears[0])
	if err != nil {
		return fmt.Errorf("layer %d, %s: %w", s.Layer, h.part, err)
	}
	report(r)
	return nil
}

// Stayed implements calibrate.Keeper: the rows of the other linear layers of the half that stay are
// what they were.
func (p *pruner) Stayed(int, model.Site) []int { return p.stayed }

// Refines implements calibrate.Refiner.
func (p *pruner) Refines() bool { return p.Options.Refine.Steps > 0 }

// Refine implements calibrate.Refiner.
func (p *pruner) Refine(ctx context.Context, b *calibrate.Block) error {
	o := p.Options.Refine
	o.Precision = p.Precision
	r, err := refine.Layer(ctx, p.model, b, nil, o)
	if err == nil {
		p.report.Refined = append(p.report.Refined, r)
	}
	return err
}

// half is a half of a layer that is to be pruned.
type half struct {
	part Part
	units
	keep  int // units
	swaps int // units of a round of local search, if the options do not say
}

func (p *pruner) half(s *calibrate.Stats) half {
	before, after := p.before[s.Layer], p.after[s.Layer]
	queries := before.Heads / before.KVHeads
	switch {
	case s.Site != model.SiteO:
		return half{part: MLP, units: units{group: 1}, keep: after.MLP, swaps: 10}
	case after.KVHeads == before.KVHeads:
		return half{part: QueryHeads, units: units{p.model.HeadDim, queries}, keep: after.Heads, swaps: 5}
	}
	return half{part: Heads, units: units{group: queries * p.model.HeadDim}, keep: after.KVHeads, swaps: 5}
}

// has reports whether a linear layer that reads a site belongs to the half.
func (h half) has(site model.Site) bool {
	return (site == model.SiteQKV || site == model.SiteO) == (h.part != MLP)
}

// prune removes units that linear reads, whose input is described by s.
func (p *pruner) prune(ctx context.Context, h half, s *calibrate.Stats, linear model.LinearLayer) (LayerReport, error) {
	w, err := calibrate.Dense(linear)
	if err == nil {
		w, err = s.Target(ctx, w, p.Damping)
	}
	if err != nil {
		return LayerReport{}, err
	}
	x := inputs{gram: s.Gram, mean: s.Mean, centred: p.biased(h) && !s.Targeted()}
	q := newProblem(ctx, x, w.Data, h.units, p.Damping)
	q.room = &p.room
	c, err := p.choose(q, h, s)
	if err != nil {
		return LayerReport{}, err
	}
	r := LayerReport{Layer: s.Layer, Part: h.part, Before: q.groups(), Kept: h.keep, Support: c.kept, Start: c.start, Swaps: c.swaps}
	if p.Curve && c.curve != nil {
		r.Curve = thinned(c.curve, q.groups())
	}
	masked := q.restrict(c.kept)
	r.Masked = q.errorOf(masked, false)
	r.Updated = r.Masked
	channels := q.channels(c.kept)
	next := keepColumns(*linear.Linear, channels)
	switch {
	case c.updates:
		r.Updated = q.optimalError(c.weight, c.kept)
		next = updatedColumns(*linear.Linear, channels, c.weight)
		p.Precision.Round(next.Weight.Float32())
	case q.centred:
		r.Updated = q.relativeError(masked)
	}
	if q.centred {
		next.Bias = meanBias(*linear.Linear, next, channels, s.Mean)
		p.Precision.Round(next.Bias)
	}
	if err := ctx.Err(); err != nil { // the numbers may be wrong
		return r, err
	}
	p.slice(h, s.Layer, c.kept, channels, next)
	return r, nil
}

// slice gives the half of a layer what stays of it.
func (p *pruner) slice(h half, layer int, kept, channels []int, next model.Linear) {
	p.stayed = channels
	switch h.part {
	case MLP:
		sliceMLP(p.model, layer, kept, next)
	case QueryHeads:
		sliceQueryHeads(p.model, layer, kept, next)
	default:
		sliceHeads(p.model, layer, kept, next)
	}
}

// pruneUnread removes units by a method that reads no inputs, where there are none: no error is
// known.
func (p *pruner) pruneUnread(ctx context.Context, h half, s *calibrate.Stats, linear model.LinearLayer, report func(LayerReport)) error {
	w, err := calibrate.Dense(linear)
	if err != nil {
		return err
	}
	q := &problem{ctx: ctx, d: linear.In, p: len(w.Data) / linear.In, units: h.units, w: inputMajor(w.Data, linear.In)}
	c, err := p.choose(q, h, s)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	channels := q.channels(c.kept)
	report(LayerReport{Layer: s.Layer, Part: h.part, Before: q.groups(), Kept: h.keep, Support: c.kept})
	p.slice(h, s.Layer, c.kept, channels, keepColumns(*linear.Linear, channels))
	return nil
}

// biased reports whether the bias of the linear layer that reads a half is solved too: it has one,
// and the options or the method ask for it.
func (p *pruner) biased(h half) bool {
	return h.part != MLP && p.model.OBias && (p.Intercept || p.Method.Choice() == FLAP)
}

// choose applies the method.
func (p *pruner) choose(q *problem, h half, s *calibrate.Stats) (choice, error) {
	var kept []int
	switch {
	case p.Method == OSSCAR:
		return q.osscar(h.keep, search{batch: p.Batch, swaps: cmp.Or(p.Swaps, h.swaps), rounds: p.LocalSearch, single: p.Starts == GreedyStart})
	case p.Method.Draws():
		kept = q.random(h.keep, rand.New(rand.NewPCG(p.Seed, uint64(s.Layer)<<8|uint64(s.Site))))
	default:
		q.gradient = p.gradients[place{s.Layer, s.Site}]
		kept = q.largest(h.keep, p.Method.term())
	}
	if !p.Method.Updates() {
		return choice{kept: kept}, nil
	}
	return q.repaired(kept)
}

// repaired is a support with its weights re-solved.
func (q *problem) repaired(kept []int) (choice, error) {
	w, err := q.solve(kept)
	return choice{kept: kept, updates: true, weight: w}, err
}
