package tokenizer

import (
	"encoding/json"
	"slices"
)

// wordSplit is a way to split a text into words that GGUF files have a name for.
type wordSplit struct {
	names []string // the first is what Vocabulary writes
	// each splits the pieces of the one before; all matches and gaps are pieces
	patterns     []string
	compose      bool // the text is normalized to form C first
	ignoreMerges bool
	addBOS       bool
}

// wordSplits are the names of tokenizer.ggml.pre and what they mean (llama.cpp,
// src/llama-vocab.cpp; the expressions are those of the models' own tokenizer.json files, which it
// quotes; testdata/splits.json has the pieces that another engine finds by each). Left out are
// names whose split llama.cpp programs by hand.
var wordSplits = []wordSplit{
	{names: []string{"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "granite-docling", "gigachat", "a.x-4.0", "mellum", "modern-bert",
		"jina-es", "jina-de", "jina-v2-es", "jina-v2-de"}, patterns: []string{gpt2Pattern}},
	{names: []string{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"}, patterns: []string{llama3Pattern}, ignoreMerges: true, addBOS: true},
	{names: []string{"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, patterns: []string{llama3Pattern}},
	{names: []string{"qwen2", "deepseek-r1-qwen"}, patterns: []string{qwen2Pattern}, compose: true},
	{names: []string{"stablelm2", "hunyuan", "megrez", "solar-open", "grok-2", "kormo", "f2llmv2"}, patterns: []string{qwen2Pattern}},
	{names: []string{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"}, patterns: []string{`\p{N}`, gpt2Pattern}},
	{names: []string{"falcon"}, patterns: []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2Pattern, `[0-9][0-9][0-9]`}},
	{names: []string{"deepseek-llm"}, patterns: []string{`[\r\n]`, `\s?[` + deepseekLetters + `]+`, `\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+`, `\s+$`, deepseekIdeographs, `\p{N}+`}},
	{names: []string{"deepseek-coder"}, patterns: []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, deepseekIdeographs, `\p{N}`}},
	{names: []string{"deepseek-v3", "hunyuan-dense", "joyai-llm"}, patterns: []string{`\p{N}{1,3}`, `[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+`, deepseek3Pattern}},
	{names: []string{"tekken"}, patterns: []string{tekkenPattern}, ignoreMerges: true, addBOS: true},
	{names: []string{"gpt-4o", "llama4", "kanana2", "minimax-m2"}, patterns: []string{gpt4oPattern}},
	{names: []string{"qwen35"}, patterns: []string{`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`}},
	{names: []string{"seed-coder"}, patterns: []string{`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`}},
	{names: []string{"bailingmoe", "bailingmoe2", "llada-moe"}, patterns: []string{`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`}},
	{names: []string{"bloom", "poro-chat", "gpt3-finnish"}, patterns: []string{bloomPattern}},
	{names: []string{"viking"}, patterns: []string{bloomPattern, `\p{N}`}},
	{names: []string{"superbpe"}, patterns: []string{`\p{N}+`, `(?=(\d{3})+(?!\d))`}},
	{names: []string{"default"}, patterns: []string{`[\p{P}\$\+<=>\^~\|]+`, gpt2Pattern, `\p{N}+`, `[0-9][0-9][0-9]`}},
}

// Expressions of several families.
const (
	tekkenPattern = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|` +
		`\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt4oPattern = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	deepseek3Pattern = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" +
		`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	bloomPattern = ` ?[^(\s|.,!?…。，、।۔،)]+`

	deepseekIdeographs = `[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+`
	// the letters of DeepSeek LLM that have an upper and a lower case
	deepseekLetters = `A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D` +
		`\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5` +
		`\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D` +
		`\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB` +
		`\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134` +
		`\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183-\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2-\u2CF3\uA640-\uA66D\uA680-\uA69B` +
		`\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\x{10400}-\x{1044F}` +
		`\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}`
)

// patternsOf returns the expressions by which a byte-level pre_tokenizer splits, one after another;
// it is nil for one that splits in another way.
func patternsOf(raw json.RawMessage) []string {
	var patterns []string
	other := false
	err := each(raw, "pre_tokenizer", func(_ string, c component) error {
		switch {
		case c.Type == "Split" && c.Behavior == "Isolated" && !c.Invert && c.Pattern.Regex != nil:
			patterns = append(patterns, *c.Pattern.Regex)
		case c.Type == "Digits" && c.Individual:
			patterns = append(patterns, `\p{N}`)
		case c.Type == "ByteLevel" && c.UseRegex != nil && !*c.UseRegex:
		case c.Type == "ByteLevel":
			patterns = append(patterns, gpt2Pattern)
		default:
			other = true
		}
		return nil
	})
	if err != nil || other {
		return nil
	}
	return patterns
}

// splitNamed returns the split that a GGUF file calls by a name.
func splitNamed(name string) (c wordSplit, ok bool) {
	i := slices.IndexFunc(wordSplits, func(c wordSplit) bool { return slices.Contains(c.names, name) })
	if i < 0 {
		return wordSplit{}, false
	}
	return wordSplits[i], true
}

// splitNames are all names.
func splitNames() (names []string) {
	for _, c := range wordSplits {
		names = append(names, c.names...)
	}
	return names
}

// byteLevel writes the components of a byte-level tokenizer.
func (f *file) byteLevel(c wordSplit) {
	f.Model.IgnoreMerges = c.ignoreMerges
	if c.compose {
		f.Normalizer = mustMarshal(map[string]any{"type": "NFC"})
	}
	alphabet := func(regex bool) any {
		return map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex}
	}
	f.PreTokenizer, f.Decoder = mustMarshal(alphabet(true)), mustMarshal(alphabet(true))
	if slices.Equal(c.patterns, []string{gpt2Pattern}) {
		return
	}
	var parts []any
	for _, pattern := range c.patterns {
		parts = append(parts, map[string]any{"type": "Split", "pattern": map[string]any{"Regex": pattern}, "behavior": "Isolated", "invert": false})
	}
	f.PreTokenizer = mustMarshal(map[string]any{"type": "Sequence", "pretokenizers": append(parts, alphabet(false))})
}
