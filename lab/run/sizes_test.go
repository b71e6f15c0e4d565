package run

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

// The bytes that are said beforehand are those that a run's steps write, of mixtures, of formats
// with groups that follow from the widths, and of packings that have words of their own.
func TestSizesAreThoseWritten(t *testing.T) {
	h := newHome(t)
	c, err := h.OpenModel("pretrained:recsys-student")
	if err != nil {
		t.Fatal(err)
	}
	shape := c.Config()
	c.Close()
	for _, of := range []struct{ shares, schemes string }{
		{"30% 0 50%", "w4a16-rtn w4a16-rtn w4a16-rtn"},
		{"0 0 0", "w4a16-rtn none w8a8-rtn"},
		{"15% 0 0", "w3a16-rtn w3a16-rtn w3a16-rtn"},
		{"30% 50% 15%", "none w8a8-rtn w4a16-asym-rtn-g32"},
		{"0 50% 0", "none none none"},
		{"50% 0 0", "fp8 mxfp4-rtn none"},
		{"0 0 30%", "nvfp4-rtn nvfp4-rtn nvfp4-rtn"},
		{"0 30% 0", "w4a16-rtn-gchannel w8a16-rtn none"},
	} {
		shares, schemes := strings.Fields(of.shares), strings.Fields(of.schemes)
		z, err := NewSizes(shape, schemes)
		if err != nil {
			t.Fatal(err)
		}
		steps, row := "", "FM"
		if slices.ContainsFunc(shares, func(s string) bool { return s != "0" }) {
			steps += fmt.Sprintf("  - prune: { name: p, from: FM, method: magnitude, mlp_layers: %s, align: %d, calibration: { samples: 4 } }\n", of.shares, z.Align())
			row = "p"
		}
		if slices.ContainsFunc(schemes, func(s string) bool { return s != "none" }) {
			of := "layers: " + of.schemes
			if schemes[0] == schemes[1] && schemes[1] == schemes[2] {
				of = "scheme: " + schemes[0]
			}
			steps += fmt.Sprintf("  - quantize: { name: q, from: %s, %s }\n", row, of)
			row = "q"
		}
		text := "\ntask: { kind: recsys, members: 6 }\nmodels: { FM: { load: \"pretrained:recsys-student\" } }\npipeline:\n  - baseline: { name: FM, model: FM }\n" + steps + "columns: [bytes]\nseeds: 1\n"
		view := mustWork(t, h, parse(t, text, scenario.Options{}), Options{}).Board.Snapshot()
		found := 0.0
		for _, r := range view.Rows {
			if r.Name == row {
				found = r.Values["bytes"].Value
			}
		}
		want, err := z.Model(shares, schemes)
		if err != nil || float64(want) != found {
			t.Errorf("%v: %d bytes were predicted, %g written: %v", of, want, found, err)
		}
	}
}
