package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
	"slimlab/quant"
)

// Every verb says what the source's files said that was not read as one might expect.
func TestVerbsPassNotesOn(t *testing.T) {
	const note = "config.json: wonder is no key that slimlab knows, and was not read"
	for name, run := range everyVerb(t) {
		t.Run(name, func(t *testing.T) {
			from, text := source(t, checkpoint.BF16)
			config := filepath.Join(from, "config.json")
			data, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			var keys map[string]any
			if err := json.Unmarshal(data, &keys); err != nil {
				t.Fatal(err)
			}
			keys["wonder"] = 1
			if data, err = json.Marshal(keys); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(config, data, 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := run(t.Context(), from, text, filepath.Join(t.TempDir(), "to"), Options{Open: open})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(r.Notes, note) || slices.Contains(r.Lines(), note) {
				t.Errorf("notes %q, expected %q", r.Notes, note)
			}
		})
	}
	from, _ := source(t, checkpoint.BF16)
	if in, err := Inspect(from, open); err != nil || len(in.Notes) != 0 {
		t.Errorf("a plain folder: notes %q, %v", in.Notes, err)
	}
}

// NaN and infinite numbers are copied, and named with their tensors.
func TestNotFiniteNumbersAreNamed(t *testing.T) {
	for _, target := range []string{"import", "hf"} {
		from, _ := source(t, checkpoint.F32)
		c, err := open(from)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Model(t.Context())
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		infinite := float32(math.Inf(1))
		m.Blocks[1].Up.Weight.(*weight.Dense).Data[3] = float32(math.NaN())
		m.FinalNorm[0], m.FinalNorm[2] = infinite, -infinite
		dir := filepath.Join(t.TempDir(), "bad")
		if err := checkpoint.Save(t.Context(), dir, m, nil, checkpoint.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "to")
		var r *Result
		if target == "import" {
			r, err = Import(t.Context(), dir, to, Options{Open: open})
		} else {
			r, err = Export(t.Context(), dir, to, target, Options{Open: open})
		}
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		want := "numbers that are NaN or infinite were copied, 3 in all: 1 in model.layers.1.mlp.up_proj.weight, 2 in model.norm.weight"
		if !slices.Contains(r.Warnings, want) {
			t.Errorf("%s: warnings %q, expected %q", target, r.Warnings, want)
		}
	}
}

// Nothing is computed with numbers that are not finite, wherever they stand: the verbs refuse the
// model by tensor and count, and leave nothing.
func TestNothingIsComputedWithNotFiniteNumbers(t *testing.T) {
	from, text := source(t, checkpoint.F32)
	scheme, err := quant.ParseScheme("w8a8-rtn")
	if err != nil {
		t.Fatal(err)
	}
	nan, infinite := float32(math.NaN()), float32(math.Inf(-1))
	for tensor, spoil := range map[string]func(m *model.Model){
		"model.embed_tokens.weight":             func(m *model.Model) { m.Embedding[5] = nan },
		"model.norm.weight":                     func(m *model.Model) { m.FinalNorm[1] = infinite },
		"model.layers.1.mlp.up_proj.weight":     func(m *model.Model) { m.Blocks[1].Up.Weight.(*weight.Dense).Data[3] = nan },
		"model.layers.0.input_layernorm.weight": func(m *model.Model) { m.Blocks[0].AttentionNorm[0] = infinite },
	} {
		c, err := open(from)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Model(t.Context())
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		spoil(m)
		dir := t.TempDir()
		bad := filepath.Join(dir, "bad")
		if err := checkpoint.Save(t.Context(), bad, m, nil, checkpoint.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		words, err := os.ReadFile(filepath.Join(from, "tokenizer.json"))
		if err := errors.Join(err, os.WriteFile(filepath.Join(bad, "tokenizer.json"), words, 0o644)); err != nil {
			t.Fatal(err)
		}
		p := Pruning{Calibration: Calibration{File: text, Samples: 2}}
		q := Quantization{Scheme: scheme, Calibration: Calibration{File: text, Samples: 2}}
		d := Distillation{Data: text, Steps: 1, Batch: 1, LearningRate: 1e-3, Seed: 1}
		if err := errors.Join(p.Set("magnitude", Cuts{MLP: "0.5"}), d.Set("", "float32", false)); err != nil {
			t.Fatal(err)
		}
		for verb, run := range map[string]func(to string) (*Result, error){
			"prune":    func(to string) (*Result, error) { return Prune(t.Context(), bad, to, p, Options{Open: open}) },
			"quantize": func(to string) (*Result, error) { return Quantize(t.Context(), bad, to, q, Options{Open: open}) },
			"export": func(to string) (*Result, error) {
				return Export(t.Context(), bad, to+".gguf", "gguf-q4_0", Options{Open: open, WithoutTokenizer: true, Calibration: Calibration{File: text, Samples: 2}})
			},
			"distil": func(to string) (*Result, error) { return Distil(t.Context(), bad, "", to, d, Options{Open: open}) },
		} {
			to := filepath.Join(dir, verb)
			if _, err := run(to); err == nil || !strings.Contains(err.Error(), "NaN or infinite, 1 in all: 1 in "+tensor) {
				t.Errorf("%s with a number of %s that is not finite: %v", verb, tensor, err)
			}
			if _, err := os.Stat(to); err == nil {
				t.Errorf("%s left %s", verb, to)
			}
		}
	}
}

// A tokenizer with more tokens than the model stops only the texts that use them.
func TestTokensWithoutEmbedding(t *testing.T) {
	from, text := source(t, checkpoint.F32)
	c, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Model(t.Context())
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(from)
	if err != nil {
		t.Fatal(err)
	}
	small, err := model.New(model.Config{
		Architecture: m.Architecture, Vocab: tok.Vocab() - 1, Hidden: m.Hidden, HeadDim: m.HeadDim, Layers: m.Layers,
		MaxPositions: m.MaxPositions, RopeTheta: m.RopeTheta, NormEps: m.NormEps, TiedHead: true, QKVBias: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	small.Init(rand.New(rand.NewPCG(1, 1)))
	dir, last := filepath.Join(t.TempDir(), "small"), int32(tok.Vocab()-1)
	if err := errors.Join(checkpoint.Save(t.Context(), dir, small, nil, checkpoint.SaveOptions{}), tok.Save(dir)); err != nil {
		t.Fatal(err)
	}
	uses := slices.Contains(tok.Encode(poem), last)
	plain := filepath.Join(t.TempDir(), "plain.txt")
	if err := os.WriteFile(plain, []byte(strings.Repeat("zq ", 400)), 0o644); err != nil {
		t.Fatal(err)
	}
	if !uses || slices.Contains(tok.Encode("zq zq"), last) {
		t.Skip("skipped: the trained tokenizer has other tokens than the test was made for")
	}
	for name, run := range conversions(t) {
		if name != "prune" && name != "w4a16-gptq" {
			continue
		}
		_, err := run(t.Context(), dir, text, filepath.Join(t.TempDir(), "to"), Options{Open: open})
		want := fmt.Sprintf("is %d (%q), which the model does not have: its vocabulary is %d tokens", last, tok.Token(last), last)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", name, err, want)
		}
		r, err := run(t.Context(), dir, plain, filepath.Join(t.TempDir(), "to"), Options{Open: open})
		if err != nil {
			t.Errorf("%s of another text: %v", name, err)
		} else if notes := ofAText(r.Notes); len(notes) != 1 || !strings.Contains(notes[0], "a text with one of the ids from") {
			t.Errorf("%s of another text: notes %q", name, r.Notes)
		}
	}
}

// ofAText are the notes of a run on a text, but for the one that the texts of these tests always
// get, which are a sentence again and again.
func ofAText(notes []string) []string {
	return slices.DeleteFunc(slices.Clone(notes), func(n string) bool { return strings.Contains(n, " repeats itself: ") })
}
