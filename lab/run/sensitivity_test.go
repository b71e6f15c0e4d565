package run

import (
	"context"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/model"
)

const sensitivityScenario = `
task: { kind: recsys, members: 6 }
models: { FM: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - sensitivity: { name: layers, from: FM, schemes: w8a8-rtn w4a16-rtn-g16, mlp: 50%, examples: 4, calibration: { samples: 6 } }
columns: [params, loss]
seeds: 1
`

// TestCheckOfSensitivity: a step that makes tables is no loaded model: they are to be measured, or
// are there. Another list of KV caches leaves a table to measure.
func TestCheckOfSensitivity(t *testing.T) {
	h := newHome(t)
	caches := strings.Replace(sensitivityScenario, "examples: 4", "examples: 4, kv: int8", 1)
	if got, want := states(t, h, sensitivityScenario), "FM loaded, layers to measure"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if got, want := states(t, h, strings.Replace(sensitivityScenario, "seeds: 1", "seeds: 2", 1)), "FM loaded, layers to measure, FM loaded, layers measured"; got != want {
		t.Errorf("two cells: %s, expected %s", got, want)
	}
	mustWork(t, h, parse(t, sensitivityScenario, scenario.Options{}), Options{})
	if got, want := states(t, h, sensitivityScenario), "FM loaded, layers measured"; got != want {
		t.Errorf("after a run: %s, expected %s", got, want)
	}
	if got, want := states(t, h, caches), "FM loaded, layers to measure"; got != want {
		t.Errorf("with another table: %s, expected %s", got, want)
	}
}

// The step emits a matrix of divergences and one of errors and one of bytes, by layer and choice; a
// second run finds them.
func TestSensitivity(t *testing.T) {
	h := newHome(t)
	var first []lab.Matrix
	for range 2 {
		r := mustWork(t, h, parse(t, sensitivityScenario, scenario.Options{}), Options{})
		var found []lab.Matrix
		for _, c := range r.Board.Snapshot().Cells {
			for _, m := range c.Matrices {
				found = append(found, *m.Matrix)
			}
		}
		if len(found) != 3 || found[0].Rows != 3 || !slices.Equal(found[0].ColumnLabels, []string{"mlp 50%", "w8a8-rtn", "w4a16-rtn-g16"}) {
			t.Fatalf("found %+v", found)
		}
		for layer := range 3 {
			if kl := found[0].Values[layer*3:][:3]; !(kl[0] > 0 && kl[2] > kl[1] && kl[1] >= 0) {
				t.Errorf("layer %d: KL %v, expected more of 4 bits than of 8", layer, kl)
			}
		}
		if first != nil && !slices.Equal(first[0].Values, found[0].Values) {
			t.Error("a second run has other numbers")
		}
		first = found
	}
}

// Formats of the KV cache are measured on the whole model: fewer bits lose more, bfloat16 nothing.
// A run with another list finds the table of layers.
func TestSensitivityOfCaches(t *testing.T) {
	h := newHome(t)
	for _, kv := range []string{"bfloat16 int8 int4", "int4"} {
		r := mustWork(t, h, parse(t, strings.Replace(sensitivityScenario, "examples: 4", "examples: 4, kv: "+kv, 1), scenario.Options{}), Options{})
		found := map[string]*lab.Matrix{}
		for _, m := range r.Board.Snapshot().Cells[0].Matrices {
			found[m.Name] = m.Matrix
		}
		kl, bytes := found["KV cache"], found["KV cache bytes"]
		if kl == nil || bytes == nil || found["KL"] == nil {
			t.Fatalf("found %v", found)
		}
		n := kl.Columns
		if n != len(strings.Fields(kv)) || bytes.Columns != n+1 || !(kl.At(0, n-1) > 0 && kl.At(0, n-1) < 0.1) {
			t.Errorf("KL %v, bytes %v", kl, bytes)
		}
		if n == 3 && !(kl.At(0, 0) == 0 && kl.At(0, 1) > 0 && kl.At(0, 1) < kl.At(0, 2) && bytes.At(0, 0) == bytes.At(0, 1) && bytes.At(0, 3) < bytes.At(0, 2)) {
			t.Errorf("KL %v, bytes %v", kl.Values, bytes.Values)
		}
	}
	entries, err := h.Artifacts.Entries()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Stage == "sensitivity" {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d measurements, expected one of layers and two of caches", n)
	}
}

// Shares that a model can have are those that are named, whatever its widths.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		widths []int
		bad    []string
		good   []string
		want   string
	}{
		{[]int{384}, []string{"0.1%", "0.0001", "99.9%", "0.9999", "120%"}, []string{"0.14%", "99.86%", "0.5"}, "expected shares from 0.14% to 99.86%"},
		{[]int{4, 100}, []string{"90%", "0.4%"}, []string{"0.5%", "87.49%"}, "expected shares from 0.5% to 87.49%"},
		{[]int{1}, []string{"10%", "50%", "90%"}, nil, "expected no share"},
	} {
		var shape model.Config
		for _, n := range c.widths {
			shape.Layers = append(shape.Layers, model.LayerConfig{MLP: n})
		}
		for _, share := range c.bad {
			if err := CheckShare(share, shape); err == nil || !strings.HasPrefix(err.Error(), share+": ") || share != "120%" && !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("%s of %d: %v", share, c.widths, err)
			}
		}
		for _, share := range c.good {
			if err := CheckShare(share, shape); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestSensitivityIsChecked(t *testing.T) {
	for keys, want := range map[string]string{
		"schemes: \"\", mlp: \"\"":     "expected a number format or a share",
		"schemes: w5a16":               `has "w5a16"`,
		"schemes: none":                "changes nothing",
		"mlp: 120%":                    "expected shares below 1",
		"schemes: w8a8 w8a8":           `schemes has "w8a8" twice`,
		"schemes: w4a16 w4a16-gptq":    `schemes has "w4a16" and "w4a16-gptq", which are the same`,
		"mlp: 20% 20%":                 `mlp has "20%" twice`,
		"mlp: 20% 0.2":                 `mlp has "20%" and "0.2", which are the same`,
		"mlp: 99.99%":                  "step layers' mlp has 99.99%, which leaves none of the ",
		"mlp: 25% 0.0001":              "mlp has 0.0001, which rounds to none of the ",
		"examples: 2000000":            "step layers' examples is 2000000, expected at least 1 and at most 1000000",
		"schemes: w4a16-rtn-g40":       "groups of 40 do not divide",
		"calibration: { source: web }": "web",
		"kv: int9":                     `kv has an unknown KV format "int9": expected one of`,
		"schemes: \"w8a8,,w4a16\"":     `schemes has nothing at place 2 of "w8a8,,w4a16"`,
		"mlp: \"20%,\"":                `mlp has nothing at place 2 of "20%,"`,
		"kv: \",int8\"":                `kv has nothing at place 1 of ",int8"`,
		"kv: int8 k8v4 int8":           `kv has "int8": it is there twice`,
	} {
		text := strings.Replace(sensitivityScenario, "schemes: w8a8-rtn w4a16-rtn-g16, mlp: 50%, examples: 4, calibration: { samples: 6 }", keys, 1)
		_, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil {
			_, _, err = Check(context.Background(), newHome(t), parse(t, text, scenario.Options{}))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", keys, err, want)
		}
	}
}

// Calibration by seed draws other text for each seed, and the same for all otherwise; a world and a
// file both.
func TestCalibrationBySeed(t *testing.T) {
	const text = `
task: { kind: recsys, members: 6 }
models: { FM: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - prune: { name: p, from: FM, mlp: 0.5, align: 1, calibration: { samples: 6, by_seed: true } }
columns: [params]
seeds: 3
`
	keys := func(text string) map[string]bool {
		found := map[string]bool{}
		for _, c := range mustWork(t, newHome(t), parse(t, text, scenario.Options{}), Options{}).Board.Snapshot().Rows {
			for _, key := range c.Keys {
				found[key] = true
			}
		}
		return found
	}
	if n := len(keys(text)); n != 4 {
		t.Errorf("%d models of three seeds and a baseline, expected 4", n)
	}
	if n := len(keys(strings.Replace(text, "by_seed: true", "by_seed: false", 1))); n != 2 {
		t.Errorf("%d models of one text and a baseline, expected 2", n)
	}
}

// A target is a share of the dense model, and has no meaning in parallel mode or without least
// squares.
func TestCalibrationIsChecked(t *testing.T) {
	for step, want := range map[string]string{
		"prune: { name: s, from: FM, mlp: 0.5, calibration: { target: 2 } }":                                       "calibration.target is \"2\", expected own, dense, or a share",
		"prune: { name: s, from: FM, mlp: 0.5, calibration: { target: dense, mode: parallel } }":                   "in mode parallel",
		"quantize: { name: s, from: FM, scheme: w4a16-gptq, calibration: { target: dens } }":                       "expected own, dense",
		"quantize: { name: s, from: FM, scheme: w4a16-gptq, calibration: { mode: paralel } }":                      "parallel",
		"sensitivity: { name: s, from: FM, calibration: { target: dense } }":                                       "each layer is changed alone",
		"prune: { name: s, from: FM, mlp: 0.5, method: magnitude-l2, calibration: { target: dense, samples: 4 } }": "magnitude-l2 leaves the weights that stay as they are",
	} {
		text := "task: { kind: recsys, members: 6 }\nmodels: { FM: { load: \"pretrained:recsys-student\" } }\npipeline:\n  - baseline: { name: FM, model: FM }\n  - " + step + "\ncolumns: [params]\n"
		_, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", step, err, want)
		}
		if want == "" && err != nil {
			t.Error(err)
		}
	}
}
