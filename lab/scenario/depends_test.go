package scenario_test

import (
	"reflect"
	"testing"
	"testing/fstest"

	"slimlab/lab/run"
	"slimlab/lab/scenario"
)

// TestRowsDependOnTheAxesThatReachThem: through their own settings, those of the steps that they
// start from, of the baseline, of the task and of what is measured.
func TestRowsDependOnTheAxesThatReachThem(t *testing.T) {
	for _, c := range []struct {
		name, task, models, steps, sweep string
		want                             [][]string
	}{
		{"a chain", "{ kind: recsys }", "", `
  - baseline: { name: whole, model: FM }
  - prune: { name: pruned, from: FM, mlp: "${ratio}" }
  - quantize: { name: small, from: pruned, scheme: "${scheme}" }
  - quantize: { name: apart, from: FM, scheme: w8a8 }`, `{ ratio: [0.25, 0.5], scheme: [w8a8, fp8] }`, [][]string{{}, {"ratio"}, {"ratio", "scheme"}, {}}},
		{"the teacher", "{ kind: recsys }", ", tiny: { layers: 1, hidden: 32, heads: 2 }", `
  - baseline: { name: whole, model: FM }
  - prune: { name: pruned, from: FM, mlp: "${ratio}" }
  - distil: { name: student, into: tiny, teacher: pruned, loss: fkl, steps: 100 }`, `{ ratio: [0.25, 0.5] }`, [][]string{{}, {"ratio"}, {"ratio"}}},
		{"the baseline", "{ kind: recsys }", "", `
  - prune: { name: base, from: FM, mlp: "${ratio}" }
  - quantize: { name: apart, from: FM, scheme: w8a8 }`, `{ ratio: [0.25, 0.5] }`, [][]string{{"ratio"}, {"ratio"}}},
		{"the task", `{ kind: recsys, members: "${m}" }`, "", `
  - baseline: { name: whole, model: FM }`, `{ m: [200, 300] }`, [][]string{{"m"}}},
		{"no sweep", "{ kind: recsys }", "", `
  - baseline: { name: whole, model: FM }`, "", nil},
	} {
		text := "task: " + c.task + "\nmodels: { FM: pretrained:recsys-fm" + c.models + " }\npipeline:" + c.steps + "\n"
		if c.sweep != "" {
			text += "sweep: " + c.sweep + "\n"
		}
		s, err := scenario.Load("x", fstest.MapFS{"x.yaml": {Data: []byte(text)}}, scenario.Options{Vocabulary: run.Vocabulary()})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := s.Plan().Begin().Depends; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: rows depend on %q, expected %q", c.name, got, c.want)
		}
	}
}
