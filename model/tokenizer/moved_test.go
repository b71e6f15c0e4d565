package tokenizer

import (
	"slices"
	"testing"

	"slimlab/internal/shareddata"
)

// TestTokensAfterSpaces: a folder and its GGUF file give the same ids, but for special tokens that
// are written in a text: tokenizer.json has them normalized, as "▁<unk>", and GGUF finds them as
// they are, as llama.cpp does. AfterSpaces names them.
func TestTokensAfterSpaces(t *testing.T) {
	folder := load(t, shareddata.Path(t, "models", "TinyStories-656K"))
	file, err := FromVocabulary(vocabularyOf(t, shareddata.Path(t, "models", "TinyStories-656K", "gguf", "tinystories-656K-F32.gguf")))
	if err != nil {
		t.Fatal(err)
	}
	if got := folder.AfterSpaces(); !slices.Equal(got, []string{"<unk>", "<|start_story|>", "<|end_story|>"}) || len(file.AfterSpaces()) > 0 {
		t.Errorf("the folder has %q, the file %q", got, file.AfterSpaces())
	}
	for text, same := range map[string]bool{
		"": true, "Once upon a time": true, " Once": true, "a  b ": true, "a\nb\n": true, "\n\nOnce": true, "café €€ ~~": true, "#Once": true, "a#b##": true, "\x00": true, "<unk>": true,
		"a <unk> b": false, "a<unk>b": false, "a<|end_story|>b": false, "<|start_story|>Once": false,
	} {
		a, b := folder.Encode(text), file.Encode(text)
		if slices.Equal(a, b) != same {
			t.Errorf("%q: %v by the folder, %v by the file", text, a, b)
		}
	}
}
