package checkpoint

import (
	"encoding/json"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/model"
)

// ggufTable is that of a GGUF file's keys of its architecture, without the architecture's name.
// Keys of other beginnings (general., tokenizer., quantize.) describe the file, or are the
// tokenizer's.
var ggufTable = jsonread.Keys(jsonread.Read, "context_length", "embedding_length", "block_count", "feed_forward_length", "vocab_size", "attention.head_count", "attention.head_count_kv",
	"attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon", "attention.sliding_window", "expert_count", "rope.dimension_count", "rope.freq_base",
	"rope.scale_linear", "rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor",
	"rope.scaling.yarn_log_multiplier", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow", "attention.causal").With(
	jsonread.Keys(jsonread.Harmless, "rope.scaling.finetuned", "tensor_data_layout", "attention.layer_norm_epsilon", "rope.scaling.yarn_ext_factor", "use_rope"),
	refused("attention of another kind than that of Llama", "0", "attention.scale", "attention.max_alibi_bias", "attention.clamp_kqv", "attention.q_lora_rank", "attention.kv_lora_rank",
		"attention.key_length_mla", "attention.temperature_scale", "attention.temperature_length", "rope.dimension_sections", "use_parallel_residual", "attention.shared_kv_layers"),
	refused("logits that are bounded by a tangent", "0", "attn_logit_softcapping", "final_logit_softcapping"),
	refused("a factor that Llama does not have", "1", "logit_scale", "residual_scale", "embedding_scale"),
	refused("a mixture of experts", "0", "expert_used_count", "expert_feed_forward_length", "expert_shared_count", "leading_dense_block_count", "interleave_moe_layer_step"),
	refused("layers that predict further tokens", "0", "nextn_predict_layers"),
	refused("another use than the next token", "0", "pooling_type"),
)

// check refuses and notes the keys of the architecture by ggufTable.
func (k *ggufKeys) check(n *notes) {
	object := map[string]json.RawMessage{}
	for _, pair := range k.metadata {
		key, ours := strings.CutPrefix(pair.Key, k.prefix)
		if !ours {
			continue
		}
		value, err := json.Marshal(pair.Value)
		if err != nil {
			value = []byte(`"a value"`) // a number that JSON does not have
		}
		object[key] = value
	}
	unknown, err := ggufTable.Check(object)
	if err != nil && k.err == nil {
		k.fail(k.prefix+strings.SplitN(err.Error(), ":", 2)[0], "%s", strings.TrimSpace(strings.SplitN(err.Error(), ":", 2)[1]))
	}
	for i := range unknown {
		unknown[i] = k.prefix + unknown[i]
	}
	n.unknown("metadata", unknown)
}

// vocabulary notes a number of tokens that is not that of the embedding's rows, which counts.
func (k *ggufKeys) vocabulary(c model.Config, n *notes) {
	if stated := k.integer("vocab_size", c.Vocab); stated != c.Vocab {
		n.add("metadata: %svocab_size is %d, the embedding has %d rows: the latter counts", k.prefix, stated, c.Vocab)
	}
}
