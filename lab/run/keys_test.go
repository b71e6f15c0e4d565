package run

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/scenario"
)

// onRecords is a scenario on a file of records, whose keys are cheap to plan.
const onRecords = `
name: keys
task: { kind: jsonl, path: %q, max_tokens: 48, validation: 0.25 }
tokenizer: { vocab: 280 }
models: { little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 16 } }
pipeline:
  - train: { name: first, into: little, steps: 3, batch: 4 }
evaluate: { validation: 16 }
columns: [loss]
`

// onWorld is the same on the ranking task, which is served too.
const onWorld = `
name: keys
task: { kind: recsys, members: 40, candidates: 2 }
tokenizer: { vocab: 600 }
models: { little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 16 } }
pipeline:
  - train: { name: first, into: little, steps: 3, batch: 4 }
evaluate: { validation: 8 }
serve: { members: 3, candidates: 3 }
`

// onChains is the same on the task of chains.
const onChains = `
name: keys
task: { kind: reasoning, problems: 20, steps: 3 }
tokenizer: { vocab: 400 }
models: { little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 16 } }
pipeline:
  - train: { name: first, into: little, steps: 3, batch: 4 }
evaluate: { validation: 8 }
`

// onRatings is the same on a folder of ratings.
const onRatings = `
name: keys
task: { kind: ratings, path: %q, limit: 20, max_tokens: 96 }
tokenizer: { vocab: 290 }
models: { little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 16 } }
pipeline:
  - train: { name: first, into: little, steps: 3, batch: 4 }
evaluate: { validation: 8 }
columns: [auc, loss]
`

// stageKeys are the keys of all that a run makes of a scenario with one step, and the name of what
// its rows are measured on. Change is made to the worker and the row first; it may be nil.
func stageKeys(t *testing.T, text string, change func(*worker, *measured)) map[string]string {
	t.Helper()
	h := copyHome(t, onlyTokenizer)
	plan := parse(t, text, scenario.Options{})
	r := &Run{home: h, plan: plan, Board: lab.NewBoard(), options: Options{Now: time.Now}, readOnly: true, machine: "this one"}
	w := &worker{run: r, cell: &plan.Cells[0]}
	jobs, err := w.plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	row := &measured{key: "model"}
	w.base = &measured{key: "baseline"}
	if change != nil {
		change(w, row)
	}
	keys := map[string]string{
		"train":     jobs[0].model.key,
		"evaluate":  w.evaluationRecipe(row, plan.Scenario.Asks("loss", "loss_delta")).Key(),
		"agreement": w.agreementRecipe(row).Key(),
		"test set":  w.data.testKey(w.cell.Point.Evaluate.Validation),
		// what is paired when runs are compared
		"units ranked":    w.data.rankingTest(),
		"units validated": w.data.validationTest(w.cell.Point.Evaluate.Validation),
	}
	if w.data.reasoning != nil {
		keys["units judged"] = w.data.problemsTest()
	}
	if w.cell.Point.Evaluate.Answers > 0 {
		keys["answers"], keys["units answered"] = w.answersRecipe(row).Key(), w.answersTest()
	}
	if w.cell.Point.Serve != nil {
		of, err := w.workload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys["serve"] = w.servingRecipe(row, of).Key()
	}
	return keys
}

// TestSettingsChangeKeys: each setting changes the keys of the stages whose output depends on it,
// and no other: nothing stale is found, and nothing is made again without need.
func TestSettingsChangeKeys(t *testing.T) {
	file := writeJSONL(t, "")
	records := fmt.Sprintf(onRecords, file)
	served := strings.Replace(records, "validation: 16 }", "validation: 16, answers: 4 }\nserve: { prompts: 3, answer_tokens: 5 }", 1)
	tables, otherTables := writeRatings(t, 1), writeRatings(t, 2)
	ratings := fmt.Sprintf(onRatings, tables)
	other := kernels.Implementations()[0]
	if other == kernels.Implementation() {
		other = ""
	}
	for _, c := range []struct {
		name, text string
		old, new   string // in the text
		change     func(*worker, *measured)
		kernels    string
		want       string // the stages, in order of the alphabet
	}{
		{name: "nothing", text: onWorld},
		{name: "test members", text: onWorld, old: "members: 40", new: "members: 41", want: "evaluate, test set, units ranked"},
		{name: "test candidates", text: onWorld, old: "candidates: 2 ", new: "candidates: 3 ", want: "evaluate, test set, units ranked"},
		{name: "validation size", text: onWorld, old: "validation: 8", new: "validation: 9", want: "agreement, evaluate, test set, units validated"},
		{name: "no loss", text: onWorld, old: "serve:", new: "columns: [auc]\nserve:", want: "evaluate"},
		{name: "words of items", text: onWorld, old: "candidates: 2 ", new: "candidates: 2, item_words: 3 ", want: "agreement, evaluate, serve, test set, train, units ranked, units validated"},
		{name: "kept words of items", text: onWorld, old: "candidates: 2 ", new: "candidates: 2, item_kept: 1 ", want: "agreement, evaluate, serve, test set, train, units ranked, units validated"},
		{name: "items by default", text: onWorld, old: "candidates: 2 ", new: "candidates: 2, item_words: 2, item_kept: 0 "},
		{name: "served members", text: onWorld, old: "members: 3,", new: "members: 4,", want: "serve"},
		{name: "served candidates", text: onWorld, old: "candidates: 3 ", new: "candidates: 4 ", want: "serve"},
		{name: "steps", text: onWorld, old: "steps: 3", new: "steps: 4", want: "train"},
		{name: "weights of tasks", text: onWorld, old: "steps: 3", new: "task_weights: \"like feed=2\", steps: 3", want: "train"},
		{name: "machine", text: onWorld, change: func(w *worker, _ *measured) { w.run.machine = "another" }, want: "serve"},
		{name: "program", text: onWorld, change: func(w *worker, _ *measured) { w.run.home.Version = "another" }, want: "serve"},
		{name: "baseline", text: onWorld, change: func(w *worker, _ *measured) { w.base.key = "another" }, want: "agreement"},
		{name: "model", text: onWorld, change: func(_ *worker, m *measured) { m.key = "another" }, want: "agreement, evaluate, serve"},
		{name: "KV cache", text: onWorld, change: func(_ *worker, m *measured) { m.kv = kernels.KVInt4 }, want: "agreement, evaluate, serve"},
		{name: "KV cache of the baseline", text: onWorld, change: func(w *worker, _ *measured) { w.base.kv = kernels.KVInt4 }, want: "agreement"},
		{name: "kernels", text: onWorld, kernels: other, want: "agreement, evaluate, serve, train"},
		{name: "no chains", text: onChains},
		{name: "test problems", text: onChains, old: "problems: 20", new: "problems: 21", want: "evaluate, test set, units judged, units ranked"},
		{name: "longest chain", text: onChains, old: "steps: 3 }", new: "steps: 4 }", want: "agreement, evaluate, test set, train, units judged, units ranked, units validated"},
		{name: "world of chains", text: onChains, old: "kind: reasoning,", new: "kind: reasoning, world: 2,", want: "agreement, evaluate, test set, train, units judged, units ranked, units validated"},
		{name: "validation of chains", text: onChains, old: "validation: 8", new: "validation: 9", want: "agreement, evaluate, test set, units validated"},
		{name: "a record", text: records, change: nil, old: "", new: "a record", want: "agreement, evaluate, test set, train, units ranked, units validated"},
		{name: "a tokenizer", text: records, old: "vocab: 280", new: "vocab: 266", want: "agreement, evaluate, train, units validated"},
		{name: "held-out share", text: records, old: "validation: 0.25", new: "validation: 0.5", want: "agreement, evaluate, test set, train, units ranked, units validated"},
		{name: "longest example", text: records, old: "max_tokens: 48", new: "max_tokens: 49", want: "agreement, evaluate, test set, train, units ranked, units validated"},
		{name: "validation of records", text: records, old: "validation: 16", new: "validation: 17", want: "agreement, evaluate, test set, units validated"},
		{name: "test share", text: records, old: "max_tokens", new: "test: 0.3, max_tokens", want: "agreement, evaluate, test set, train, units ranked, units validated"},
		{name: "test file", text: records, old: "max_tokens", new: "test: " + file + ", max_tokens", want: "evaluate, test set, units ranked"},
		{name: "groups of a file without two answers", text: records, old: "max_tokens", new: "group_field: prompt, max_tokens"},
		{name: "tasks of records", text: records, old: "max_tokens", new: "task_field: prompt, max_tokens"},
		{name: "served prompts", text: served, old: "prompts: 3,", new: "prompts: 4,", want: "serve"},
		{name: "served answers", text: served, old: "answer_tokens: 5", new: "answer_tokens: 6", want: "serve"},
		{name: "answered records", text: served, old: "answers: 4", new: "answers: 5", want: "answers, units answered"},
		{name: "answers of a model", text: served, change: func(_ *worker, m *measured) { m.key = "another" }, want: "agreement, answers, evaluate, serve"},
		{name: "a limit", text: ratings, old: "limit: 20", new: "limit: 21", want: "agreement, evaluate, test set, train, units ranked, units validated"},
		{name: "longest prompt", text: ratings, old: "max_tokens: 96", new: "max_tokens: 97", want: "agreement, evaluate, test set, train, units ranked, units validated"},
		{name: "a rating", text: ratings, old: tables, new: otherTables, want: "agreement, evaluate, test set, train, units ranked, units validated"},
		{name: "text of titles", text: ratings, old: "limit: 20", new: "limit: 20, item: title", want: "agreement, evaluate, test set, train, units ranked, units validated"},
		{name: "text of titles by default", text: ratings, old: "limit: 20", new: "limit: 20, item: title genres"},
		{name: "validation of ratings", text: ratings, old: "validation: 8", new: "validation: 9", want: "agreement, evaluate, test set, units validated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := stageKeys(t, c.text, nil)
			text := strings.Replace(c.text, c.old, c.new, 1)
			switch {
			case c.name == "kernels" && c.kernels == "":
				t.Skip("skipped: this machine has one implementation")
			case c.kernels != "":
				restore, err := kernels.Use(c.kernels)
				if err != nil {
					t.Fatal(err)
				}
				defer restore()
			case c.new == "a record":
				text = c.text
				changeRecord(t, file)
			}
			after := stageKeys(t, text, c.change)
			var changed []string
			for _, stage := range slices.Sorted(maps.Keys(before)) {
				if before[stage] != after[stage] {
					changed = append(changed, stage)
				}
			}
			if got := strings.Join(changed, ", "); got != c.want {
				t.Errorf("the keys of %q change, expected those of %q", got, c.want)
			}
		})
	}
}

// changeRecord changes a digit of one record.
func changeRecord(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(content), "after 7 comes 8", "after 7 comes 9", 1)
	if changed == string(content) {
		t.Fatal("the case changes nothing")
	}
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestMeasuresOfServing: each latency is the named percentile of its own samples, and the rates are
// of the tokens of all prompts.
func TestMeasuresOfServing(t *testing.T) {
	s := serving{Tokens: 400, Answered: 200, Cached: 100, Seconds: 2, Requests: 101, Memory: 7, TPOT: []float64{2, 6, 4}}
	for i := range 101 {
		s.Cold = append(s.Cold, float64((i*37)%101)) // 0 to 100 in another order
	}
	s.Hot = []float64{3, 1, 2}
	values := map[string]lab.Measure{}
	s.measures(values, "timing of run x")
	for key, want := range map[string]lab.Measure{
		"ttft_cold_p50": {Value: 50, N: 101, Warning: "timing of run x"},
		"ttft_cold_p99": {Value: 99, N: 101, Warning: "timing of run x"},
		"ttft_hot_p50":  {Value: 2, N: 3, Warning: "timing of run x"},
		"ttft_hot_p99":  {Value: 2.98, N: 3, Warning: "timing of run x; P99 of 3 samples"},
		"tokens_per_s":  {Value: 300, N: 101, Warning: "timing of run x"},
		"cached":        {Value: 0.25},
		"tpot_p50":      {Value: 4, N: 3, Warning: "timing of run x"},
		"memory_peak":   {Value: 7, Warning: "timing of run x"},
	} {
		if values[key] != want {
			t.Errorf("%s is %+v, expected %+v", key, values[key], want)
		}
	}
	if len(values) != 9 {
		t.Errorf("%d measures, expected 9: %v", len(values), values)
	}
}
