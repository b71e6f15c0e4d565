package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

// ggufArchitecture is GGUF's name of a model's architecture. Layers of different widths are those
// of deci, which is a llama without biases.
func ggufArchitecture(c model.Config) (string, error) {
	name := map[string]string{model.Llama: "llama", model.Mistral: "llama", model.Qwen2: "qwen2", model.Qwen3: "qwen3"}[c.Architecture]
	for i, l := range c.Layers {
		first := c.Layers[0]
		if l == first {
			continue
		}
		if name == "llama" && !c.QKVBias && !c.OBias && !c.QKNorm {
			return ggufDeci, nil
		}
		return "", fmt.Errorf("layer %d has %d heads, %d kv heads and %d neurons, layer 0 %d, %d and %d: GGUF's %s holds layers of one shape alone, and deci, which holds others, is a Llama or Mistral without biases",
			i, l.Heads, l.KVHeads, l.MLP, first.Heads, first.KVHeads, first.MLP, name)
	}
	return name, nil
}

// ggufMetadata says what a model is in GGUF's keys, and refuses what they cannot say.
func ggufMetadata(name, architecture string, c model.Config, v tokenizer.Vocabulary, o GGUFOptions) (m gguf.Metadata, notes []string, err error) {
	fileType, err := fileTypeOf(o.Type)
	if err != nil {
		return nil, nil, err
	}
	layer := c.Layers[0]
	for _, has := range []struct {
		what         string
		found, wants bool
	}{
		{"q/k norm", c.QKNorm, architecture == "qwen3"},
		{"q/k/v bias", c.QKVBias, architecture == "qwen2" || architecture == "llama" && c.QKVBias},
		{"o bias", c.OBias, architecture == "llama" && c.OBias},
	} {
		if has.found != has.wants {
			return nil, nil, fmt.Errorf("%s is %t, expected %t: llama.cpp's %s is so", has.what, has.found, has.wants, architecture)
		}
	}
	if wide := layer.Heads * c.HeadDim; c.QKVBias && wide != c.Hidden {
		return nil, nil, fmt.Errorf("%d heads of %d are %d wide beside a hidden size of %d: llama.cpp's %s takes biased heads of the hidden size alone, so no heads may be pruned",
			layer.Heads, c.HeadDim, wide, c.Hidden, architecture)
	}
	if c.Rope.Kind == model.RopeLlama3 && ggufArchitectures[architecture] != model.Llama {
		return nil, nil, fmt.Errorf("rope scaling llama3: llama.cpp's %s has no tensor for it, expected none, linear or yarn", architecture)
	}
	m = gguf.Metadata{
		{Key: "general.architecture", Value: architecture},
		{Key: "general.type", Value: "model"},
		{Key: "general.name", Value: strings.TrimSuffix(filepath.Base(name), ".gguf")},
		{Key: "general.file_type", Value: fileType},
		{Key: "general.quantization_version", Value: uint32(2)}, // of the block formats
	}
	prefix := architecture + "."
	each := func(of func(model.LayerConfig) int) any {
		if architecture != ggufDeci {
			return of(layer)
		}
		list := make([]int32, len(c.Layers))
		for i, l := range c.Layers {
			list[i] = int32(of(l))
		}
		return list
	}
	for _, size := range []struct {
		key   string
		value any
	}{
		{"context_length", c.MaxPositions}, {"embedding_length", c.Hidden}, {"block_count", len(c.Layers)},
		{"feed_forward_length", each(func(l model.LayerConfig) int { return l.MLP })},
		{"attention.head_count", each(func(l model.LayerConfig) int { return l.Heads })},
		{"attention.head_count_kv", each(func(l model.LayerConfig) int { return l.KVHeads })},
		{"attention.key_length", c.HeadDim}, {"attention.value_length", c.HeadDim}, {"rope.dimension_count", c.HeadDim}, {"vocab_size", c.Vocab},
	} {
		if n, ok := size.value.(int); ok {
			size.value = uint32(n)
		}
		m = append(m, gguf.Pair{Key: prefix + size.key, Value: size.value})
	}
	m = append(m, gguf.Pair{Key: prefix + "attention.layer_norm_rms_epsilon", Value: c.NormEps},
		gguf.Pair{Key: prefix + "rope.freq_base", Value: float32(c.RopeTheta)})
	scaling, err := ggufRopeKeys(prefix+"rope.scaling.", c)
	if err != nil {
		return nil, nil, err
	}
	m = append(m, scaling...)
	if v.Model == "" {
		v = tokenizer.Vocabulary{Model: "none", BOS: -1, EOS: -1, Unknown: -1, Padding: -1}
	}
	ends := c.Ends()
	if v.EOS >= 0 && !slices.Contains(ends, v.EOS) {
		ends = append(ends, v.EOS) // the tokenizer's own
	}
	notes = beginAndEnd(&v, c)
	keys, err := ggufTokenizerKeys(v, c.Vocab)
	if err != nil {
		return nil, nil, err
	}
	m = append(m, keys...)
	for _, id := range ends[min(1, len(ends)):] {
		key := ggufTokenizer + "eot_token_id"
		// Llama 3's end of a message that calls a tool
		if id < len(v.Tokens) && strings.Contains(v.Tokens[id], "eom") {
			key = ggufTokenizer + "eom_token_id"
		}
		if _, taken := m.Get(key); taken {
			notes = append(notes, fmt.Sprintf("token %d ends a text too, for which GGUF has no further key: readers find it by its spelling or not at all", id))
			continue
		}
		m = append(m, gguf.Pair{Key: key, Value: uint32(id)})
	}
	return m, notes, nil
}

// beginAndEnd settles the tokens that begin and end a text: the model's, where it has them, since
// generation ends by them, but for one that the tokenizer puts around each text. That one is its
// own, with a note where the model's differs.
func beginAndEnd(v *tokenizer.Vocabulary, c model.Config) (notes []string) {
	for _, token := range []struct {
		key, where string
		own        *int // the tokenizer's
		model      int
		added      *bool
	}{{"bos", "before", &v.BOS, c.BOS, v.AddBOS}, {"eos", "behind", &v.EOS, c.EOS, v.AddEOS}} {
		if stands := token.added != nil && *token.added && *token.own >= 0; !stands {
			*token.own = or(token.model, *token.own)
		} else if token.model >= 0 && token.model != *token.own {
			notes = append(notes, fmt.Sprintf("%s_token_id is %d, which the tokenizer puts %s each text; the model's config has %d", token.key, *token.own, token.where, token.model))
		}
	}
	return notes
}

// or is a, or b where a is none.
func or(a, b int) int {
	if a >= 0 {
		return a
	}
	return b
}

// ggufRopeKeys says how rotary positions are scaled. llama3 is a tensor and has no key.
func ggufRopeKeys(prefix string, c model.Config) (gguf.Metadata, error) {
	r := c.Rope
	switch r.Kind {
	case "", model.RopeLlama3:
		return nil, nil
	case model.RopeLinear:
		return gguf.Metadata{{Key: prefix + "type", Value: "linear"}, {Key: prefix + "factor", Value: float32(r.Factor)}}, nil
	case model.RopeYarn:
		m := gguf.Metadata{
			{Key: prefix + "type", Value: "yarn"},
			{Key: prefix + "factor", Value: float32(r.Factor)},
			{Key: prefix + "original_context_length", Value: uint32(cmp.Or(r.OriginalMaxPositions, c.MaxPositions))},
		}
		for _, beta := range []struct {
			key          string
			value, usual float64
		}{{"yarn_beta_fast", r.BetaFast, 32}, {"yarn_beta_slow", r.BetaSlow, 1}} {
			if beta.value != 0 && beta.value != beta.usual {
				m = append(m, gguf.Pair{Key: prefix + beta.key, Value: float32(beta.value)})
			}
		}
		if r.AttentionFactor != 0 {
			if a := float32(r.AttentionFactor / yarnAttention(r.Factor)); a != 1 {
				m = append(m, gguf.Pair{Key: prefix + "attn_factor", Value: a})
			}
		}
		return m, nil
	}
	return nil, errors.New("rope scaling " + r.Kind + " has no name in GGUF")
}
