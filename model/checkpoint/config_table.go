package checkpoint

import (
	"slimlab/internal/jsonread"
	"slimlab/model"
)

// The keys of the files of a Hugging Face folder. What stands in none of these tables is noted by
// name when the folder is opened.

// generationSettings say how text is chosen from logits. config.json of older folders and
// generation_config.json hold them. The verbs of slimlab choose greedily, or by their own settings.
var generationSettings = jsonread.Keys(jsonread.Harmless, "do_sample", "early_stopping", "num_beams", "num_beam_groups", "temperature", "top_k", "top_p", "min_p", "typical_p",
	"epsilon_cutoff", "eta_cutoff", "diversity_penalty", "repetition_penalty", "encoder_repetition_penalty", "length_penalty", "no_repeat_ngram_size",
	"encoder_no_repeat_ngram_size", "bad_words_ids", "force_words_ids", "constraints", "forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty",
	"remove_invalid_values", "renormalize_logits", "suppress_tokens", "begin_suppress_tokens", "forced_decoder_ids", "sequence_bias", "token_healing", "guidance_scale",
	"low_memory", "watermarking_config", "num_return_sequences", "output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",
	"max_length", "max_new_tokens", "min_length", "min_new_tokens", "max_time", "stop_strings", "use_cache", "cache_implementation", "cache_config", "return_legacy_cache",
	"prefill_chunk_size", "penalty_alpha", "dola_layers", "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold",
	"assistant_early_exit", "assistant_lookbehind", "target_lookbehind", "prompt_lookup_num_tokens", "max_matching_ngram_size", "generation_kwargs", "compile_config",
	"disable_compile", "continuous_batching_config", "return_unused_kwargs", "trust_remote_code", "_from_model_config", "_commit_hash", "transformers_version",
	"decoder_start_token_id", "chat_format", "max_window_size", "stop_words_ids", "custom_generate", "assistant_temperature")

// generationTable is that of generation_config.json.
var generationTable = generationSettings.With(jsonread.Keys(jsonread.Read, "bos_token_id", "eos_token_id", "pad_token_id"))

// commonTable is that of the keys of config.json which all families have.
var commonTable = generationSettings.With(
	jsonread.Keys(jsonread.Read, "architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
		"head_dim", "max_position_embeddings", "rms_norm_eps", "hidden_act", "tie_word_embeddings", "rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor",
		"original_max_position_embeddings", "layer_types", "bos_token_id", "eos_token_id", "pad_token_id", "torch_dtype", "dtype", "slimlab_layers", "per_layer_config", "quantization_config",
		"compression_config", "text_config"),
	jsonread.Keys(jsonread.Harmless, "_name_or_path", "name_or_path", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "_flash_attn_2_enabled",
		"attention_dropout", "attn_pdrop", "embd_pdrop", "resid_pdrop", "hidden_dropout", "hidden_dropout_prob", "classifier_dropout", "initializer_range", "pretraining_tp",
		"max_sequence_length", "model_max_length", "seq_length", "gradient_checkpointing", "use_flash_attn", "use_flash_attention", "flash_attn", "unsloth_fixed", "unsloth_version",
		"output_router_logits", "router_aux_loss_coef", "return_dict", "torchscript", "use_bfloat16", "tf_legacy_loss", "chunk_size_feed_forward", "id2label", "label2id", "num_labels",
		"problem_type", "task_specific_params", "tokenizer_class", "prefix", "finetuning_task", "is_decoder", "tie_encoder_decoder", "is_composition", "sep_token_id", "unk_token_id",
		"cross_attention_hidden_size", "max_window_layers", "transformers.js_config", "allow_global_per_layer_attribute_access", "serialize_explicit_per_layer_config", "onnx", "license", "mask_token_id", "eod_token_id", "is_llama_config", "auto_map",
		"vision_config", "audio_config", "image_token_id", "image_token_index", "video_token_id", "vision_start_token_id", "vision_end_token_id", "vision_token_id",
		"projector_hidden_act", "multimodal_projector_bias", "spatial_merge_size", "vision_feature_layer", "vision_feature_select_strategy", "image_seq_length"),
	jsonread.Table{"position_embedding_type": {Use: jsonread.Refused, Reason: "attention of another kind than that of Llama", Neutral: []string{`"rope"`}}},
	refused("attention of another kind than that of Llama", "", "alibi", "use_alibi", "attention_chunk_size", "attn_temperature_tuning", "no_rope_layers",
		"no_rope_layer_interval", "rope_interleave", "rope_interleaved", "attention_sinks", "use_sink", "use_mla", "q_lora_rank", "kv_lora_rank", "cross_attention_layers"),
	refused("norms of another kind than that of Llama", "", "use_qk_norm", "qk_layernorm", "qk_norm", "use_post_norm", "parallel_attn", "use_parallel_residual", "norm_after"),
	refused("logits that are bounded by a tangent", "", "attn_logit_softcapping", "final_logit_softcapping", "logit_softcap"),
	refused("a factor that Llama does not have", "1", "logit_scale", "logits_scaling", "embedding_multiplier", "attention_multiplier", "residual_multiplier", "query_pre_attn_scalar", "mup_width_scale",
		"scale_emb", "scale_depth", "dim_model_base"),
	refused("a mixture of experts", "0", "num_local_experts", "num_experts", "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts", "moe_num_experts"),
	refused("biases that Llama does not have", "", "bias", "qkv_bias", "use_bias", "add_bias_linear"),
	refused("heads that were removed by transformers", "", "pruned_heads"),
	refused("an encoder", "", "is_encoder_decoder", "add_cross_attention"),
)

// refused are keys that ask for something; neutral is a further value that does not, "" for none.
func refused(reason, neutral string, names ...string) jsonread.Table {
	t := jsonread.Table{}
	for _, name := range names {
		rule := jsonread.Rule{Use: jsonread.Refused, Reason: reason}
		if neutral != "" {
			rule.Neutral = []string{neutral, neutral + ".0"}
		}
		t[name] = rule
	}
	return t
}

// configTable is that of the config.json of a family.
func configTable(architecture string) jsonread.Table {
	switch architecture {
	case model.Llama:
		return commonTable.With(jsonread.Keys(jsonread.Read, "attention_bias", "mlp_bias"))
	case model.Mistral:
		return commonTable.With(jsonread.Keys(jsonread.Read, "sliding_window"))
	case model.Qwen2:
		// the width of a window that use_sliding_window false turns off
		return commonTable.With(jsonread.Keys(jsonread.Read, "use_sliding_window", "use_mrope"), jsonread.Keys(jsonread.Harmless, "sliding_window"))
	}
	return commonTable.With(jsonread.Keys(jsonread.Read, "attention_bias", "use_sliding_window"), jsonread.Keys(jsonread.Harmless, "sliding_window"))
}

// quantizationTables are those of the sections of the methods.
var quantizationTables = map[string]jsonread.Table{
	"gptq": jsonread.Keys(jsonread.Read, "quant_method", "bits", "group_size", "desc_act", "sym", "checkpoint_format", "format", "is_marlin_format", "pack_dtype", "lm_head", "dynamic",
		"modules_in_block_to_quantize", "modules_to_not_convert").With(
		jsonread.Keys(jsonread.Harmless, "meta", "damp_percent", "damp_auto_increment", "true_sequential", "static_groups", "model_name_or_path", "model_file_base_name", "tokenizer",
			"dataset", "block_name_to_quantize", "module_name_preceding_first_block", "batch_size", "pad_token_id", "use_cuda_fp16", "use_exllama", "disable_exllama", "exllama_config",
			"max_input_length", "model_seqlen", "cache_block_outputs", "backend", "quantizer", "adapter", "act_group_aware", "mse", "v2", "v2_alpha", "v2_memory_device", "offload_to_disk",
			"offload_to_disk_path", "parallel_packing", "device", "rotation", "uuid", "hyb_act", "gptaq", "fail_safe", "quant_type", "iters", "seqlen", "nsamples", "autoround_version",
			"enable_norm_bias_tuning", "method", "provider", "amp", "packing_format", "to_quant_block_names", "enable_minmax_tuning", "quant_block_list", "enable_quanted_input", "gradient_accumulate_steps", "lr", "minmax_lr", "low_gpu_mem_usage", "scale_dtype", "train_bs", "data_type"),
		jsonread.Table{"awq_gemm_checkpoint": {Use: jsonread.Refused, Reason: "AWQ's packing"}}),
	"awq": jsonread.Keys(jsonread.Read, "quant_method", "bits", "w_bit", "group_size", "q_group_size", "version", "zero_point", "modules_to_not_convert").With(
		jsonread.Keys(jsonread.Harmless, "backend", "do_fuse", "exllama_config", "fuse_max_seq_len", "modules_to_fuse", "provider", "quantizer", "meta", "dataset", "iters")),
	outliersMethod: jsonread.Keys(jsonread.Read, "quant_method", "codes", "outliers"),
	"fp8": jsonread.Keys(jsonread.Read, "quant_method", "fmt", "weight_format", "is_checkpoint_fp8_serialized", "kv_cache_scheme", "activation_scheme", "weight_block_size", "ignored_layers", "modules_to_not_convert").With(
		jsonread.Keys(jsonread.Harmless, "dequantize", "scale_fmt", "producer")),
	"compressed-tensors": jsonread.Keys(jsonread.Read, "quant_method", "format", "quantization_status", "kv_cache_scheme", "transform_config", "sparsity_config", "ignore", "config_groups").With(
		jsonread.Keys(jsonread.Harmless, "global_compression_ratio", "packed_modules_mapping", "version", "run_compressed", "quantization_version")),
}

// groupTable and argumentsTable are those of a group of compressed-tensors.
var (
	groupTable     = jsonread.Keys(jsonread.Read, "targets", "weights", "input_activations", "output_activations", "format")
	argumentsTable = jsonread.Keys(jsonread.Read, "num_bits", "type", "symmetric", "strategy", "group_size", "block_structure", "dynamic", "actorder").With(
		jsonread.Keys(jsonread.Harmless, "observer", "observer_kwargs", "scale_dtype", "zp_dtype"))
)
