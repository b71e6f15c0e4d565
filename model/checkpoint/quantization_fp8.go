package checkpoint

import (
	"slices"

	"slimlab/model/weight"
)

func parseFP8(k *keys, n *notes) *quantization {
	s := Storage{Packing: FP8, Format: weight.Format{Float: true, Bits: 8, Activations: weight.Token, Tensor: true}}
	for _, key := range []string{"fmt", "weight_format"} {
		k.choice(key, "e4m3", "e4m3", "float8_e4m3fn")
	}
	k.cacheScheme(n)
	k.refuse("is_checkpoint_fp8_serialized", true)
	scheme := k.choice("activation_scheme", "dynamic", "dynamic", "static")
	if scheme == "static" {
		s.Format.Activations = weight.Static
	}
	if k.present("weight_block_size") {
		block := value(k, "weight_block_size", []int(nil), "two positive numbers")
		if len(block) != 2 || block[0] < 1 || block[1] < 1 || scheme == "static" {
			k.fail("weight_block_size", "found %d with activation_scheme %s, expected two positive numbers with dynamic", block, scheme)
		} else {
			s.Format.Tensor, s.Format.Block, s.Format.Activations = false, [2]int{block[0], block[1]}, weight.Blocks
		}
	}
	names := slices.Concat([]string{"lm_head"}, k.strings("ignored_layers"), k.strings("modules_to_not_convert"))
	return uniform(s, ignored("ignored_layers", names, n))
}
