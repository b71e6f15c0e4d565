package run

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/rollout"
	"slimlab/lab/scenario"
)

// sums writes records whose answers are texts of several tokens.
func sums(t *testing.T) string {
	t.Helper()
	var lines strings.Builder
	for i := range 90 {
		a, b := i%9+1, i%7+1
		fmt.Fprintf(&lines, `{"prompt": "add %d and %d, case %d: ", "response": "%d+%d=%d"}`+"\n", a, b, i, a, b, a+b)
	}
	path := filepath.Join(t.TempDir(), "sums.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// onSums begins scenarios that train two tiny models on a file of sums.
const onSums = `task: { kind: jsonl, path: %q, max_tokens: 64 }
tokenizer: { vocab: 270 }
models:
  big: { hidden: 32, head_dim: 8, layers: 1, heads: 4, kv_heads: 2, mlp: 48 }
  small: { hidden: 16, head_dim: 8, layers: 1, heads: 2, kv_heads: 1, mlp: 24 }
pipeline:
`

const onPolicy = `
name: on-policy
` + onSums + `  - train: { name: teacher, into: big, steps: 12, batch: 4, learning_rate: 1e-2 }
  - distil: { name: one, into: small, teacher: teacher, steps: 8, batch: 4, learning_rate: 1e-2 }
  - distil: { name: two, from: one, teacher: teacher, %s, steps: 6, batch: 4, learning_rate: 1e-3 }
evaluate: { validation: 4 }
columns: [loss]
`

// TestOnPolicySteps: a second stage learns from its own answers, or the teacher's, by every loss
// that needs them; it shows how they end, is the same when it is run again, and another with other
// settings of the samples.
func TestOnPolicySteps(t *testing.T) {
	path := sums(t)
	losses := map[string]string{}
	for _, settings := range []string{
		"loss: fkl, samples: { fraction: 1, tokens: 9 }",
		"loss: fkl, samples: { fraction: 1, tokens: 8 }",
		"loss: skew-pair:0.1, samples: { fraction: 0.5, teacher: 0.5 }",
		"loss: sampled-rkl, ce: 0, samples: { fraction: 1, temperature: 1 }",
		"loss: weighted-rkl:2, ce: 0, samples: { fraction: 1, temperature: 0.7 }",
		"loss: jsd:0.5, samples: { fraction: 1, speculative: 3 }",
		"loss: srkl:0.1, samples: { replay: true, threshold: 0.5, capacity: 6 }",
	} {
		plan := parse(t, fmt.Sprintf(onPolicy, path, settings), scenario.Options{})
		h := newHome(t)
		out := mustWork(t, h, plan, Options{})
		view := out.Board.Snapshot()
		loss, ok := view.Rows[2].Metric("loss")
		if !ok {
			t.Fatalf("%s: no loss", settings)
		}
		text := fmt.Sprint(loss.Value)
		for other, l := range losses {
			if l == text {
				t.Errorf("%s: the loss is that of %s", settings, other)
			}
		}
		losses[settings] = text
		ended := view.Cells[0].Find("two.ended")
		if ended == nil || view.Cells[0].Find("two.length") == nil {
			t.Fatalf("%s: no curves of the samples", settings)
		}
		if shown := samplesOf(out.Board); len(shown) < 6 || len(shown) > (samplesShown+2)*samplesAtOnce {
			t.Errorf("%s: %d samples are shown", settings, len(shown))
		}
		said := false
		for _, n := range view.Notes {
			said = said || strings.Contains(n.Text, "two: ") && strings.Contains(n.Text, " answers sampled, ") && strings.Contains(n.Text, "time: sampling ")
		}
		if !said {
			t.Errorf("%s: nothing is said of the samples: %v", settings, view.Notes)
		}
		sameFigures(t, mustWork(t, newHome(t), plan, Options{}).Board, out.Board, 1)
	}
}

// TestFormulaOfSamples: a step says what it minimises on the answers that it has.
func TestFormulaOfSamples(t *testing.T) {
	const mixed = "minimises 0.95·mean_A[0.9·KL(p‖q) + 0.1·CE] + 0.05·mean_S[CE]"
	const own = "minimises 0.855·mean_A[KL(p‖q)]; its own answers are no labels: ce 0.1 and sequence 0.05 have no other effect than the factor"
	for settings, want := range map[string]string{
		"loss: fkl": mixed, "samples: { fraction: 1 }": own, "samples: { fraction: 1, speculative: 3 }": own, "samples: { fraction: 1, teacher: 1 }": mixed,
		"samples: { fraction: 1, teacher: 0.5 }": mixed, "samples: { fraction: 0.5 }": mixed, "samples: { replay: true }": mixed,
		"samples: { fraction: 1 }, ce: 0, sequence: 0":                  "minimises mean_A[KL(p‖q)]",
		"loss: skew-pair:0.1, samples: { fraction: 1, teacher: 1 }":     "minimises 0.95·mean_A[0.9·KL(p‖0.1p + 0.9q) + 0.1·CE] + 0.05·mean_S[CE]",
		"loss: skew-pair:0.1, samples: { replay: true, threshold: 0.5}": "0.9·(KL(p‖0.1p + 0.9q), on the student's answers KL(q‖0.9p + 0.1q))",
	} {
		plan := parse(t, fmt.Sprintf(onPolicy, "any.jsonl", settings), scenario.Options{})
		d := plan.Cells[0].Point.Steps[2].Work.(*Distil)
		objective, err := d.objective()
		if err != nil {
			t.Fatal(err)
		}
		if got := "minimises " + (&training{samples: d.Samples}).formula(objective); got != want && !strings.Contains(got, want) || strings.Contains(got, "no labels") != (want == own) {
			t.Errorf("%s: %s, expected %s", settings, got, want)
		}
	}
	out := mustWork(t, newHome(t), parse(t, fmt.Sprintf(onPolicy, sums(t), "samples: { fraction: 1 }"), scenario.Options{}), Options{})
	if !said(out.Board, "two "+own) {
		t.Errorf("notes %v", out.Board.Snapshot().Notes)
	}
}

// TestStoppedSamplingGoesOn: an on-policy training that is stopped between two saved states ends
// with the figures of one that was not.
func TestStoppedSamplingGoesOn(t *testing.T) {
	for _, settings := range []string{
		"loss: rkl, samples: { fraction: 0.7, teacher: 0.3 }",
		"loss: rkl, every: 1, samples: { replay: true, threshold: 0.6, capacity: 4 }",
	} {
		plan := parse(t, fmt.Sprintf(onPolicy, sums(t), settings), scenario.Options{})
		want := mustWork(t, newHome(t), plan, Options{})
		h := newHome(t)
		if _, err := workUntil(t, h, plan, Options{Now: hasty()}, func(e lab.Event) bool { return e.Kind == lab.KindCell && e.Stage == "two" && e.Step >= 3 }); err == nil {
			t.Fatalf("%s: the run was not stopped", settings)
		}
		if stateOf(t, h) == "" {
			t.Fatalf("%s: no state was kept", settings)
		}
		out := mustWork(t, h, plan, Options{})
		sameFigures(t, out.Board, want.Board, 1)
		if got, want := samplesOf(out.Board), samplesOf(want.Board); !slices.Equal(got, want) {
			t.Errorf("%s: the samples are\n%s\nexpected\n%s", settings, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !slices.ContainsFunc(out.Board.Snapshot().Notes, func(n lab.Note) bool { return strings.Contains(n.Text, "two: goes on after step") }) {
			t.Errorf("%s: the training began anew", settings)
		}
	}
}

// TestReplayThatSamplesNothing says why, and what to do.
func TestReplayThatSamplesNothing(t *testing.T) {
	plan := parse(t, fmt.Sprintf(onPolicy, sums(t), "samples: { replay: true }"), scenario.Options{})
	view := mustWork(t, newHome(t), plan, Options{}).Board.Snapshot()
	if !slices.ContainsFunc(view.Notes, func(n lab.Note) bool {
		return n.Level == lab.Warning && strings.Contains(n.Text, "two: no answer was sampled: its threshold for replay is 0")
	}) {
		t.Errorf("notes %v", view.Notes)
	}
}

// TestSeedOfAStep: a step with a seed of its own is trained once for all cells, and its model is
// that of a cell of that seed without one.
func TestSeedOfAStep(t *testing.T) {
	path := sums(t)
	models := func(seed string, seeds int) map[string]bool {
		text := strings.Replace(fmt.Sprintf(onPolicy, path, "loss: fkl"), "name: teacher,", "name: teacher, "+seed, 1)
		keys := map[string]bool{}
		for _, row := range mustWork(t, newHome(t), parse(t, text, scenario.Options{Seeds: seeds}), Options{}).Board.Snapshot().Rows {
			if row.Name == "teacher" {
				for _, key := range row.Keys {
					keys[key] = true
				}
			}
		}
		return keys
	}
	once, each := models("seed: 1,", 2), models("", 2)
	if len(once) != 1 || len(each) != 2 {
		t.Fatalf("%d models with a seed, expected 1; %d without, expected 2", len(once), len(each))
	}
	for key := range once {
		if !each[key] {
			t.Errorf("the model of seed 1 is not that of the cell of seed 1: %s of %v", key, each)
		}
	}
}

// TestSamplesThatCannotBe are refused when the scenario is loaded or planned, with what would do.
func TestSamplesThatCannotBe(t *testing.T) {
	path := sums(t)
	for settings, want := range map[string]string{
		"loss: sampled-rkl":                                                           "expected samples: { fraction: 1 }",
		"loss: sampled-rkl, samples: { fraction: 0.5 }":                               "expected samples: { fraction: 1 }",
		"loss: sampled-rkl, samples: { fraction: 1, temperature: 0.9 }":               "expected temperature: 1, or loss: weighted-rkl:2",
		"loss: weighted-rkl:2, samples: { fraction: 1, top_k: 5 }":                    "expected samples without top_k and top_p",
		"loss: weighted-rkl:2, samples: { fraction: 1, temperature: 0 }":              "expected a temperature above 0",
		"samples: { fraction: 1, teacher: 0.5, speculative: 5 }":                      "expected one of them",
		"loss: sampled-rkl, samples: { fraction: 1, temperature: 1, speculative: 5 }": "expected samples: { fraction: 1 }",
		"samples: { temperature: 1 }":                                                 "has no fraction",
		"samples: { replay: true, fraction: 1 }":                                      "neither fraction nor teacher",
		"loss: sampled-rkl, ce: 0, samples: { replay: true }":                         "expected samples: { fraction: 1 }",
		"samples: { fraction: 1 }, ce: 1":                                             "leave the divergence no share: expected both below 1, or a fraction below 1",
		"samples: { fraction: 1 }, sequence: 1":                                       "leave the divergence no share",
		"samples: { fraction: 1, threshold: 0.5 }":                                    "expected replay: true",
		"loss: weighted-rkl:0, samples: { fraction: 1 }":                              "a number above 0",
		"samples: { fraction: 2 }":                                                    "fraction",
	} {
		_, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(onPolicy, path, settings)), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", settings, err, want)
		}
	}
	world := strings.Replace(strings.Replace(fmt.Sprintf(onPolicy, path, "samples: { fraction: 1, teacher: 0.5, speculative: 5 }"), "vocab: 270", "vocab: 600", 1), fmt.Sprintf("{ kind: jsonl, path: %q, max_tokens: 64 }", path), "{ kind: recsys, members: 4 }", 1)
	if _, err := scenario.Parse("test.yaml", []byte(world), scenario.Options{Vocabulary: Vocabulary()}); err == nil || !strings.Contains(err.Error(), "samples are of no use") || strings.Contains(err.Error(), "one of them") {
		t.Errorf("samples of a ranking task: %v", err)
	}
}

// samplesOf writes all samples of a run.
func samplesOf(b *lab.Board) (list []string) {
	v := b.Snapshot()
	for i := range v.Cells {
		for _, s := range v.Cells[i].Samples {
			list = append(list, fmt.Sprintf("%s %s step %d %+v", v.Cells[i].ID, s.Stage, s.Step, *s.Sample))
		}
	}
	return list
}

// TestSamplesAreShown: a training that samples shows answers of both writers at no more than 20 of
// its steps, the first and the last among them, in its log too; a run that finds the model shows
// the same ones, and one whose model has none says so.
func TestSamplesAreShown(t *testing.T) {
	text := strings.Replace(fmt.Sprintf(onPolicy, sums(t), "loss: fkl, samples: { fraction: 1, teacher: 0.5, tokens: 9 }"), "steps: 6,", "steps: 50,", 1)
	plan, h := parse(t, text, scenario.Options{}), newHome(t)
	out := mustWork(t, h, plan, Options{})
	v := out.Board.Snapshot()
	steps, by := map[int]int{}, map[lab.Writer]int{}
	for _, s := range v.Cells[0].Samples {
		steps[s.Step]++
		by[s.By]++
		if s.Stage != "two" || !strings.Contains(s.Prompt, "add ") || s.Tokens < 1 || s.Tokens > 9 || !s.Ended && s.Tokens < 9 || strings.Contains(s.Answer, "</s>") && s.Ended {
			t.Errorf("step %d: %+v", s.Step, s.Sample)
		}
	}
	if steps[1] == 0 || steps[50] == 0 || len(steps) < 10 || len(steps) > 20 || by[lab.ByStudent] == 0 || by[lab.ByTeacher] == 0 {
		t.Errorf("samples of steps %v by %v", steps, by)
	}
	for step, n := range steps {
		if n != samplesAtOnce {
			t.Errorf("step %d shows %d samples, expected %d", step, n, samplesAtOnce)
		}
	}
	log, err := h.Logs.Read(out.Run)
	if err != nil {
		t.Fatal(err)
	}
	want := samplesOf(out.Board)
	for name, b := range map[string]*lab.Board{"the log": lab.Fold(log.Events), "a run that finds the model": mustWork(t, h, plan, Options{}).Board} {
		if got := samplesOf(b); !slices.Equal(got, want) {
			t.Errorf("%s has\n%s\nexpected\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	r := &Run{}
	(&worker{run: r, cell: &scenario.Cell{}, stage: "two"}).showSamples("two", &trainFacts{Curves: []keptCurve{{Name: "ended"}}})
	(&worker{run: r, cell: &scenario.Cell{}, stage: "one"}).showSamples("one", &trainFacts{Curves: []keptCurve{{Name: "loss"}}})
	if len(r.unlogged) != 1 || r.unlogged[0].Text != "two: no sample is shown: the model is of an earlier version, which kept none" {
		t.Errorf("said %+v", r.unlogged)
	}
}

// TestSamplesOfBothWriters: half of what is shown is the teacher's where there are enough of both,
// and what is missing of one is filled up by the other.
func TestSamplesOfBothWriters(t *testing.T) {
	for _, c := range []struct{ students, teachers, wantStudents, wantTeachers int }{
		{4, 4, 2, 2}, {4, 0, 4, 0}, {0, 4, 0, 4}, {4, 1, 3, 1}, {1, 4, 1, 3}, {1, 1, 1, 1}, {0, 0, 0, 0},
	} {
		all := slices.Concat(slices.Repeat([]rollout.Sample{{Origin: kd.OfStudent}}, c.students), slices.Repeat([]rollout.Sample{{Origin: kd.OfTeacher}}, c.teachers))
		got := [2]int{}
		for _, s := range bothWriters(all, 4) {
			if s.Origin == kd.OfTeacher {
				got[1]++
			} else {
				got[0]++
			}
		}
		if got != [2]int{c.wantStudents, c.wantTeachers} {
			t.Errorf("%+v: %v are shown", c, got)
		}
	}
}

// TestTeacherWithoutShare: a step that learns nothing from its teacher is refused; one that learns
// from its answers, its states or over the whole sequence is not.
func TestTeacherWithoutShare(t *testing.T) {
	for settings, want := range map[string]string{
		"ce: 1":       "ce is 1, which leaves the teacher no share in the loss",
		"sequence: 1": "sequence is 1, which leaves the teacher no share in the loss",
		"ce: 1, samples: { fraction: 1, teacher: 1 }": "", "ce: 1, samples: { fraction: 0.5, speculative: 3 }": "", "ce: 1, hidden: 0.5": "",
		"sequence: 1, sequence_loss: mixture": "", "ce: 0.99, sequence: 0.99": "",
		"loss: skew-pair:0.1":                           "none are sampled: expected samples such as { fraction: 0.5 }, or loss: skl:0.1",
		"loss: skew-pair:0.1, samples: { fraction: 1 }": "", "temperature: 0.001": "temperature is 0.001",
	} {
		_, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(onPolicy, "any.jsonl", settings)), scenario.Options{Vocabulary: Vocabulary()})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, expected %q", settings, err, want)
		}
	}
}
