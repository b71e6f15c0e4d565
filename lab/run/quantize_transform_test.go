package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab/scenario"
	"slimlab/model/checkpoint"
)

const transforming = `
name: transforming
task: { kind: recsys, members: 8, candidates: 2 }
models: { fixed: { load: %q } }
pipeline:
  - baseline: { name: base, model: fixed }
%s
evaluate: { validation: 24 }
columns: [kl, bytes]
`

// outlyingModel is fixedModel with channels that are large in the norms and small in what reads
// them, as in trained models.
func outlyingModel(t *testing.T) string {
	t.Helper()
	folder := fixedModel(t)
	c, err := checkpoint.Open(folder)
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
	for layer := range m.Blocks {
		b := &m.Blocks[layer]
		b.AttentionNorm[5], b.MLPNorm[9] = 60, 60
		for i, l := range m.BlockLinears(layer) {
			for o := range l.Out {
				switch i {
				case 0, 1, 2:
					l.Weight.Float32()[o*l.In+5] /= 16
				case 4, 5:
					l.Weight.Float32()[o*l.In+9] /= 16
				}
			}
		}
	}
	out := t.TempDir()
	if err := checkpoint.Save(t.Context(), out, m, tok, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTransformsOfAStep: the keys smooth, rotate and clip give other models than the rounding
// alone, nearer to the baseline where large channels were planted; a step says what its scales did,
// and that a head was untied.
func TestTransformsOfAStep(t *testing.T) {
	steps := []struct{ keys, note string }{
		{"scheme: w8a8", ""},
		{"scheme: w8a8, smooth: 0.5", "SmoothQuant's scales, α = 0.5 at 8 of 8 inputs"},
		{"scheme: w8a8, smooth: auto", "SmoothQuant's scales, α searched at "},
		{"scheme: w8a8, rotate: residual", "the head was the embedding and is now a tensor of its own"},
		{"scheme: w8a8-gptq, smooth: auto, rotate: heads, clip: true", "SmoothQuant's scales, α searched at "},
		{"scheme: w4a16-rtn, group: 8, smooth: awq, clip: true", "AWQ's scales at "},
	}
	var lines []string
	for i, s := range steps {
		calibration := ""
		if strings.Contains(s.keys, "smooth") {
			calibration = ", calibration: { samples: 16 }"
		}
		lines = append(lines, fmt.Sprintf("  - quantize: { name: s%d, from: fixed, %s%s }", i, s.keys, calibration))
	}
	out := mustWork(t, newHome(t), parse(t, fmt.Sprintf(transforming, outlyingModel(t), strings.Join(lines, "\n")), scenario.Options{}), Options{})
	view := out.Board.Snapshot()
	value := func(row int, metric string) float64 {
		m, ok := view.Rows[row].Metric(metric)
		if !ok {
			t.Fatalf("row %s has no %s", view.Rows[row].Name, metric)
		}
		return m.Value
	}
	for i, s := range steps {
		kl := value(i+1, "kl")
		t.Logf("%s: KL %.3g, %g bytes", s.keys, kl, value(i+1, "bytes"))
		if i > 0 && strings.Contains(s.keys, "w8a8") && kl > 0.3*value(1, "kl") {
			t.Errorf("%s: KL %g, alone %g", s.keys, kl, value(1, "kl"))
		}
		if untied := value(i+1, "bytes") > value(1, "bytes"); strings.Contains(s.keys, "residual") != untied {
			t.Errorf("%s: %g bytes, alone %g", s.keys, value(i+1, "bytes"), value(1, "bytes"))
		}
		found := s.note == ""
		for _, n := range view.Notes {
			found = found || strings.HasPrefix(n.Text, fmt.Sprintf("s%d: %s", i, s.note))
		}
		if !found {
			t.Errorf("%s: notes %v, expected %q", s.keys, view.Notes, s.note)
		}
	}
}

// TestTransformsThatCannotBe are refused when the scenario is loaded, with the place and what would
// do.
func TestTransformsThatCannotBe(t *testing.T) {
	for keys, want := range map[string]string{
		"scheme: w8a8, smooth: 1.5":                  "step q's smooth is 1.5, expected none, auto, awq, or a number from 0 to 1",
		"scheme: w8a8, smooth: awk":                  "step q's smooth is awk, expected none",
		"scheme: w8a8, rotate: down":                 `step q's rotate is "down": expected one of none, heads, residual`,
		"scheme: none, smooth: auto":                 "step q's smooth is auto, and no weight is rounded",
		"scheme: none, rotate: heads":                "step q's rotate is heads, and no weight is rounded",
		"scheme: fp8, clip: true":                    "step q's clip is true, and its scheme has floats",
		"scheme: w8a8, clip: maybe":                  "clip",
		"scheme: fp8, smooth: awq, rotate: residual": "",
	} {
		_, err := scenario.Parse("test.yaml", fmt.Appendf(nil, transforming, "pretrained:recsys-fm", "  - quantize: { name: q, from: fixed, "+keys+" }"), scenario.Options{Vocabulary: Vocabulary()})
		if want == "" && err == nil {
			continue
		}
		if err == nil || want == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", keys, err, want)
		}
	}
}

// TestKeysOfASectionAreFound: a key that belongs to a mapping of the step is refused with its
// place.
func TestKeysOfASectionAreFound(t *testing.T) {
	for key, want := range map[string]string{
		"target: dense":    `unknown key of step q "target": it is a key of calibration: expected calibration: { target: dense }`,
		"mode: parallel":   `unknown key of step q "mode": it is a key of calibration: expected calibration: { mode: parallel }`,
		"samples: [1, 2]":  `unknown key of step q "samples": it is a key of calibration: expected calibration: { samples: … }`,
		"targets: dense":   `unknown key of step q "targets": expected one of `,
		"smoothing: dense": `unknown key of step q "smoothing": expected one of `,
	} {
		text := "name: x\ntask: recsys\nmodels: { fm: { load: \"pretrained:recsys-student\" } }\npipeline:\n  - baseline: { name: fm, model: fm }\n  - quantize: { name: q, from: fm, scheme: w8a8, " + key + " }\n"
		_, err := scenario.Parse("test.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.yaml:6:") {
			t.Errorf("%s: error %v, expected %q", key, err, want)
		}
	}
}
