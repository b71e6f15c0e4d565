package convert

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
)

// enlarged writes the source with a weight of a tensor set.
func enlarged(t *testing.T, tensor string, value float32) (folder, text string) {
	t.Helper()
	from, text := source(t, checkpoint.F32)
	c, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Parameters() {
		if p.Name == tensor {
			p.Data[5] = value
		}
	}
	tok, err := c.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	folder = filepath.Join(t.TempDir(), "large")
	if err := checkpoint.Save(t.Context(), folder, m, tok, checkpoint.SaveOptions{DType: checkpoint.F32}); err != nil {
		t.Fatal(err)
	}
	return folder, text
}

// TestLargeWeightsAreNamed: a weight that is finite and too large to compute with is found by its
// tensor: in the error of statistics, in that of a scale, and in a warning where nothing is
// computed with it.
func TestLargeWeightsAreNamed(t *testing.T) {
	const tensor = "model.layers.1.mlp.up_proj"
	for _, value := range []float32{1e30, 3e38, -3.4e38} {
		folder, text := enlarged(t, tensor+".weight", value)
		for _, verb := range []string{"prune", "w4a16-gptq"} {
			_, err := conversions(t)[verb](t.Context(), folder, text, filepath.Join(t.TempDir(), "out"), Options{Open: open})
			if value < -3.3e38 && verb == "w4a16-gptq" { // which the rounding itself refuses first
				if err == nil || !strings.Contains(err.Error(), tensor+": weights of up to 3.4e+38, rounded to w4a16-g32, are above the largest float32") {
					t.Errorf("%g, %s: %v", value, verb, err)
				}
				continue
			}
			if !errors.Is(err, calibrate.ErrNotFinite) || !Broke(err) || !strings.Contains(err.Error(), "up to there "+tensor+".weight has the largest number") || !strings.Contains(err.Error(), folder) {
				t.Errorf("%g, %s: %v", value, verb, err)
			}
		}
		o := Options{Open: open, WithoutTokenizer: true, Calibration: Calibration{File: text, Samples: 4, Length: 16}}
		_, err := Export(t.Context(), folder, filepath.Join(t.TempDir(), "out.gguf"), "gguf-q4_0", o)
		if !errors.Is(err, calibrate.ErrNotFinite) || !Broke(err) || !strings.Contains(err.Error(), tensor+".weight has the largest number") {
			t.Errorf("%g, export: %v", value, err)
		}
		for _, scheme := range []string{"w8a8", "w4a16-rtn", "w4a16-asym-rtn", "w3a16-rtn", "fp8"} {
			var q Quantization
			var err error
			if q.Scheme, err = ParseWords(SchemeWords{Scheme: scheme}, func(string) bool { return false }); err != nil {
				t.Fatal(err)
			}
			r, err := Quantize(t.Context(), folder, filepath.Join(t.TempDir(), "out"), q, Options{Open: open})
			refused := scheme == "w3a16-rtn" || value < 0 && scheme == "w4a16-rtn"
			switch {
			case refused && (err == nil || !strings.Contains(err.Error(), tensor+": weights of up to ")):
				t.Errorf("%g, %s: error %v, expected one that names the tensor", value, scheme, err)
			case !refused && err != nil:
				t.Errorf("%g, %s: %v", value, scheme, err)
			case !refused && !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.HasPrefix(w, tensor+" has weights of up to ") }):
				t.Errorf("%g, %s: warnings %q", value, scheme, r.Warnings)
			}
		}
	}
}

// TestPruneWarnsOfLargeWeights: every method names a weight whose square is no float32, where the
// statistics and the cut are of other inputs, and where there are none; a smaller one is none.
func TestPruneWarnsOfLargeWeights(t *testing.T) {
	cases := map[string]Pruning{}
	for _, method := range Methods() {
		var p Pruning
		if err := p.Set(method, Cuts{Heads: "1"}); err != nil {
			t.Fatal(err)
		}
		cases[method] = p
	}
	var p Pruning
	if err := p.Set("osscar", Cuts{Layers: "1"}); err != nil {
		t.Fatal(err)
	}
	cases["layers"] = p
	for _, c := range []struct {
		tensor string
		value  float32
		warns  bool
	}{{"model.layers.1.mlp.down_proj.weight", 1e38, true}, {"model.layers.1.mlp.down_proj.weight", 1e18, false}, {"model.norm.weight", 1e38, true}} {
		folder, text := enlarged(t, c.tensor, c.value)
		for name, p := range cases {
			if c.value < 1e38 && name != "osscar" {
				continue
			}
			p.Calibration = Calibration{File: text, Samples: 4, Length: 16, Seed: 3}
			r, err := Prune(t.Context(), folder, filepath.Join(t.TempDir(), "out"), p, Options{Open: open})
			if err != nil && (c.warns && strings.Contains(err.Error(), c.tensor)) {
				continue // a method that computes with it
			}
			if err != nil {
				t.Errorf("%s, %g in %s: %v", name, c.value, c.tensor, err)
			} else if said := slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.HasPrefix(w, c.tensor+" has weights of up to ") }); said != c.warns {
				t.Errorf("%s, %g in %s: warnings %q", name, c.value, c.tensor, r.Warnings)
			}
		}
	}
}

// TestCompressedModelsAreDecodedByAVerb: the refusal names the folder and the command.
func TestCompressedModelsAreDecodedByAVerb(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	packed := filepath.Join(t.TempDir(), "packed")
	if _, err := conversions(t)["w8a8"](t.Context(), from, text, packed, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"prune", "w8a8", "w4a16-gptq"} {
		_, err := conversions(t)[verb](context.Background(), packed, text, filepath.Join(t.TempDir(), "out"), Options{Open: open})
		if err == nil || !strings.Contains(err.Error(), "is w8a8 already, expected float32") || !strings.Contains(err.Error(), "`slimlab import "+packed+" FOLDER` decodes it") {
			t.Errorf("%s: %v", verb, err)
		}
	}
}
