package checkpoint

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
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

// A tokenizer of bytes alone, without merges, is written and read; what it puts before a text is
// its own token, whatever the model's config says.
func TestGGUFOfATokenizerWithoutMerges(t *testing.T) {
	tok, err := tokenizer.Parse([]byte(`{"added_tokens":[{"id":2,"content":"<s>","special":true},{"id":3,"content":"</s>","special":true}],"normalizer":null,
		"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"},
		"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[2],"tokens":["<s>"]}}},
		"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	v, err := tok.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	for bos, wants := range map[int]string{2: "", -1: "", 1: "bos_token_id is 2, which the tokenizer puts before each text; the model's config has 1"} {
		m := random(t, shapes()["untied"])
		m.BOS = bos
		name := filepath.Join(t.TempDir(), "x.gguf")
		notes, err := SaveGGUF(context.Background(), name, m, v, GGUFOptions{Type: gguf.F32})
		if err != nil {
			t.Fatal(err)
		}
		if found := slices.Contains(notes, wants); found != (wants != "") {
			t.Errorf("BOS %d: notes %q, expected %q", bos, notes, wants)
		}
		again, err := GGUFTokenizer(name)
		if err != nil {
			t.Fatal(err)
		}
		const text = "ab<s>ba</s>"
		if got, want := again.EncodeSpecial(text), tok.EncodeSpecial(text); !slices.Equal(got, want) {
			t.Errorf("BOS %d: found %v, expected %v", bos, got, want)
		}
	}
}
