package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

const otherTokens = `
name: other-tokens
task: { kind: jsonl, path: %q, max_tokens: 64 }
tokenizer: { vocab: 262 }
models:
  far: { load: %q }
  small: { hidden: 16, head_dim: 8, layers: 1, heads: 2, kv_heads: 1, mlp: 24 }
pipeline:
  - train: { name: sft, into: small, steps: 4, batch: 4, learning_rate: 1e-2 }
  - distil: { name: kd, from: sft, teacher: far, steps: 8, batch: 4, learning_rate: 1e-3, ce: 0, sequence: 0, %s }
evaluate: { validation: 4 }
columns: [loss]
`

// farTeacher trains a teacher of other tokens and returns its folder's name as a scenario loads it.
func farTeacher(t *testing.T, path string) (load string, of func(plan string, options Options) *lab.View) {
	t.Helper()
	h := newHome(t)
	text := strings.Replace(strings.Split(fmt.Sprintf(onPolicy, path, ""), "  - distil:")[0], "vocab: 270", "vocab: 300", 1)
	text = strings.Replace(text, "  small: { hidden: 16, head_dim: 8, layers: 1, heads: 2, kv_heads: 1, mlp: 24 }\n", "", 1) + "evaluate: { validation: 4 }\ncolumns: [loss]\n"
	out := mustWork(t, h, parse(t, text, scenario.Options{}), Options{})
	return "run:" + out.Run + "/teacher", func(plan string, options Options) *lab.View {
		return mustWork(t, h, parse(t, plan, scenario.Options{}), options).Board.Snapshot()
	}
}

// TestTeacherOfOtherTokens: with align a student learns from a model of another tokenizer, which
// brings neither its tokens nor its positions to the data; how much is compared is said, and the
// row has no divergence from that teacher.
func TestTeacherOfOtherTokens(t *testing.T) {
	path := sums(t)
	load, work := farTeacher(t, path)
	losses := map[string]bool{}
	for _, keys := range []string{"align: bytes", "align: bytes, loss: rkl", "align: bytes, loss: jsd:0.5, samples: { fraction: 1, tokens: 9 }"} {
		view := work(fmt.Sprintf(otherTokens, path, load, keys), Options{})
		var said []string
		for _, n := range view.Notes {
			said = append(said, n.Text)
		}
		all := strings.Join(said, "\n")
		for _, want := range []string{"kd: the teacher " + load + " has other tokens: its distributions of the next byte are compared", "of them begin where a token of the teacher does, and are compared"} {
			if !strings.Contains(all, want) {
				t.Errorf("%s: no note says %q:\n%s", keys, want, all)
			}
		}
		loss, ok := view.Rows[1].Metric("loss")
		if _, has := view.Rows[1].Metric("kl"); !ok || has {
			t.Errorf("%s: the row has loss %t and a divergence from a teacher of other tokens %t", keys, ok, has)
		}
		losses[fmt.Sprint(loss.Value)] = true
		divergence := view.Cells[0].Find("kd.divergence")
		if divergence == nil || divergence.NotFinite > 0 || divergence.Count < 8 {
			t.Fatalf("%s: the curve of the divergence is %+v", keys, divergence)
		}
	}
	if len(losses) != 3 {
		t.Errorf("three settings have the losses %v", losses)
	}
}

// TestAlignedThatCannotBe are refused when the scenario is loaded or planned, with what would do.
func TestAlignedThatCannotBe(t *testing.T) {
	path := sums(t)
	load, _ := farTeacher(t, path)
	for keys, want := range map[string]string{
		"align: words":                                       "expected one of",
		"align: bytes, cache: exact":                         "expected no cache, or align: none",
		"align: bytes, hidden: 1":                            "expected no hidden, or align: none",
		"align: bytes, samples: { fraction: 1, teacher: 1 }": "expected answers of the student alone",
		"align: bytes, loss: sampled-rkl, samples: { fraction: 1, temperature: 1 }": "loss is sampled-rkl",
		"align: bytes, temperature: 2":                                              "temperature",
	} {
		_, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(otherTokens, path, load, keys)), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", keys, err, want)
		}
	}
}

// TestAlignOfTheSameTokens: a teacher whose tokens are those of the data is refused, with what to
// do.
func TestAlignOfTheSameTokens(t *testing.T) {
	path := sums(t)
	for _, text := range []string{
		fmt.Sprintf(onPolicy, path, "align: bytes"),
		strings.Replace(fmt.Sprintf(otherTokens, path, fixedModel(t), "align: bytes"), "  - train:", "  - baseline: { name: base, model: far }\n  - train:", 1),
	} {
		if _, _, err := Check(t.Context(), newHome(t), parse(t, text, scenario.Options{})); err == nil || !strings.Contains(err.Error(), "leave align out") || !strings.Contains(err.Error(), "test.yaml:") {
			t.Errorf("error %v", err)
		}
	}
}

// TestAliens: a model of other tokens is one that does nothing in a scenario but teach aligned.
func TestAliens(t *testing.T) {
	for more, want := range map[string]bool{
		"": true,
		"\n  - baseline: { name: base, model: far }":                                     false,
		"\n  - distil: { name: near, from: sft, teacher: far, steps: 1 }":                false,
		"\n  - distil: { name: again, into: far, teacher: sft, steps: 1 }":               false,
		"\n  - distil: { name: own, into: far, teacher: far, steps: 1, align: bytes }":   false,
		"\n  - distil: { name: on, from: far, teacher: far, steps: 1, align: bytes }":    false,
		"\n  - distil: { name: twice, from: sft, teacher: far, steps: 1, align: bytes }": true,
		"\n  - distil: { name: both, from: sft, teachers: \"far=1, kd=1\", steps: 1 }":   false,
	} {
		text := strings.Replace(fmt.Sprintf(otherTokens, "x.jsonl", "folder", "align: bytes"), "\nevaluate:", more+"\nevaluate:", 1)
		s, err := scenario.Parse("test.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err != nil {
			t.Fatalf("%s: %v", more, err)
		}
		if got := aliens(&s.Points[0])["far"]; got != want {
			t.Errorf("%s: %t, expected %t", more, got, want)
		}
	}
}
