package checkpoint

import (
	"strings"

	"slimlab/model/weight"
)

// parseAWQ reads the config of AutoAWQ, by the present names of its keys or those of its own file.
func parseAWQ(k *keys, n *notes) *quantization {
	bits, group := k.integer("bits", k.integer("w_bit", 4)), k.integer("group_size", k.integer("q_group_size", 128))
	if bits != 4 {
		k.fail("bits", "%d is not supported, expected 4", bits)
	}
	if version := k.text("version", "gemm"); !strings.EqualFold(version, "gemm") {
		k.fail("version", "%q is not supported, expected gemm", version)
	}
	k.refuse("zero_point", true)
	ignore := targets{names: []string{"lm_head"}, parts: k.strings("modules_to_not_convert")}
	q := uniform(Storage{Packing: AWQ, Format: weight.Format{Bits: 4, Group: k.groups(group)}}, ignore)
	q.groupless = !k.present("group_size") && !k.present("q_group_size")
	return q
}
