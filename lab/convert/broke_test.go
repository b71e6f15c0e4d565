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
