package run

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/model"
	"slimlab/quant"
)

// checkLayers reads a scheme for each layer. It is nil where all have the step's.
func (q *Quantize) checkLayers(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	q.schemes = nil
	if q.Layers == "" {
		return
	}
	if q.Scheme != "none" {
		bad("layers", "scheme", "says each layer's scheme, and scheme is %s, of all: leave one of them out", q.Scheme)
	}
	for _, key := range []string{"group", "method", "order", "damping", "range", "sweeps", "start", "outliers", "outliers_shape"} {
		if given(key) {
			bad("layers", key, "says each layer's scheme by its whole name, and %s is of scheme: leave one of them out", key)
		}
	}
	var err error
	if q.schemes, err = quant.ParseLayers(q.Layers); err != nil {
		bad("layers", "", "%v", err)
	}
}

// planLayers is the plan of a step: its scheme for all layers, or each layer's own, with the sizes
// of automatic groups. names are what the layers have, for a recipe; "" where all have the scheme.
func (q *Quantize) planLayers(c model.Config, scheme quant.Scheme, groups func() []int) (plan quant.Plan, names string, err error) {
	if q.schemes == nil {
		return quant.Uniform(scheme), "", nil
	}
	if len(q.schemes) != len(c.Layers) {
		return nil, "", keyError{"layers", fmt.Errorf("has %s, expected one for each of %s", plural.Of(len(q.schemes), "scheme"), plural.Of(len(c.Layers), "layer"))}
	}
	frame, err := model.Skeleton(c)
	if err != nil {
		return nil, "", err
	}
	list, err := quant.OfLayers(q.schemes).Schemes(frame)
	if err != nil {
		return nil, "", keyError{"layers", fmt.Errorf("is %q: %w; %s", q.Layers, err, expectedGroups(groups()))}
	}
	var each []string
	for i, l := range frame.Linears() {
		if l.Site == model.SiteO { // one linear layer of each layer
			each = append(each, list[i].String())
		}
	}
	return quant.Fixed(frame, list), strings.Join(each, " "), nil
}

// calibratedLayers reports whether any layer's scheme needs statistics.
func (q *Quantize) calibratedLayers() bool {
	return slices.ContainsFunc(q.schemes, quant.Scheme.Calibrated)
}

// groupsOf are the sizes of groups that the step says of a layer, or of all where it is not known
// which layer it is; automatic ones fit the widths that they find.
func (q *Quantize) groupsOf(layer int, known bool) []int {
	switch {
	case q.schemes == nil:
		return []int{q.scheme.Format.Group}
	case known && layer < len(q.schemes):
		return []int{q.schemes[layer].Format.Group}
	case known: // the step is refused
		return nil
	}
	var all []int
	for _, s := range q.schemes {
		all = append(all, s.Format.Group)
	}
	return all
}
