package run

import (
	"math"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

const outliersScenario = `
task: { kind: recsys, members: 12 }
models: { FM: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - quantize: { name: alone, from: FM, scheme: w3a16, method: quantease, group: 32, calibration: { samples: 12 } }
  - quantize: { name: entries, from: FM, scheme: w3a16, method: quantease, group: 32, outliers: 1%, calibration: { samples: 12 } }
  - quantize: { name: columns, from: FM, scheme: w3a16, method: quantease, group: 32, outliers: 0.03, outliers_shape: columns, calibration: { samples: 12 } }
columns: [bytes, effective_bits, kl]
seeds: 1
`

// Numbers beside the codes are counted in a row's bits, their models are read by later steps, and
// they lower the divergence.
func TestNumbersBesideCodes(t *testing.T) {
	h := newHome(t)
	r := mustWork(t, h, parse(t, outliersScenario, scenario.Options{}), Options{})
	rows := map[string]map[string]float64{}
	for _, row := range r.Board.Snapshot().Rows {
		rows[row.Name] = map[string]float64{}
		for key, m := range row.Values {
			rows[row.Name][key] = m.Value
		}
	}
	alone := rows["alone"]
	for name, c := range map[string]struct{ least, most float64 }{
		"entries": {0.01 * 32, 0.01*32 + 16./64 + 0.01}, // and two bytes an output, of at least 64 inputs
		"columns": {0.02 * 16, 0.05*16 + 0.01},
	} {
		more := rows[name]["effective_bits"] - alone["effective_bits"]
		if !(more > c.least && more < c.most) {
			t.Errorf("%s: %g bits a weight more than without, expected %g to %g", name, more, c.least, c.most)
		}
		if bytes := rows[name]["bytes"] - alone["bytes"]; !(bytes > 0) {
			t.Errorf("%s: %g bytes more", name, bytes)
		}
		if kl := rows[name]["kl"]; !(kl < alone["kl"]) || math.IsNaN(kl) {
			t.Errorf("%s: KL %g, without outliers %g", name, kl, alone["kl"])
		}
		c, err := h.OpenModel("run:" + r.Board.Snapshot().Begin.Run + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Model(t.Context())
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range m.Linears() {
			if got := l.Weight.Format(); got != "w3a16-g32+outliers" {
				t.Errorf("%s: %s is %s", name, l.Name, got)
			}
		}
	}
}

func TestNumbersBesideCodesAreChecked(t *testing.T) {
	const before = "scheme: w3a16, method: quantease, group: 32, outliers: 1%"
	for change, want := range map[string]string{
		"scheme: w3a16, method: gptq, outliers: 1%":                              "outliers is 1%, and its method is gptq, which has none",
		"scheme: w3a16, outliers: 0.5%":                                          "outliers is 0.5%, and its method is gptq, which has none",
		"scheme: w8a8, outliers: 0.5%":                                           "outliers is 0.5%, and its method is rtn, which has none",
		"scheme: nvfp4, method: quantease, outliers: 1%":                         "whose numbers are floats",
		"scheme: w3a16, method: quantease, outliers: 20%":                        `outliers is "20%", expected 0, or a share`,
		"scheme: w3a16, method: quantease, outliers_shape: columns":              "outliers_shape is columns, and its outliers are 0",
		"scheme: w3a16, method: quantease, outliers: 1%, outliers_shape: rows":   "rows",
		"scheme: w3a16, method: quantease, outliers: 1%, refine: 5":              "outliers is 1%, and refine is 5",
		"layers: w8a8 w8a8 w8a8, outliers: 1%":                                   "outliers is of scheme",
		"scheme: w3a16, method: quantease, outliers: 0, outliers_shape: entries": "",
		"scheme: w3a16, method: gptq, outliers: 0":                               "",
		"scheme: w4a16-asym-quantease-act-g32, outliers: 0.1%":                   "",
	} {
		text := strings.Replace(outliersScenario, before, change, 1)
		_, err := scenario.Parse("test.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", change, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, expected %q", change, err, want)
		}
	}
}
