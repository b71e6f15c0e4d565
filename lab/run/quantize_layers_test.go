package run

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

const layersScenario = `
task: { kind: recsys, members: 6 }
models: { FM: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - prune: { name: cut, from: FM, mlp_layers: 50% 0 25%, calibration: { samples: 6 } }
  - quantize: { name: mixed, from: cut, layers: w8a8 none w4a16-rtn-g16 }
columns: [params, bytes, kl]
seeds: 1
`

// Layers have widths and formats of their own, which the file keeps.
func TestLayersOfTheirOwn(t *testing.T) {
	h := newHome(t)
	r := mustWork(t, h, parse(t, layersScenario, scenario.Options{}), Options{})
	for _, row := range []string{"cut", "mixed"} {
		c, err := h.OpenModel("run:" + r.Board.Snapshot().Begin.Run + "/" + row)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i, want := range []int{128, 256, 192} {
			if got := c.Config().Layers[i].MLP; got != want {
				t.Errorf("%s: layer %d has %d neurons, expected %d", row, i, got, want)
			}
		}
		if row == "cut" {
			continue
		}
		m, err := c.Model(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range m.Linears() {
			if got, want := l.Weight.Format(), []string{"w8a8", "float32", "w4a16-g16"}[l.Layer]; got != want {
				t.Errorf("%s is %s, expected %s", l.Name, got, want)
			}
		}
	}
}

func TestLayersAreChecked(t *testing.T) {
	for change, want := range map[string]string{
		"mlp_layers: 50% 0 25%=mlp_layers: 50% 0":                              "found 2 amounts, expected one for each of 3 layers",
		"mlp_layers: 50% 0 25%=mlp_layers: 50% 0 120%":                         "has 120%",
		"mlp_layers: 50% 0 25%=mlp_layers: 0 0 0":                              "removes nothing",
		"mlp_layers: 50% 0 25%=mlp_layers: 50% 0 25%, mlp: 20%":                "expected one of them",
		"mlp_layers: 50% 0 25%=mlp_layers: \"50%, 0,, 25%\"":                   `mlp_layers has nothing at place 3 of "50%, 0,, 25%"`,
		"layers: w8a8 none w4a16-rtn-g16=layers: \"w8a8, none,,w8a8\"":         `layers has nothing at place 3 of "w8a8, none,,w8a8"`,
		"layers: w8a8 none w4a16-rtn-g16=layers: w8a8 none":                    "has 2 schemes, expected one for each of 3 layers",
		"layers: w8a8 none w4a16-rtn-g16=layers: w8a8 none w5a16":              "has w5a16",
		"layers: w8a8 none w4a16-rtn-g16=layers: w3a16 w3a16 w8a8":             "3 bits beside other formats",
		"layers: w8a8 none w4a16-rtn-g16=layers: w3a16-g16 w3a16-g16 w3a16-g8": "3 bits beside other formats",
		"layers: w8a8 none w4a16-rtn-g16=layers: w8a8 none w8a8, group: 32":    "leave one of them out",
		"layers: w8a8 none w4a16-rtn-g16=layers: w8a8 none w4a16-rtn-g72":      "groups of 72 do not divide the 96 inputs of model.layers.2.self_attn.q_proj; expected groups of 8, 16, 32 or channel",
	} {
		old, now, _ := strings.Cut(change, "=")
		text := strings.Replace(layersScenario, old, now, 1)
		_, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil {
			_, _, err = Check(context.Background(), newHome(t), parse(t, text, scenario.Options{}))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", now, err, want)
		}
	}
}

// TestGroupsOfLaterLayers: a cut before a quantization of each layer by its own scheme has the
// groups of those layers that have some.
func TestGroupsOfLaterLayers(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	const quantized = "\n  - distil: { name: d, teacher: a, steps: 2 }\n  - quantize: { name: q, from: d, layers: "
	for steps, want := range map[string]string{ // "" is none
		"- prune: { name: p, mlp: 0.3, align: 8 }" + quantized + "w8a8 w4a16-rtn-g32 }":             "step p's align is 8: layer 1 keeps 72 neurons, which groups of 32 of a later quantization do not divide",
		"- prune: { name: p, mlp: 0.3, align: 8 }" + quantized + "w8a8 w4a16-rtn-g8 }":              "",
		"- prune: { name: p, mlp: 0.3, align: 8 }" + quantized + "w8a8 none }":                      "",
		"- prune: { name: p, mlp: 0.3 }" + quantized + "none w4a16-rtn-g16 }":                       "",
		"- prune: { name: p, mlp: 0.5 }" + quantized + "w4a16-rtn-g32 none }":                       "",
		"- prune: { name: p, mlp_layers: 0 40% }" + quantized + "none w4a16-rtn-g32 }":              "",
		"- prune: { name: p, mlp_layers: 0 30% }" + quantized + "none w4a16-rtn-g32 }":              "step p's align is auto: the cut leaves 67 neurons of layer 1, which rounds up to all 96, expected a larger cut, or smaller groups",
		"- prune: { name: p, budget: 75%, align: 8 }" + quantized + "none w4a16-rtn-g32 }":          "step p's align is 8",
		"- prune: { name: p, mlp_layers: 0 30%, align: 96 }":                                        "step p's align is 96: the cut leaves 67 neurons of layer 1, which rounds up to all 96, expected a number such as 1, 2, 4, 8, 16",
		"- prune: { name: p, mlp_layers: 50% 30%, align: 24 }":                                      "",
		"- prune: { name: p, mlp_layers: 50% 30%, align: 24 }" + quantized + "w4a16-rtn-g32 none }": "step p's align is 24: layer 0 keeps 48 neurons, which groups of 32 of a later quantization do not divide, expected 32",
		"- prune: { name: p, mlp_layers: 0 30%, align: 24 }" + quantized + "w4a16-rtn-g32 none }":   "",
		// which of them stays is not known
		"- prune: { name: p, mlp: 0.3, align: 8 }\n  - prune: { name: r, layers: 1 }\n  - quantize: { name: q, layers: w4a16-rtn-g32 }": "step p's align is 8: layer 0 keeps 72 neurons, which groups of 32",
	} {
		text := strings.Replace(fmt.Sprintf(shapes, 32, 4, 96, "  "+steps), "layers: 1", "layers: 2", 1)
		_, _, err := Check(t.Context(), h, parse(t, text, scenario.Options{}))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", steps, err, want)
		}
	}
}
