package pruning

import (
	"slices"
	"testing"

	"slimlab/model"
)

// TestCountsOfShares: what shares of heads and layers are rounded to, of layers of one width and of
// several; numbers, shares of neurons and those that need no rounding have no count.
func TestCountsOfShares(t *testing.T) {
	one := []model.LayerConfig{{Heads: 8, KVHeads: 4, MLP: 100}, {Heads: 8, KVHeads: 4, MLP: 100}}
	two := []model.LayerConfig{{Heads: 8, KVHeads: 4, MLP: 100}, {Heads: 4, KVHeads: 2, MLP: 100}}
	for _, c := range []struct {
		cut    LayerCut
		layers []model.LayerConfig
		want   []string
	}{
		{LayerCut{Heads: Cut{Ratio: 0.3}}, one, []string{"heads: 30% of 4 KV groups is 1 of them"}},
		{LayerCut{Heads: Cut{Ratio: 0.4}}, one, []string{"heads: 40% of 4 KV groups is 2 of them"}},
		{LayerCut{Heads: Cut{Ratio: 0.25}}, two, []string{"heads: 25% of 4 KV groups is 1 of them, 25% of 2 KV groups is 1 of them"}},
		{LayerCut{QueryHeads: Cut{Ratio: 0.4}}, one, []string{"query_heads: 40% of 2 query heads of each KV group is 1 of them"}},
		{LayerCut{Heads: Cut{Ratio: 0.5}}, two, nil},
		{LayerCut{Heads: Cut{Count: 1}, MLP: Cut{Ratio: 0.3}}, one, nil},
	} {
		if got := c.cut.Counts(c.layers); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, expected %q", c.cut, got, c.want)
		}
	}
	if got := (Cut{Ratio: 0.3}).CountOfLayers(6); got != "layers: 30% of 6 layers is 2 of them" {
		t.Errorf("layers: %q", got)
	}
	if got := (Cut{Ratio: 0.5}).CountOfLayers(6); got != "" {
		t.Errorf("half of the layers: %q", got)
	}
	if got := (Cut{Count: 2}).CountOfLayers(6); got != "" {
		t.Errorf("a number of layers: %q", got)
	}
}
