package tokenizer

import (
	"slices"
	"strings"
	"testing"

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
