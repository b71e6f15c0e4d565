package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

// The tokens that end a text go into a GGUF file and come back, the tokenizer's own among them, and
// into a folder that is made of it.
func TestGGUFEndTokens(t *testing.T) {
	c := shapes()["tied"]
	c.EOS, c.MoreEOS = 5, nil
	name := filepath.Join(t.TempDir(), "m.gguf")
	v := tokenizer.Vocabulary{Model: "none", BOS: -1, EOS: 9, Unknown: -1, Padding: -1}
	if _, err := SaveGGUF(context.Background(), name, random(t, c), v, GGUFOptions{Type: gguf.F32}); err != nil {
		t.Fatal(err)
	}
	file, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := file.Config().Ends(); !slices.Equal(got, []int{5, 9}) {
		t.Errorf("%d end a text, expected [5 9]", got)
	}
	dir := t.TempDir()
	if err := file.CopyOtherFiles(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "generation_config.json"))
	var written struct {
		Ends []int `json:"eos_token_id"`
	}
	if err := errors.Join(err, json.Unmarshal(data, &written)); err != nil || !slices.Equal(written.Ends, []int{5, 9}) {
		t.Errorf("generation_config.json holds %s (%v)", data, err)
	}
	// ids that have no embedding are left out, with a note
	k := &ggufKeys{metadata: gguf.Metadata{{Key: "tokenizer.ggml.eos_token_id", Value: uint32(999)}, {Key: "tokenizer.ggml.eot_token_id", Value: uint32(3)}}}
	var n notes
	small := model.Config{Vocab: 10}
	k.tokens(&small, &n)
	if k.err != nil || small.BOS != -1 || !slices.Equal(small.Ends(), []int{3}) {
		t.Errorf("found %d, %d (%v), expected -1, [3]", small.BOS, small.Ends(), k.err)
	}
	wantNote(t, n, "metadata: tokenizer.ggml.eos_token_id is 999, outside the vocabulary of 10 tokens")
}

// The keys of a GGUF file's architecture are read, refused by name, known, or noted.
func TestGGUFKeys(t *testing.T) {
	c := shapes()["tied"]
	name := filepath.Join(t.TempDir(), "m.gguf")
	if _, err := SaveGGUF(context.Background(), name, random(t, c), tokenizer.Vocabulary{}, GGUFOptions{Type: gguf.F32}); err != nil {
		t.Fatal(err)
	}
	file := openContainer(t, name)
	for _, k := range []struct {
		key       string
		value     any
		note, err string
	}{
		{"llama.wonder", uint32(1), "metadata: llama.wonder is no key that slimlab knows, and was not read", ""},
		{"llama.vocab_size", uint32(7), "metadata: llama.vocab_size is 7, the embedding has 300 rows: the latter counts", ""},
		{"llama.attention.scale", float32(0.5), "", `metadata key "llama.attention.scale": found 0.5: attention of another kind than that of Llama is not supported`},
		{"llama.attention.causal", true, "", ""},
		{"llama.attention.causal", false, "", `metadata key "llama.attention.causal": attention to later tokens is not supported, expected true`},
		{"llama.logit_scale", float32(1), "", ""},
		{"llama.logit_scale", float32(0.5), "", `metadata key "llama.logit_scale": found 0.5: a factor that Llama does not have is not supported`},
		{"llama.expert_used_count", uint32(2), "", `metadata key "llama.expert_used_count": found 2: a mixture of experts is not supported`},
		{"llama.rope.scaling.finetuned", true, "", ""},
		{"general.wonder", "x", "", ""},
	} {
		changed := *file
		changed.Metadata = slices.DeleteFunc(slices.Clone(file.Metadata), func(p gguf.Pair) bool { return p.Key == k.key })
		changed.Metadata = append(changed.Metadata, gguf.Pair{Key: k.key, Value: k.value})
		var n notes
		_, err := ggufConfig(&changed, &n)
		if (err == nil) != (k.err == "") || err != nil && !strings.Contains(err.Error(), k.err) {
			t.Errorf("%s: %v, expected %s", k.key, err, k.err)
		}
		wantNote(t, n, k.note)
	}
}
