package tokenizer

import "slimlab/internal/jsonread"

// configTable says what is done with the keys of tokenizer_config.json. Those that are harmless
// are settings of a call, notes of other programs, or say how a text is cleaned up after decoding,
// which the ids do not depend on.
var configTable = jsonread.Keys(jsonread.Read, "tokenizer_class", "add_bos_token", "add_eos_token", "add_prefix_space", "legacy", "added_tokens_decoder",
	"chat_template", "additional_special_tokens", "extra_special_tokens",
	"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token").With(
	jsonread.Keys(jsonread.Harmless, "model_max_length", "max_length", "max_len", "stride", "padding_side", "truncation_side", "truncation_strategy", "truncation",
		"padding", "pad_to_multiple_of", "pad_token_type_id", "return_token_type_ids", "model_input_names", "clean_up_tokenization_spaces", "spaces_between_special_tokens",
		"sp_model_kwargs", "errors", "name_or_path", "tokenizer_file", "vocab_file", "vocab_size", "special_tokens_map_file", "processor_class", "image_processor_class",
		"feature_extractor_type", "auto_map", "use_default_system_prompt", "use_fast", "use_auth_token", "token", "revision", "trust_remote_code", "local_files_only",
		"from_slow", "is_local", "backend", "init_inputs", "device_map", "torch_dtype", "tokenize_chinese_chars", "prefix_token", "middle_token", "suffix_token",
		"eot_token", "fill_token", "model_specific_special_tokens", "response_schema", "_commit_hash", "transformers_version", "unk_index"),
	jsonread.Table{
		"split_special_tokens": {Use: jsonread.Refused, Reason: "special tokens that a text spells out as text"},
		"do_lower_case":        {Use: jsonread.Refused, Reason: "text in lower case by this key"},
	})

// rolesTable is for special_tokens_map.json.
var rolesTable = jsonread.Keys(jsonread.Read, "additional_special_tokens", "extra_special_tokens",
	"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token").With(
	jsonread.Keys(jsonread.Harmless, "prefix_token", "middle_token", "suffix_token", "eot_token", "fill_token"))

// tokenTable is for a token that is an object, in these files.
var tokenTable = jsonread.Keys(jsonread.Read, "content", "single_word", "lstrip", "rstrip", "normalized", "special").With(
	jsonread.Keys(jsonread.Harmless, "__type", "id"))

// fileTable is for a tokenizer.json. What it says of truncation and padding are settings of a call.
var fileTable = jsonread.Keys(jsonread.Read, "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model").With(
	jsonread.Keys(jsonread.Harmless, "version", "truncation", "padding"))

// modelTable is for its model, of type BPE.
var modelTable = jsonread.Keys(jsonread.Read, "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
	"ignore_merges", "vocab", "merges").With(jsonread.Keys(jsonread.Harmless, "cache_capacity"))

// addedTable is for an entry of its added_tokens.
var addedTable = jsonread.Keys(jsonread.Read, "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")

// componentTables are for its components, by type. What only offsets depend on is harmless.
var componentTables = map[string]jsonread.Table{
	"Sequence":           jsonread.Keys(jsonread.Read, "type", "normalizers", "pretokenizers", "processors", "decoders"),
	"NFC":                jsonread.Keys(jsonread.Read, "type"),
	"NFD":                jsonread.Keys(jsonread.Read, "type"),
	"NFKC":               jsonread.Keys(jsonread.Read, "type"),
	"NFKD":               jsonread.Keys(jsonread.Read, "type"),
	"Lowercase":          jsonread.Keys(jsonread.Read, "type"),
	"Prepend":            jsonread.Keys(jsonread.Read, "type", "prepend"),
	"Replace":            jsonread.Keys(jsonread.Read, "type", "pattern", "content"),
	"Strip":              jsonread.Keys(jsonread.Read, "type", "strip_left", "strip_right", "content", "start", "stop"),
	"Split":              jsonread.Keys(jsonread.Read, "type", "pattern", "behavior", "invert"),
	"Digits":             jsonread.Keys(jsonread.Read, "type", "individual_digits"),
	"Metaspace":          jsonread.Keys(jsonread.Read, "type", "replacement", "prepend_scheme", "add_prefix_space", "split").With(jsonread.Keys(jsonread.Harmless, "str_rep")),
	"ByteLevel":          jsonread.Keys(jsonread.Read, "type", "add_prefix_space", "use_regex").With(jsonread.Keys(jsonread.Harmless, "trim_offsets")),
	"ByteFallback":       jsonread.Keys(jsonread.Read, "type"),
	"Fuse":               jsonread.Keys(jsonread.Read, "type"),
	"TemplateProcessing": jsonread.Keys(jsonread.Read, "type", "single", "special_tokens").With(jsonread.Keys(jsonread.Harmless, "pair")),
}

// tekkenTable is for a tekken.json, tekkenConfigTable for its config. Images and sound are other
// models' inputs; what a token stands for is in token_bytes.
var tekkenTable = jsonread.Keys(jsonread.Read, "config", "vocab", "special_tokens").With(jsonread.Keys(jsonread.Harmless, "type", "version", "image", "multimodal", "audio", "model_settings_builder"))

var tekkenConfigTable = jsonread.Keys(jsonread.Read, "pattern", "default_vocab_size", "default_num_special_tokens").With(
	jsonread.Keys(jsonread.Harmless, "num_vocab_tokens", "version"))
