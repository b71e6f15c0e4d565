package run

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

// onePipeline has two loaded models and steps of one's own.
const onePipeline = `
task: { kind: recsys, members: 6 }
models: { FM: { load: "pretrained:recsys-fm" }, other: { load: "pretrained:recsys-student" } }
pipeline:
  - baseline: { name: base, model: FM }
  - baseline: { name: second, model: other }
  - %s
`

// TestListsAreTexts: where a key takes several values in a text, a list of them is the same.
func TestListsAreTexts(t *testing.T) {
	parsed := func(step string) (scenario.Step, error) {
		text := fmt.Sprintf(onePipeline, step)
		if strings.Contains(step, "${share}") {
			text += "params: { share: 25% }\n"
		}
		s, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err != nil {
			return scenario.Step{}, err
		}
		return s.Points[0].Steps[2], nil
	}
	for _, c := range []struct{ step, text, list string }{
		{"prune: { mlp_layers: %s }", "25% 0 50%", "[25%, 0, 50%]"},
		{"prune: { mlp_layers: %s }", "0.25 0 12", "[0.25, 0, 12]"},
		{"prune: { mlp_layers: %s }", "25% 0 1", `["${share}", 0, 1]`},
		{"quantize: { layers: %s }", "w8a8 none w4a16-rtn-g16", "[w8a8, none, w4a16-rtn-g16]"},
		{"sensitivity: { schemes: %s }", "w8a8 w4a16", "[w8a8, w4a16]"},
		{"sensitivity: { mlp: %s }", "25% 0.5", "[25%, 0.5]"},
		{"sensitivity: { mlp: %s }", `""`, "[]"},
		{"distil: { into: other, steps: 1, teachers: %s }", `"FM=1, other=0.5"`, "[FM=1, other=0.5]"},
		{"distil: { into: other, steps: 1, teachers: { like feed: %s, \"*\": other=1 } }", `"FM=1, other=0.5"`, "[FM=1, other=0.5]"},
		{"train: { into: other, steps: 1, task_weights: %s }", `"like feed=2, share feed=0.5"`, "[like feed=2, share feed=0.5]"},
		{"train: { into: other, steps: 4, search: { over: %s } }", `"learning_rate=1e-3,2e-3; weight_decay=0,0.1"`, `["learning_rate=1e-3,2e-3", "weight_decay=0,0.1"]`},
	} {
		text, err := parsed(fmt.Sprintf(c.step, c.text))
		if err != nil {
			t.Errorf("%s: %v", fmt.Sprintf(c.step, c.text), err)
			continue
		}
		list, err := parsed(fmt.Sprintf(c.step, c.list))
		if err != nil || !reflect.DeepEqual(list.Settings(), text.Settings()) {
			t.Errorf("%s: %v, error %v; as a text %v", fmt.Sprintf(c.step, c.list), list.Settings(), err, text.Settings())
		}
	}
	for step, want := range map[string]string{
		"prune: { mlp_layers: [25%, [0]] }":                                                    "x.yaml:7:32: step prune's mlp_layers has a list at place 2, expected a value",
		"prune: { mlp_layers: [25% 0, 50%] }":                                                  `mlp_layers has "25% 0" at place 1, which is several`,
		"quantize: { layers: [w8a8, ~] }":                                                      "layers has ~ at place 2, expected a value",
		"prune: { mlp: [25%, 0] }":                                                             "mlp is a list, expected text",
		"distil: { into: other, steps: 1, teachers: [FM=1] }":                                  "expected at least two names",
		"distil: { into: other, steps: 1, teachers: { like feed: [FM=1, [a]], \"*\": FM=1 } }": `of task "like feed" has a list at place 2`,
	} {
		_, err := parsed(step)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", step, err, want)
		}
	}
}
