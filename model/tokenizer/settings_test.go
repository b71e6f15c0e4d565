package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"pgregory.net/rapid"

	"slimlab/internal/shareddata"
)

// files writes a folder.
func files(t testing.TB, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// small is a tokenizer.json of the letters a and b, of ab, and of <s> with id 3, which comes before
// every text.
func small() string {
	return tiny(`"added_tokens":[]`, `"added_tokens":[{"id":3,"content":"<s>","special":true}]`,
		`"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"ids":[3]}}}`)
}

// letters is a SentencePiece file with a token for each byte, ▁, a, b and ▁a: ids 3 to 258 are the
// bytes, and 259 to 262 the others.
func letters(user ...string) string {
	m := (&model{}).piece("<unk>", 0, TypeUnknown).piece("<s>", 0, TypeControl).piece("</s>", 0, TypeControl)
	for b := range 256 {
		m.piece(fallbackToken(byte(b)), 0, TypeByte)
	}
	for i, token := range []string{"▁", "a", "b", "▁a"} {
		m.piece(token, -float32(i), TypeNormal)
	}
	for _, token := range user {
		m.piece(token, 0, TypeUserDefined)
	}
	return string(m.numbers(2, 3, 2).numbers(3, 4, 0).data)
}

// TestAddedTokensOfOtherFiles: a token that a file beside the vocabulary adds is one token.
func TestAddedTokensOfOtherFiles(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		text  string
		want  []int32
		note  string // a part of one; "" is none at all
	}{
		{"added_tokens_decoder beside tokenizer.json",
			map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"added_tokens_decoder":{"4":{"content":"<x>","special":true}}}`}, "a<x>b", []int32{0, 4, 1}, ""},
		{"its flags", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"added_tokens_decoder":{"4":{"content":"<x>","special":true,"lstrip":true,"rstrip":true}}}`},
			"a  <x> b", []int32{0, 4, 1}, ""},
		{"an id beyond a gap", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"added_tokens_decoder":{"9":{"content":"<x>","special":true}}}`}, "a<x>b", []int32{0, 9, 1}, ""},
		{"a token of the vocabulary", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"added_tokens_decoder":{"0":{"content":"a","single_word":true}}}`}, "ab a", []int32{2, 0}, ""},
		{"added_tokens.json beside tokenizer.json", map[string]string{"tokenizer.json": small(), "added_tokens.json": `{"x":4}`}, "axb", []int32{0, 4, 1}, ""},
		{"a guess", map[string]string{"tokenizer.json": small(), "added_tokens.json": `{"<|x|>":4}`}, "a<|x|>b", []int32{0, 4, 1}, `taken for special because of their spelling: ["<|x|>"]`},
		{"no guess with a role", map[string]string{"tokenizer.json": small(), "added_tokens.json": `{"<|x|>":4}`, "special_tokens_map.json": `{"eos_token":"<|x|>"}`}, "a<|x|>b", []int32{0, 4, 1}, ""},
		{"a role of a token of the vocabulary", map[string]string{"tokenizer.json": small(), "special_tokens_map.json": `{"additional_special_tokens":[{"content":"ab","lstrip":false}]}`}, "ab", []int32{2}, ""},
		{"extra special tokens by name", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"extra_special_tokens":{"x_token":"ab"}}`}, "ab", []int32{2}, ""},
		{"added_tokens.json beside SentencePiece", map[string]string{"tokenizer.model": letters(), "added_tokens.json": `{"<x>":263}`}, "a<x>b", []int32{262, 263, 259, 261}, "tokenizer_config.json is absent: texts begin with"},
		{"added_tokens_decoder beside SentencePiece",
			map[string]string{"tokenizer.model": letters(), "tokenizer_config.json": `{"added_tokens_decoder":{"263":{"content":"<x>","special":false,"normalized":true}}}`}, "a<x>b", []int32{262, 263, 259, 261}, ""},
		{"an id that is taken", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"added_tokens_decoder":{"3":{"content":"<x>"}}}`}, "a", []int32{0},
			`added_tokens_decoder of tokenizer_config.json gives id 3 to "<x>", tokenizer.json to "<s>": the latter is followed, and "<x>" is no token`},
		{"another id", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"added_tokens_decoder":{"7":{"content":"<s>","special":true,"normalized":false}}}`}, "<s>", []int32{3},
			`gives "<s>" the id 7, tokenizer.json the id 3: the latter is followed`},
		{"another id in the vocabulary", map[string]string{"tokenizer.json": small(), "added_tokens.json": `{"ab":7}`}, "ab", []int32{2}, `added_tokens.json gives "ab" the id 7, tokenizer.json the id 2`},
		{"other flags", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"added_tokens_decoder":{"3":{"content":"<s>","special":true,"rstrip":true}}}`}, "<s> a", []int32{3, 0},
			`says of "<s>": special true, lstrip false, rstrip true, single_word false, normalized false; tokenizer.json says: special true, lstrip false, rstrip false`},
		{"two files that differ", map[string]string{"tokenizer.json": small(), "added_tokens.json": `{"<x>":5}`, "tokenizer_config.json": `{"added_tokens_decoder":{"4":{"content":"<x>","special":true}}}`}, "<x>", []int32{4},
			`added_tokens.json gives "<x>" the id 5, added_tokens_decoder of tokenizer_config.json the id 4`},
		{"a pad token that is none", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"pad_token":"[PAD]"}`}, "a", []int32{0}, `tokenizer_config.json: pad_token: "[PAD]" is not a token of the vocabulary and is ignored`},
		{"two end tokens", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"eos_token":"ab"}`, "special_tokens_map.json": `{"eos_token":"<s>"}`}, "a", []int32{0},
			`eos_token: found "<s>" in special_tokens_map.json, "ab" in tokenizer_config.json: the latter is followed`},
		{"a key that is not known", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"bos_tokn":"<s>","model_max_length":7}`}, "a", []int32{0}, `tokenizer_config.json: ignored keys that are not known: ["bos_tokn"]`},
		{"a key of a token", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"added_tokens_decoder":{"4":{"content":"<x>","strip":true}}}`}, "<x>", []int32{4}, `added_tokens_decoder.4: ignored keys that are not known: ["strip"]`},
		{"two templates", map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"chat_template":"x"}`, "chat_template.jinja": "y"}, "a", []int32{0}, `chat_template: the file of its own is followed`},
	} {
		tok := load(t, files(t, c.files))
		if got := tok.Encode(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s: Encode(%q) = %v, expected %v", c.name, c.text, got, c.want)
		}
		notes := strings.Join(tok.Notes(), "\n")
		if c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
			t.Errorf("%s: notes %q, expected %q", c.name, notes, c.note)
		}
		again := saveAndLoad(t, tok)
		if got := again.Encode(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s: once saved, Encode(%q) = %v, expected %v", c.name, c.text, got, c.want)
		}
	}
}

// TestClassOfPairs: where tokenizer_config.json names no class, config.json says how texts are
// split, as in transformers, and a note says what was chosen and by which file, or guessed.
func TestClassOfPairs(t *testing.T) {
	vocab := pairsVocabulary()
	const qwen, gpt = 1, 2 // how many tokens ".\n\n" is: only Qwen's split makes one word of it
	for _, c := range []struct {
		name           string
		config, beside string // config.json and tokenizer_config.json; "" is absent
		tokens         int
		note           string // "" is none
	}{
		{"qwen2", `{"model_type":"qwen2"}`, "", qwen, `tokenizer_config.json is absent: texts are split as by Qwen2Tokenizer, by model_type "qwen2" of config.json`},
		{"qwen2_moe", `{"model_type":"qwen2_moe"}`, "", qwen, `by model_type "qwen2_moe" of config.json`},
		{"qwen3", `{"model_type":"qwen3"}`, `{}`, qwen, `tokenizer_config.json names no tokenizer_class: texts are split as by Qwen2Tokenizer, by model_type "qwen3" of config.json`},
		{"gpt2", `{"model_type":"gpt2"}`, "", gpt, `tokenizer_config.json is absent: texts are split as by GPT2Tokenizer, by model_type "gpt2" of config.json`},
		{"llama", `{"model_type":"llama"}`, "", gpt, `which was guessed: transformers has no tokenizer of vocab.json and merges.txt for model_type "llama" of config.json`},
		{"another", `{"model_type":"wonder"}`, "", gpt, `texts are split as by GPT2Tokenizer, which was guessed: model_type "wonder" of config.json is not known`},
		{"no type", `{}`, "", gpt, `which was guessed: config.json names no model_type`},
		{"no config", "", "", gpt, `which was guessed: there is no config.json; a tokenizer_config.json with tokenizer_class would say it`},
		{"a class in config.json", `{"model_type":"gpt2","tokenizer_class":"Qwen2TokenizerFast"}`, "", qwen, `texts are split as by Qwen2Tokenizer, the tokenizer_class of config.json`},
		{"a class counts", `{"model_type":"qwen2"}`, `{"tokenizer_class":"GPT2Tokenizer"}`, gpt, ""},
		{"the other class counts", `{"model_type":"gpt2"}`, `{"tokenizer_class":"Qwen2TokenizerFast"}`, qwen, ""},
	} {
		contents := map[string]string{"vocab.json": vocab, "merges.txt": "Ċ Ċ\n. ĊĊ\n"}
		if c.config != "" {
			contents["config.json"] = c.config
		}
		if c.beside != "" {
			contents["tokenizer_config.json"] = c.beside
		}
		tok := load(t, files(t, contents))
		if got := tok.Encode(".\n\n"); len(got) != c.tokens {
			t.Errorf("%s: found %v, expected %d tokens", c.name, got, c.tokens)
		}
		notes := tok.Notes()
		if c.note == "" && len(notes) != 0 || c.note != "" && (len(notes) != 1 || !strings.Contains(notes[0], c.note)) {
			t.Errorf("%s: notes %q, expected %q", c.name, notes, c.note)
		}
		v, err := tok.Vocabulary()
		if want := map[int]string{qwen: "qwen2", gpt: "gpt-2"}[c.tokens]; err != nil || v.Pre != want {
			t.Errorf("%s: GGUF's name is %q, %v, expected %q", c.name, v.Pre, err, want)
		}
		again := saveAndLoad(t, tok)
		if got := again.Encode(".\n\n"); len(got) != c.tokens {
			t.Errorf("%s: once saved, found %v, expected %d tokens", c.name, got, c.tokens)
		}
	}
	for config, want := range map[string]string{
		`{"model_type":7}`:                      "config.json: model_type: found a number, expected a string",
		`{"tokenizer_class":"WonderTokenizer"}`: `tokenizer_class "WonderTokenizer" of config.json is not supported with vocab.json, expected GPT2Tokenizer or Qwen2Tokenizer`,
	} {
		dir := files(t, map[string]string{"vocab.json": vocab, "merges.txt": "Ċ Ċ\n", "config.json": config})
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", config, err, want)
		}
	}
}

// pairsVocabulary is a vocab.json of all bytes, of two line feeds, and of these after a full stop.
func pairsVocabulary() string {
	ids := map[string]int{}
	for b := range 256 {
		ids[spellBytes(string([]byte{byte(b)}))] = b
	}
	ids["ĊĊ"], ids[".ĊĊ"] = 256, 257
	return string(mustMarshal(ids))
}

// TestQwen2WithoutItsConfig: Qwen's own files have the same ids by model_type as by class.
func TestQwen2WithoutItsConfig(t *testing.T) {
	named := qwen2(t)
	tok := load(t, folder(t, map[string][]string{
		"vocab.json": {"qwen2", "vocab.derived.json"}, "merges.txt": {"qwen2", "merges.txt"}, "added_tokens.json": {"qwen2", "added_tokens.derived.json"},
		"config.json": {`{"model_type":"qwen2"}`},
	}))
	for _, text := range []string{".\n\n", "x = [1, 2, 345];\n\n\tif (x) {\n", "It's 12345 o'clock,\r\n DON'T!", "<|im_start|>user\nhi<|im_end|>"} {
		if got, want := tok.Encode(text), named.Encode(text); !slices.Equal(got, want) {
			t.Errorf("Encode(%q) = %v, expected %v", text, got, want)
		}
	}
	if got := tok.Encode(".\n\n"); len(got) != 1 {
		t.Errorf("a full stop and two line feeds are %v, expected one token", got)
	}
}

// TestGuessesAreSaid: what a file leaves open, and the files beside it do not say, is noted once.
func TestGuessesAreSaid(t *testing.T) {
	const want = `tokenizer_config.json is absent: texts begin with "<s>"`
	for config, said := range map[string]bool{"": true, `{"tokenizer_class":"LlamaTokenizer"}`: false} {
		contents := map[string]string{"tokenizer.model": letters()}
		if config != "" {
			contents["tokenizer_config.json"] = config
		}
		notes := load(t, files(t, contents)).Notes()
		if said != (len(notes) == 1 && strings.HasPrefix(notes[0], want)) || len(notes) > 1 {
			t.Errorf("%q: notes %q, expected the guess: %v", config, notes, said)
		}
	}
}

// TestSettingsRefusals: what the files beside a vocabulary may not say is refused in their words.
func TestSettingsRefusals(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"tokenizer_config.json", `{"add_bos_token":"yes"}`, `tokenizer_config.json: add_bos_token: found a string, expected true or false`},
		{"tokenizer_config.json", `{"split_special_tokens":true}`, `tokenizer_config.json: split_special_tokens: found true: special tokens that a text spells out as text is not supported, expected no such key or null or false`},
		{"tokenizer_config.json", `{"bos_token":7}`, `tokenizer_config.json: bos_token: found a number, expected an object`},
		{"tokenizer_config.json", `{"added_tokens_decoder":[]}`, `tokenizer_config.json: added_tokens_decoder: found a list, expected an object`},
		{"tokenizer_config.json", `{"added_tokens_decoder":{"-2":{"content":"x"}}}`, `tokenizer.json: token "x": found id -2, expected an id below 65541 in a vocabulary of 5 tokens`},
		{"tokenizer_config.json", `{"add_bos_token":true,"tokenizer_class":"LlamaTokenizer","add_eos_token":true}`, `tokenizer_config.json: add_eos_token is true, but no eos_token of the vocabulary is named: expected one, or false`},
		{"added_tokens.json", `{"x":"7"}`, `added_tokens.json: found a string, expected a whole number`},
		{"added_tokens.json", `{"x":7,"y":7}`, `added_tokens.json: id 7: found two tokens, "x" and "y"`},
		{"special_tokens_map.json", `{"additional_special_tokens":7}`, `special_tokens_map.json: additional_special_tokens: found a number, expected a list`},
	} {
		dir := files(t, map[string]string{"tokenizer.json": small(), c.name: c.content})
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), strings.SplitN(c.want, ": ", 2)[0]) || !strings.Contains(err.Error(), strings.SplitN(c.want, ": ", 2)[1]) {
			t.Errorf("%s %s:\nfound    %v\nexpected %s", c.name, c.content, err, c.want)
		}
	}
}

// TestTokensAroundText: add_bos_token and add_eos_token count beside a tokenizer.json for the
// classes that write its template anew; for others a contradiction is a note.
func TestTokensAroundText(t *testing.T) {
	without := tiny(`"added_tokens":[]`, `"added_tokens":[{"id":3,"content":"<s>","special":true}]`)
	for _, c := range []struct {
		name, file, config string
		want               []int32
		note               string
	}{
		{"the template", small(), `{}`, []int32{3, 0}, ""},
		{"no bos", small(), `{"tokenizer_class":"LlamaTokenizerFast","add_bos_token":false,"bos_token":"<s>"}`, []int32{0}, ""},
		{"no bos, slow class", small(), `{"tokenizer_class":"LlamaTokenizer","add_bos_token":false}`, []int32{0}, ""},
		{"a bos", without, `{"tokenizer_class":"LlamaTokenizerFast","add_bos_token":true,"bos_token":"<s>"}`, []int32{3, 0}, ""},
		{"an eos", without, `{"tokenizer_class":"GemmaTokenizer","add_eos_token":true,"eos_token":"<s>"}`, []int32{0, 3}, ""},
		{"both", small(), `{"tokenizer_class":"CodeLlamaTokenizerFast","add_bos_token":true,"add_eos_token":true,"eos_token":"b"}`, []int32{3, 0, 1}, ""},
		{"an eos in place of a bos", small(), `{"tokenizer_class":"LlamaTokenizerFast","add_bos_token":false,"add_eos_token":true,"eos_token":"b"}`, []int32{0, 1}, ""},
		{"another bos", small(), `{"tokenizer_class":"LlamaTokenizerFast","add_bos_token":true,"bos_token":"b"}`, []int32{1, 0}, ""},
		{"another class", small(), `{"tokenizer_class":"PreTrainedTokenizerFast","add_bos_token":false}`, []int32{3, 0},
			`tokenizer_config.json asks for a bos token false and an eos token false around a text, the post_processor of tokenizer.json has true and false: the latter is followed, as by tokenizer_class "PreTrainedTokenizer"`},
		{"no class", without, `{"add_bos_token":true,"bos_token":"<s>"}`, []int32{0}, "the latter is followed"},
	} {
		tok := load(t, files(t, map[string]string{"tokenizer.json": c.file, "tokenizer_config.json": c.config}))
		if got := tok.EncodeSpecial("a"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, expected %v", c.name, got, c.want)
		}
		if notes := strings.Join(tok.Notes(), "\n"); c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
			t.Errorf("%s: notes %q, expected %q", c.name, notes, c.note)
		}
		if got := saveAndLoad(t, tok).EncodeSpecial("a"); !slices.Equal(got, c.want) {
			t.Errorf("%s: once saved %v, expected %v", c.name, got, c.want)
		}
	}
	// What SetSpecial says afterwards counts.
	tok := load(t, files(t, map[string]string{"tokenizer.json": small(), "tokenizer_config.json": `{"tokenizer_class":"LlamaTokenizerFast","add_bos_token":false}`}))
	if err := tok.SetSpecial("<s>", ""); err != nil {
		t.Fatal(err)
	}
	if got, want := saveAndLoad(t, tok).EncodeSpecial("a"), []int32{3, 0}; !slices.Equal(got, want) {
		t.Errorf("after SetSpecial %v, expected %v", got, want)
	}
}

// TestSpacesOfSentencePiece: where the mark of a space stands in front of a text, after special
// tokens, and after user-defined symbols, as the configuration has it.
func TestSpacesOfSentencePiece(t *testing.T) {
	for _, c := range []struct {
		name, model, config, text, want, back string
	}{
		{"before each piece", letters(), `{}`, "a<s>a</s>b", "▁a <s> ▁a </s> ▁ b", "a<s> a</s> b"},
		{"legacy", letters(), `{"legacy":true}`, "<s>b", "<s> ▁ b", "<s> b"},
		{"not legacy", letters(), `{"legacy":false}`, "a<s>a</s>b", "▁a <s> a </s> b", "a<s>a</s>b"},
		{"not legacy, special token first", letters(), `{"legacy":false}`, "<s>a</s>b", "<s> a </s> b", "<s>a</s>b"},
		{"not legacy, spaces kept", letters(), `{"legacy":false}`, "b<s> a", "▁ b <s> ▁a", "b<s> a"},
		{"no prefix", letters(), `{"add_prefix_space":false}`, "a<s>b", "a <s> b", "a<s>b"},
		{"no prefix, not legacy", letters(), `{"add_prefix_space":false,"legacy":false}`, "a<s>b", "a <s> b", "a<s>b"},
		{"a symbol within a word", letters("ROMEO"), `{}`, "aROMEOb", "▁a ROMEO b", "aROMEOb"},
		{"a symbol at the beginning", letters("ROMEO"), `{}`, "ROMEOb", "▁ ROMEO b", "ROMEOb"},
		{"a symbol with its space", letters("▁ROMEO"), `{}`, "b ROMEO", "▁ b ▁ROMEO", "b ROMEO"},
		{"the longest symbol", letters("RO", "ROMEO"), `{}`, "bROMEORO", "▁ b ROMEO RO", "bROMEORO"},
		{"spaces as a symbol", letters("▁▁"), `{}`, "b   a", "▁ b ▁▁ ▁a", "b   a"},
		{"a symbol of signs", letters("a|b", "(.*)"), `{}`, "ba|b(.*)b", "▁ b a|b (.*) b", "ba|b(.*)b"},
		{"a symbol after a special token", letters("ROMEO"), `{}`, "<s>aROMEO", "<s> ▁a ROMEO", "<s> aROMEO"},
		{"the same, not legacy", letters("ROMEO"), `{"legacy":false}`, "<s>aROMEOb", "<s> a ROMEO b", "<s>aROMEOb"},
		{"text that spells a byte", letters("ROMEO"), `{}`, "ROMEO<0x0A>", "", "ROMEO<0x0A>"},
	} {
		tok := load(t, files(t, map[string]string{"tokenizer.model": c.model, "tokenizer_config.json": c.config}))
		for kind, tok := range map[string]*Tokenizer{"read": tok, "saved": saveAndLoad(t, tok)} {
			ids := tok.Encode(c.text)
			var pieces []string
			for _, id := range ids {
				pieces = append(pieces, tok.Token(id))
			}
			if got := strings.Join(pieces, " "); c.want != "" && got != c.want || tok.Decode(ids) != c.back {
				t.Errorf("%s, %s: Encode(%q) = %s, which is %q, expected %s, which is %q", c.name, kind, c.text, got, tok.Decode(ids), c.want, c.back)
			}
		}
	}
}

// TestCases holds folders as users have them to their right ids.
func TestCases(t *testing.T) {
	for _, c := range []struct {
		folder, text string
		want         []int32
	}{
		{"spm-added", "hi<|im_end|>there", []int32{1, 7251, 32000, 727}},
		{"added-decoder-json", "hi<|tool|>x", []int32{100, 71, 72, 102, 87}},
		{"llamafast-bos-false", "abc", []int32{64, 65, 66}},
		{"spm-legacy-False", "<s>hello</s>world", []int32{1, 1, 12199, 2, 11526}},
	} {
		tok := load(t, shareddata.Path(t, "..", "cases", c.folder))
		if got := tok.EncodeSpecial(c.text); !slices.Equal(got, c.want) || len(tok.Notes()) > 0 {
			t.Errorf("%s: EncodeSpecial(%q) = %v, expected %v; notes %q", c.folder, c.text, got, c.want, tok.Notes())
		}
	}
}

// TestSymbolsAreLossless: texts with user-defined symbols come back, and cutting at seams changes
// nothing.
func TestSymbolsAreLossless(t *testing.T) {
	tok := load(t, files(t, map[string]string{"tokenizer.model": letters("ROMEO", "RO", "\n", "▁▁", "b a")}))
	whole := *tok
	whole.splitters = whole.splitters[:1]
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"ROMEO", "RO", "R", "a", "b", " ", "  ", "\n", "é", "<0x41>", "b a"})).Draw(t, "parts"), "")
		ids := tok.Encode(text)
		if got := tok.Decode(ids); got != text {
			t.Fatalf("decode(encode(%q)) = %q", text, got)
		}
		if got := whole.Encode(text); !slices.Equal(got, ids) {
			t.Fatalf("%q: %v cut, %v whole", text, ids, got)
		}
	})
	v, err := tok.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	for token, kind := range map[string]int32{"ROMEO": TypeUserDefined, "▁▁": TypeUserDefined, "a": TypeNormal, "<s>": TypeControl} {
		if id, _ := tok.ID(token); v.Types[id] != kind {
			t.Errorf("as GGUF %q has type %d, expected %d", token, v.Types[id], kind)
		}
	}
}

// TestSavedIDsAreInTheVocabulary: the tokenizers library gives an added token that model.vocab
// lacks the next id, whatever the file says. So model.vocab has those whose ids would change.
func TestSavedIDsAreInTheVocabulary(t *testing.T) {
	for _, c := range []struct {
		vocab vocabulary
		added []addedToken
		want  int
	}{
		{vocabulary{"a": 0, "b": 1}, []addedToken{{ID: 2, Content: "x"}, {ID: 3, Content: "y"}}, 2},
		{vocabulary{"a": 0, "b": 1}, []addedToken{{ID: 2, Content: "x"}, {ID: 9, Content: "y"}}, 4},
		{vocabulary{"a": 3, "b": 4}, []addedToken{{ID: 0, Content: "x"}, {ID: 1, Content: "y"}}, 4},
		{vocabulary{"a": 0, "b": 1}, []addedToken{{ID: 1, Content: "b"}, {ID: 2, Content: "x"}}, 2},
	} {
		got := numbered(c.vocab, c.added)
		// by the rule of the library
		highest := int32(-1)
		for _, a := range c.added {
			id, ok := got[a.Content]
			if !ok {
				if id = int32(len(got)); highest >= id {
					id = highest + 1
				}
			}
			if highest = max(highest, id); id != a.ID {
				t.Errorf("%v, %v: %q would get id %d, expected %d", c.vocab, c.added, a.Content, id, a.ID)
			}
		}
		if len(got) != c.want {
			t.Errorf("%v, %v: %d tokens in the vocabulary, expected %d", c.vocab, c.added, len(got), c.want)
		}
	}
}

// FuzzSettings reads files beside a vocabulary: whatever they hold, the tokenizer that comes of it
// can be used, and its notes are text.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"tokenizer_class":"LlamaTokenizerFast","add_bos_token":false,"legacy":false,"added_tokens_decoder":{"4":{"content":"<x>","special":true,"lstrip":true}}}`),
		[]byte(`{"bos_token":{"content":"<s>"},"additional_special_tokens":["ab"]}`), []byte(`{"<|y|>":5}`), false)
	f.Add([]byte(`{"add_eos_token":true,"add_prefix_space":false,"chat_template":[{"name":"default","template":"x"}]}`), []byte(`{}`), []byte(`{"x":263}`), true)
	f.Fuzz(func(t *testing.T, config, roles, added []byte, pieces bool) {
		contents := fstest.MapFS{"tokenizer_config.json": {Data: config}, "special_tokens_map.json": {Data: roles}, "added_tokens.json": {Data: added}}
		if pieces {
			contents["tokenizer.model"] = &fstest.MapFile{Data: smallModel().numbers(2, 3, 2).data}
		} else {
			contents["tokenizer.json"] = &fstest.MapFile{Data: []byte(small())}
		}
		tok, err := LoadFS(contents, ".")
		if err != nil {
			return
		}
		use(t, tok)
		for _, note := range tok.Notes() {
			if !utf8.ValidString(note) || strings.ContainsFunc(note, func(r rune) bool { return r < ' ' }) {
				t.Fatalf("note %q", note)
			}
		}
	})
}
