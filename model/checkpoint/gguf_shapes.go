package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/model/checkpoint/gguf"
)

// ggufShapeKeys are the metadata keys that say the shape of a tensor, by the part of its GGUF name
// after the layer. Of all others it is embedding_length.
var ggufShapeKeys = []struct {
	part string
	keys []string
}{
	{"attn_q_norm", []string{"attention.key_length"}},
	{"attn_q", []string{"attention.head_count", "attention.key_length", "embedding_length"}},
	{"attn_output", []string{"attention.head_count", "attention.key_length", "embedding_length"}},
	{"attn_k_norm", []string{"attention.key_length"}},
	{"attn_k", []string{"attention.head_count_kv", "attention.key_length", "embedding_length"}},
	{"attn_v", []string{"attention.head_count_kv", "attention.key_length", "embedding_length"}},
	{"ffn_gate", []string{"feed_forward_length", "embedding_length"}},
	{"ffn_up", []string{"feed_forward_length", "embedding_length"}},
	{"ffn_down", []string{"feed_forward_length", "embedding_length"}},
}

// misshapen is the error of a tensor, found or absent, that is not as the metadata say: by its name
// in the file, with the keys that say its shape.
func (g *ggufFile) misshapen(e expectation, layers int) error {
	name, ok := toGGUFName(e.name)
	if !ok {
		name = e.name
	}
	var layer int
	inLayer, _ := fmt.Sscanf(name, "blk.%d.", &layer)
	t, found := g.tensor(e.name)
	switch {
	case found:
		return fmt.Errorf("tensor %q: shape is %d, expected %d by %s", name, t.Shape, e.shapes[0], g.shapeKeys(name))
	case inLayer == 1 && !g.holdsLayer(layer):
		return fmt.Errorf("tensor %q is missing, expected shape %d: metadata key %q says %s, and the file has none of layer %d",
			name, e.shapes[0], g.key("block_count"), plural.Of(layers, "layer"), layer)
	}
	return fmt.Errorf("tensor %q is missing, expected shape %d by %s", name, e.shapes[0], g.shapeKeys(name))
}

func (g *ggufFile) holdsLayer(layer int) bool {
	prefix := fmt.Sprintf("model.layers.%d.", layer)
	return slices.ContainsFunc(g.list, func(t TensorInfo) bool { return strings.HasPrefix(t.Name, prefix) })
}

// key is the whole name of a metadata key of the architecture.
func (g *ggufFile) key(name string) string {
	architecture, _, _ := g.file.Metadata.String("general.architecture")
	return architecture + "." + name
}

// shapeKeys lists the metadata keys that say the shape of a tensor, and which of them the file
// lacks: another value stands for those.
func (g *ggufFile) shapeKeys(name string) string {
	keys := []string{"embedding_length"}
	part := name[strings.LastIndex(strings.TrimSuffix(strings.TrimSuffix(name, ".weight"), ".bias"), ".")+1:]
	for _, k := range ggufShapeKeys {
		if rest, ok := strings.CutPrefix(part, k.part); ok && strings.HasPrefix(rest, ".") {
			keys = k.keys
		}
	}
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = g.key(k)
		if !slices.ContainsFunc(g.file.Metadata, func(p gguf.Pair) bool { return p.Key == list[i] }) {
			list[i] += " (missing)"
		}
	}
	if len(list) == 1 {
		return "the metadata key " + list[0]
	}
	return "the metadata keys " + strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
