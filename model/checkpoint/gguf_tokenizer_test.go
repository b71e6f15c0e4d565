package checkpoint

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/model/checkpoint/gguf"
)

// TestGGUFTokenizer reads vocabularies without tensors, of architectures that no checkpoint here
// has.
func TestGGUFTokenizer(t *testing.T) {
	for name, want := range map[string][]int32{
		"gpt-2":     {15496, 995},
		"llama-spm": {1, 15043, 3186},
		"phi-3":     {1, 15043, 3186},
	} {
		tok, err := GGUFTokenizer(shareddata.Path(t, "tokenizers", "vectors", "ggml-vocab-"+name+".gguf"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := tok.EncodeSpecial("Hello world"); !slices.Equal(got, want) {
			t.Errorf("%s: EncodeSpecial = %v, expected %v", name, got, want)
		}
	}
}

func TestGGUFTokenizerTemplate(t *testing.T) {
	write := func(m gguf.Metadata) string {
		name := filepath.Join(t.TempDir(), "x.gguf")
		if err := gguf.Write(name, m, nil); err != nil {
			t.Fatal(err)
		}
		return name
	}
	vocabulary := gguf.Metadata{
		{Key: ggufTokenizer + "model", Value: "gpt2"}, {Key: ggufTokenizer + "pre", Value: "gpt-2"},
		{Key: ggufTokenizer + "tokens", Value: []string{"a", "b", "ab"}}, {Key: ggufTokenizer + "merges", Value: []string{"a b"}},
	}
	tok, err := GGUFTokenizer(write(append(slices.Clone(vocabulary), gguf.Pair{Key: ggufChatTemplate, Value: "{{ x }}"})))
	if err != nil {
		t.Fatal(err)
	}
	if tok.ChatTemplate() != "{{ x }}" {
		t.Errorf("template %q", tok.ChatTemplate())
	}
	if _, err := GGUFTokenizer(write(append(slices.Clone(vocabulary), gguf.Pair{Key: ggufChatTemplate, Value: uint32(7)}))); err == nil {
		t.Error("a template that is a number was taken")
	}
	if _, err := GGUFTokenizer(write(nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file without a tokenizer: %v", err)
	}
}
