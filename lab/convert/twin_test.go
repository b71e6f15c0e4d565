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
			own, err := Twin(context.Background(), from, to, c.conversations, nil, Options{Open: checkpoint.Open})
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
	if own, err := Twin(context.Background(), folder, filepath.Join(t.TempDir(), "to"), false, nil, Options{Open: checkpoint.Open}); err != nil || !own {
		t.Errorf("a small tokenizer is not kept: %v", err)
	}
}

// TestTwinsGroups: groups that divide the widths of a checkpoint divide those of its twin, which is
// narrow all the same.
func TestTwinsGroups(t *testing.T) {
	for _, c := range []struct {
		hidden, headDim, heads, kvHeads, mlp int
		schemes                              []string
		want                                 model.LayerConfig
		wantHidden                           int
	}{
		{768, 64, 12, 12, 3072, []string{"w8a8", "w4a16-g96"}, model.LayerConfig{Heads: 3, KVHeads: 3, MLP: 192}, 192},
		{768, 64, 12, 12, 3072, []string{"w8a8", "w4a16"}, model.LayerConfig{Heads: 2, KVHeads: 2, MLP: 256}, 256},
		{768, 64, 12, 12, 3072, []string{"w4a16-g384"}, model.LayerConfig{Heads: 6, KVHeads: 6, MLP: 384}, 384},
		{96, 16, 6, 3, 192, []string{"w4a16-g96"}, model.LayerConfig{Heads: 6, KVHeads: 3, MLP: 192}, 96},
	} {
		shape := model.Config{Architecture: "LlamaForCausalLM", Vocab: 40, Hidden: c.hidden, HeadDim: c.headDim, Layers: model.Uniform(3, c.heads, c.kvHeads, c.mlp), MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}
		twin := twinOf(shape, multipleOf(c.schemes))
		if len(twin.Layers) != 2 || twin.Layers[0] != c.want || twin.Hidden != c.wantHidden {
			t.Errorf("%v of %d: hidden %d, %+v, expected %d, %+v", c.schemes, c.hidden, twin.Hidden, twin.Layers, c.wantHidden, c.want)
		}
	}
}
