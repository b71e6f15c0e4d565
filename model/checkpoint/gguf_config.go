package checkpoint

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

// ggufKeys reads values by key and keeps the first error.
type ggufKeys struct {
	metadata gguf.Metadata
	prefix   string // of the keys of the model's architecture, "llama."
	err      error
}

func (k *ggufKeys) fail(key, format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("metadata key %q: %s", key, fmt.Sprintf(format, args...))
	}
}

// fetch reads the value of a key by one of Metadata's methods, or takes the fallback where there is
// none.
func fetch[T any](k *ggufKeys, read func(string) (T, bool, error), key string, fallback T) T {
	v, found, err := read(key)
	if err != nil && k.err == nil {
		k.err = err
	}
	if !found {
		return fallback
	}
	return v
}

// integer reads a size of the architecture; without a fallback, which required says, it must be
// there.
func (k *ggufKeys) integer(key string, fallback int) int {
	key = k.prefix + key
	n := fetch(k, k.metadata.Int, key, fallback)
	if n == required {
		k.fail(key, "the key is missing")
		return 0
	}
	if _, found := k.metadata.Get(key); found {
		k.within(key, n)
	}
	return n
}

// within refuses a size of the architecture that is outside its bound.
func (k *ggufKeys) within(key string, n int) {
	if b, ok := ggufBounds[strings.TrimPrefix(key, k.prefix)]; ok && (n < b.low || n > b.high) {
		k.fail(key, "found %d, expected %s", n, b)
	}
}

func (k *ggufKeys) number(key string, fallback float64) float64 {
	return fetch(k, k.metadata.Float, k.prefix+key, fallback)
}

// perLayer reads a size that is one for all layers or a list of one a layer, into list.
func (k *ggufKeys) perLayer(list []int, key string, fallback []int) {
	key = k.prefix + key
	v, found := k.metadata.Get(key)
	switch n, isOne, err := k.metadata.Int(key); {
	case !found && fallback == nil:
		k.fail(key, "the key is missing")
	case !found:
		copy(list, fallback)
	case isOne && err == nil:
		k.within(key, n)
		for i := range list {
			list[i] = n
		}
	default:
		many, _, err := k.metadata.Ints(key)
		if err != nil || len(many) != len(list) {
			k.fail(key, "found %s, expected a whole number, or %d of them", gguf.Describe(v), len(list))
			return
		}
		for layer, n := range many {
			if n == 0 && k.prefix == ggufDeci+"." {
				k.fail(key, "layer %d has 0: layers without attention or MLP, and of linear attention, which deci allows, are not supported", layer)
			}
			k.within(key, n)
		}
		copy(list, many)
	}
}

// ggufConfig reads the shape of the model from a file's metadata and the presence of its tensors.
func ggufConfig(f *gguf.File, n *notes) (model.Config, error) {
	k := &ggufKeys{metadata: f.Metadata}
	name := fetch(k, f.Metadata.String, "general.architecture", "")
	if kind := fetch(k, f.Metadata.String, "general.type", "model"); kind != "model" {
		k.fail("general.type", "%q is not supported, expected \"model\"", kind)
	}
	if n := fetch(k, f.Metadata.Int, "split.count", 1); n > 1 {
		k.fail("split.count", "the model is split into %d files, which is not supported: join them first", n)
	}
	c := model.Config{Architecture: ggufArchitectures[name]}
	if c.Architecture == "" {
		if what := otherFamily(name); what != "" {
			k.fail("general.architecture", "%q, %s, is not supported, expected llama, deci, qwen2 or qwen3", name, what)
		}
		k.fail("general.architecture", "%q is not supported, expected llama, deci, qwen2 or qwen3", name)
	}
	k.prefix = name + "."
	c.MaxPositions = k.integer("context_length", required)
	c.Hidden = k.integer("embedding_length", required)
	const eps = "attention.layer_norm_rms_epsilon"
	if c.NormEps = float32(k.number(eps, 0)); c.NormEps == 0 {
		k.fail(k.prefix+eps, "the key is missing, or 0")
	}
	c.RopeTheta = k.number("rope.freq_base", 10000)
	layers := k.integer("block_count", required)
	if k.err != nil {
		return c, k.err
	}
	heads, kvHeads, mlp := make([]int, layers), make([]int, layers), make([]int, layers)
	k.perLayer(heads, "attention.head_count", nil)
	k.perLayer(kvHeads, "attention.head_count_kv", heads)
	k.perLayer(mlp, "feed_forward_length", nil)
	for i := range layers {
		c.Layers = append(c.Layers, model.LayerConfig{Heads: heads[i], KVHeads: kvHeads[i], MLP: mlp[i]})
	}
	c.HeadDim = k.integer("attention.key_length", c.Hidden/max(1, heads[0]))
	k.only("attention.value_length", c.HeadDim)
	k.only("rope.dimension_count", c.HeadDim)
	if n := k.integer("expert_count", 0); n != 0 {
		k.fail(k.prefix+"expert_count", "found %d: a mixture of experts is not supported, expected 0", n)
	}
	if !fetch(k, k.metadata.Bool, k.prefix+"attention.causal", true) {
		k.fail(k.prefix+"attention.causal", "attention to later tokens is not supported, expected true")
	}
	if n := k.integer("attention.sliding_window", 0); n > 0 && n < c.MaxPositions {
		k.fail(k.prefix+"attention.sliding_window", "attention within a window of %d is not supported, expected none", n)
	}

	has := func(name string) bool { _, ok := f.Tensor(name); return ok }
	embedding, ok := f.Tensor(ggufEmbedding)
	if !ok {
		return c, fmt.Errorf("tensor %q is missing", ggufEmbedding)
	}
	c.Vocab = embedding.Rows()
	k.tokens(&c, n)
	k.vocabulary(c, n)
	c.TiedHead = !has(ggufHead)
	c.QKVBias = has("blk.0.attn_q.bias")
	c.OBias = has("blk.0.attn_output.bias")
	c.QKNorm = c.Architecture == model.Qwen3
	c.Rope = k.rope(f, c)
	if k.err == nil {
		k.check(n)
	}
	if k.err != nil {
		return c, k.err
	}
	return c, c.Validate()
}

// tokens reads the tokens that begin and end a text; those of a turn (eot) and of a message (eom)
// end one too.
func (k *ggufKeys) tokens(c *model.Config, n *notes) {
	read := func(key string) (ids []int) {
		if id := k.token(key); id >= 0 {
			ids = append(ids, id)
		}
		return inVocabulary("metadata", ggufTokenizer+key, ids, c.Vocab, n)
	}
	c.BOS, c.EOS = -1, -1
	if bos := read("bos_token_id"); len(bos) > 0 {
		c.BOS = bos[0]
	}
	for _, key := range []string{"eos_token_id", "eot_token_id", "eom_token_id"} {
		addEnds(c, read(key))
	}
	if k.token("eot_token_id") < 0 && k.token("eom_token_id") < 0 {
		k.spelledEnds(c, n)
	}
}

// turnEnds are spellings of tokens that end a text or a turn, by which llama.cpp finds those that a
// file does not name (src/llama-vocab.cpp).
var turnEnds = []string{"<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>"}

// spelledEnds adds the special tokens that end a text by their spelling, with a note.
func (k *ggufKeys) spelledEnds(c *model.Config, n *notes) {
	types := fetch(k, k.metadata.Ints, ggufTokenizer+"token_type", nil)
	var ids []int
	var found []string
	for id, token := range fetch(k, k.metadata.Strings, ggufTokenizer+"tokens", nil) {
		if id < len(types) && id < c.Vocab && types[id] == tokenizer.TypeControl && slices.Contains(turnEnds, token) && !slices.Contains(c.Ends(), id) {
			ids, found = append(ids, id), append(found, fmt.Sprintf("%d (%q)", id, token))
		}
	}
	if len(ids) > 0 {
		n.add("metadata: %seot_token_id is absent: by their spelling these tokens end a text too, as in llama.cpp: %s", ggufTokenizer, some(found))
		addEnds(c, ids)
	}
}

// only refuses a key that has another value than the one that the model has; absent is that value.
func (k *ggufKeys) only(key string, value int) {
	if n := k.integer(key, value); n != value {
		k.fail(k.prefix+key, "%d is not supported, expected %d", n, value)
	}
}

// noToken is how files write that there is no token of a kind.
const noToken = math.MaxUint32

// token reads the id of a special token, -1 for none. A SentencePiece vocabulary that does not say
// has the usual ones.
func (k *ggufKeys) token(key string) int {
	fallback := -1
	if usual, ok := map[string]int{"unknown_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}[key]; ok && fetch(k, k.metadata.String, ggufTokenizer+"model", "") == "llama" {
		fallback = usual
	}
	id := fetch(k, k.metadata.Int, ggufTokenizer+key, fallback)
	if id == noToken {
		return -1
	}
	return id
}
