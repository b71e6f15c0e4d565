package eval

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/lab/home"
)

// Generation ends at every token that the model's files or the tokenizer call an end.
func TestGenerationEndsAtAllEndTokens(t *testing.T) {
	for _, c := range []struct {
		eos  int
		more []int
		want []int32 // beside the tokenizer's
	}{{-1, nil, nil}, {7, nil, []int32{7}}, {7, []int{9, 8}, []int32{7, 9, 8}}} {
		s := tinySource(t, "tiny", 1, "<bos>")
		load := s.Load
		var own int32
		s.Load = func(ctx context.Context) (*Model, error) {
			m, err := load(ctx)
			if err != nil {
				return nil, err
			}
			m.EOS, m.MoreEOS, own = c.eos, c.more, m.Tokenizer.EOS()
			m.Generate = func(_ context.Context, _ []int32, _ int, stop []int32) ([]int32, error) {
				if want := append(c.want, own); !slices.Equal(stop, want) {
					t.Errorf("stops at %d, expected %d", stop, want)
				}
				return nil, nil
			}
			return m, nil
		}
		s.Settings = []string{"repetition_penalty 1.1"}
		r, err := Run(t.Context(), []Source{s}, Options{Prompt: "The", Tokens: 4})
		if err != nil {
			t.Fatal(err)
		}
		if want := "generation is greedy; not applied of generation_config.json: repetition_penalty 1.1"; !slices.Contains(r.Notes, want) {
			t.Errorf("notes %q, expected %q", r.Notes, want)
		}
		if own < 0 {
			t.Fatal("the tokenizer has no end token")
		}
	}
}

// Folders as users have them: what is read is right to the digit, and what was unusual is noted.
func TestFoldersOfUsers(t *testing.T) {
	h := home.Open(t.TempDir(), "test")
	const base = 411.6647 // of an independent forward pass in float64
	for _, c := range []struct {
		name       string
		perplexity float64
		within     float64 // relative: products of 4-bit weights round activations
		note       string
	}{
		{"base", base, 1e-5, ""},
		{"rope-default-factor", base, 1e-5, "rope_scaling has type default"},
		{"prefix-language-model", base, 1e-5, `"model.language_model.layers…" where "model.layers…" is usual`},
		{"gptq-v2zeros-labelled-v1", 372.01, 1e-3, "every zero point is the middle of the codes, as in gptq_v2"},
		{"gptq-old-file", 372.01, 1e-3, "the quantization is that of quantize_config.json"},
		{"ct-compression-config", 387.66, 1e-3, "compression_config, the former name"},
		{"ct-frozen", 387.66, 1e-3, `quantization_status is "frozen"`},
		{"ct-kv", 387.66, 1e-3, "kv_cache_scheme"},
	} {
		s, err := NewSource(h, shareddata.Path(t, "..", "cases", c.name), "float32", "", "")
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), []Source{s}, Options{Texts: []string{shareddata.Path(t, "..", "cases", "text.txt")}, Window: 64, BOS: Never})
		if err != nil {
			t.Fatal(err)
		}
		if got := find(t, r, "token perplexity").Values[0].Value; !(math.Abs(got/c.perplexity-1) <= c.within) {
			t.Errorf("%s: perplexity %.4f, expected %.4f", c.name, got, c.perplexity)
		}
		noted := slices.ContainsFunc(r.Notes, func(note string) bool { return c.note != "" && strings.Contains(note, c.note) })
		if noted != (c.note != "") {
			t.Errorf("%s: notes %q, expected %q", c.name, r.Notes, c.note)
		}
	}
	s, err := NewSource(h, shareddata.Path(t, "..", "cases", "eos-list-config"), "float32", "", "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), []Source{s}, Options{Prompt: "a", Tokens: 12})
	if err != nil {
		t.Fatal(err)
	}
	if text := r.Continuations[0].Text; !strings.HasSuffix(text, "abc") || strings.Contains(text, "abca") {
		t.Errorf("generated %q, expected abc", text)
	}
	for name, want := range map[string]string{
		"ct-nvfp4": `shape is [32 4], expected [32 16] by the config: NVFP4 has two codes of 4-bit floats (E2M1) in a byte`,
		"sh-lfs":   "model-00002-of-00002.safetensors: safetensors: found a Git LFS pointer, not the file",
	} {
		if _, err := NewSource(h, shareddata.Path(t, "..", "cases", name), "float32", "", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", name, err, want)
		}
	}
}
