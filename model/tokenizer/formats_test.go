package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"slimlab/internal/shareddata"
)

// TestCorpora takes whole corpora there and back. Byte-level tokenizers are lossless. SentencePiece
// writes a space before a text and takes it off again, which loses nothing either, unless a text
// has the mark ▁ in it, which stands for a space.
func TestCorpora(t *testing.T) {
	// as two other implementations count
	counts := map[string]int{"gpt-2/shakespeare": 338025, "gpt-2/wikitext": 295877}
	for name, text := range corpora(t) {
		for _, kind := range kinds {
			if kind.name == "TinyStories" {
				continue // its vocabulary has neither all bytes nor all characters
			}
			tok := kind.make(t)
			if kind.name == "llama-2" {
				// A special token that is written out is one, and SentencePiece's space comes after
				// it too.
				text = strings.ReplaceAll(text, "<unk>", "unk")
			}
			ids := tok.Encode(text)
			if got := tok.Decode(ids); got != text {
				t.Errorf("%s, %s: decode(encode(x)) differs from x at byte %d", kind.name, name, firstDifference(got, text))
			}
			var b strings.Builder
			d := tok.NewDecoder()
			for _, id := range ids {
				b.WriteString(d.Push(id))
			}
			if b.WriteString(d.Flush()); b.String() != text {
				t.Errorf("%s, %s: the stream differs at byte %d", kind.name, name, firstDifference(b.String(), text))
			}
			if want, ok := counts[kind.name+"/"+name]; ok && len(ids) != want {
				t.Errorf("%s, %s: %d tokens, expected %d", kind.name, name, len(ids), want)
			}
			t.Logf("%s, %s: %d bytes, %d tokens", kind.name, name, len(text), len(ids))
		}
	}
}

func firstDifference(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// TestGoldenPrompts holds the two forms of the small models' vocabularies to the ids that llama.cpp
// gave.
func TestGoldenPrompts(t *testing.T) {
	var manifest struct {
		Prompt string             `json:"prompt"`
		IDs    map[string][]int32 `json:"prompt_ids"`
	}
	readJSON(t, shareddata.Path(t, "vectors", "llamacpp-golden", "manifest.json"), &manifest)
	for name, elem := range map[string][]string{
		"tinystories-656K": {"models", "TinyStories-656K", "gguf", "tinystories-656K-F32.gguf"},
		"stories260K":      {"models", "stories260K", "gguf", "stories260K.gguf"},
	} {
		tok, err := FromVocabulary(vocabularyOf(t, shareddata.Path(t, elem...)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := tok.EncodeSpecial(manifest.Prompt); !slices.Equal(got, manifest.IDs[name]) {
			t.Errorf("%s: EncodeSpecial(%q) = %v, expected %v", name, manifest.Prompt, got, manifest.IDs[name])
		}
	}
}

// TestSeamsChangeNothing compares texts cut at seams with whole texts.
func TestSeamsChangeNothing(t *testing.T) {
	for _, kind := range kinds {
		tok := kind.make(t)
		if tok.model.byteLevel {
			continue
		}
		whole := *tok
		whole.splitters = nil
		alphabet := []rune("aetho  \n.,'▁é你🙂1T\"")
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.StringOf(rapid.RuneFrom(alphabet)).Draw(t, "text")
			if got, want := tok.Encode(text), whole.Encode(text); !slices.Equal(got, want) {
				t.Fatalf("%s, %q: %v cut, %v whole", kind.name, text, got, want)
			}
		})
		for name, text := range corpora(t) {
			text = text[:100000]
			if got, want := tok.Encode(text), whole.Encode(text); !slices.Equal(got, want) {
				t.Errorf("%s, %s: encoded differently cut and whole", kind.name, name)
			}
			pieces := 0
			splitAll(tok.splitters, strings.ReplaceAll(text, " ", spaceMark), func(string) { pieces++ })
			t.Logf("%s, %s: %d bytes in %d pieces", kind.name, name, len(text), pieces)
		}
	}
}

// TestScoresByDefinition holds merging by scores to a plain reading of SentencePiece: of all
// neighbours that make a token, the pair with the highest score is merged, the leftmost of equals.
func TestScoresByDefinition(t *testing.T) {
	v := Vocabulary{Model: "llama", BOS: -1, EOS: -1, Unknown: 0, Padding: -1, AddSpacePrefix: pointer(false),
		Tokens: []string{"<unk>", "a", "b", "aa", "aaa", "ab", "aab", "bb", "ba", "aaaa"}}
	for i := range v.Tokens {
		v.Types, v.Scores = append(v.Types, TypeNormal), append(v.Scores, float32(-i%4))
	}
	v.Types[0] = TypeUnknown
	tok, err := FromVocabulary(v)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("aab"))).Draw(t, "text")
		parts := strings.Split(text, "")
		for {
			best := -1
			for i := range len(parts) - 1 {
				id, ok := tok.ID(parts[i] + parts[i+1])
				if !ok {
					continue
				}
				if best < 0 || v.Scores[id] > v.Scores[tok.ids[parts[best]+parts[best+1]]] {
					best = i
				}
			}
			if best < 0 {
				break
			}
			parts = slices.Replace(parts, best, best+2, parts[best]+parts[best+1])
		}
		var want []int32
		for _, p := range parts {
			want = append(want, tok.ids[p])
		}
		if got := tok.Encode(text); !slices.Equal(got, want) {
			t.Fatalf("%q: %v, expected %v", text, got, want)
		}
	})
}

// TestFamilyComponents holds components that the families' files use to what the format says of
// them.
func TestFamilyComponents(t *testing.T) {
	vocab := func(tokens ...string) string {
		var b strings.Builder
		for i, token := range tokens {
			key, _ := marshal(token)
			fmt.Fprintf(&b, `%s%s:%d`, map[bool]string{true: ","}[i > 0], key, i)
		}
		return b.String()
	}
	characters := func(parts, added string) string {
		return `{` + parts + `,"added_tokens":[` + added + `],"model":{"type":"BPE","byte_fallback":true,"vocab":{` +
			vocab("▁", "a", "b", "▁a", "1", "2", "é", "e\u0301", "<0xC3>", "<0xA9>", "\n") + `},"merges":["▁ a"]}}`
	}
	const decoder = `"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}`
	for _, c := range []struct {
		name, file, text string
		want             []int32
		back             string
	}{
		{"Metaspace always", characters(`"pre_tokenizer":{"type":"Metaspace","replacement":"▁","add_prefix_space":true},"decoder":{"type":"Metaspace"}`, ""), "a a▁b", []int32{3, 3, 0, 2}, "a a b"},
		{"Metaspace first", characters(`"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false},`+decoder, `{"id":11,"content":"<x>","special":true}`), "a<x>a a", []int32{3, 11, 1, 3}, "a<x>a a"},
		{"Metaspace never", characters(`"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"},"decoder":{"type":"Metaspace","prepend_scheme":"never"}`, ""), "a a", []int32{1, 3}, "a a"},
		{"Metaspace has its space", characters(`"pre_tokenizer":{"type":"Metaspace"},"decoder":{"type":"Metaspace"}`, ""), " a", []int32{3}, "a"},
		{"Prepend for each piece", characters(`"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":null,`+decoder, `{"id":11,"content":"<x>","special":true}`), "a<x>a", []int32{3, 11, 3}, "a<x> a"},
		{"NFC", characters(`"normalizer":{"type":"NFC"},`+decoder, ""), "e\u0301", []int32{6}, "é"},
		{"NFD", characters(`"normalizer":{"type":"NFD"},`+decoder, ""), "é", nil, ""},
		{"NFKC", characters(`"normalizer":{"type":"NFKC"},`+decoder, ""), "①②", []int32{4, 5}, "12"},
		{"Lowercase", characters(`"normalizer":{"type":"Lowercase"},`+decoder, ""), "AB", []int32{1, 2}, "ab"},
		{"Strip", characters(`"normalizer":{"type":"Strip","strip_left":true,"strip_right":true},`+decoder, ""), " \na\n ", []int32{1}, "a"},
		{"Replace by expression", characters(`"normalizer":{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"▁"},`+decoder, ""), "a   a", []int32{1, 3}, "a a"},
		{"Digits apart", tinyDigits(true), "a12a", []int32{0, 1, 2, 0}, "a12a"},
		{"Digits together", tinyDigits(false), "a12a", []int32{0, 3, 0}, "a12a"},
		{"ByteLevel with a space before", tiny(`"add_prefix_space":false`, `"add_prefix_space":true`, `"ab":2`, `"ab":2,"Ġ":3,"Ġa":4`, `["a b"]`, `["a b","Ġ a"]`), "a", []int32{4}, " a"},
		{"words that are tokens", tiny(`"merges":["a b"]`, `"ignore_merges":true,"merges":[]`), "ab", []int32{2}, "ab"},
		{"the same, with merges", tiny(`"merges":["a b"]`, `"ignore_merges":false,"merges":[]`), "ab", []int32{0, 1}, "ab"},
	} {
		tok, err := Parse([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := tok.Encode(c.text)
		if !slices.Equal(got, c.want) || tok.Decode(got) != c.back {
			t.Errorf("%s: Encode(%q) = %v, which is %q, expected %v, which is %q", c.name, c.text, got, tok.Decode(got), c.want, c.back)
		}
		stream := tok.NewDecoder()
		text := ""
		for _, id := range got {
			text += stream.Push(id)
		}
		if text += stream.Flush(); text != c.back {
			t.Errorf("%s: streamed %q, expected %q", c.name, text, c.back)
		}
	}
}

func tinyDigits(individual bool) string {
	return tiny(`{"type":"ByteLevel","add_prefix_space":false}`, fmt.Sprintf(`{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":%t},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`, individual),
		`"b":1,"ab":2`, `"1":1,"2":2,"12":3`, `"a b"`, `"1 2"`)
}

func TestSplitRules(t *testing.T) {
	for _, c := range []struct {
		behavior string
		invert   bool
		want     []string
	}{
		{"Isolated", false, []string{"a", "-", "-", "b", "-", "c"}},
		{"Removed", false, []string{"a", "b", "c"}},
		{"Removed", true, []string{"-", "-", "-"}},
		{"MergedWithPrevious", false, []string{"a-", "-", "b-", "c"}},
		{"MergedWithNext", false, []string{"a", "-", "-b", "-c"}},
		{"Contiguous", false, []string{"a", "--", "b", "-", "c"}},
	} {
		s, err := parseSplit("x", component{Type: "Split", Behavior: c.behavior, Invert: c.invert, Pattern: textPattern{String: pointer("-")}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		s.split("a--b-c", func(piece string) { got = append(got, piece) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s, invert %t: %q, expected %q", c.behavior, c.invert, got, c.want)
		}
	}
}

// TestLongS: the long s is an s in another case, in contractions too.
func TestLongS(t *testing.T) {
	var got []string
	caseScanner{digits: 3}.split("it'ſx we'VE", func(piece string) { got = append(got, piece) })
	if want := []string{"it", "'ſ", "x", " we", "'VE"}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

// TestStreamIsValid streams ids drawn by chance: what comes out is valid UTF-8 at every step, and
// Decode with its broken bytes marked.
func TestStreamIsValid(t *testing.T) {
	tok := trained(t)
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOf(rapid.Int32Range(-1, int32(tok.Vocab()))).Draw(t, "ids")
		raw := rapid.String().Draw(t, "text")
		ids = append(ids, tok.Encode(raw)...)
		d := tok.NewDecoder()
		var b strings.Builder
		for i, id := range ids {
			text := d.Push(id)
			if !utf8.ValidString(text) {
				t.Fatalf("after %v: %q", ids[:i+1], text)
			}
			b.WriteString(text)
		}
		b.WriteString(d.Flush())
		if got, want := b.String(), marked(tok.Decode(ids)); got != want {
			t.Fatalf("%v: streamed %q, expected %q", ids, got, want)
		}
		if d.Push(tok.ids["a"]) != "a" {
			t.Fatal("Flush does not begin a new text")
		}
	})
}

// marked writes U+FFFD for each longest beginning of a character that does not go on, and for each
// byte that begins none: what The Unicode Standard calls the maximal subparts of an ill-formed
// sequence, found here by trying lengths.
func marked(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if r, n := utf8.DecodeRuneInString(s); r != utf8.RuneError || n > 1 {
			b.WriteString(s[:n])
			s = s[n:]
			continue
		}
		n := 1
		for k := 2; k <= min(3, len(s)); k++ {
			if begins(s[:k]) {
				n = k
			}
		}
		b.WriteString("\uFFFD")
		s = s[n:]
	}
	return b.String()
}

// begins reports whether some character has s for its first bytes.
func begins(s string) bool {
	for a := 0x80; a < 0xC0; a++ {
		for _, tail := range []string{string([]byte{byte(a)}), string([]byte{byte(a), 0x80})} {
			if r, n := utf8.DecodeRuneInString(s + tail); (r != utf8.RuneError || n == 3) && n == len(s)+len(tail) {
				return true
			}
		}
	}
	return false
}

func TestStreamKinds(t *testing.T) {
	byteFallback, err := Parse([]byte(`{"pre_tokenizer":null,"normalizer":null,
		"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":"__","start":2,"stop":0}]},
		"model":{"type":"BPE","byte_fallback":true,"vocab":{"_":0,"é":1,"<0xE4>":2,"<0xBD>":3,"<0xA0>":4,"a":5},"merges":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ids  []int32
		want []string // after each id, and at the end
	}{
		{[]int32{2, 3, 4}, []string{"", "", "你", ""}},
		{[]int32{2, 5}, []string{"", "\uFFFDa", ""}},
		{[]int32{2, 3}, []string{"", "", "\uFFFD"}},
		{[]int32{4, 4}, []string{"\uFFFD", "\uFFFD", ""}},
		{[]int32{0, 5}, []string{"", "_a", ""}},
		{[]int32{0, 0, 0, 0, 0, 0}, []string{"", "", "", "", "_", "_", ""}},
		{[]int32{0}, []string{"", "_"}},
	} {
		d := byteFallback.NewDecoder()
		var got []string
		for _, id := range c.ids {
			got = append(got, d.Push(id))
		}
		got = append(got, d.Flush())
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, expected %q", c.ids, got, c.want)
		}
	}
}

// TestChatTemplate: where a folder may have it.
func TestChatTemplate(t *testing.T) {
	dir := t.TempDir()
	if err := trained(t).Save(dir); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := load(t, dir).ChatTemplate(); got != "" {
		t.Errorf("found %q where there is none", got)
	}
	write("tokenizer_config.json", `{"chat_template":"{{ one }}","eos_token":"<|eos|>"}`)
	if got := load(t, dir).ChatTemplate(); got != "{{ one }}" {
		t.Errorf("found %q", got)
	}
	write("tokenizer_config.json", `{"chat_template":[{"name":"tool_use","template":"x"},{"name":"default","template":"{{ two }}"}]}`)
	if got := load(t, dir).ChatTemplate(); got != "{{ two }}" {
		t.Errorf("found %q", got)
	}
	write("chat_template.jinja", "{{ three }}")
	tok := load(t, dir)
	if got := tok.ChatTemplate(); got != "{{ three }}" {
		t.Errorf("found %q", got)
	}
	if got := saveAndLoad(t, tok).ChatTemplate(); got != "{{ three }}" {
		t.Errorf("found %q after saving", got)
	}
}

// TestRoles: what surrounds a text, and which tokens have a role, in each form.
func TestRoles(t *testing.T) {
	three := llama3(t)
	if ids := three.EncodeSpecial("<|eot_id|>"); !slices.Equal(ids, []int32{128000, 128009}) || three.BOS() != 128000 || three.EOS() != 128001 || three.Vocab() != 128256 {
		t.Errorf("Llama 3: %v, bos %d, eos %d, vocabulary %d", ids, three.BOS(), three.EOS(), three.Vocab())
	}
	two := llama2(t)
	if ids := two.EncodeSpecial("Hello"); !slices.Equal(ids, []int32{1, 15043}) || two.BOS() != 1 || two.EOS() != 2 || two.Padding() != -1 {
		t.Errorf("Llama 2: %v, bos %d, eos %d, padding %d", ids, two.BOS(), two.EOS(), two.Padding())
	}
	configured := load(t, folder(t, map[string][]string{"tokenizer.model": {"llama2", "tokenizer.model"},
		"tokenizer_config.json": {`{"add_bos_token":false,"add_eos_token":true,"eos_token":"</s>"}`}}))
	if ids := configured.EncodeSpecial("Hello"); !slices.Equal(ids, []int32{15043, 2}) {
		t.Errorf("Llama 2 with an EOS: %v", ids)
	}
	qwen := qwen2(t)
	if ids := qwen.EncodeSpecial("Hello<|im_end|>"); !slices.Equal(ids, []int32{9707, 151645}) || qwen.BOS() != -1 || qwen.EOS() != 151645 || qwen.Padding() != 151643 {
		t.Errorf("Qwen 2: %v, bos %d, eos %d, padding %d", ids, qwen.BOS(), qwen.EOS(), qwen.Padding())
	}
	if composed, apart := qwen.Encode("café"), qwen.Encode("cafe\u0301"); !slices.Equal(composed, apart) {
		t.Errorf("Qwen 2 does not compose: %v, %v", composed, apart)
	}
	if !qwen.Special(151645) || qwen.Special(151657) {
		t.Error("Qwen 2: <|im_end|> is special and <tool_call> is not")
	}
	two2, err := two.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	two2.AddBOS, two2.AddEOS = pointer(false), pointer(true)
	again, err := FromVocabulary(two2)
	if err != nil {
		t.Fatal(err)
	}
	if ids := again.EncodeSpecial("Hello"); !slices.Equal(ids, []int32{15043, 2}) {
		t.Errorf("Llama 2 of GGUF with an EOS: %v", ids)
	}
}

// TestVocabularyThereAndBack: a tokenizer.json whose order of merges is one of tokens can be
// written as scores.
func TestVocabularyThereAndBack(t *testing.T) {
	texts := corpora(t)
	for _, kind := range kinds {
		tok := kind.make(t)
		v, err := tok.Vocabulary()
		if kind.name == "other pattern" {
			if err == nil {
				t.Error("a pattern that has no name was written")
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", kind.name, err)
			continue
		}
		again, err := FromVocabulary(v)
		if err != nil {
			t.Errorf("%s: %v", kind.name, err)
			continue
		}
		// How a special token takes the space beside it is what a GGUF file cannot say.
		text := texts["shakespeare"][:100000] + strings.ReplaceAll(texts["wikitext"][:100000], "<unk>", "unk")
		if got, want := again.EncodeSpecial(text), tok.EncodeSpecial(text); !slices.Equal(got, want) {
			t.Errorf("%s: encodes differently after FromVocabulary(Vocabulary())", kind.name)
		}
		if again.Vocab() != tok.Vocab() || again.BOS() != tok.BOS() || again.EOS() != tok.EOS() {
			t.Errorf("%s: vocabulary %d, bos %d, eos %d; expected %d, %d, %d", kind.name, again.Vocab(), again.BOS(), again.EOS(), tok.Vocab(), tok.BOS(), tok.EOS())
		}
	}
}

func TestVocabularyRefusals(t *testing.T) {
	good := func() Vocabulary {
		return Vocabulary{Model: "llama", Tokens: []string{"<unk>", "a", "▁"}, Scores: []float32{0, -1, -2}, Types: []int32{2, 1, 1}, BOS: -1, EOS: -1, Unknown: 0, Padding: -1}
	}
	if _, err := FromVocabulary(good()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(v *Vocabulary){
		"vocabulary: tokens: found none":                                            func(v *Vocabulary) { v.Tokens = nil },
		"vocabulary: types: found 2 for 3 tokens":                                   func(v *Vocabulary) { v.Types = v.Types[:2] },
		"vocabulary: scores: found 0 for 3 tokens":                                  func(v *Vocabulary) { v.Scores = nil },
		"vocabulary: scores[1] of \"a\": found NaN":                                 func(v *Vocabulary) { v.Scores[1] = float32(math.NaN()) },
		"vocabulary: bos token: found id 3, expected -1 or an id below 3":           func(v *Vocabulary) { v.BOS = 3 },
		"vocabulary: eos token: found id -2, expected -1 or an id below 3":          func(v *Vocabulary) { v.EOS = -2 },
		"vocabulary: token 1: found type 9, expected 1 to 6":                        func(v *Vocabulary) { v.Types[1] = 9 },
		"vocabulary: token \"a\": found two ids, 1 and 2":                           func(v *Vocabulary) { v.Tokens[2] = "a" },
		"vocabulary: model \"bert\" is not supported, expected gpt2 or llama":       func(v *Vocabulary) { v.Model = "bert" },
		"vocabulary: merges[0] \"ab\": expected two parts with a space between":     func(v *Vocabulary) { v.Model, v.Pre, v.Merges = "gpt2", "gpt-2", []string{"ab"} },
		"vocabulary: merges[0] \"\": expected two parts with a space between":       func(v *Vocabulary) { v.Model, v.Pre, v.Merges = "gpt2", "gpt-2", []string{""} },
		"vocabulary: model.merges[0] [\"a\" \"x\"]: \"x\" is not in the vocabulary": func(v *Vocabulary) { v.Model, v.Pre, v.Merges = "gpt2", "gpt-2", []string{"a x"} },
		"vocabulary: token 1: found 2000 bytes, expected at most 1024":              func(v *Vocabulary) { v.Tokens[1] = strings.Repeat("a", 2000) },
	} {
		v := good()
		change(&v)
		if _, err := FromVocabulary(v); err == nil || err.Error() != want {
			t.Errorf("found    %v\nexpected %s", err, want)
		}
	}
	// What a GGUF file cannot say.
	for _, c := range []struct{ file, want string }{
		{tiny(`"add_prefix_space":false`, `"add_prefix_space":true`), "add_prefix_space of a byte-level tokenizer cannot be written"},
		{tiny(`{"type":"ByteLevel","add_prefix_space":false}`, `{"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"ByteLevel","add_prefix_space":false}]}`), "has no name, expected a split that GGUF has a name for"},
		{`{"decoder":{"type":"Fuse"},"model":{"vocab":{"a":0,"b":1,"ab":2,"▁":3},"merges":["a b"]}}`, "normalizer null cannot be written"},
		{`{"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"decoder":{"type":"Fuse"},"model":{"vocab":{"a":0,"b":1,"ab":2,"▁":3,"aab":4,"aa":5},"merges":["a b","a ab"]}}`, `token "aa" would be made of "a" and "a", which no merge does`},
		{`{"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"decoder":{"type":"Fuse"},"model":{"vocab":{"a":0,"b":1,"ab":2,"▁":3,"aab":4,"aa":5},"merges":["a ab","a b","aa b"]}}`, `merges[2] ["aa" "b"] makes a token that earlier merges make`},
	} {
		tok, err := Parse([]byte(c.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tok.Vocabulary(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("found    %v\nexpected %s", err, c.want)
		}
	}
}

// model builds a SentencePiece file.
type model struct{ data []byte }

func (m *model) piece(token string, score float32, kind uint64) *model {
	var p []byte
	p = protowire.AppendTag(p, 1, protowire.BytesType)
	p = protowire.AppendString(p, token)
	p = protowire.AppendTag(p, 2, protowire.Fixed32Type)
	p = protowire.AppendFixed32(p, math.Float32bits(score))
	p = protowire.AppendTag(p, 3, protowire.VarintType)
	p = protowire.AppendVarint(p, kind)
	return m.message(1, p)
}

func (m *model) message(number protowire.Number, data []byte) *model {
	m.data = protowire.AppendTag(m.data, number, protowire.BytesType)
	m.data = protowire.AppendBytes(m.data, data)
	return m
}

// numbers appends a message of varints.
func (m *model) numbers(number protowire.Number, pairs ...uint64) *model {
	var p []byte
	for i := 0; i < len(pairs); i += 2 {
		p = protowire.AppendTag(p, protowire.Number(pairs[i]), protowire.VarintType)
		p = protowire.AppendVarint(p, pairs[i+1])
	}
	return m.message(number, p)
}

// built builds what a reader has read.
func built(tok *Tokenizer, err error) (*Tokenizer, error) {
	if err == nil {
		err = tok.build()
	}
	return tok, err
}

func smallModel() *model {
	m := (&model{}).piece("<unk>", 0, 2).piece("<s>", 0, 3).piece("</s>", 0, 3)
	for i, token := range []string{"▁a", "a", "▁", "b"} {
		m.piece(token, float32(-i), 1)
	}
	return m
}

func TestSentencePieceFiles(t *testing.T) {
	parse := func(m *model) (*Tokenizer, error) { return built(readSentencePiece(m.data, &settings{})) }
	tok, err := parse(smallModel().numbers(2, 3, 2).numbers(3, 4, 1))
	if err != nil {
		t.Fatal(err)
	}
	// Superfluous spaces go, and what is unknown is one token, for there are no bytes.
	if got, want := tok.Encode("  a   b漢字 "), []int32{3, 5, 6, 0}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, expected %v", got, want)
	}
	for _, c := range []struct {
		m    *model
		want string
	}{
		{smallModel(), "trainer_spec.model_type unigram is not supported, expected bpe"},
		{smallModel().numbers(2, 3, 4), "trainer_spec.model_type char is not supported, expected bpe"},
		{smallModel().numbers(2, 3, 2, 24, 1), "trainer_spec.treat_whitespace_as_suffix is not supported, expected false"},
		{smallModel().numbers(2, 3, 2, 41, 77), "bos token: found id 77, expected -1 or an id below 7"},
		{smallModel().numbers(2, 3, 2).numbers(3, 5, 0), "normalizer_spec.escape_whitespaces false is not supported, expected true"},
		{smallModel().numbers(2, 3, 2).message(3, []byte{0x12, 3, 1, 2, 3}), "normalizer_spec.precompiled_charsmap of 3 bytes is not supported, expected the identity"},
		{&model{[]byte{0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}}, "byte 1 of the message, field 1: "},
		{&model{[]byte{0x0A, 2, 0x0A, 9}}, "pieces[0]: byte 1 of the message, field 1: "},
		{(&model{}).numbers(2, 3, 2), "tokens: found none"},
	} {
		_, err := parse(c.m)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("found    %v\nexpected %s", err, c.want)
		}
	}
}

func TestTiktokenFiles(t *testing.T) {
	line := func(token string, rank int) string {
		return base64.StdEncoding.EncodeToString([]byte(token)) + fmt.Sprintf(" %d\n", rank)
	}
	for _, c := range []struct{ file, want string }{
		{line("a", 0) + "x", "line 2: expected a token in base64, a space and a rank"},
		{line("a", 0) + "!! 1", "line 2: the token is not base64 of at least a byte"},
		{line("a", 0) + " 1", "line 2: the token is not base64 of at least a byte"},
		{line("a", 0) + line("b", 2), `line 2: found rank "2", expected 1`},
		{line("a", 0) + line("a", 1), `line 2: token "a" also has rank 0`},
		{line("a", 0) + line("b", 1), "found 2 tokens, expected the 128000 of Llama 3: other tiktoken files do not say how a text is split"},
	} {
		if !isTiktoken([]byte(c.file)) {
			t.Errorf("%q is not taken for a tiktoken file", c.file)
		}
		if _, err := built(readTiktoken([]byte(c.file))); err == nil || err.Error() != c.want {
			t.Errorf("found    %v\nexpected %s", err, c.want)
		}
	}
	if isTiktoken(smallModel().data) || isTiktoken([]byte(tiny())) || isTiktoken(nil) {
		t.Error("other files are taken for tiktoken files")
	}
}

func TestPairFiles(t *testing.T) {
	for _, c := range []struct{ vocab, merges, config, want string }{
		{`{"a":0,"b":1,"ab":2}`, "#version: 0.2\na b\n", `{}`, ""},
		{`{"a":0,"b":1,"ab":2}`, "a b\n", `{"tokenizer_class":"Qwen2TokenizerFast"}`, ""},
		{`{"a":0,"b":1,"ab":2}`, "a b c\n", `{}`, `vocab.json: merges.txt line 1: found "a b c", expected two parts with a space between`},
		{`{"a":0,"b":1}`, "a b\n", `{}`, `vocab.json: model.merges[0] ["a" "b"]: "ab" is not in the vocabulary`},
		{`{"a":0}`, "", `{"tokenizer_class":"CLIPTokenizer"}`, `vocab.json: tokenizer_class "CLIPTokenizer" of tokenizer_config.json is not supported with vocab.json, expected GPT2Tokenizer or Qwen2Tokenizer`},
		{`{"a":0}`, "", `{"added_tokens_decoder":{"x":{"content":"<x>"}}}`, `tokenizer_config.json: added_tokens_decoder: found id "x" of "<x>", expected a number`},
		{`{"a":0}`, "", `{"added_tokens_decoder":{"2000000000":{"content":"<x>"}}}`, `vocab.json: token "<x>": found id 2000000000, expected an id below 65538 in a vocabulary of 2 tokens`},
		{`[]`, "", `{}`, `vocab.json: line 1, column 1: found a list, expected an object`},
	} {
		dir := t.TempDir()
		for name, content := range map[string]string{"vocab.json": c.vocab, "merges.txt": c.merges, "tokenizer_config.json": c.config} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want := ""
		if c.want != "" {
			want = "folder " + dir + ": " + c.want
		}
		if _, err := Load(dir); fmt.Sprint(err) != want && (err != nil || want != "") {
			t.Errorf("found    %v\nexpected %s", err, want)
		}
		byFile := strings.Replace(want, "folder "+dir, "file "+filepath.Join(dir, "vocab.json"), 1)
		if _, err := Load(filepath.Join(dir, "vocab.json")); fmt.Sprint(err) != byFile && (err != nil || want != "") {
			t.Errorf("found    %v\nexpected %s", err, byFile)
		}
	}
}

// TestEndlessPattern: an expression that goes back and forth without end is given up, and nothing
// of the text is lost.
func TestEndlessPattern(t *testing.T) {
	tok, err := Parse([]byte(tiny(`{"type":"ByteLevel","add_prefix_space":false}`, `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated"},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a", 40) + "b"
	if got := tok.Decode(tok.Encode(text)); got != text {
		t.Errorf("decode(encode(x)) = %q", got)
	}
}

// use does with a tokenizer that was read whatever it can do.
func use(t *testing.T, tok *Tokenizer) {
	for _, text := range []string{"", "a ab\xff b", "é<x> 12  ▁▁a'S\r\n"} {
		ids := tok.EncodeSpecial(text)
		for _, id := range ids {
			if id < 0 || int(id) >= tok.Vocab() {
				t.Fatalf("id %d outside the vocabulary of %d", id, tok.Vocab())
			}
		}
		d := tok.NewTextDecoder()
		for _, id := range ids {
			if s := d.Push(id); !utf8.ValidString(s) {
				t.Fatalf("streamed %q", s)
			}
		}
		d.Flush()
		tok.DecodeText(ids)
	}
	if v, err := tok.Vocabulary(); err == nil {
		if _, err := FromVocabulary(v); err != nil {
			t.Fatalf("what Vocabulary wrote is refused: %v", err)
		}
	}
}

func FuzzSentencePiece(f *testing.F) {
	f.Add(smallModel().numbers(2, 3, 2).data)
	f.Add(smallModel().numbers(2, 3, 2).numbers(3, 3, 0, 4, 1).data)
	f.Add((&model{}).piece("<0x41>", 0, 6).piece("aa", 1, 4).piece("▁", 0, 1).numbers(2, 3, 2, 40, 0).data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := built(readSentencePiece(data, &settings{})); err == nil {
			use(t, tok)
		}
	})
}

func FuzzTiktoken(f *testing.F) {
	f.Add([]byte("YQ== 0\nYg== 1\n"))
	f.Add([]byte("YQ== 0\r\n\nYg== 01\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		isTiktoken(data)
		if tok, err := built(readTiktoken(data)); err == nil {
			use(t, tok)
		}
	})
}

func FuzzVocabulary(f *testing.F) {
	f.Add([]byte(`{"Model":"llama","Tokens":["<unk>","a","▁","▁a","<0x41>"],"Scores":[0,-1,-2,-3,0],"Types":[2,1,1,1,6],"BOS":-1,"EOS":-1,"Padding":-1}`))
	f.Add([]byte(`{"Model":"gpt2","Pre":"llama-bpe","Tokens":["a","b","ab","<x>"],"Types":[1,1,1,3],"Merges":["a b"],"BOS":3,"EOS":3,"Unknown":-1,"Padding":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v Vocabulary
		if json.Unmarshal(data, &v) != nil {
			return
		}
		if tok, err := FromVocabulary(v); err == nil {
			use(t, tok)
		}
	})
}

func FuzzPairs(f *testing.F) {
	f.Add([]byte(`{"a":0,"b":1,"ab":2}`), []byte("#version\na b\n"), []byte(`{"tokenizer_class":"Qwen2Tokenizer","added_tokens_decoder":{"3":{"content":"<x>","special":true}}}`))
	f.Fuzz(func(t *testing.T, vocab, merges, config []byte) {
		folder := fstest.MapFS{"vocab.json": {Data: vocab}, "merges.txt": {Data: merges}, "tokenizer_config.json": {Data: config}}
		if tok, err := LoadFS(folder, "."); err == nil {
			use(t, tok)
		}
	})
}

// FuzzScanners holds the hand-written scanners to the expressions.
func FuzzScanners(f *testing.F) {
	type pair struct{ hand, expression splitter }
	var pairs []pair
	for _, pattern := range []string{gpt2Pattern, digitPattern, llama3Pattern, qwen2Pattern} {
		re, err := compile(pattern)
		if err != nil {
			f.Fatal(err)
		}
		hand, _ := scannerOf(pattern)
		pairs = append(pairs, pair{hand, &expressionSplitter{re: re}})
	}
	f.Add(story[:200])
	f.Add("it'S  \r\n\n x\t1234 ٣٤ '\u2003a")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "ſ") || len(text) > 256 {
			return // see TestLongS; long texts have no more to find, and the engine is slow
		}
		for i, p := range pairs {
			var got, want []string
			p.hand.split(text, func(piece string) { got = append(got, piece) })
			p.expression.split(text, func(piece string) { want = append(want, piece) })
			if !slices.Equal(got, want) {
				t.Fatalf("pattern %d, %q: scanner %q, expression %q", i, text, got, want)
			}
		}
	})
}
