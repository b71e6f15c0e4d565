package pruning

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"slimlab/internal/plural"
	"slimlab/model"
	"slimlab/model/calibrate"
)

// Budget has the width of each layer chosen, so that the sum of the layers' relative output errors
// is the least that so many parameters, or so much time, allow. The errors are those of the model
// as it was, by greedy removal with least squares (a curve of each layer), whatever method then
// prunes.
type Budget struct {
	MLP, Heads bool // which widths are chosen: of neurons, and of KV groups
	Parameters int  // of these that stay at most: see HalfParameters
	Time       *TimeBudget
	// of each layer's error; nil is one each
	Importance []float64
}

// BudgetReport is what a Budget came to.
type BudgetReport struct {
	Parameters int         `json:"parameters,omitzero"` // that may stay
	Kept       int         `json:"kept"`                // that stay
	Time       *TimeReport `json:"time,omitempty"`      // of a budget of time, in place of Parameters
	// the widths that were chosen from are multiples of it
	Lattice int     `json:"lattice"`
	Error   float64 `json:"error"` // the sum of the layers' errors, each times its importance
	// the same where all layers lose the same share, the least that is within the budget; of a
	// budget of time 0 where none is: see TimeReport.Uniform
	Uniform float64       `json:"uniform"`
	Layers  []LayerBudget `json:"layers"`
}

// LayerBudget is the width that was chosen for one half of a layer.
type LayerBudget struct {
	Layer  int          `json:"layer"`
	Part   Part         `json:"part"`
	Before int          `json:"before"`
	Kept   int          `json:"kept"`
	Error  float64      `json:"error"`
	Curve  []CurvePoint `json:"curve"`
}

// HalfParameters counts the parameters that removing neurons, or KV groups, makes fewer.
func HalfParameters(c model.Config, layers []model.LayerConfig, mlp, heads bool) int {
	n := 0
	for _, l := range layers {
		if mlp {
			n += l.MLP * neuronParameters(c)
		}
		if heads {
			n += l.KVHeads * groupParameters(c, l.Heads/l.KVHeads)
		}
	}
	return n
}

func neuronParameters(c model.Config) int { return 3 * c.Hidden }

func groupParameters(c model.Config, queries int) int {
	n := (2*queries + 2) * c.Hidden
	if c.QKVBias {
		n += queries + 2
	}
	return n * c.HeadDim
}

// Least is the fewest parameters that a budget can have, with widths that are multiples of align.
func (b Budget) Least(c model.Config, align int) int {
	least := slices.Clone(c.Layers)
	for i, l := range least {
		least[i].MLP = min(align, l.MLP)
		least[i] = model.LayerConfig{Heads: l.Heads / l.KVHeads, KVHeads: 1, MLP: least[i].MLP}
	}
	return HalfParameters(c, least, b.MLP, b.Heads)
}

// Check reports a budget that no widths of a model meet, or that all do. Of a budget of time it
// reports what needs no measurement.
func (b Budget) Check(c model.Config, align int) error { return b.check(c, align, false) }

// check is Check of a budget that was asked for as a share, or in bytes.
func (b Budget) check(c model.Config, align int, inBytes bool) error {
	least, all := b.Least(c, align), HalfParameters(c, c.Layers, b.MLP, b.Heads)
	enough := fmt.Sprintf("%.4g%%", math.Ceil(1e4*float64(least)/float64(all))/100)
	if inBytes {
		enough = sizeOf(least, math.Ceil)
	}
	if b.Time != nil {
		return b.Time.check()
	}
	switch {
	case b.Importance != nil && len(b.Importance) != len(c.Layers):
		return fmt.Errorf("found importance of %s, expected one for each of the model's %d", plural.Of(len(b.Importance), "layer"), len(c.Layers))
	case b.Parameters < least:
		return fmt.Errorf("the budget is %s of %d, and with one unit of each layer there are %d: expected at least %s", plural.Of(b.Parameters, "parameter"), all, least, enough)
	case b.Parameters >= all && inBytes:
		return fmt.Errorf("the budget is %s, and there are %d: nothing would be removed, expected less than %s", plural.Of(b.Parameters, "parameter"), all, sizeOf(all, math.Floor))
	case b.Parameters >= all:
		return fmt.Errorf("the budget is %s, and there are %d: nothing would be removed, expected fewer", plural.Of(b.Parameters, "parameter"), all)
	}
	return nil
}

// sizeOf writes the bytes of parameters in bfloat16 as ParseBudget reads them, rounded.
func sizeOf(parameters int, round func(float64) float64) string {
	bytes, unit, suffix := 2*float64(parameters), 1e3, "kB"
	switch {
	case bytes >= 1e9:
		unit, suffix = 1e9, "GB"
	case bytes >= 1e6:
		unit, suffix = 1e6, "MB"
	}
	return strconv.FormatFloat(round(1e3*bytes/unit)/1e3, 'f', -1, 64) + suffix
}

// measured is a half of a layer with the error of each of its widths.
type measured struct {
	Half
	curve  []float64 // by the units that are removed
	weight float64
}

func (m *measured) loss(kept int) float64 {
	if m.curve == nil { // nothing is chosen
		return 0
	}
	return m.weight * m.curve[m.Before-kept]
}

// measurer is the calibrate.Method that measures curves. It changes nothing.
type measurer struct {
	budget  Budget
	model   *model.Model
	damping float64
	halves  []measured
}

// half is the one whose width is chosen, of a layer and what reads the site; nil where none is.
func (m *measurer) half(layer int, site model.Site) *measured {
	for i := range m.halves {
		if h := &m.halves[i]; h.Layer == layer && !h.stays() && (h.Part == MLP && site == model.SiteDown || h.Part == Heads && site == model.SiteO) {
			return h
		}
	}
	return nil
}

// Wants implements calibrate.Method.
func (m *measurer) Wants(l model.LinearLayer) bool { return m.half(l.Layer, l.Site) != nil }

// Compress implements calibrate.Method.
func (m *measurer) Compress(ctx context.Context, s *calibrate.Stats, linears []model.LinearLayer, report func(struct{})) error {
	w, err := calibrate.Dense(linears[0])
	if err != nil {
		return fmt.Errorf("%w: prune before quantizing", err)
	}
	of := m.half(s.Layer, s.Site)
	group := 1
	if of.Part == Heads {
		group = of.Queries * m.model.HeadDim
	}
	q := newProblem(ctx, inputs{gram: s.Gram, mean: s.Mean}, w.Data, units{group: group}, m.damping)
	if of.curve, err = q.curve(of.Widths[len(of.Widths)-1]); err != nil {
		return fmt.Errorf("layer %d, %s: %w", s.Layer, of.Part, err)
	}
	report(struct{}{})
	return nil
}

// unchanged are the layers of a model as it was, for a pass that changes nothing.
type unchanged struct {
	calibrate.Layers
	model *model.Model
}

// Model implements calibrate.Layers.
func (u unchanged) Model() *model.Model { return u.model }

// Load implements calibrate.Layers.
func (u unchanged) Load(ctx context.Context, layer int) (finished bool, err error) {
	return false, u.Source(ctx, u.model, layer)
}

// Leave implements calibrate.Layers.
func (u unchanged) Leave(_ context.Context, layer int) error {
	u.model.Blocks[layer] = model.Block{}
	return nil
}

// chooseWidths measures the layers of a model as it was, and sets the cuts.
func (o *Options) chooseWidths(ctx context.Context, layers calibrate.Layers, calibration []calibrate.Sequence) (*BudgetReport, error) {
	frame, err := model.Skeleton(layers.Model().Config)
	if err != nil {
		return nil, err
	}
	align := max(1, o.Align)
	if err := o.Budget.Check(frame.Config, align); err != nil {
		return nil, err
	}
	if o.Budget.Time != nil {
		if err := o.Budget.CheckTimes(frame.Config, align); err != nil {
			return nil, err
		}
	}
	m := &measurer{budget: *o.Budget, model: frame, damping: cmp.Or(o.Damping, DefaultDamping)}
	halves := m.budget.Halves(frame.Config, align)
	costs, err := m.budget.costs(frame.Config, halves)
	if err != nil {
		return nil, err
	}
	for _, h := range halves {
		of := measured{Half: h, weight: 1}
		if m.budget.Importance != nil {
			of.weight = m.budget.Importance[h.Layer]
		}
		m.halves = append(m.halves, of)
	}
	run := calibrate.Options[struct{}]{Settings: calibrate.Settings{Parallel: true, Store: o.Statistics.Store, Precision: o.Statistics.Precision}, ChunkTokens: o.ChunkTokens}
	if o.Measured != nil {
		run.OnDone = func(d calibrate.Done[struct{}]) { o.Measured(d.Done, d.Total) }
	}
	if _, err := calibrate.Run(ctx, unchanged{layers, frame}, calibration, run, m); err != nil {
		return nil, err
	}
	r, err := m.choose(costs, align)
	if err != nil {
		return nil, err
	}
	o.Cuts = make([]LayerCut, len(frame.Layers))
	for _, l := range r.Layers {
		cut := Cut{Count: l.Before - l.Kept}
		if l.Part == MLP {
			o.Cuts[l.Layer].MLP = cut
		} else {
			o.Cuts[l.Layer].Heads = cut
		}
	}
	return r, nil
}

// choose solves for the widths.
func (m *measurer) choose(costs costs, align int) (*BudgetReport, error) {
	r := &BudgetReport{Parameters: m.budget.Parameters, Lattice: align}
	items := make([][]choiceOf, len(m.halves))
	for i := range m.halves {
		of := &m.halves[i]
		if of.Part == MLP && !of.stays() {
			r.Lattice = max(r.Lattice, of.step)
		}
		for _, kept := range of.Widths {
			items[i] = append(items[i], choiceOf{costs.of(of.Half, kept), of.loss(kept)})
		}
	}
	chosen, ok := allocate(items, costs.most)
	if !ok {
		return nil, costs.unmet(items)
	}
	cost := int64(0)
	parameters := parameterCosts(m.model.Config)
	for i, at := range chosen {
		of := &m.halves[i]
		kept := of.Widths[at]
		cost += items[i][at].cost
		r.Kept += int(parameters(of.Half, kept))
		r.Error += items[i][at].loss
		if of.curve != nil {
			r.Layers = append(r.Layers, LayerBudget{of.Layer, of.Part, of.Before, kept, of.curve[of.Before-kept], thinned(of.curve, of.Before)})
		}
	}
	equal, uniform, _ := m.uniform(items, costs.most)
	r.Uniform = uniform
	if t := m.budget.Time; t != nil {
		r.Time = &TimeReport{
			Machine: t.Times.Machine, Format: t.Times.Format, Rows: t.Times.Rows, Spread: t.Times.Spread,
			Most: milliseconds(costs.most), Before: milliseconds(costs.before), Kept: milliseconds(cost), Uniform: milliseconds(equal),
		}
	}
	return r, nil
}

// uniform is the cost and the loss where every half keeps the same share of its width, rounded down
// to a width that may be chosen, but to the narrowest at least: of the shares whose cost is within
// the budget the largest. It is not ok where none is.
func (m *measurer) uniform(items [][]choiceOf, budget int64) (cost int64, loss float64, ok bool) {
	type share struct{ kept, of int }
	var shares []share
	for i := range m.halves {
		for _, w := range m.halves[i].Widths {
			shares = append(shares, share{w, m.halves[i].Before})
		}
	}
	slices.SortFunc(shares, func(a, b share) int { return cmp.Compare(b.kept*a.of, a.kept*b.of) })
	shares = slices.CompactFunc(shares, func(a, b share) bool { return a.kept*b.of == b.kept*a.of })
	for _, s := range shares {
		cost, loss = 0, 0
		for i := range m.halves {
			of := &m.halves[i]
			at := slices.IndexFunc(of.Widths, func(w int) bool { return w*s.of <= of.Before*s.kept })
			if at < 0 {
				at = len(of.Widths) - 1
			}
			cost, loss = cost+items[i][at].cost, loss+items[i][at].loss
		}
		if cost <= budget {
			return cost, loss, true
		}
	}
	return 0, 0, false
}
