package run

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/scenario"
)

// writeRecords writes records with other fields beside prompt and response, by their number.
func writeRecords(t *testing.T, extra func(i int) string) string {
	t.Helper()
	var text strings.Builder
	for i := range 60 {
		fmt.Fprintf(&text, "{\"prompt\": \"what comes after %d?\", \"response\": \"after %d comes %d\"%s}\n", i, i, i+1, extra(i))
	}
	file := filepath.Join(t.TempDir(), "own.jsonl")
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// dataOf opens the data of a scenario's first cell.
func dataOf(t *testing.T, text string) (*worker, *dataset) {
	t.Helper()
	plan := parse(t, text, scenario.Options{})
	r := &Run{home: copyHome(t, onlyTokenizer), plan: plan, Board: lab.NewBoard(), options: Options{Now: time.Now}, readOnly: true, machine: "this one"}
	w := &worker{run: r, cell: &plan.Cells[0]}
	if _, err := w.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, w.data
}

// worked runs a scenario, and returns its board and what it noted.
func worked(t *testing.T, text string) (*lab.View, string) {
	t.Helper()
	r, err := Start(t.Context(), newHome(t), parse(t, text, scenario.Options{}), Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	view := r.Board.Snapshot()
	if view.Errors > 0 {
		t.Fatalf("the run failed: %v", view.Notes)
	}
	var notes strings.Builder
	for _, n := range view.Notes {
		notes.WriteString(n.Text + "\n")
	}
	return view, notes.String()
}

// curveAndLoss is a row's metric and the values of a curve of the first cell.
func curveAndLoss(t *testing.T, view *lab.View, series string) (points []float64, loss float64) {
	t.Helper()
	s := view.Cells[0].Find(series)
	if s == nil {
		t.Fatalf("no curve %s", series)
	}
	for _, p := range s.Points() {
		points = append(points, p.Value)
	}
	m, ok := view.Rows[0].Metric("loss")
	if !ok {
		t.Fatal("no loss")
	}
	return points, m.Value
}

const onWeights = `
name: weights
task: { kind: jsonl, path: %q, max_tokens: 48, validation: 0.25%s }
tokenizer: { vocab: 280 }
models: { little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 16 } }
pipeline:
  - train: { name: first, into: little, steps: 6, batch: 4, every: 2 }
evaluate: { validation: 16 }
columns: [loss]
`

// TestWeightsOfOneTrainTheSame: weights of 1 in a file, and masks of nothing, give the bits of the
// losses of a file without them; other weights give others.
func TestWeightsOfOneTrainTheSame(t *testing.T) {
	none := func(int) string { return "" }
	run := func(extra func(int) string, keys string) (validation []float64, loss float64, notes string) {
		view, notes := worked(t, fmt.Sprintf(onWeights, writeRecords(t, extra), keys))
		validation, loss = curveAndLoss(t, view, "first.validation")
		return validation, loss, notes
	}
	validation, loss, _ := run(none, "")
	same, sameLoss, notes := run(func(int) string { return `, "w": 1, "m": []` }, ", weight_field: w, mask_field: m")
	if !slices.Equal(same, validation) || sameLoss != loss || strings.Contains(notes, "weight") {
		t.Errorf("weights of 1: validation %v, loss %v, notes %s\nexpected %v, %v", same, sameLoss, notes, validation, loss)
	}
	other, otherLoss, notes := run(func(i int) string { return fmt.Sprintf(`, "w": %d, "m": [[0, 5]]`, 1+i%2) }, ", weight_field: w, mask_field: m")
	if slices.Equal(other, validation) || otherLoss == loss || !strings.Contains(notes, "60 of 60 examples have weights other than 1; ") {
		t.Errorf("other weights: validation %v, loss %v, notes %s", other, otherLoss, notes)
	}
}

// TestMasksOfATrainedTokenizer: a token has weight 0 where all its bytes are masked, by its place
// in the text that the tokens before it decode to.
func TestMasksOfATrainedTokenizer(t *testing.T) {
	_, d := dataOf(t, fmt.Sprintf(onWeights, writeRecords(t, func(i int) string { return fmt.Sprintf(`, "m": [[0, 3], [4, %d]]`, 6+i%7) }), ", mask_field: m"))
	seen := map[bool]int{}
	for i := range d.TrainSize() {
		e := d.Train(1, i)
		begin := slices.Index(e.Answer, true)
		ids := e.Tokens[begin : len(e.Tokens)-1] // without the end
		var number, next int
		if _, err := fmt.Sscanf(d.tokenizer.Decode(ids), "after %d comes %d", &number, &next); err != nil {
			t.Fatal(err)
		}
		masked := func(at int) bool { return at < 3 || at >= 4 && at < 6+number%7 }
		for k := range ids {
			from, to := len(d.tokenizer.Decode(ids[:k])), len(d.tokenizer.Decode(ids[:k+1]))
			want := float32(0)
			for at := from; at < to; at++ {
				if !masked(at) {
					want = 1
				}
			}
			if e.Weights[begin+k] != want {
				t.Fatalf("%q: token %q at %d has weight %v, expected %v", d.tokenizer.Decode(ids), d.tokenizer.Decode(ids[k:k+1]), from, e.Weights[begin+k], want)
			}
			seen[want == 0]++
		}
		if e.Weights[len(e.Weights)-1] != 1 {
			t.Fatal("the end has no weight")
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("%d tokens are masked, and %d are not", seen[true], seen[false])
	}
}

// TestTaskWeights: a step's factors reach the examples of its training and of the validation along
// it, and no example that a model is measured on; a distillation counts what they mask.
func TestTaskWeights(t *testing.T) {
	w, d := dataOf(t, strings.Replace(onWorld, "steps: 3", `task_weights: "like feed=0, share feed=3", steps: 3`, 1))
	weighted, err := d.weighted("like feed=0, share feed=3")
	if err != nil {
		t.Fatal(err)
	}
	found := map[float32]bool{}
	batch, err := weighted.batches(1, 8, 0)(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	tasks := map[int]bool{}
	for _, e := range slices.Concat(batch, weighted.validation(8)) {
		for i, x := range e.Weights {
			found[x] = found[x] || e.Answer[i]
		}
		tasks[e.Task] = true
	}
	for _, e := range d.validation(8) {
		if e.Weights != nil {
			t.Fatal("what is measured has weights")
		}
	}
	if !found[0] || !found[1] || !found[3] || len(found) != 3 || len(tasks) < 3 {
		t.Errorf("weights %v of tasks %v", found, tasks)
	}
	same, err := d.weighted("")
	if err != nil || same != d || w.data != d {
		t.Errorf("no factors give other data; %v", err)
	}
	_, notes := worked(t, fmt.Sprintf(`
name: weights
task: { kind: recsys, members: 6, candidates: 1 }
models: { fixed: { load: %q }, little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 16 } }
pipeline:
  - distil: { name: kd, into: little, teacher: fixed, steps: 1, batch: 2, task_weights: "like feed=0" }
columns: [auc]
`, fixedModel(t)))
	if !strings.Contains(notes, " of these masked") {
		t.Errorf("notes do not count what is masked:\n%s", notes)
	}
}

// TestWeightsInPlans: factors that cannot be are errors of their key.
func TestWeightsInPlans(t *testing.T) {
	file := writeRecords(t, func(int) string { return `, "w": 1, "m": []` })
	onFile := fmt.Sprintf(onWeights, file, "")
	for _, c := range []struct{ text, want string }{
		{fmt.Sprintf(onWeights, file, ", weight_field: weight"), `weight_field is "weight", and none of 60 records has it`},
		{fmt.Sprintf(onWeights, file, ", weight_field: m"), `own.jsonl:1: field "m" is [], expected 0, or a number`},
		{fmt.Sprintf(onWeights, file, ", weight_field: w, mask_field: w"), `weight_field and mask_field are both "w"`},
	} {
		plan := parse(t, c.text, scenario.Options{})
		r := &Run{home: copyHome(t, onlyTokenizer), plan: plan, Board: lab.NewBoard(), options: Options{Now: time.Now}, readOnly: true, machine: "this one"}
		w := &worker{run: r, cell: &plan.Cells[0]}
		if _, err := w.plan(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v\nexpected %q", err, c.want)
		}
	}
	for _, weights := range []string{"like feed=2", "clik=2", "=", "like feed=0"} { // whatever they are
		text := strings.Replace(onFile, "steps: 6", fmt.Sprintf("task_weights: %q, steps: 6", weights), 1)
		_, err := scenario.Parse("w.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if want := fmt.Sprintf("task_weights is %q, and the task is jsonl: only recsys has such tasks", weights); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "expected one of") {
			t.Errorf("error %v\nexpected %q", err, want)
		}
	}
	for weights, want := range map[string]string{"like fed=2": `did you mean "like feed"?`, "like feed=x": `task_weights is "like feed=x": the weight of task "like feed" is "x"`, "share mail=1": "is held out", "a=1": "expected one of like feed"} {
		text := strings.Replace(onWorld, "steps: 3", fmt.Sprintf("task_weights: %q, steps: 3", weights), 1)
		_, err := scenario.Parse("w.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nexpected %q", err, want)
		}
	}
}

// TestInfluenceLeavesMaskedTokensOut: the influence of examples is of the tokens that are measured.
func TestInfluenceLeavesMaskedTokensOut(t *testing.T) {
	examples := []kd.Example{
		{Answer: []bool{false, true, true}, Weights: []float32{1, 0, 5}},
		{Answer: []bool{false, true, true}},
	}
	of := meanInfluence(examples, []float64{4, 1, 1})
	got := of.Values()
	want := []float64{(4.0 - 2) / 3, (1.0 + 1 - 4) / 3}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-6 {
			t.Errorf("influences %v, expected %v", got, want)
		}
	}
}
