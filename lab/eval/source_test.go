package eval

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/lab/home"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
	"slimlab/quant"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/sample"
)

// TestEvaluateQuantized quantizes a real model, calibrated on stories that it writes itself, and
// holds what it loses: W8A8 next to nothing, 4 bits by GPTQ more than that, and less than the
// model's own use.
func TestEvaluateQuantized(t *testing.T) {
	folder := shareddata.Path(t, "models", "TinyStories-656K")
	m, tok := readModel(t, folder)
	e, err := host.NewEngine(m, host.Options{}, serve.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	requests := make([]serve.Request, 32)
	for i := range requests {
		requests[i] = serve.Request{Prompt: []int32{tok.BOS()}, MaxTokens: 200, Sampling: sample.Settings{Temperature: 1, Seed: uint64(i)}}
	}
	results, err := e.DoAll(context.Background(), requests)
	if err != nil {
		t.Fatal(err)
	}
	var calibration [][]int32
	for i, r := range results {
		calibration = append(calibration, slices.Concat(requests[i].Prompt, r.Tokens))
	}

	h := home.Open(t.TempDir(), "test")
	source := func(name string) Source {
		t.Helper()
		s, err := NewSource(h, name, "float32", "", "")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	o := Options{
		Texts:   []string{shareddata.Path(t, "vectors", "llamacpp-golden", "ppl_sample.txt")},
		Choices: []string{shareddata.Path(t, "datasets", "choice", "arc_easy.jsonl")},
		Limit:   200, Cue: task.DefaultCue, Prompt: "Once upon a time", Tokens: 20, Store: h.Evaluations(),
	}
	for _, c := range []struct {
		scheme    string
		low, high float64 // of the difference in word perplexity, of 63
	}{{"w8a8", -1, 2}, {"w4a16-gptq-g32", 1, 12}} {
		scheme, err := quant.ParseScheme(c.scheme)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := calibrate.NewInMemory(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := quant.Quantize(context.Background(), layers, quant.Uniform(scheme), calibration, quant.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		q := layers.Compressed()
		saved := filepath.Join(t.TempDir(), c.scheme)
		if err := checkpoint.Save(context.Background(), saved, q, tok, checkpoint.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		r, err := Run(context.Background(), []Source{source(folder), source(saved)}, o)
		if err != nil {
			t.Fatal(err)
		}
		var table strings.Builder
		if err := r.Write("table", &table); err != nil {
			t.Fatal(err)
		}
		t.Log("\n" + table.String())
		for _, x := range r.Results {
			switch x.Metric {
			case "word perplexity":
				if d := x.Difference.Value; d < c.low || d > c.high {
					t.Errorf("%s: word perplexity changes by %.3f, expected %v to %v", c.scheme, d, c.low, c.high)
				}
			case "acc", "acc_norm": // near chance, of four choices
				if v := x.Values[1].Value; v < 0.15 || v > 0.35 {
					t.Errorf("%s: %s is %.3f", c.scheme, x.Metric, v)
				}
			}
		}
		if r.Models[0].Stored != 2624000 || r.Models[1].Stored >= 1_500_000 || len(r.Models[1].Formats) != 2 {
			t.Errorf("%s: the models are described as %+v", c.scheme, r.Models)
		}
		if text := r.Continuations[0].Text; !strings.HasPrefix(text, "Once upon a time, a little girl named Lily") {
			t.Errorf("generated %q", text)
		}
	}
}

func TestSourceErrors(t *testing.T) {
	h := home.Open(t.TempDir(), "test")
	s, err := NewSource(h, "pretrained:recsys-fm", "float16", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(context.Background()); err == nil || !strings.Contains(err.Error(), `dtype "float16"`) {
		t.Errorf("dtype float16: %v", err)
	}
	if _, err := NewSource(h, t.TempDir(), "float32", "", ""); err == nil || !strings.Contains(err.Error(), "found no config.json") {
		t.Errorf("an empty folder: %v", err)
	}
	a, err := NewSource(h, "pretrained:recsys-fm", "bfloat16", "", "")
	if err != nil {
		t.Fatal(err)
	}
	one, err := s.Recipe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if two, err := a.Recipe(t.Context()); err != nil || one.Key() == two.Key() {
		t.Errorf("recipes of two dtypes: %s and %s, %v", one.Canonical(), two.Canonical(), err)
	}
}

// readModel reads a model and its tokenizer.
func readModel(t *testing.T, name string) (*model.Model, *tokenizer.Tokenizer) {
	t.Helper()
	c, err := checkpoint.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tok, err := c.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	return m, tok
}
