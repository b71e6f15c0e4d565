package convert

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
	"slimlab/model/weight"
	"slimlab/quant"
)

// A model whose numbers are finite and whose activations are not breaks the arithmetic: no verb
// reports its command line or its inputs as wrong. An absent text is such an input.
func TestArithmeticThatBreaks(t *testing.T) {
	from, text := source(t, checkpoint.F32)
	c, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Model(t.Context())
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	for _, of := range []weight.Weight{m.Blocks[0].Gate.Weight, m.Blocks[0].Up.Weight} {
		data := of.(*weight.Dense).Data
		copy(data, slices.Repeat([]float32{1e30}, len(data)))
	}
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	if err := checkpoint.Save(t.Context(), huge, m, nil, checkpoint.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	words, err := os.ReadFile(filepath.Join(from, "tokenizer.json"))
	if err := errors.Join(err, os.WriteFile(filepath.Join(huge, "tokenizer.json"), words, 0o644)); err != nil {
		t.Fatal(err)
	}
	scheme, err := quant.ParseScheme("w4a16-g8")
	if err != nil {
		t.Fatal(err)
	}
	verbs := map[string]func(model, text string) error{
		"prune": func(model, text string) error {
			p := Pruning{Calibration: Calibration{File: text, Samples: 2}}
			if err := p.Set("osscar", Cuts{MLP: "0.5"}); err != nil {
				return err
			}
			_, err := Prune(t.Context(), model, filepath.Join(dir, "prune"), p, Options{Open: open})
			return err
		},
		"quantize": func(model, text string) error {
			q := Quantization{Scheme: scheme, Calibration: Calibration{File: text, Samples: 2}}
			_, err := Quantize(t.Context(), model, filepath.Join(dir, "quantize"), q, Options{Open: open})
			return err
		},
		"distil": func(model, text string) error {
			d := Distillation{Data: text, Steps: 1, Batch: 1, LearningRate: 1e-3, Seed: 1}
			if err := d.Set("", "float32", false); err != nil {
				return err
			}
			_, err := Distil(t.Context(), model, "", filepath.Join(dir, "distil"), d, Options{Open: open})
			return err
		},
	}
	for verb, run := range verbs {
		if err := run(huge, text); err == nil || !Broke(err) || !strings.Contains(err.Error(), "finite") {
			t.Errorf("%s of a model that overflows: %v, expected arithmetic that broke", verb, err)
		}
		if err := run(from, filepath.Join(dir, "absent")); err == nil || Broke(err) {
			t.Errorf("%s by a text that is absent: %v, expected a wrong input", verb, err)
		}
	}
}

// TestTokenizerErrorsNameTheModel: what is wrong with a tokenizer is said with the folder that it
// is in, by every verb that reads it.
func TestTokenizerErrorsNameTheModel(t *testing.T) {
	for name, run := range everyVerb(t) {
		from, text := source(t, checkpoint.BF16)
		edit(t, filepath.Join(from, "tokenizer.json"), func([]byte) []byte { return []byte("{}") })
		_, err := run(t.Context(), from, text, filepath.Join(t.TempDir(), "out"), Options{Open: open})
		if reads := map[string]bool{"prune": true, "w4a16-gptq": true, "w4a8": true, "distil": true}[name]; reads && err == nil || err != nil && !strings.Contains(err.Error(), from) {
			t.Errorf("%s: %v, expected it to name %s", name, err, from)
		}
	}
}

// TestQuantizedInputsAreRefusedFirst: a model that cannot be compressed is refused before anything
// is said of the work.
func TestQuantizedInputsAreRefusedFirst(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	quantized := filepath.Join(t.TempDir(), "quantized")
	all := conversions(t)
	if _, err := all["w8a8"](t.Context(), from, text, quantized, Options{Open: open}); err != nil {
		t.Fatal(err)
	}
	for name, run := range all {
		to := filepath.Join(t.TempDir(), "out")
		o := Options{Open: open, Begin: func(MemoryEstimate, []Compatibility) { t.Errorf("%s: the work began", name) }}
		takes := name == "import" || name == "prune layers" // which moves them as they are
		if takes {
			o.Begin = nil
		}
		_, err := run(t.Context(), quantized, text, to, o)
		if refused := err != nil && strings.Contains(err.Error(), "is w8a8 already, expected float32: `slimlab import "+quantized); refused == takes {
			t.Errorf("%s: %v", name, err)
		}
	}
}
