package tokenizer

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
)

// metadata reads the key-value pairs of a GGUF file, as far as a tokenizer needs them.
func metadata(t testing.TB, name string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	number := func(size int) (x uint64) {
		for i := range size {
			x |= uint64(data[i]) << (8 * i)
		}
		data = data[size:]
		return x
	}
	text := func() string {
		n := number(8)
		s := string(data[:n])
		data = data[n:]
		return s
	}
	var value func(kind uint64) any
	value = func(kind uint64) any {
		switch kind {
		case 4, 5:
			return int(int32(number(4)))
		case 6:
			return math.Float32frombits(uint32(number(4)))
		case 7:
			return number(1) != 0
		case 8:
			return text()
		case 9:
			element, n := number(4), int(number(8))
			list := make([]any, n)
			for i := range list {
				list[i] = value(element)
			}
			return list
		case 10, 11:
			return int(number(8))
		default:
			t.Fatalf("%s: metadata of type %d", name, kind)
			return nil
		}
	}
	if magic, version := number(4), number(4); magic != 0x46554747 || version < 2 {
		t.Fatalf("%s: magic %#x, version %d", name, magic, version)
	}
	number(8) // tensors
	pairs := map[string]any{}
	for range number(8) {
		key := text()
		pairs[key] = value(number(4))
	}
	return pairs
}

func vocabularyOf(t testing.TB, name string) Vocabulary {
	t.Helper()
	m := metadata(t, name)
	v := Vocabulary{BOS: -1, EOS: -1, Unknown: -1, Padding: -1}
	for key, set := range map[string]func(x any){
		"model":                    func(x any) { v.Model = x.(string) },
		"pre":                      func(x any) { v.Pre = x.(string) },
		"tokens":                   func(x any) { v.Tokens = listOf[string](x) },
		"scores":                   func(x any) { v.Scores = listOf[float32](x) },
		"token_type":               func(x any) { v.Types = numbersOf(x) },
		"merges":                   func(x any) { v.Merges = listOf[string](x) },
		"bos_token_id":             func(x any) { v.BOS = x.(int) },
		"eos_token_id":             func(x any) { v.EOS = x.(int) },
		"unknown_token_id":         func(x any) { v.Unknown = x.(int) },
		"padding_token_id":         func(x any) { v.Padding = x.(int) },
		"add_bos_token":            func(x any) { v.AddBOS = pointer(x.(bool)) },
		"add_eos_token":            func(x any) { v.AddEOS = pointer(x.(bool)) },
		"add_space_prefix":         func(x any) { v.AddSpacePrefix = pointer(x.(bool)) },
		"remove_extra_whitespaces": func(any) {},
	} {
		if x, ok := m["tokenizer.ggml."+key]; ok {
			set(x)
		}
	}
	return v
}

func listOf[T any](x any) []T {
	var list []T
	for _, item := range x.([]any) {
		list = append(list, item.(T))
	}
	return list
}

func numbersOf(x any) []int32 {
	var list []int32
	for _, item := range x.([]any) {
		list = append(list, int32(item.(int)))
	}
	return list
}

func pointer[T any](x T) *T { return &x }

// checkVectors encodes the texts of a .inp file and compares with the ids of the .out file. Special
// tokens were not added.
func checkVectors(t *testing.T, name string, tok *Tokenizer) {
	t.Helper()
	const separator = "\n__ggml_vocab_test__\n"
	base := shareddata.Path(t, "tokenizers", "vectors", "ggml-vocab-"+name+".gguf.inp")
	in, err := os.ReadFile(base)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(strings.TrimSuffix(base, ".inp") + ".out")
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(strings.TrimSuffix(string(in), separator), separator)
	results := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(texts) != len(results) || len(texts) < 40 {
		t.Fatalf("%d texts, %d results", len(texts), len(results))
	}
	for i, text := range texts {
		want := []int32{}
		for _, field := range strings.Fields(results[i]) {
			id, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, int32(id))
		}
		got := tok.Encode(text)
		if !slices.Equal(got, want) {
			t.Errorf("%s, text %d: Encode(%q)\n     = %v\nexpected %v", name, i, text, got, want)
		}
		if back := tok.Decode(got); back != text {
			t.Errorf("%s, text %d: Decode(Encode(%q)) = %q", name, i, text, back)
		}
		stream := tok.NewDecoder()
		var b strings.Builder
		for _, id := range got {
			b.WriteString(stream.Push(id))
		}
		if b.WriteString(stream.Flush()); b.String() != text {
			t.Errorf("%s, text %d: streamed %q, expected %q", name, i, b.String(), text)
		}
	}
}

// folder copies files of the shared data into a folder under the names of a Hugging Face folder; a
// name with "{" is content.
func folder(t testing.TB, files map[string][]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, elem := range files {
		var data []byte
		if strings.Contains(elem[0], "{") {
			data = []byte(elem[0])
		} else {
			var err error
			if data, err = os.ReadFile(shareddata.Path(t, append([]string{"tokenizers"}, elem...)...)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// made keeps tokenizers that several tests use; none changes them.
var made = map[string]*Tokenizer{}

func once(t testing.TB, name string, load func() string) *Tokenizer {
	t.Helper()
	if made[name] == nil {
		tok, err := Load(load())
		if err != nil {
			t.Fatal(err)
		}
		made[name] = tok
	}
	return made[name]
}

func llama3(t testing.TB) *Tokenizer {
	return once(t, "llama3", func() string { return shareddata.Path(t, "tokenizers", "llama3", "tokenizer.model") })
}

func llama2(t testing.TB) *Tokenizer {
	return once(t, "llama2", func() string { return shareddata.Path(t, "tokenizers", "llama2", "tokenizer.model") })
}

func gpt2(t testing.TB) *Tokenizer {
	return once(t, "gpt2", func() string {
		return folder(t, map[string][]string{"vocab.json": {"gpt2", "vocab.json"}, "merges.txt": {"gpt2", "merges.txt"}})
	})
}

func qwen2(t testing.TB) *Tokenizer {
	return once(t, "qwen2", func() string {
		return folder(t, map[string][]string{
			"vocab.json": {"qwen2", "vocab.derived.json"}, "merges.txt": {"qwen2", "merges.txt"}, "added_tokens.json": {"qwen2", "added_tokens.derived.json"},
			"tokenizer_config.json": {`{"tokenizer_class":"Qwen2Tokenizer","eos_token":"<|im_end|>","pad_token":"<|endoftext|>","bos_token":null}`},
		})
	})
}

// TestVectors holds every way to read a vocabulary to llama.cpp's vectors.
func TestVectors(t *testing.T) {
	for _, name := range []string{"gpt-2", "llama-spm", "phi-3"} {
		t.Run(name+" of GGUF", func(t *testing.T) {
			v := vocabularyOf(t, shareddata.Path(t, "tokenizers", "vectors", "ggml-vocab-"+name+".gguf"))
			tok, err := FromVocabulary(v)
			if err != nil {
				t.Fatal(err)
			}
			checkVectors(t, name, tok)
			checkVectors(t, name, saveAndLoad(t, tok))
			again, err := tok.Vocabulary()
			if err != nil {
				t.Fatal(err)
			}
			compareVocabularies(t, again, v)
			if tok, err = FromVocabulary(again); err != nil {
				t.Fatal(err)
			}
			checkVectors(t, name, tok)
		})
	}
	t.Run("llama-bpe of tiktoken", func(t *testing.T) {
		tok := llama3(t)
		checkVectors(t, "llama-bpe", tok)
		checkVectors(t, "llama-bpe", saveAndLoad(t, tok))
		v, err := tok.Vocabulary()
		if err != nil {
			t.Fatal(err)
		}
		if tok, err = FromVocabulary(v); err != nil {
			t.Fatal(err)
		}
		checkVectors(t, "llama-bpe", tok)
	})
	t.Run("llama-spm of SentencePiece", func(t *testing.T) { checkVectors(t, "llama-spm", llama2(t)) })
	t.Run("gpt-2 of vocab.json", func(t *testing.T) { checkVectors(t, "gpt-2", gpt2(t)) })
}

func compareVocabularies(t *testing.T, got, want Vocabulary) {
	t.Helper()
	if got.Model != want.Model || got.Pre != want.Pre && want.Model == "gpt2" || got.BOS != want.BOS || got.EOS != want.EOS || got.Unknown != want.Unknown {
		t.Errorf("found %s, %s, %d, %d, %d; expected %s, %s, %d, %d, %d", got.Model, got.Pre, got.BOS, got.EOS, got.Unknown, want.Model, want.Pre, want.BOS, want.EOS, want.Unknown)
	}
	if !slices.Equal(got.Merges, want.Merges) {
		t.Error("other merges")
	}
	if len(got.Tokens) != len(want.Tokens) {
		t.Fatalf("%d tokens, expected %d", len(got.Tokens), len(want.Tokens))
	}
	// The file of phi-3 has its padding marked unknown and its unknown token marked control: both
	// are special.
	special := func(kind int32) bool { return kind == TypeUnknown || kind == TypeControl }
	differ := 0
	for id := range got.Tokens {
		if got.Tokens[id] != want.Tokens[id] || got.Types[id] != want.Types[id] && !(special(got.Types[id]) && special(want.Types[id])) {
			if differ++; differ < 5 {
				t.Errorf("token %d: %q of type %d, expected %q of type %d", id, got.Tokens[id], got.Types[id], want.Tokens[id], want.Types[id])
			}
		}
	}
}
