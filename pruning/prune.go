package pruning

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// Options say what to remove and how. The zero value of each field but Method is its default.
type Options struct {
	Method Method
	MLP    Cut // of each layer's MLP neurons
	Heads  Cut // of each layer's KV groups; at least one stays
	Align  int // the kept number of neurons is rounded up to a multiple of Align; 0 is 1

	// added to the diagonal of the mean Gram matrix, relative to the diagonal's mean; 0 is 0.01
	Damping float64
	// units removed together between two scorings of the greedy search; 0 is 1, the most exact
	Step int

	// units that a round of local search swaps at first; 0 is 10 neurons or 5 KV groups
	Swaps       int
	LocalSearch int // rounds of local search at most; 0 is 30, -1 is none

	// that new weights are rounded to: of the file that they will lie in
	Precision kernels.Precision
	Seed      uint64 // of the random method
	// calibration tokens that run together; 0 is the default of package calibrate
	ChunkTokens int
}

// Prune returns a smaller model. m, whose weights must all be float32, is not touched. The
// calibration sequences are needed by all methods: those that do not use them are measured on them.
// onStep may be nil; it is called after each pruned half of a layer.
//
// A cut that is impossible, and calibration data that do not fit the model, are errors; data that
// are too few for the width is a warning in the report.
func Prune(ctx context.Context, m *model.Model, calibration []calibrate.Sequence, o Options, onStep func(Step)) (*model.Model, Report, error) {
	for _, l := range m.Linears() {
		if err := dense(l); err != nil {
			return nil, Report{}, fmt.Errorf("pruning: %w", err)
		}
	}
	pruned := m.Clone()
	report, err := PruneBlocks(ctx, pruned, nil, calibration, o, onStep)
	if err != nil {
		return nil, Report{}, err
	}
	pruned.Gather()
	return pruned, report, nil
}

// PruneBlocks prunes m in place. With blocks, m is a skeleton whose layers they bring one at a
// time: what each has become is theirs to keep in Leave. The report says nothing of layers that
// were finished before.
func PruneBlocks(ctx context.Context, m *model.Model, blocks calibrate.Blocks, calibration []calibrate.Sequence, o Options, onStep func(Step)) (Report, error) {
	p, err := newPass(m, calibration, o, onStep)
	if err != nil {
		return Report{}, fmt.Errorf("pruning: %w", err)
	}
	walk := calibrate.Options{ChunkTokens: o.ChunkTokens, Blocks: blocks}
	if slices.ContainsFunc(p.keepHeads, func(k int) bool { return k > 0 }) {
		walk.Sites = append(walk.Sites, model.SiteO)
	}
	if slices.ContainsFunc(p.keepMLP, func(k int) bool { return k > 0 }) {
		walk.Sites = append(walk.Sites, model.SiteDown)
	}
	if len(walk.Sites) > 0 {
		if err := calibrate.Walk(ctx, m, calibration, walk, p.visit); err != nil {
			return Report{}, fmt.Errorf("pruning: %w", err)
		}
	}
	p.finish(m.Config)
	return p.report, nil
}

func dense(l model.LinearLayer) error {
	if _, ok := l.Weight.(*weight.Dense); !ok {
		return fmt.Errorf("%s is %s, expected float32: prune before quantizing", l.Name, l.Weight.Format())
	}
	return nil
}

// pass is one run of Prune: the model as far as it is pruned, and the report as far as it is known.
type pass struct {
	Options
	model              *model.Model
	keepMLP, keepHeads []int // units to keep, a layer each; 0 where all stay
	report             Report
	onStep             func(Step)
	total              int
}

func newPass(m *model.Model, calibration []calibrate.Sequence, o Options, onStep func(Step)) (*pass, error) {
	if _, err := ParseMethod(string(o.Method)); err != nil {
		return nil, err
	}
	if o.Damping < 0 || o.Step < 0 || o.Swaps < 0 || o.LocalSearch < -1 || o.Align < 0 {
		return nil, fmt.Errorf("damping %g, step %d, swaps %d, local search %d, align %d: found a negative value",
			o.Damping, o.Step, o.Swaps, o.LocalSearch, o.Align)
	}
	if len(calibration) == 0 {
		return nil, fmt.Errorf("no calibration sequences")
	}
	if o.Damping == 0 {
		o.Damping = 0.01
	}
	p := &pass{Options: o, model: m, onStep: onStep}
	p.report = Report{Method: o.Method, Damping: o.Damping, Tokens: calibrate.Tokens(calibration)}
	for i, l := range m.Layers {
		neurons, err := o.MLP.Kept(l.MLP, o.Align, fmt.Sprintf("layer %d's MLP neurons", i))
		if err != nil {
			return nil, err
		}
		heads, err := o.Heads.Kept(l.KVHeads, 1, fmt.Sprintf("layer %d's KV groups", i))
		if err != nil {
			return nil, err
		}
		p.keepMLP = append(p.keepMLP, p.plan(neurons, l.MLP))
		p.keepHeads = append(p.keepHeads, p.plan(heads, l.KVHeads))
	}
	if o.MLP != (Cut{}) && !slices.ContainsFunc(p.keepMLP, func(k int) bool { return k > 0 }) {
		p.warn("the cut of MLP neurons removes none after rounding to the alignment of %d", max(1, o.Align))
	}
	if o.Heads != (Cut{}) && !slices.ContainsFunc(p.keepHeads, func(k int) bool { return k > 0 }) {
		p.warn("the cut of KV groups rounds to none")
	}
	p.count(m.Config, func(c *Count) *int { return &c.Before })
	return p, nil
}

// plan counts a half that will change, and writes 0 for one that will not.
func (p *pass) plan(keep, width int) int {
	if keep == width {
		return 0
	}
	p.total++
	return keep
}

func (p *pass) warn(format string, args ...any) {
	p.report.Warnings = append(p.report.Warnings, fmt.Sprintf(format, args...))
}

// visit prunes the half of a layer whose last linear layer reads the site.
func (p *pass) visit(s *calibrate.Stats) error {
	for _, l := range p.model.Linears() {
		if l.Layer == s.Layer {
			if err := dense(l); err != nil {
				return err
			}
		}
	}
	block := &p.model.Blocks[s.Layer]
	part, keep, group, linear, swaps := MLP, p.keepMLP[s.Layer], 1, block.Down, 10
	if s.Site == model.SiteO {
		widths := p.model.Layers[s.Layer]
		part, keep, group, linear, swaps = Heads, p.keepHeads[s.Layer], widths.Heads/widths.KVHeads*p.model.HeadDim, block.O, 5
	}
	if keep == 0 {
		return nil
	}
	if s.Tokens < s.Width {
		p.warn("layer %d, %s: %d calibration tokens for %d channels: only damping makes the solution unique",
			s.Layer, part, s.Tokens, s.Width)
	}
	q := newProblem(s.Gram, s.Tokens, linear.Weight.Float32(), group, p.Damping)
	c, err := p.choose(q, keep, s, swaps)
	if err != nil {
		return fmt.Errorf("layer %d, %s: %w", s.Layer, part, err)
	}
	masked := q.restrict(c.kept)
	r := LayerReport{Layer: s.Layer, Part: part, Before: q.groups(), Kept: keep, Support: c.kept, Start: c.start, Swaps: c.swaps}
	r.Masked = q.relativeError(masked)
	r.Updated = r.Masked
	channels := q.channels(c.kept)
	next := keepColumns(linear, channels)
	if c.weight != nil {
		r.Updated = q.relativeError(c.weight)
		next = updatedColumns(linear, channels, c.weight)
		p.Precision.Round(next.Weight.Float32())
	}
	if part == MLP {
		sliceMLP(p.model, s.Layer, c.kept, next)
	} else {
		sliceHeads(p.model, s.Layer, c.kept, next)
	}
	p.report.Layers = append(p.report.Layers, r)
	if p.onStep != nil {
		p.onStep(Step{Done: len(p.report.Layers), Total: p.total, Layer: r})
	}
	return nil
}

// choose applies the method. The choice's weight is nil where the method leaves weights as they
// are.
func (p *pass) choose(q *problem, keep int, s *calibrate.Stats, swaps int) (choice, error) {
	switch p.Method {
	case Magnitude:
		return choice{kept: q.magnitude(keep)}, nil
	case Random:
		return choice{kept: q.random(keep, rand.New(rand.NewPCG(p.Seed, uint64(s.Layer)<<8|uint64(s.Site))))}, nil
	case MagnitudeLS:
		kept := q.magnitude(keep)
		w, err := q.solve(kept)
		return choice{kept: kept, weight: w}, err
	}
	how := search{step: max(1, p.Step), swaps: swaps, rounds: 30}
	if p.Swaps > 0 {
		how.swaps = p.Swaps
	}
	switch {
	case p.LocalSearch > 0:
		how.rounds = p.LocalSearch
	case p.LocalSearch < 0:
		how.rounds = 0
	}
	return q.osscar(keep, how)
}

// count writes the sizes of a shape to one side of the report's counts.
func (p *pass) count(c model.Config, side func(*Count) *int) {
	neurons, groups := 0, 0
	for _, l := range c.Layers {
		neurons += l.MLP
		groups += l.KVHeads
	}
	*side(&p.report.Neurons), *side(&p.report.KVGroups), *side(&p.report.Parameters) = neurons, groups, c.Parameters()
}

// finish completes the report with the sizes after, and with what loaders elsewhere will say to the
// new shape.
func (p *pass) finish(c model.Config) {
	p.count(c, func(c *Count) *int { return &c.After })
	if p.report.KVGroups.Before == p.report.KVGroups.After {
		return
	}
	if c.Architecture == "Qwen2ForCausalLM" {
		p.warn("some servers compute the head size of Qwen2 as hidden/heads and cannot load a model with pruned heads")
	}
	for i, l := range c.Layers {
		if c.Architecture == "LlamaForCausalLM" && c.Hidden%l.Heads != 0 {
			p.warn("layer %d keeps %d query heads, which do not divide the hidden size %d: transformers refuses such a Llama", i, l.Heads, c.Hidden)
			break
		}
	}
}
