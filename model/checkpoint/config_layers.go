package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/model"
)

// perLayer reads per_layer_config, in which transformers keeps what differs in a layer from the
// model's keys: an object of the layers' numbers, perhaps with zeros before them, with an object of
// keys for each. Folders of earlier versions have slimlab_layers beside or instead of it.
func (k *keys) perLayer(c *model.Config) error {
	const name = "per_layer_config"
	all := k.object(name)
	if k.err != nil || len(all.raw) == 0 {
		return k.err
	}
	seen := map[int]string{}
	layers := model.Uniform(len(c.Layers), 0, 0, 0)
	plain := model.LayerConfig{Heads: k.integer("num_attention_heads", required), MLP: k.integer("intermediate_size", required)}
	plain.KVHeads = k.integer("num_key_value_heads", plain.Heads)
	for i := range layers {
		layers[i] = plain
	}
	for _, key := range slices.Sorted(maps.Keys(all.raw)) {
		layer, err := strconv.Atoi(key)
		if err != nil || strings.ContainsAny(key, "+-") || layer >= len(layers) {
			return fmt.Errorf("%s: found the key %s, expected a layer's number from 0 to %d", name, jsonread.Clip([]byte(strconv.Quote(key))), len(layers)-1)
		}
		if before, twice := seen[layer]; twice {
			return fmt.Errorf("%s: layer %d stands under %q and %q, expected one of them", name, layer, before, key)
		}
		seen[layer] = key
		own := all.object(key)
		all.inside(key, own)
		k.inside(name, all)
		if k.err != nil {
			return k.err
		}
		l := &layers[layer]
		l.Heads = own.integer("num_attention_heads", plain.Heads)
		l.KVHeads = own.integer("num_key_value_heads", plain.KVHeads)
		l.MLP = own.integer("intermediate_size", plain.MLP)
		if n := own.integer("head_dim", c.HeadDim); n != c.HeadDim {
			own.fail("head_dim", "found %d, expected that of the model, %d: heads of different widths are not supported", n, c.HeadDim)
		}
		if skipped := own.strings("skip"); len(skipped) > 0 {
			own.fail("skip", "found %s, expected none: layers without attention or MLP are not supported", jsonread.Clip(own.raw["skip"]))
		}
		for _, other := range slices.Sorted(maps.Keys(own.raw)) {
			if !slices.Contains([]string{"num_attention_heads", "num_key_value_heads", "intermediate_size", "head_dim", "skip"}, other) && !same(own.raw[other], k.raw[other]) {
				own.fail(other, "found %s, expected that of the model: it may not differ in a layer", jsonread.Clip(own.raw[other]))
			}
		}
		if l.KVHeads > 0 && l.Heads%l.KVHeads != 0 {
			own.fail("num_key_value_heads", "found %d, expected a divisor of the layer's num_attention_heads, %d", l.KVHeads, l.Heads)
		}
		all.inside(key, own)
		k.inside(name, all)
		if k.err != nil {
			return k.err
		}
	}
	if k.present("slimlab_layers") && !slices.Equal(layers, c.Layers) {
		return fmt.Errorf("%s: its widths are not those of slimlab_layers, expected equal ones, or one of the keys", name)
	}
	c.Layers = layers
	return nil
}
