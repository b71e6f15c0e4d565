package run

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"slimlab/model"
	"slimlab/pruning"
	"slimlab/quant"
)

// groupsAfter is, for each of a model's layers, the least common multiple of the groups in which
// later steps quantize the widths that a step leaves; 0 is none. Behind a removal of whole layers
// it is not known which are which: all have what any has. Groups that do not divide the inputs
// beside the neurons are left out: no cut of neurons makes them fit, and the step that has them is
// refused.
func (w *worker) groupsAfter(step string, p *Prune, shape model.Config) []int {
	groups := make([]int, len(shape.Layers))
	fits := p.fitsBesideNeurons(shape)
	const same, fewer = 1, 2             // layers as they are, or some of them
	widths := map[string]int{step: same} // models of the same widths
	for _, s := range w.cell.Point.Steps {
		from := widths[s.From]
		if from == 0 {
			continue
		}
		switch work := s.Work.(type) {
		case *Quantize:
			for i := range groups {
				of := slices.DeleteFunc(work.groupsOf(i, from == same), func(group int) bool { return !fits(group) })
				groups[i] = pruning.CommonGroup(append(of, groups[i])...)
			}
		case *Prune:
			if cut, err := work.cut(); err == nil && cut.MLP == (pruning.Cut{}) && work.MLPLayers == "" && work.Budget == "" {
				widths[s.Name] = from
			}
			if depth, err := pruning.ParseCut(work.Layers); err == nil && depth != (pruning.Cut{}) {
				widths[s.Name] = fewer
			}
		default:
			widths[s.Name] = from
		}
	}
	return groups
}

// fitsBesideNeurons tells which groups divide all inputs of what a step leaves of a shape but those
// of down_proj.
func (p *Prune) fitsBesideNeurons(shape model.Config) func(group int) bool {
	layers := shape.Layers
	if cut, err := p.cut(); err == nil {
		cut.MLP = pruning.Cut{}
		if after, err := pruning.WidthsAfter(layers, pruning.Uniform(len(layers), cut), 1); err == nil {
			layers = after
		}
	}
	return func(group int) bool {
		return group <= 1 || shape.Hidden%group == 0 && !slices.ContainsFunc(layers, func(l model.LayerConfig) bool { return l.Heads*shape.HeadDim%group != 0 })
	}
}

// groupsFor are the groups in which a step can quantize a model of a shape, also those that a cut
// before it with an automatic alignment would follow.
func (w *worker) groupsFor(from string, shape model.Config) (fit []int) {
	beside := shape
	beside.Layers = slices.Clone(shape.Layers)
	for i := range beside.Layers {
		beside.Layers[i].MLP = shape.Hidden
	}
	frame, err := model.Skeleton(beside)
	if err != nil {
		return nil
	}
	for _, group := range quant.Groups(frame) {
		layers, ok := w.layersBy(from, group)
		if ok && !slices.ContainsFunc(layers, func(l model.LayerConfig) bool { return l.MLP%group != 0 }) {
			fit = append(fit, group)
		}
	}
	return fit
}

// layersBy are the widths of a model, or of a step's, if all that it leads to were quantized in
// groups of a size; it is not ok where a cut then removes nothing.
func (w *worker) layersBy(name string, group int) (layers []model.LayerConfig, ok bool) {
	s, _ := w.cell.Point.Step(name)
	m := w.models[name]
	switch work := s.Work.(type) {
	case *Prune:
		from, ok := w.layersBy(s.From, group)
		options, err := work.options()
		if depth, bad := pruning.ParseCut(work.Layers); bad != nil || depth != (pruning.Cut{}) || err != nil || !ok {
			return m.shape.Layers, ok
		}
		shape := withLayers(m.shape, from)
		groups := slices.Repeat([]int{group}, len(from))
		planned, _, err := work.fit(shape, &options, groups)
		return planned.Layers, err == nil
	case *Distil, *Train:
		if before := w.models[s.From]; before != nil && slices.Equal(before.shape.Layers, m.shape.Layers) {
			return w.layersBy(s.From, group)
		}
	case *Quantize:
		return w.layersBy(s.From, group)
	}
	return m.shape.Layers, true
}

// fit plans the cut of a model and completes the options. What cannot be is an error with the
// values that would do.
func (p *Prune) fit(c model.Config, o *pruning.Options, groups []int) (pruning.Planned, pruning.LayerCut, error) {
	cut, err := p.cut()
	if err != nil {
		return pruning.Planned{}, cut, err
	}
	wanted := pruning.Wanted{LayerCut: cut, Widths: pruning.Widths(p.Widths), Budget: p.Budget, Rows: int(p.BudgetRows), Align: o.Align, Groups: groups}
	if p.MLPLayers != "" {
		if wanted.Each, err = pruning.ParseCuts(p.MLPLayers); err != nil {
			return pruning.Planned{}, cut, keyError{"mlp_layers", err}
		}
	}
	planned, err := wanted.Plan(c)
	var of *pruning.CutError
	if errors.As(err, &of) {
		values := map[string]string{"align": p.Align, "budget": cmp.Or(p.Budget, "that of the cut"), "mlp_layers": strconv.Quote(p.MLPLayers)}
		for _, t := range p.texts() {
			values[t.key] = t.text
		}
		err = keyError{of.Key, fmt.Errorf("is %s: %w", values[of.Key], err)}
	}
	if p.Budget != "" {
		cut = pruning.LayerCut{MLP: pruning.Cut{Ratio: 1}} // of neurons, how much is in the plan
	}
	o.Align, o.Cuts, o.Budget = planned.Align, planned.Cuts, planned.Budget
	return planned, cut, err
}
