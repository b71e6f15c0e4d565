package tokenizer

import (
	"os"
	"slices"
	"testing"

	"slimlab/internal/shareddata"
)

// kinds are a tokenizer of each kind.
var kinds = []struct {
	name string
	make func(testing.TB) *Tokenizer
}{
	{"gpt-2", gpt2},
	{"llama-3", llama3},
	{"qwen-2", qwen2},
	{"llama-2", llama2},
	{"other pattern", expression},
	{"TinyStories", func(t testing.TB) *Tokenizer { return load(t, shareddata.Path(t, "models", "TinyStories-656K")) }},
}

func expression(t testing.TB) *Tokenizer {
	tok := gpt2(t)
	f := tok.file
	f.byteLevel(wordSplit{patterns: []string{tekkenPattern}})
	data, err := marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// corpora are real texts, of about a megabyte each.
func corpora(t testing.TB) map[string]string {
	texts := map[string]string{}
	for name, elem := range map[string][]string{
		"shakespeare": {"datasets", "tinyshakespeare", "input.txt"},
		"wikitext":    {"datasets", "wikitext-2", "test.txt"},
	} {
		data, err := os.ReadFile(shareddata.Path(t, elem...))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(data)
	}
	return texts
}

// BenchmarkEncode is of whole corpora. "fresh" forgets the words that it has seen before each, as a
// first text does.
func BenchmarkEncode(b *testing.B) {
	for name, text := range corpora(b) {
		for _, kind := range kinds {
			tok := kind.make(b)
			b.Run(kind.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					tok.Encode(text)
				}
			})
			b.Run(kind.name+"/"+name+"/fresh", func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					tok.cache = newCache()
					tok.Encode(text)
				}
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	text := corpora(b)["wikitext"]
	for _, kind := range kinds {
		tok := kind.make(b)
		ids := tok.Encode(text)
		b.Run(kind.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Decode(ids)
			}
		})
		b.Run(kind.name+"/stream", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				d := tok.NewDecoder()
				for _, id := range ids {
					d.Push(id)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	if err := llama3(b).Save(dir); err != nil {
		b.Fatal(err)
	}
	b.Run("llama-3 tiktoken", func(b *testing.B) {
		for b.Loop() {
			load(b, shareddata.Path(b, "tokenizers", "llama3", "tokenizer.model"))
		}
	})
	b.Run("llama-3 tokenizer.json", func(b *testing.B) {
		for b.Loop() {
			load(b, dir)
		}
	})
	b.Run("llama-2 SentencePiece", func(b *testing.B) {
		for b.Loop() {
			load(b, shareddata.Path(b, "tokenizers", "llama2", "tokenizer.model"))
		}
	})
}

func BenchmarkTrain(b *testing.B) {
	text := corpora(b)["shakespeare"]
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Train(slices.Values([]string{text}), 2048, nil); err != nil {
			b.Fatal(err)
		}
	}
}
