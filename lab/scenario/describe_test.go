package scenario_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"slimlab/lab/run"
	"slimlab/lab/scenario"
)

// TestOverviewShowsAxes: no value of one point of a sweep stands for all points.
func TestOverviewShowsAxes(t *testing.T) {
	for _, c := range []struct {
		steps, sweep string
		want         []string
	}{
		{`
  - distil: { name: student, into: tiny, teacher: FM, loss: "${loss}", steps: "${steps}" }
  - quantize: { name: small, from: student, scheme: "${scheme}" }
  - quantize: { name: fixed, from: student, scheme: w8a8 }`, `{ loss: [fkl, "jsd:0.5"], steps: [50, 100], scheme: [w8a8, fp8] }`,
			[]string{"student: distil FM into tiny by ${loss}, ${steps} steps of 16", "small: quantize student to ${scheme}", "fixed: quantize student to w8a8"}},
		{`
  - prune: { name: cut, from: FM, mlp: "${ratio}", heads: "${heads}" }`, `{ ratio: [0.1, 0.2, 0.3, 0.4, 0.5], heads: [0, 0.5] }`,
			[]string{"cut: prune 10% of MLP neurons from FM by osscar, 512 in-domain samples (at the first point; it differs with ratio, heads)"}},
		{`
  - prune: { name: cut, from: FM, mlp: "${ratio}" }`, `{ ratio: [0.1, 0.2, 0.3, 0.4, 0.5] }`, []string{"cut: prune 10%|20%|30%|… of MLP neurons from FM by osscar, 512 in-domain samples"}},
		{`
  - prune: { name: cut, from: FM, mlp: 0.25 }`, "", []string{"cut: prune 25% of MLP neurons from FM by osscar, 512 in-domain samples"}},
	} {
		tiny := ""
		if strings.Contains(c.steps, "tiny") {
			tiny = ", tiny: { layers: 1, hidden: 32, heads: 2 }"
		}
		text := "task: { kind: recsys }\nmodels: { FM: pretrained:recsys-fm" + tiny + " }\npipeline:" + c.steps + "\n"
		if c.sweep != "" {
			text += "sweep: " + c.sweep + "\n"
		}
		s, err := scenario.Load("x", fstest.MapFS{"x.yaml": {Data: []byte(text)}}, scenario.Options{Vocabulary: run.Vocabulary()})
		if err != nil {
			t.Errorf("%s: %v", c.sweep, err)
			continue
		}
		if got := s.Overview(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, expected %q", c.sweep, got, c.want)
		}
	}
}
