package pruning

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// Budget has the width of each layer chosen, so that the sum of the layers' relative output errors
// is the least that so many parameters allow. The errors are those of the model as it was, by
// greedy removal with least squares (a curve of each layer), whatever method then prunes.
type Budget struct {
	MLP, Heads bool // which widths are chosen: of neurons, and of KV groups
	Parameters int  // of these that stay at most: see HalfParameters
	// of each layer's error; nil is one each
	Importance []float64
}

// BudgetReport is what a Budget came to.
type BudgetReport struct {
	Parameters int `json:"parameters"` // that may stay
	Kept       int `json:"kept"`       // that stay
	// the widths that were chosen from are multiples of it
	Lattice int           `json:"lattice"`
	Error   float64       `json:"error"`   // the sum of the layers' errors, each times its importance
	Uniform float64       `json:"uniform"` // the same where all layers lose the same share, within the budget
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

// ParseBudget reads a budget: a share of the parameters that stay, such as 80% or 0.8, or the bytes
// that they take in bfloat16, such as 500MB.
func ParseBudget(text string) (share float64, bytes int64, err error) {
	bad := fmt.Errorf("found %q, expected a share that stays, above 0 and below 1, such as 80%% or 0.8, or bytes such as 500MB", text)
	for i, unit := range []string{"KB", "MB", "GB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			x, err := strconv.ParseFloat(number, 64)
			if err != nil || !(x > 0 && x < 1e6) || strings.ContainsAny(number, "xXpP_") {
				return 0, 0, bad
			}
			return 0, int64(x * math.Pow(1000, float64(i+1))), nil
		}
	}
	cut, err := ParseCut(text)
	if err != nil || cut.Ratio == 0 {
		return 0, 0, bad
	}
	return cut.Ratio, 0, nil
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

// Check reports a budget that no widths of a model meet, or that all do.
func (b Budget) Check(c model.Config, align int) error {
	least, all := b.Least(c, align), HalfParameters(c, c.Layers, b.MLP, b.Heads)
	share := func(n int) float64 { return 100 * float64(n) / float64(all) }
	switch {
	case b.Importance != nil && len(b.Importance) != len(c.Layers):
		return fmt.Errorf("found importance of %d layers, expected one for each of the model's %d", len(b.Importance), len(c.Layers))
	case b.Parameters < least:
		return fmt.Errorf("the budget is %d parameters of %d, and with one unit of each layer there are %d: expected at least %.4g%%", b.Parameters, all, least, math.Ceil(100*share(least))/100)
	case b.Parameters >= all:
		return fmt.Errorf("the budget is %d parameters, and there are %d: nothing would be removed, expected fewer", b.Parameters, all)
	}
	return nil
}

// widest is the most widths of a layer that are chosen from.
const mostWidths = 256

// measured is a half of a layer with the error of each of its widths.
type measured struct {
	layer  int
	part   Part
	before int
	unit   int       // parameters of one
	curve  []float64 // by the units that are removed
	step   int       // of the widths that may be chosen
	align  int       // of the narrower ones, and of this one where it may stay
	weight float64
}

// widths are those that may be chosen, the widest first. All are aligned: one that is not now does
// not stay.
func (m *measured) widths() []int {
	var all []int
	if m.before%m.align == 0 {
		all = append(all, m.before)
	}
	for kept := (m.before - 1) / m.step * m.step; kept >= m.step; kept -= m.step {
		all = append(all, kept)
	}
	return all
}

func (m *measured) loss(kept int) float64 { return m.weight * m.curve[m.before-kept] }

// measurer is the calibrate.Method that measures curves. It changes nothing.
type measurer struct {
	budget  Budget
	model   *model.Model
	damping float64
	align   int
	found   []measured
}

// Wants implements calibrate.Method.
func (m *measurer) Wants(l model.LinearLayer) bool {
	widths := m.model.Layers[l.Layer]
	return m.budget.MLP && l.Site == model.SiteDown && widths.MLP > m.align || m.budget.Heads && l.Site == model.SiteO && widths.KVHeads > 1
}

// Compress implements calibrate.Method.
func (m *measurer) Compress(ctx context.Context, s *calibrate.Stats, linears []model.LinearLayer, report func(struct{})) error {
	w, err := calibrate.Dense(linears[0])
	if err != nil {
		return fmt.Errorf("%w: prune before quantizing", err)
	}
	c := m.model.Layers[s.Layer]
	of := measured{layer: s.Layer, part: MLP, before: c.MLP, unit: neuronParameters(m.model.Config), step: m.align, align: m.align, weight: 1}
	group := 1
	if s.Site == model.SiteO {
		queries := c.Heads / c.KVHeads
		of.part, of.before, of.unit, of.step, of.align, group = Heads, c.KVHeads, groupParameters(m.model.Config, queries), 1, 1, queries*m.model.HeadDim
	}
	if m.budget.Importance != nil {
		of.weight = m.budget.Importance[s.Layer]
	}
	for of.before/of.step > mostWidths {
		of.step += of.align
	}
	q := newProblem(ctx, inputs{gram: s.Gram, mean: s.Mean}, w.Data, units{group: group}, m.damping)
	if of.curve, err = q.curve(of.step); err != nil {
		return fmt.Errorf("layer %d, %s: %w", s.Layer, of.part, err)
	}
	m.found = append(m.found, of)
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
	m := &measurer{budget: *o.Budget, model: frame, damping: cmp.Or(o.Damping, defaultDamping), align: max(1, o.Align)}
	if err := o.Budget.Check(frame.Config, m.align); err != nil {
		return nil, err
	}
	run := calibrate.Options[struct{}]{Settings: calibrate.Settings{Parallel: true, Store: o.Statistics.Store}, ChunkTokens: o.ChunkTokens}
	if o.Measured != nil {
		run.OnDone = func(d calibrate.Done[struct{}]) { o.Measured(d.Done, d.Total) }
	}
	if _, err := calibrate.Run(ctx, unchanged{layers, frame}, calibration, run, m); err != nil {
		return nil, err
	}
	r, err := m.choose()
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
func (m *measurer) choose() (*BudgetReport, error) {
	r := &BudgetReport{Parameters: m.budget.Parameters, Lattice: m.align}
	// what no width is chosen of
	fixed := HalfParameters(m.model.Config, m.model.Layers, m.budget.MLP, m.budget.Heads)
	all := 0
	items := make([][]choiceOf, len(m.found))
	for i := range m.found {
		of := &m.found[i]
		fixed -= of.before * of.unit
		all += of.before * of.unit
		if of.part == MLP {
			r.Lattice = max(r.Lattice, of.step)
		}
		for _, kept := range of.widths() {
			items[i] = append(items[i], choiceOf{kept * of.unit, of.loss(kept)})
		}
	}
	chosen, ok := allocate(items, m.budget.Parameters-fixed)
	if !ok {
		least := fixed
		for i := range m.found {
			widths := m.found[i].widths()
			least += widths[len(widths)-1] * m.found[i].unit
		}
		return nil, fmt.Errorf("the budget is %d parameters, and the narrowest widths have %d: expected at least these", m.budget.Parameters, least)
	}
	r.Kept = fixed
	for i, at := range chosen {
		of := &m.found[i]
		kept := of.widths()[at]
		r.Kept += kept * of.unit
		r.Error += of.loss(kept)
		r.Layers = append(r.Layers, LayerBudget{of.layer, of.part, of.before, kept, of.curve[of.before-kept], thinned(of.curve, of.before)})
	}
	r.Uniform = m.uniform(m.budget.Parameters-fixed, all)
	return r, nil
}

// uniform is the loss where every half keeps the same share of its width, rounded down to a width
// that may be chosen, but to the narrowest at least.
func (m *measurer) uniform(budget, all int) float64 {
	loss := 0.0
	for i := range m.found {
		of := &m.found[i]
		widths := of.widths()
		kept := widths[len(widths)-1]
		for _, w := range widths {
			if w*all <= of.before*budget {
				kept = w
				break
			}
		}
		loss += of.loss(kept)
	}
	return loss
}

// choiceOf is one of the choices of an item.
type choiceOf struct {
	cost int
	loss float64
}

// allocate takes one choice of each item, so that the sum of costs is within the budget and the sum
// of losses is the least; of equals one of the lowest cost. It is exact: after each item it keeps
// every sum that no other has at once a lower cost and a lower loss than. It is not ok where no
// choice fits.
func allocate(items [][]choiceOf, budget int) (chosen []int, ok bool) {
	type state struct {
		choiceOf
		before, choice int // of the state that this one adds a choice to
	}
	least := make([]int, len(items)+1) // of the items from here on
	for i := len(items) - 1; i >= 0; i-- {
		least[i] = math.MaxInt
		for _, c := range items[i] {
			least[i] = min(least[i], least[i+1]+c.cost)
		}
	}
	if least[0] > budget {
		return nil, false
	}
	levels := [][]state{{{}}}
	for i, item := range items {
		var next []state
		for b, s := range levels[i] {
			for c, of := range item {
				if cost := s.cost + of.cost; cost+least[i+1] <= budget {
					next = append(next, state{choiceOf{cost, s.loss + of.loss}, b, c})
				}
			}
		}
		slices.SortFunc(next, func(a, b state) int { return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.loss, b.loss)) })
		kept := next[:0]
		for _, s := range next {
			if len(kept) == 0 || s.loss < kept[len(kept)-1].loss {
				kept = append(kept, s)
			}
		}
		levels = append(levels, slices.Clone(kept))
	}
	chosen = make([]int, len(items))
	at := len(levels[len(items)]) - 1 // the last has the highest cost and the lowest loss
	for i := len(items); i > 0; i-- {
		s := levels[i][at]
		chosen[i-1], at = s.choice, s.before
	}
	return chosen, true
}
