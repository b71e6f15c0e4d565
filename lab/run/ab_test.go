package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

const compared = `
task: { kind: jsonl, path: %q, max_tokens: 48, validation: 0.5 }
tokenizer: { vocab: 280 }
models: { little: { layers: 1, hidden: 32, heads: 2, kv_heads: 1, head_dim: 16, mlp: 64 } }
pipeline:
  - train: { name: old, into: little, steps: 25, batch: 8, learning_rate: 1e-2 }
  - train: { name: new, into: little, steps: 150, batch: 8, learning_rate: 1e-2 }
  - quantize: { name: small, from: new, scheme: w8a8, kv: int8 }
  - ab: { name: paired, a: old, b: new, quality: f1, prompts: 40, paper: { change: 0.2029 } }
  - ab: { name: split, a: old, b: new, quality: f1, prompts: 40, split: 10%% }
  - ab: { name: turned, a: new, b: old, quality: f1, prompts: 40, level: 0.01 }
  - ab: { name: packed, a: new, b: small, prompts: 40, tokens: 3, margin: 0.5 }
columns: [loss, ab_change, ab_quality_a, ab_quality_b, ab_decided, ab_prompts, paper_change]
expect:
  - ab_change(row=paired) > 0
  - ab_decided(row=paired) < ab_prompts(row=split)
`

// sides is a file of records that ask for the side which the prompt names.
func sides(t *testing.T) string {
	t.Helper()
	var lines strings.Builder
	for i := range 120 {
		side := []string{"left", "right"}[i*i%3%2]
		fmt.Fprintf(&lines, `{"prompt": "case %d, %s: ", "response": "%s"}`+"\n", i, side, side)
	}
	path := filepath.Join(t.TempDir(), "sides.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestABCompares: of two models the one that learned longer is found better from pairs, and is not
// from a few answers of a split; another run finds the answers, with the same bits.
func TestABCompares(t *testing.T) {
	h, text := newHome(t), fmt.Sprintf(compared, sides(t))
	first := mustWork(t, h, parse(t, text, scenario.Options{}), Options{})
	plan := parse(t, text, scenario.Options{})
	cells, _, err := Check(t.Context(), h, plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range cells[0].Steps[3:] {
		if s.State != "measured" {
			t.Errorf("after a run step %s is %q", s.Name, s.State)
		}
	}
	if got, want := figures(mustWork(t, h, plan, Options{}).Board, 1), figures(first.Board, 1); got != want {
		t.Errorf("a second run has the figures\n%s\nexpected\n%s", got, want)
	}
	view := first.Board.Snapshot()
	value := func(row int, key string) (m lab.Measure, ok bool) {
		s, ok := view.Rows[row].Metric(key)
		if ok {
			m = s.Seeds[0].Measure
		}
		return m, ok
	}
	const paired, split, turned, packed = 3, 4, 5, 6
	a, _ := value(paired, "ab_quality_a")
	b, _ := value(paired, "ab_quality_b")
	change, _ := value(paired, "ab_change")
	decided, ok := value(paired, "ab_decided")
	if !ok || decided.Value >= 40 || decided.Warning != "" || !(change.Low > 0 && change.Low < change.Value) || a.N != 40 || b.N != 40 || b.Value/a.Value-1 != change.Value {
		t.Errorf("paired: %+v of %+v and %+v, decided at %+v", change, a, b, decided)
	}
	low, _ := value(paired, "ab_low")
	if high, ok := value(paired, "ab_high"); !ok || low.Value != change.Low || high.Value != change.High {
		t.Errorf("bounds of %v and %v, and %+v", low.Value, high.Value, change)
	}
	if m, ok := value(paired, "paper_change"); !ok || m.Value != 0.2029 {
		t.Errorf("the paper's change is %+v", m)
	}
	a, _ = value(split, "ab_quality_a")
	b, _ = value(split, "ab_quality_b")
	change, _ = value(split, "ab_change")
	_, hasLow := value(split, "ab_low")
	if _, ok := value(split, "ab_decided"); ok || hasLow || a.N+b.N != 40 || b.N == 0 || b.N > 12 || change.Low != 0 || change.High != 0 || !strings.Contains(change.Warning, "no interval before both arms") {
		t.Errorf("split: %+v of %+v and %+v", change, a, b)
	}
	change, _ = value(turned, "ab_change")
	decided, _ = value(turned, "ab_decided")
	if !(change.High < 0) || !strings.Contains(decided.Warning, "worse") {
		t.Errorf("turned: %+v, decided at %+v", change, decided)
	}
	if m, ok := value(packed, "ab_prompts"); !ok || m.Value != 40 {
		t.Errorf("packed: %+v", m)
	}
	said := ""
	for _, n := range view.Notes {
		said += n.Text + "\n"
	}
	for _, want := range []string{"paired: new beside old: better, decided at ", "split: new beside old: no difference shown in 40 prompts, of which ", "turned: old beside new: worse"} {
		if !strings.Contains(said, want) {
			t.Errorf("the notes\n%sdo not say %q", said, want)
		}
	}
	for _, v := range view.Verdicts {
		if !v.Held {
			t.Errorf("%s: %s", v.Text, v.Reason)
		}
	}
}

// TestABJudgesProblems: on the first problems of the task reasoning the arms have what their own
// rows have, where these are all problems.
func TestABJudgesProblems(t *testing.T) {
	text := strings.Replace(onChains, "evaluate:", "  - train: { name: second, into: little, steps: 2, batch: 4 }\n  - ab: { name: compare, a: first, b: second }\nevaluate:", 1)
	view := mustWork(t, copyHome(t, onlyTokenizer), parse(t, text, scenario.Options{}), Options{}).Board.Snapshot()
	for i, key := range []string{"ab_quality_a", "ab_quality_b"} {
		exact, _ := view.Rows[i].Metric("exact")
		m, ok := view.Rows[2].Metric(key)
		if !ok || m.Value != exact.Value || m.Seeds[0].N != 20 {
			t.Errorf("%s is %+v, and the row has %v", key, m, exact.Value)
		}
	}
}

func TestABErrors(t *testing.T) {
	chains := func(keys string) string {
		return strings.Replace(onChains, "evaluate:", "  - train: { name: second, into: little, steps: 2, batch: 4 }\n  - ab: { "+keys+" }\nevaluate:", 1)
	}
	for text, says := range map[string]string{
		chains("a: first"):                                                                       `step ab lacks the key "b"`,
		chains("a: first, b: first"):                                                             "b is first, as a is: expected another model",
		chains("a: first, b: third"):                                                             `unknown step or model "third"`,
		chains("a: first, b: little"):                                                            `model "little" is a shape without weights`,
		chains("a: first, b: second, split: 100%"):                                               `split is "100%": expected a share above 0 and below 1`,
		chains("a: first, b: second, split: half"):                                               `split is "half"`,
		chains("a: first, b: second, margin: -1"):                                                `margin is "-1"`,
		chains("a: first, b: second, level: 0"):                                                  "level is 0",
		chains("a: first, b: second, prompts: -1"):                                               "prompts is -1",
		chains("a: first, b: second, quality: auc"):                                              "quality",
		chains("a: first, b: second, quality: f1"):                                               "quality is f1, and an answer of task reasoning is right or wrong",
		chains("a: first, b: second, from: first"):                                               "needs no model and has no key from",
		chains("a: first, b: second, paper: { change: -2 }"):                                     "change is -2",
		chains("a: first, b: second") + "expect: [ exact(row=ab) > 0 ]\n":                        "it compares two",
		chains("a: first, b: second") + "expect: [ paper_change(row=ab) > 0 ]\n":                 "no such figure in its key paper",
		chains("a: first, b: second") + "expect: [ ab_change(row=first) > 0 ]\n":                 "is of kind train, expected ab",
		strings.Replace(onWorld, "pipeline:\n", "pipeline:\n  - ab: { a: x, b: y }\n", 1):        "unknown step or model",
		onePipelineOf("prune: { name: cut, from: base, mlp: 0.5 }", "ab: { a: base, b: cut }"):   "writes no answers that are checked in task recsys",
		"models: { m: { load: \"pretrained:recsys-fm\" } }\npipeline:\n  - ab: { a: m, b: m }\n": "task",
		chains("name: one, a: first, b: second") + "baseline: one\n":                             "the baseline one makes no model",
	} {
		_, err := scenario.Parse("x.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected an error with %q", text, err, says)
		}
	}
	for text, says := range map[string]string{
		chains("a: first, b: second, prompts: 21"):                                             "step ab's prompts is 21, and there are 20 test problems",
		strings.Replace(fmt.Sprintf(compared, sides(t)), "prompts: 40", "prompts: 90", 1):      "step paired's prompts is 90, and there are 59 whole validation records",
		strings.Replace(fmt.Sprintf(compared, sides(t)), "max_tokens: 48", "max_tokens: 8", 1): "were all cut to max_tokens 8",
	} {
		_, err := Start(t.Context(), copyHome(t, onlyTokenizer), parse(t, text, scenario.Options{}), Options{Now: clock()})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, expected an error with %q", err, says)
		}
	}
}
