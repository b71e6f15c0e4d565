package scenario_test

import (
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

// cutScenario has keys that exclude each other.
const cutScenario = `
name: cuts
params: { ratio: 20% }
task: { kind: recsys, members: 20, candidates: 2 }
models: { s: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: FM, model: s }
  - prune: { name: p, mlp: "${ratio}", calibration: { samples: 4 } }
serve: { members: 4, candidates: 2 }
`

// TestOverrideTakesOut: null takes a key out of the file, so that another can stand in its place.
func TestOverrideTakesOut(t *testing.T) {
	for _, set := range [][]string{
		{"p.mlp=null", "params.ratio=null", "p.layers=1"}, {"p.layers=1", "ratio=null", "p.mlp= null "}, {"p.calibration.samples=null"}, {"serve=null"}, {"pipeline.p.calibration=null"}, {"p.mlp=30%", "ratio=null", "p.mlp=null", "p.mlp=1"},
	} {
		s, err := scenario.Parse("x.yaml", []byte(cutScenario), options(set...))
		if err != nil {
			t.Errorf("%q: %v", set, err)
		} else if set[0] == "serve=null" && s.Points[0].Serve != nil {
			t.Error("serve is still there")
		}
	}
	for set, want := range map[string]string{
		"p.mpl=null":     `--set p.mpl=null: no key to take out is called "mpl": expected one of name, mlp, calibration, did you mean "mlp"?`,
		"p.layers=null":  `no key to take out is called "layers": expected one of name, mlp, calibration`,
		"p.a.b=null":     "--set p.a.b=null: there is no pipeline.p.a.b to take out",
		"p.mlp.b=null":   `no key to take out is called "b": there is none here`,
		"p=null":         "--set p=null: expected step.field, such as p.steps",
		"task=null":      "task",
		"sweep.r=null":   "there is no sweep.r to take out",
		"p.mlp=null":     "step p removes nothing",
		"ratio=null":     "ratio",
		"evaluate=null":  `no key to take out is called "evaluate"`,
		"pipeline.=null": "an empty name in the key",
	} {
		if _, err := scenario.Parse("x.yaml", []byte(cutScenario), options(set)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %s: got %v, want %s", set, err, want)
		}
	}
	if _, err := scenario.Parse("x.yaml", []byte(cutScenario), options(`name="null"`)); err != nil {
		t.Errorf("the quoted word: %v", err)
	}
}
