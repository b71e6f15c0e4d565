package run

import (
	"context"
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
		"layers: w8a8 none w4a16-rtn-g16=layers: w8a8 none":                    "has 2 schemes, expected one for each of 3 layers",
		"layers: w8a8 none w4a16-rtn-g16=layers: w8a8 none w5a16":              "has w5a16",
		"layers: w8a8 none w4a16-rtn-g16=layers: w3a16 w3a16 w8a8":             "3 bits beside other formats",
		"layers: w8a8 none w4a16-rtn-g16=layers: w3a16-g16 w3a16-g16 w3a16-g8": "3 bits beside other formats",
		"layers: w8a8 none w4a16-rtn-g16=layers: w8a8 none w8a8, group: 32":    "leave one of them out",
		"layers: w8a8 none w4a16-rtn-g16=layers: w8a8 none w4a16-rtn-g72":      "groups of 72 do not divide",
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
