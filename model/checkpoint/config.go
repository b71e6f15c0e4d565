package checkpoint

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"slimlab/internal/jsonread"
	"slimlab/internal/plural"
	"slimlab/model"
)

// readConfig reads what the JSON files of a folder say of a model: config.json, a file of the
// quantization where config.json does not have it, and generation_config.json.
func readConfig(fsys fs.FS, dir string, n *notes) (description, error) {
	data, err := jsonread.ReadFile(fsys, path.Join(dir, "config.json"))
	if err != nil {
		return description{}, err
	}
	d, err := parseConfig(data, n)
	if err != nil {
		return d, fmt.Errorf("config.json: %w", err)
	}
	if err := d.addQuantizationFile(fsys, dir, n); err != nil {
		return d, err
	}
	return d, d.addGeneration(fsys, dir, n)
}

// description is what the JSON files of a folder say of a model.
type description struct {
	model.Config
	quantization *quantization
	// config.json does not name the tokens, so that they are those of its family
	usualBOS, usualEOS bool
	// of a file of the quantization, which counts where tensors are quantized
	unread error
	// of generation_config.json that change greedy generation, with their values
	settings []string
}

// parseConfig reads a config.json with Hugging Face's defaults. The sizes of a model have none: a
// file without them is not a config.
func parseConfig(data []byte, n *notes) (d description, err error) {
	var k keys
	repeats, err := jsonread.DecodeNoting(data, &k.raw)
	if err != nil {
		return d, err
	}
	n.repeats("config.json", repeats)
	k.unwrap(n)
	c := &d.Config
	c.Architecture = k.architecture()
	c.Vocab = k.integer("vocab_size", required)
	c.Hidden = k.integer("hidden_size", required)
	heads := k.integer("num_attention_heads", required)
	layer := model.LayerConfig{
		Heads:   heads,
		KVHeads: k.integer("num_key_value_heads", heads),
		MLP:     k.integer("intermediate_size", required),
	}
	if layer.KVHeads > 0 && heads%layer.KVHeads != 0 {
		k.fail("num_key_value_heads", "found %d, expected a divisor of num_attention_heads, %d", layer.KVHeads, heads)
	}
	layers := k.integer("num_hidden_layers", required)
	c.NormEps = float32(k.number("rms_norm_eps", 1e-6))
	c.TiedHead = k.boolean("tie_word_embeddings", false)
	c.RopeTheta, c.Rope = k.rope(n)
	k.family(c, heads, layers, n)
	k.choice("hidden_act", "silu", "silu", "swish") // two names of one function
	k.dtypes(n)
	k.kinds(c.Architecture, n)
	if k.err == nil {
		k.check(configTable(c.Architecture), n, "config.json")
	}
	if k.err != nil {
		return d, k.err
	}
	c.Layers = model.Uniform(layers, layer.Heads, layer.KVHeads, layer.MLP)
	if err := k.ownLayers(c.Layers); err != nil {
		return d, err
	}
	if err := k.perLayer(c); err != nil {
		return d, err
	}
	if err := c.Validate(); err != nil {
		return d, err
	}
	_, bos := k.raw["bos_token_id"]
	_, eos := k.raw["eos_token_id"]
	d.usualBOS, d.usualEOS = !bos, !eos
	d.quantization, err = k.quantization(n)
	return d, err
}

// unwrap takes the keys of text_config, where a config of several kinds of input keeps those of its
// language model; the keys around it count where text_config does not have them.
func (k *keys) unwrap(n *notes) {
	if !k.present("text_config") {
		return
	}
	if k.present("hidden_size") {
		k.around(n)
		return
	}
	text, around := k.object("text_config"), k.raw
	if text.raw == nil {
		return
	}
	for key, outer := range around {
		inner, both := text.raw[key]
		switch {
		case key == "architectures" || key == "model_type" || key == "text_config":
		case !both:
			text.raw[key] = outer
		case !same(inner, outer):
			n.add("config.json: %s is %s, in text_config %s: that of text_config counts", key, jsonread.Clip(outer), jsonread.Clip(inner))
		}
	}
	k.raw = text.raw
	n.add("config.json: the language model is that of text_config; what else the model was made to read is left out")
}

// around notes that keys of text_config are not read where the keys around it describe a model, and
// those that contradict these.
func (k *keys) around(n *notes) {
	text := k.object("text_config")
	var contradicting []string
	for _, key := range slices.Sorted(maps.Keys(text.raw)) {
		inner := text.raw[key]
		if outer, both := k.raw[key]; both && !same(inner, outer) {
			contradicting = append(contradicting, fmt.Sprintf("%s %s, in text_config %s", key, jsonread.Clip(outer), jsonread.Clip(inner)))
		}
	}
	if len(contradicting) > 0 {
		n.add("config.json: the keys around text_config count, which contradicts them: %s", some(contradicting))
	} else if len(text.raw) > 0 {
		n.add("config.json: text_config is not read: the keys around it describe the model")
	}
}

// kinds notes a model_type of another family than that of architectures.
func (k *keys) kinds(architecture string, n *notes) {
	kind := k.text("model_type", "")
	for _, f := range families {
		if f.architecture == architecture && kind != "" && kind != f.kind && k.present("architectures") {
			n.add("config.json: model_type is %q, architectures %q: the latter counts", kind, architecture)
		}
	}
}

// dtypes notes two spellings of the type of the tensors that differ. The tensors say themselves
// what they are.
func (k *keys) dtypes(n *notes) {
	if old, now := k.raw["torch_dtype"], k.raw["dtype"]; k.present("torch_dtype") && k.present("dtype") && !same(old, now) {
		n.add("config.json: torch_dtype is %s and dtype %s: the tensors are read as what they are", jsonread.Clip(old), jsonread.Clip(now))
	}
}

// family reads the keys that differ between families.
func (k *keys) family(c *model.Config, heads, layers int, n *notes) {
	none := []int{}
	bos, eos := none, none // Hugging Face's defaults
	headDim := c.Hidden / max(1, heads)
	switch c.Architecture {
	case model.Llama:
		bos, eos = []int{1}, []int{2}
		c.MaxPositions = k.integer("max_position_embeddings", 2048)
		c.QKVBias = k.boolean("attention_bias", false)
		c.OBias = c.QKVBias
		k.refuse("mlp_bias", false)
	case model.Mistral:
		bos, eos = []int{1}, []int{2}
		c.MaxPositions = k.integer("max_position_embeddings", 131072)
		k.window(c.MaxPositions)
	case model.Qwen2:
		c.MaxPositions = k.integer("max_position_embeddings", 32768)
		c.QKVBias = true
		k.refuse("use_sliding_window", false)
		k.refuse("use_mrope", false)
	case model.Qwen3:
		c.MaxPositions = k.integer("max_position_embeddings", 32768)
		c.QKVBias = k.boolean("attention_bias", false)
		c.OBias, c.QKNorm, headDim = c.QKVBias, true, 128
		k.refuse("use_sliding_window", false)
	}
	k.fullAttention(layers, n)
	c.HeadDim = k.integer("head_dim", headDim)
	if c.Architecture != model.Qwen3 && !k.present("head_dim") && heads > 0 && c.Hidden%heads != 0 {
		k.fail("head_dim", "the key is missing, and hidden_size %d does not divide into %d heads", c.Hidden, heads)
	}
	if odd := c.HeadDim%2 != 0; odd && k.present("head_dim") {
		k.fail("head_dim", "found %d, expected an even number for rotary positions", c.HeadDim)
	} else if odd {
		k.fail("head_dim", "the key is missing, and hidden_size %d over %d heads is %d, expected an even number for rotary positions", c.Hidden, heads, c.HeadDim)
	}
	c.BOS, c.EOS = -1, -1
	if bos = inVocabulary("config.json", "bos_token_id", k.tokens("bos_token_id", bos), c.Vocab, n); len(bos) > 0 {
		c.BOS = bos[0]
	}
	addEnds(c, inVocabulary("config.json", "eos_token_id", k.tokens("eos_token_id", eos), c.Vocab, n))
	inVocabulary("config.json", "pad_token_id", k.tokens("pad_token_id", nil), c.Vocab, n)
}

// inVocabulary drops token ids that have no embedding, with a note.
func inVocabulary(file, key string, ids []int, vocab int, n *notes) []int {
	return slices.DeleteFunc(ids, func(id int) bool {
		if vocab > 0 && id >= vocab {
			n.add("%s: %s is %d, outside the vocabulary of %d tokens: no text has it", file, key, id, vocab)
			return true
		}
		return false
	})
}

// addEnds adds tokens that end a text to those that c has.
func addEnds(c *model.Config, ids []int) {
	for _, id := range ids {
		switch {
		case c.EOS < 0:
			c.EOS = id
		case id != c.EOS && !slices.Contains(c.MoreEOS, id):
			c.MoreEOS = append(c.MoreEOS, id)
		}
	}
}

// window refuses Mistral's sliding window, which a missing key means too, unless all positions are
// within it.
func (k *keys) window(positions int) {
	raw, ok := k.raw["sliding_window"]
	if !ok && positions > 4096 {
		k.fail("sliding_window", "the key is missing, which means 4096: attention within a window is not supported, expected null")
	}
	if k.present("sliding_window") {
		if n := k.integer("sliding_window", 0); n < positions {
			k.fail("sliding_window", "found %s: attention within a window is not supported, expected null, or at least max_position_embeddings, %d", jsonread.Clip(raw), positions)
		}
	}
}

// fullAttention refuses layers that do not attend to all positions.
func (k *keys) fullAttention(layers int, n *notes) {
	kinds := k.strings("layer_types")
	for i, kind := range kinds {
		if kind != "full_attention" {
			k.fail("layer_types", "layer %d has %q, expected \"full_attention\"", i, kind)
		}
	}
	if len(kinds) > 0 && len(kinds) != layers {
		n.add("config.json: layer_types lists %s, num_hidden_layers is %d: the latter counts", plural.Of(len(kinds), "layer"), layers)
	}
}

// families are the architectures by model_type.
var families = []struct{ kind, architecture string }{{"llama", model.Llama}, {"mistral", model.Mistral}, {"qwen2", model.Qwen2}, {"qwen3", model.Qwen3}}

// architecture takes the one entry of architectures, or what model_type implies.
func (k *keys) architecture() string {
	if k.present("architectures") {
		var names []string
		if err := jsonread.Decode(k.raw["architectures"], &names); err != nil || len(names) != 1 {
			k.fail("architectures", "found %s, expected a list of one name", jsonread.Clip(k.raw["architectures"]))
			return ""
		}
		if err := checkFamily("found", names[0], model.Architectures()); err != nil {
			k.fail("architectures", "%v", err)
		}
		return names[0]
	}
	kind := k.text("model_type", "")
	var kinds []string
	for _, f := range families {
		if f.kind == kind {
			return f.architecture
		}
		kinds = append(kinds, f.kind)
	}
	k.fail("architectures", "%v", checkFamily("the key is missing, and model_type is", kind, kinds))
	return ""
}

// tokens reads token ids: a number, a list or null; fallback is for a missing key. Negative ids are
// how some files write that there is none.
func (k *keys) tokens(key string, fallback []int) []int {
	raw, ok := k.raw[key]
	if !ok {
		return fallback
	}
	if !k.present(key) {
		return nil
	}
	list := []json.RawMessage{raw}
	if raw[0] == '[' {
		list = value(k, key, []json.RawMessage(nil), "a list of token ids")
	}
	var ids []int
	for _, one := range list {
		id, err := widest.whole(one)
		if number := one[0] == '-' || one[0] >= '0' && one[0] <= '9'; err != nil && number {
			k.fail(key, "%v", err)
		} else if err != nil {
			k.fail(key, "found %s, expected a token id, a list of them or null", jsonread.Clip(one))
		} else if id >= 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// layerWidths is an entry of slimlab_layers.
type layerWidths struct {
	Heads   int `json:"heads"`
	KVHeads int `json:"kv_heads"`
	MLP     int `json:"mlp"`
}

// ownLayers reads the widths of layers that differ.
func (k *keys) ownLayers(layers []model.LayerConfig) error {
	if !k.present("slimlab_layers") {
		return nil
	}
	var list []layerWidths
	if err := jsonread.Decode(k.raw["slimlab_layers"], &list); err != nil {
		return jsonread.At("slimlab_layers", err)
	}
	if len(list) != len(layers) {
		return fmt.Errorf("slimlab_layers: found %s, expected num_hidden_layers, %d", plural.Of(len(list), "layer"), len(layers))
	}
	for i, l := range list {
		for _, size := range []struct {
			key   string
			value int
			bound
		}{{"heads", l.Heads, bound{1, model.MaxHeads}}, {"kv_heads", l.KVHeads, bound{1, model.MaxHeads}}, {"mlp", l.MLP, bound{1, model.MaxWidth}}} {
			if size.value < size.low || size.value > size.high {
				return fmt.Errorf("slimlab_layers[%d].%s: found %d, expected %s", i, size.key, size.value, size.bound)
			}
		}
		layers[i] = model.LayerConfig(l)
	}
	return nil
}
