package pruning

import (
	"fmt"
	"math"
	"slices"

	"slimlab/internal/plural"
	"slimlab/model"
)

// Cut says how much of a layer's width to remove: a Ratio in [0, 1) of the width that the layer has
// now, or a Count. The zero value removes nothing.
type Cut struct {
	Ratio float64
	Count int
}

// LayerCut is what is removed from one layer.
type LayerCut struct {
	MLP   Cut // of the MLP neurons
	Heads Cut // of the KV groups; at least one stays
	// of the query heads of every KV group, the same number of each; at least one stays. It
	// excludes Heads.
	QueryHeads Cut
}

// Uniform cuts the same from each of n layers.
func Uniform(n int, c LayerCut) []LayerCut { return slices.Repeat([]LayerCut{c}, n) }

// Kept is what remains of width units called name. It is rounded up to a multiple of align, so that
// never more than asked is removed.
func (c Cut) Kept(width, align int, name string) (int, error) {
	switch {
	case c.Ratio != 0 && c.Count != 0:
		return 0, fmt.Errorf("cut of %s: found both ratio %g and count %d, expected one of them", name, c.Ratio, c.Count)
	case math.IsNaN(c.Ratio) || c.Ratio < 0 || c.Ratio >= 1:
		return 0, fmt.Errorf("cut of %s: ratio %g is outside [0, 1)", name, c.Ratio)
	case c.Count < 0:
		return 0, fmt.Errorf("cut of %s: count %d is negative", name, c.Count)
	}
	keep := width - c.Count - int(math.Round(c.Ratio*float64(width)))
	if keep < 1 {
		return 0, fmt.Errorf("cut of %s: removing %d of %d leaves none; at least 1 must stay", name, width-keep, width)
	}
	if align > 1 {
		keep = (keep + align - 1) / align * align
	}
	return min(keep, width), nil
}

// WidthsAfter returns the widths that the layers have after the cuts, one a layer. Neurons are
// rounded up to a multiple of align; 0 is 1.
func WidthsAfter(layers []model.LayerConfig, cuts []LayerCut, align int) ([]model.LayerConfig, error) {
	if len(cuts) != len(layers) {
		return nil, fmt.Errorf("found cuts for %s, expected one for each of the model's %d", plural.Of(len(cuts), "layer"), len(layers))
	}
	after := slices.Clone(layers)
	for i, l := range layers {
		neurons, err := cuts[i].MLP.Kept(l.MLP, align, fmt.Sprintf("layer %d's MLP neurons", i))
		if err != nil {
			return nil, err
		}
		groups, err := cuts[i].Heads.Kept(l.KVHeads, 1, fmt.Sprintf("layer %d's KV groups", i))
		if err != nil {
			return nil, err
		}
		if cuts[i].Heads != (Cut{}) && cuts[i].QueryHeads != (Cut{}) {
			return nil, fmt.Errorf("cut of layer %d: found KV groups and query heads, expected one of them", i)
		}
		queries, err := cuts[i].QueryHeads.Kept(l.Heads/l.KVHeads, 1, fmt.Sprintf("layer %d's query heads of a KV group", i))
		if err != nil {
			return nil, err
		}
		after[i] = model.LayerConfig{Heads: queries * groups, KVHeads: groups, MLP: neurons}
	}
	return after, nil
}
