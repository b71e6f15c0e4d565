package convert

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
)

// A twin keeps a small tokenizer, has none in the place of a large one, and for conversations a
// small one with the template and the special tokens.
func TestTwin(t *testing.T) {
	large, err := tokenizer.Load(shareddata.Path(t, "tokenizers/gpt2"))
	if err != nil {
		t.Fatal(err)
	}
	large.SetChatTemplate("{{ messages }}")
	shape := model.Config{Architecture: "LlamaForCausalLM", Vocab: large.Vocab(), Hidden: 16, HeadDim: 8, Layers: model.Uniform(3, 2, 1, 16), MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}
	for _, c := range []struct {
		name          string
		tokenizer     *tokenizer.Tokenizer
		conversations bool
		own           bool
	}{
		{"none", nil, false, false}, {"large", large, false, false}, {"conversations", large, true, true}, {"conversations of none", nil, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
			if err := writeRandom(context.Background(), from, shape, c.tokenizer); err != nil {
				t.Fatal(err)
			}
			own, err := Twin(context.Background(), from, to, c.conversations, Options{Open: checkpoint.Open})
			if err != nil || own != c.own {
				t.Fatalf("own %t, expected %t: %v", own, c.own, err)
			}
			twin, err := checkpoint.Open(to)
			if err != nil {
				t.Fatal(err)
			}
			defer twin.Close()
			if got := twin.Config(); got.Vocab != twinVocab || len(got.Layers) != 2 {
				t.Errorf("%d tokens, %d layers", got.Vocab, len(got.Layers))
			}
			small, err := twin.Tokenizer()
			if err != nil || (small != nil) != c.own {
				t.Fatalf("a tokenizer %t: %v", small != nil, err)
			}
			if small == nil {
				return
			}
			if small.Vocab() > twinVocab || small.ChatTemplate() != large.ChatTemplate() || small.EOS() < 0 != (large.EOS() < 0) {
				t.Errorf("%d tokens, template %q, EOS %d of %d", small.Vocab(), small.ChatTemplate(), small.EOS(), large.EOS())
			}
			if text := strings.Repeat("héllo wörld ☃ ", 3); small.Decode(small.Encode(text)) != text {
				t.Errorf("%q becomes %q", text, small.Decode(small.Encode(text)))
			}
		})
	}
	folder := shareddata.Path(t, "models/TinyStories-656K")
	if own, err := Twin(context.Background(), folder, filepath.Join(t.TempDir(), "to"), false, Options{Open: checkpoint.Open}); err != nil || !own {
		t.Errorf("a small tokenizer is not kept: %v", err)
	}
}
