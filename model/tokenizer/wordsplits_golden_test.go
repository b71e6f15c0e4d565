package tokenizer

import (
	"slices"
	"testing"
)

// TestSplitsOfAllNames holds every split that GGUF files have a name for to testdata/splits.json:
// the pieces that Python's regex 2026.5 finds in hard texts by the expressions of llama.cpp's
// src/llama-vocab.cpp and of the models' tokenizer.json files, one expression after another, all
// matches and gaps pieces.
func TestSplitsOfAllNames(t *testing.T) {
	var golden struct {
		Texts  []string              `json:"texts"`
		Pieces map[string][][]string `json:"pieces"`
	}
	readJSON(t, "testdata/splits.json", &golden)
	for _, split := range wordSplits {
		want := golden.Pieces[split.names[0]]
		if len(want) != len(golden.Texts) {
			t.Errorf("%s has no golden", split.names[0])
			continue
		}
		for _, name := range split.names {
			tok, err := FromVocabulary(Vocabulary{Model: "gpt2", Pre: name, Tokens: []string{"a"}, BOS: -1, EOS: -1, Unknown: -1, Padding: -1})
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range golden.Texts {
				var got []string
				splitAll(tok.splitters, text, func(piece string) { got = append(got, piece) })
				if !slices.Equal(got, want[i]) {
					t.Errorf("%s, %q:\n     %q\nwant %q", name, text, got, want[i])
				}
			}
		}
	}
	for _, name := range []string{"deepseek-llm", "deepseek-coder", "falcon", "starcoder", "refact", "smollm", "tekken", "command-r", "llama-bpe", "qwen2", "gpt-2", "default"} {
		if _, ok := splitNamed(name); !ok {
			t.Errorf("%s has no split", name)
		}
	}
}
