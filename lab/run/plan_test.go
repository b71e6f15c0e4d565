package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/kernels/machine"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/quant"
)

// shapes is a scenario that changes a fresh shape step by step.
const shapes = `
name: shapes
task: { kind: recsys, members: 40, candidates: 2 }
tokenizer: { vocab: 600 }
models: { s: { layers: 1, hidden: %d, heads: 4, kv_heads: %d, head_dim: 8, mlp: %d } }
pipeline:
  - train: { name: a, into: s, steps: 3 }
%s
evaluate: { validation: 4 }
`

// TestImpossibleShapes: what the widths of a model do not allow is said before anything is begun,
// with the place and the values that would do, also where an earlier step makes the widths.
func TestImpossibleShapes(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	for _, c := range []struct {
		name               string
		hidden, heads, mlp int
		steps, want        string // "" is none
	}{
		{"120 by 32", 120, 4, 64, "- quantize: { name: q, scheme: w4a16-rtn, group: 32 }",
			"test.yaml:8:52: step q's group is 32: groups of 32 do not divide the 120 inputs of model.layers.0.self_attn.q_proj; expected groups of 8 or channel"},
		{"the default group", 48, 4, 64, "- quantize: { name: q, scheme: w4a16 }", ""},
		{"no automatic group", 32, 4, 44, "- quantize: { name: q, scheme: w4a16 }", "test.yaml:8:15: step q's group is auto: groups of 8 do not divide the 44 inputs of model.layers.0.mlp.down_proj; no multiple of 8 divides all inputs: expected channel"},
		{"through groups", 32, 4, 64, "- distil: { name: d, teacher: a, steps: 2, through: w4a16-g96 }", "step d's through is w4a16-g96: groups of 96 do not divide the 32 inputs of model.layers.0.self_attn.q_proj; expected groups of 8, 16, 32 or channel"},
		{"channels", 36, 4, 44, "- quantize: { name: q, scheme: w4a16-rtn, group: channel }", ""},
		{"a width of the MLP", 32, 4, 48, "- quantize: { name: q, scheme: w4a8, group: 32 }", "the 48 inputs of model.layers.0.mlp.down_proj"},
		{"no group at all", 32, 4, 44, "- quantize: { name: q, scheme: w4a8, group: 16 }", "no multiple of 8 divides all inputs: expected channel, or w8a8 or fp8, which need no groups"},
		{"after a cut", 32, 4, 64, "- prune: { name: p, mlp: 0.3 }\n  - quantize: { name: q, scheme: w4a16, group: 8 }", ""},
		{"after a cut that is not aligned", 32, 4, 64, "- prune: { name: p, mlp: 0.3, align: 1 }\n  - distil: { name: d, teacher: a, steps: 2 }\n  - quantize: { name: q, scheme: w4a16, group: 8 }",
			"test.yaml:8:40: step p's align is 1: layer 0 keeps 45 neurons, which groups of 8 of a later quantization do not divide, expected 8, 16"},
		{"after a cut of no multiple", 32, 4, 64, "- prune: { name: p, mlp: 0.3, align: 2 }\n  - quantize: { name: q, scheme: w4a16, group: 24 }", "test.yaml:9:48: step q's group is 24: groups of 24 do not divide the 32 inputs of model.layers.0.self_attn.q_proj; no multiple of 8"},
		{"groups that no cut makes fit", 32, 4, 64, "- prune: { name: p, mlp: 0.5 }\n  - quantize: { name: q, scheme: w4a16, group: 64 }", "step q's group is 64: groups of 64 do not divide the 32 inputs of model.layers.0.self_attn.q_proj; expected groups of 8, 16, 32 or channel"},
		{"groups that a cut follows", 96, 2, 400, "- prune: { name: p, mlp: 0.1 }\n  - quantize: { name: q, scheme: w4a16, group: 40 }", "step q's group is 40: groups of 40 do not divide the 96 inputs of model.layers.0.self_attn.q_proj; expected groups of 8, 16, 32 or channel"},
		{"one of these", 96, 2, 400, "- prune: { name: p, mlp: 0.1 }\n  - quantize: { name: q, scheme: w4a16, group: 32 }", ""},
		{"after an aligned cut", 32, 4, 64, "- prune: { name: p, mlp: 0.3, align: 16 }\n  - quantize: { name: q, scheme: w4a16, group: 16 }", ""},
		{"after two cuts", 32, 4, 64, "- prune: { name: p, mlp: 0.5 }\n  - distil: { name: d, teacher: a, steps: 2 }\n  - prune: { name: r, mlp: 0.5 }\n  - quantize: { name: q, scheme: w4a16, group: 32 }", "test.yaml:10:12: step r's align is auto: the cut leaves 16 neurons of layer 0, which rounds up to all 32, expected a larger cut, or smaller groups: no multiple of 32, the groups of a later quantization, removes any"},
		{"a multiple beyond the neurons", 32, 4, 64, "- prune: { name: p, mlp: 0.25, align: 100 }", "test.yaml:8:41: step p's align is 100: the cut leaves 48 neurons of layer 0, which rounds up to all 64, expected a number such as 1, 2, 4, 8, 16"},
		{"a multiple that is the neurons", 32, 4, 64, "- prune: { name: p, mlp: 0.25, heads: 0.5, align: 64 }", "step p's align is 64: the cut leaves 48 neurons"},
		{"a multiple beyond the neurons that a cut left", 32, 4, 64, "- prune: { name: p, mlp: 0.5 }\n  - prune: { name: r, mlp: 0.5, align: 48 }", "step r's align is 48: the cut leaves 16 neurons of layer 0, which rounds up to all 32, expected a number such as 1, 2, 4, 8, 16"},
		{"all heads", 32, 2, 64, "- prune: { name: p, heads: 0.9 }", "test.yaml:8:30: step p's heads is 0.9: it removes 2 of the 2 KV groups of layer 0, expected at most 1, or a share below 75%: at least one stays"},
		{"no head", 32, 2, 64, "- prune: { name: p, heads: 10% }", "step p's heads is 10%: rounds to none of the 2 KV groups: expected a number of them, or 25% or more"},
		{"no neuron", 32, 2, 64, "- prune: { name: p, mlp: 0.1% }", "step p's mlp is 0.1%: rounds to none of the 64 neurons: expected a number of them, or 0.7812% or more"},
		{"query heads", 32, 4, 64, "- prune: { name: p, query_heads: 1 }", "step p's query_heads is 1: layer 0 has one of its query heads of each KV group alone, which stays"},
		{"query heads of groups that have several", 32, 2, 64, "- prune: { name: p, query_heads: 50% }", ""},
		{"a number of neurons", 32, 2, 64, "- prune: { name: p, mlp: 8 }", ""},
		{"all heads but one", 32, 2, 64, "- prune: { name: p, heads: 0.5 }", ""},
		{"all neurons", 32, 4, 64, "- prune: { name: p, mlp: 0.999 }", "step p's mlp is 0.999: it removes 64 of the 64 neurons of layer 0, expected at most 63, or a share below 99.22%: at least one stays"},
		{"the heads that a cut left", 32, 2, 64, "- prune: { name: p, heads: 0.5 }\n  - prune: { name: r, heads: 0.5 }", "test.yaml:9:30: step r's heads is 0.5: layer 0 has one of its KV groups alone, which stays: expected none of heads"},
	} {
		plan := parse(t, fmt.Sprintf(shapes, c.hidden, c.heads, c.mlp, "  "+c.steps), scenario.Options{})
		_, _, err := Check(t.Context(), h, plan)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got\n%v\nwant\n%s", c.name, err, c.want)
		}
		var input InputError
		if _, again := Start(t.Context(), h, plan, Options{}); !errors.As(again, &input) || again.Error() != err.Error() {
			t.Errorf("%s: Start says %v", c.name, again)
		}
	}
	if runs, err := h.Logs.List(); err != nil || len(runs) > 0 {
		t.Errorf("%d runs were begun, %v", len(runs), err)
	}
}

// TestLoadedModelsThatCannotBeUsed: quantized weights cannot be trained, pruned or quantized again,
// and a model reads no more tokens than it has positions; a quantized teacher will do.
func TestLoadedModelsThatCannotBeUsed(t *testing.T) {
	h := copyHome(t, everything)
	copyRuns(t, h)
	ref := theReference(t)
	short := savedTeacher(t)
	config, err := os.ReadFile(filepath.Join(short, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(config), `"max_position_embeddings": 512`, `"max_position_embeddings": 64`, 1)
	if changed == string(config) {
		t.Fatalf("the config has no 512 positions: %s", config)
	}
	if err := os.WriteFile(filepath.Join(short, "config.json"), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ load, step, want string }{
		{"run:" + ref.run + "/w8a8", "train: { from: given, steps: 2 }", "test.yaml:6:"},
		{"run:" + ref.run + "/w8a8", "train: { from: given, steps: 2 }", "/w8a8 cannot be trained: its weights are w8a8 already, expected float32: take a model from before it was quantized, or decode it by `slimlab import`"},
		{"run:" + ref.run + "/w8a8", "distil: { into: given, teacher: given, steps: 2 }", "cannot be trained"},
		{"run:" + ref.run + "/w4a16", "prune: { from: given, mlp: 0.5 }", "cannot be pruned: its weights are w4a16-g8 already, expected float32"},
		{"run:" + ref.run + "/w4a16", "quantize: { from: given, scheme: w8a8 }", "cannot be quantized: its weights are w4a16-g8"},
		{"run:" + ref.run + "/w8a8", "distil: { into: s, teacher: given, steps: 2 }", ""},
		{"run:" + ref.run + "/w8a8", "baseline: { name: b, model: given }", ""},
		{short, "baseline: { name: b, model: given }", "has 64 positions, and the longest example of the data "},
		{short, "train: { from: given, steps: 2 }", "tokens, expected at most as many"},
	} {
		fresh := ""
		if strings.Contains(c.step, "into: s,") {
			fresh = ", s: { layers: 1, hidden: 16, heads: 2 }"
		}
		text := fmt.Sprintf("task: { kind: recsys, members: 40, candidates: 2 }\nmodels: { given: { load: %q }%s }\npipeline:\n  - %s\n", c.load, fresh, c.step)
		_, _, err := Check(t.Context(), h, parse(t, "\nname: given\n"+text, scenario.Options{}))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %s", c.step, err, c.want)
		}
	}
}

// TestMemory: work that needs more memory than the machine has is said before it begins.
func TestMemory(t *testing.T) {
	if err := checkMemory(5e9, 4e9); err == nil || err.Error() != "needs at least 5 GB of memory, and this machine has 4 GB" {
		t.Errorf("got %v", err)
	}
	if checkMemory(4e9, 4e9) != nil || checkMemory(1<<60, 0) != nil {
		t.Error("what fits, or is not known, is refused")
	}
	if machine.Memory() == 0 {
		t.Skip("the memory of this machine is not known")
	}
	h := copyHome(t, onlyTokenizer)
	for set, want := range map[string]string{
		"models.s={layers: 4096, hidden: 65536, heads: 16, head_dim: 4096}":                                      "step a: training s with its ",
		"pipeline=[{train: {name: a, into: s, steps: 2}}, {prune: {mlp: 0.5, calibration: {samples: 1000000}}}]": "step prune's calibration.samples is 1000000, which needs at least ",
	} {
		hidden := 32
		if strings.Contains(set, "samples") {
			hidden = 65536
		}
		_, _, err := Check(t.Context(), h, parse(t, fmt.Sprintf(shapes, hidden, 4, 64, ""), scenario.Options{Set: []string{set}}))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "and this machine has ") {
			t.Errorf("--set %s: %v, expected %s", set, err, want)
		}
	}
}

// TestPackedFormat: weights that a kernel multiplies as codes are packed, others become floats.
func TestPackedFormat(t *testing.T) {
	c := model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 300, Hidden: 16, HeadDim: 8, Layers: model.Uniform(1, 2, 1, 16),
		MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	}
	for scheme, want := range map[string]string{"none": "", "w8a8": "w8a8", "w4a16-rtn-g8": "w4a16-g8", "fp8": "fp8-dynamic"} {
		m, err := model.New(c)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := calibrate.NewInMemory(m)
		if err != nil {
			t.Fatal(err)
		}
		s, err := quant.ParseScheme(scheme)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := quant.Quantize(t.Context(), layers, quant.Uniform(s), nil, quant.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := checkpoint.Save(t.Context(), dir, layers.Compressed(), nil, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
			t.Fatal(err)
		}
		read, err := checkpoint.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := packedFormat(read); got != want {
			t.Errorf("%s: packed as %q, expected %q", scheme, got, want)
		}
		read.Close()
	}
}

// TestNotesOfTheCheck: what is used less of than a step asks for is said once, by the check and by
// the run.
func TestNotesOfTheCheck(t *testing.T) {
	text := fmt.Sprintf(ownData, writeJSONL(t, ""))
	text = strings.Replace(text, "task:", "params: { none: 0 }\ntask:", 1)
	text = strings.Replace(text, "into: little, teacher", "data: 5000, into: little, teacher", 1)
	text = strings.Replace(text, "evaluate:", "  - prune: { name: none, mlp: \"${none}\" }\n  - prune: { mlp: 0.5, calibration: { samples: 500 } }\n  - quantize: { scheme: w8a8-gptq }\nevaluate:", 1)
	_, notes, err := Check(t.Context(), newHome(t), parse(t, text, scenario.Options{Seeds: 2}))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, n := range notes {
		said = append(said, n.Text)
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{
		"80 records: ", "student: data is 5000, and there are ", "prune: calibration.samples is 500, and there are ", "quantize: calibration.samples is 512, and there are ",
		"none: its cut is 0: no unit is removed", "prune: align is auto: the neurons that stay are a multiple of 8",
	} {
		if strings.Count(all, want) != 1 {
			t.Errorf("%q is said %d times in\n%s", want, strings.Count(all, want), all)
		}
	}
}

// TestLoadedArtifactsAreHeld: what a run loads of an earlier one is not removed before it ends.
func TestLoadedArtifactsAreHeld(t *testing.T) {
	h := copyHome(t, everything)
	copyRuns(t, h)
	ref := theReference(t)
	plan := parse(t, fmt.Sprintf(baseline, "run:"+ref.run+"/teacher"), scenario.Options{})
	r, err := Start(t.Context(), h, plan, Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Base(artifactDirs(t, h, func(title string) bool { return title == "train teacher" })[0])
	for _, d := range artifactDirs(t, h, func(title string) bool { return title == "train teacher" }) {
		if k := filepath.Base(d); openHome(t, h.Folder).Artifacts.Remove(k) != nil {
			key = k
		}
	}
	var used *store.InUseError
	if err := openHome(t, h.Folder).Artifacts.Remove(key); !errors.As(err, &used) {
		t.Errorf("removed while the run loads it: %v", err)
	}
	if _, err := r.Work(t.Context()); err != nil {
		t.Error(err)
	}
	if err := openHome(t, h.Folder).Artifacts.Remove(key); err != nil {
		t.Errorf("after the run: %v", err)
	}
}

// TestNotesOfLoadedModels: what a loaded folder's files say that was not read as one might expect
// is said once, by the check and by the run.
func TestNotesOfLoadedModels(t *testing.T) {
	folder := damaged(t, "config.json", func(text []byte) []byte {
		return []byte(strings.Replace(string(text), "{", `{"wonder": 1,`, 1))
	})
	want := "model " + folder + ": config.json: wonder is no key that slimlab knows, and was not read"
	h, plan := newHome(t), parse(t, fmt.Sprintf(baseline, folder), scenario.Options{Seeds: 2})
	_, notes, err := Check(t.Context(), h, plan)
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, n := range notes {
		if n.Text == want {
			said++
		}
	}
	if said != 1 {
		t.Errorf("the check says it %d times: %v", said, notes)
	}
	said = 0
	mustWork(t, h, plan, Options{Sink: func(e lab.Event) {
		if e.Kind == lab.KindNote && e.Text == want {
			said++
		}
	}})
	if said != 1 {
		t.Errorf("the run says it %d times", said)
	}
}

// TestCheckLeavesDamageInPlace: a check says what is damaged and would be made again, and changes
// nothing.
func TestCheckLeavesDamageInPlace(t *testing.T) {
	h := copyHome(t, everything)
	dir := artifactDirs(t, h, func(title string) bool { return title == "train teacher" })[0]
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 9); err != nil {
		t.Fatal(err)
	}
	before := len(artifactDirs(t, h, everything))
	for range 2 {
		cells, notes, err := Check(t.Context(), openHome(t, h.Folder), parse(t, chain, scenario.Options{Seeds: 2}))
		if err != nil {
			t.Fatal(err)
		}
		toBuild := 0
		for _, c := range cells {
			for _, s := range c.Steps {
				if s.State == "to build" {
					toBuild++
				}
			}
		}
		if toBuild != 1 || len(notes) != 1 || !strings.Contains(notes[0].Text, "train teacher: artifact ") || !strings.Contains(notes[0].Text, "is corrupt and will be made again: model.safetensors has 9 bytes") {
			t.Errorf("%d steps to build, notes %+v", toBuild, notes)
		}
	}
	if after := len(artifactDirs(t, h, everything)); after != before {
		t.Errorf("%d artifacts, there were %d", after, before)
	}
}
