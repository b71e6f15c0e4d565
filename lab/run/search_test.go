package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
	"slimlab/model/checkpoint"
)

// tuned is a scenario whose step kd takes other keys.
const tuned = `
name: tuned
task: { kind: recsys, members: 6, candidates: 1 }
models:
  fixed: { load: %q }
  small: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 24 }
pipeline:
  - baseline: { name: base, model: fixed }
  - distil: { name: kd, into: small, teacher: fixed, steps: 16, batch: 2, %s }
evaluate: { validation: 4, tokens: 0 }
columns: [loss, train_tokens_per_s]
`

// weightsOf is the content of the model of a row.
func weightsOf(t *testing.T, h *home.Home, b *lab.Board, row string) []byte {
	t.Helper()
	for _, r := range b.Snapshot().Rows {
		if r.Name == row {
			content, err := os.ReadFile(filepath.Join(h.Folder, "artifacts", r.Keys[0], "model.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			return content
		}
	}
	t.Fatalf("there is no row %s", row)
	return nil
}

// tableOf is what a search has kept of its trials.
func tableOf(t *testing.T, h *home.Home, b *lab.Board, row string) searchTable {
	t.Helper()
	for _, r := range b.Snapshot().Rows {
		if r.Name == row {
			var facts searchFacts
			if err := readFacts(filepath.Join(h.Folder, "artifacts", r.Keys[0]), &facts); err != nil {
				t.Fatal(err)
			}
			return facts.Search
		}
	}
	t.Fatalf("there is no row %s", row)
	return searchTable{}
}

// stepsTrained counts the steps of trainings of a stage that a run shows: how far its counters go.
type stepsTrained struct{ events, last, total int }

func (s *stepsTrained) sink(stage string) func(lab.Event) {
	return func(e lab.Event) {
		if e.Kind == lab.KindCell && e.Stage == stage && e.Total > 0 {
			s.events, s.last, s.total = s.events+1, e.Step, e.Total
		}
	}
}

// lastValidation is the last point of the validation curve of a row's training.
func lastValidation(t *testing.T, b *lab.Board, name string) float64 {
	t.Helper()
	series := b.Snapshot().Cells[0].Find(name + ".validation")
	if series == nil {
		t.Fatalf("%s has no validation curve", name)
	}
	points := series.Points()
	return points[len(points)-1].Value
}

// TestGridChoosesTheLowest: the choice of a grid is the lowest validation loss of the trainings run
// one by one, its weights are theirs bit for bit, and trainings that are there are not done again.
func TestGridChoosesTheLowest(t *testing.T) {
	model := fixedModel(t)
	for _, more := range []string{"", "every: 3, keep_best: true, "} {
		alone, best, chosen := newHome(t), math.Inf(1), ""
		var want []byte
		losses := map[string]float64{}
		for _, rate := range []string{"0.03", "0.01", "0.003"} {
			for _, ce := range []string{"0", "0.5"} {
				// recsys has a validation where it is asked for
				text := fmt.Sprintf(tuned, model, more+fmt.Sprintf("learning_rate: %s, ce: %s", rate, ce))
				if more == "" {
					text = strings.Replace(text, "batch: 2,", "batch: 2, every: 1,", 1)
				}
				out := mustWork(t, alone, parse(t, text, scenario.Options{}), Options{})
				loss := lastValidation(t, out.Board, "kd")
				if more != "" {
					for _, p := range out.Board.Snapshot().Cells[0].Find("kd.validation").Points() {
						loss = min(loss, p.Value)
					}
				}
				name := "learning_rate=" + rate + " ce=" + ce
				if losses[name] = loss; loss < best {
					best, chosen, want = loss, name, weightsOf(t, alone, out.Board, "kd")
				}
			}
		}
		h := newHome(t)
		plan := parse(t, fmt.Sprintf(tuned, model, more+`search: { over: "learning_rate=3e-2,1e-2,3e-3; ce=0,0.5" }`), scenario.Options{})
		var trained stepsTrained
		out := mustWork(t, h, plan, Options{Sink: trained.sink("kd")})
		table := tableOf(t, h, out.Board, "kd")
		if table.Trials[0].Settings != chosen || float64(table.Trials[0].Validation) != best || !bytes.Equal(weightsOf(t, h, out.Board, "kd"), want) {
			t.Errorf("%sthe choice is %+v, expected %s with %v and its weights", more, table.Trials[0], chosen, best)
		}
		for i, tried := range table.Trials {
			if float64(tried.Validation) != losses[tried.Settings] || i > 0 && tried.Validation < table.Trials[i-1].Validation {
				t.Errorf("%strial %d: %+v, alone %v", more, i, tried, losses[tried.Settings])
			}
		}
		if trained.events != 6*16 || trained.last != 6*16 || trained.total != 6*16 {
			t.Errorf("%sprogress %+v, expected all 96 steps", more, trained)
		}
		// the same again, and the chosen training written out: nothing is trained
		trained = stepsTrained{}
		again := mustWork(t, h, plan, Options{Sink: trained.sink("kd")})
		sameFigures(t, again.Board, out.Board, 1)
		if curvesOf(again.Board) != curvesOf(out.Board) || !strings.Contains(curvesOf(out.Board), "kd.validation:") {
			t.Errorf("%scurves of a search that is found:\n%sexpected\n%s", more, curvesOf(again.Board), curvesOf(out.Board))
		}
		chosenKeys := strings.ReplaceAll(strings.ReplaceAll(chosen, "=", ": "), " ce", ", ce")
		plain := mustWork(t, h, parse(t, fmt.Sprintf(tuned, model, more+chosenKeys), scenario.Options{}), Options{Sink: trained.sink("kd")})
		if trained.events != 0 || !bytes.Equal(weightsOf(t, h, plain.Board, "kd"), want) {
			t.Errorf("%sthe chosen training written out trains %d steps, expected 0 and the same weights", more, trained.events)
		}
		for _, b := range []*lab.Board{out.Board, again.Board} {
			if speed, ok := b.Snapshot().Rows[1].Metric("train_tokens_per_s"); !ok || !(speed.Value > 0) {
				t.Errorf("%sno speed of the best training", more)
			}
			if got := b.Snapshot().Rows[1].Chosen; len(got) != 1 || got[0].Settings != chosen || got[0].Seed != 1 {
				t.Errorf("%sthe row says that %v was chosen, expected %s", more, got, chosen)
			}
			notes := notesOf(b)
			if !strings.Contains(notes, "kd: chosen "+chosen+", by the validation loss over 4 examples of 6 trials (grid): "+chosen) {
				t.Errorf("%snotes\n%s", more, notes)
			}
		}
	}
}

func notesOf(b *lab.Board) string {
	var lines []string
	for _, n := range b.Snapshot().Notes {
		lines = append(lines, n.Level.String()+": "+n.Text)
	}
	return strings.Join(lines, "\n")
}

// TestSearchFindsPlainTrainings: a trial that a plain step has trained is not trained again, unless
// its validation loss is over other examples, or it had none.
func TestSearchFindsPlainTrainings(t *testing.T) {
	model := fixedModel(t)
	for _, c := range []struct {
		plain, set string
		steps      int // that the search trains
	}{
		{"every: 1, ", "", 16},
		{"every: 1, ", "evaluate.validation=5", 32},
		{"", "", 32},
	} {
		h := newHome(t)
		mustWork(t, h, parse(t, fmt.Sprintf(tuned, model, c.plain+"learning_rate: 0.01"), scenario.Options{}), Options{})
		var set []string
		if c.set != "" {
			set = []string{c.set}
		}
		var trained stepsTrained
		plan := parse(t, fmt.Sprintf(tuned, model, c.plain+`search: { over: "learning_rate=0.01,0.02" }`), scenario.Options{Set: set})
		out := mustWork(t, h, plan, Options{Sink: trained.sink("kd")})
		other := newHome(t)
		want := tableOf(t, other, mustWork(t, other, plan, Options{}).Board, "kd")
		for i, tried := range tableOf(t, h, out.Board, "kd").Trials {
			if tried.Settings != want.Trials[i].Settings || tried.Validation != want.Trials[i].Validation {
				t.Errorf("%q, %q: %+v, expected %+v", c.plain, c.set, tried, want.Trials[i])
			}
		}
		if trained.events != c.steps || trained.last != trained.total {
			t.Errorf("%q, %q: %+v, expected %d steps", c.plain, c.set, trained, c.steps)
		}
	}
}

// TestHalving: four trials cost two trainings, the best of the last rung goes on, and the result is
// the plain training of the winner, bit for bit. Nothing is left of the others.
func TestHalving(t *testing.T) {
	model := fixedModel(t)
	for _, more := range []string{"", "keep_best: true, every: 2, "} {
		rates := []string{"0.03", "0.01", "0.003", "0.001"}
		// the oracle: whole trainings, and what halving sees of them
		curve := map[string][]lab.Point{}
		weights := map[string][]byte{}
		for _, rate := range rates {
			h := newHome(t)
			keys := more + "learning_rate: " + rate
			if more == "" {
				keys = "every: 1, " + keys
			}
			out := mustWork(t, h, parse(t, fmt.Sprintf(tuned, model, keys), scenario.Options{}), Options{})
			curve[rate], weights[rate] = out.Board.Snapshot().Cells[0].Find("kd.validation").Points(), weightsOf(t, h, out.Board, "kd")
		}
		score := func(rate string, until int) float64 {
			found := math.Inf(1)
			for _, p := range curve[rate] {
				if p.Step <= until && (more == "" || p.Value < found) {
					found = p.Value
				}
			}
			return found
		}
		left := slices.Clone(rates)
		for _, until := range []int{4, 8} {
			slices.SortStableFunc(left, func(a, b string) int {
				if score(a, until) < score(b, until) {
					return -1
				}
				return 1
			})
			left = left[:len(left)/2]
		}
		h := newHome(t)
		var trained stepsTrained
		plan := parse(t, fmt.Sprintf(tuned, model, more+`search: { method: halving, over: "learning_rate=3e-2,1e-2,3e-3,1e-3" }`), scenario.Options{})
		out := mustWork(t, h, plan, Options{Sink: trained.sink("kd")})
		table := tableOf(t, h, out.Board, "kd")
		if table.Trials[0].Settings != "learning_rate="+left[0] || !bytes.Equal(weightsOf(t, h, out.Board, "kd"), weights[left[0]]) {
			t.Errorf("%sthe choice is %+v, expected %s and its weights", more, table.Trials[0], left[0])
		}
		if trained.events != 2*16 || trained.last != 2*16 || trained.total != 2*16 {
			t.Errorf("%sprogress %+v, expected 32 steps", more, trained)
		}
		// all anew: also what an earlier part of the same run has trained is found
		trained = stepsTrained{}
		fresh := mustWork(t, h, plan, Options{Fresh: true, Sink: trained.sink("kd")})
		if trained.events != 2*16 || !bytes.Equal(weightsOf(t, h, fresh.Board, "kd"), weights[left[0]]) {
			t.Errorf("%sa fresh run trains %d steps, expected 32, to the same weights", more, trained.events)
		}
		var steps []int
		for _, tried := range table.Trials {
			steps = append(steps, tried.Steps)
		}
		if want := []int{16, 8, 4, 4}; !slices.Equal(steps, want) {
			t.Errorf("%sthe trials were compared after %v steps, expected %v", more, steps, want)
		}
		if dir := stateOf(t, h); dir != "" {
			t.Errorf("%sa state is left: %s", more, dir)
		}
	}
}

// TestRanking: the lowest loss is first, of equal ones the first trial; what diverged or was not
// trained is last. Where trainings are of different lengths, those that came further are first.
func TestRanking(t *testing.T) {
	of := func(number, rung int, loss float64, diverged string) *trial {
		return &trial{
			number: number, rung: rung, diverged: diverged, training: &training{keys: &Training{}},
			curves: []keptCurve{{Name: "validation", Steps: []int{8}, Values: []curveValue{curveValue(loss)}}},
		}
	}
	trials := []*trial{of(1, 8, 1, "by NaN"), of(2, 0, 1, ""), of(3, 16, 2, ""), of(4, 8, 1.5, ""), of(5, 8, 1.5, ""), of(6, 8, 3, "")}
	for further, want := range map[bool]string{false: "453612", true: "345612"} {
		got := ""
		for _, trial := range ranking(trials, further) {
			got += fmt.Sprint(trial.number)
		}
		if got != want {
			t.Errorf("further first %t: order %s, expected %s", further, got, want)
		}
	}
}

// TestHalvingCost: with a power of two of trials, halving costs 1 + log2(n)/2 trainings.
func TestHalvingCost(t *testing.T) {
	for _, c := range []struct{ trials, steps, want int }{
		{1, 64, 64}, {2, 64, 64 + 32}, {4, 64, 128}, {8, 64, 160}, {16, 64, 192}, {3, 64, 48 + 32 + 32}, {4, 5, 4*2 + 2*1 + 2},
	} {
		if got := halvingCost(c.trials, c.steps); got != c.want {
			t.Errorf("%d trials of %d steps cost %d, expected %d", c.trials, c.steps, got, c.want)
		}
	}
}

// TestStoppedSearchGoesOn: a search that is stopped goes on with what its trials have trained, and
// ends with the weights and the table of one that was not.
func TestStoppedSearchGoesOn(t *testing.T) {
	model := fixedModel(t)
	for _, method := range []string{"grid", "halving"} {
		plan := parse(t, fmt.Sprintf(tuned, model, `search: { method: `+method+`, over: "learning_rate=1,3e-2,1e-2,3e-3" }`), scenario.Options{})
		whole := newHome(t)
		want := mustWork(t, whole, plan, Options{})
		comparable := func(h *home.Home, b *lab.Board) string {
			table := tableOf(t, h, b, "kd")
			for i := range table.Trials {
				table.Trials[i].Seconds = 0
			}
			text, err := json.Marshal(table)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		var all stepsTrained
		h := newHome(t)
		stops := 0
		// a stop every few steps: in each rung, and again in what went on
		for done := false; !done; stops++ {
			if stops > 40 {
				t.Fatal("the search does not come to its end")
			}
			seen := 0
			out, err := workUntil(t, h, plan, Options{Now: hasty(), Sink: all.sink("kd")}, func(e lab.Event) bool {
				if e.Kind == lab.KindCell && e.Stage == "kd" && e.Total > 0 {
					seen++
				}
				return seen == 5
			})
			if done = err == nil; done {
				if got, want := comparable(h, out.Board), comparable(whole, want.Board); got != want {
					t.Errorf("%s: the table is\n%s\nexpected\n%s", method, got, want)
				}
				if !bytes.Equal(weightsOf(t, h, out.Board, "kd"), weightsOf(t, whole, want.Board, "kd")) {
					t.Errorf("%s: a search in %d parts has other weights", method, stops+1)
				}
				if curvesOf(out.Board) != curvesOf(want.Board) {
					t.Errorf("%s: a search in parts has other curves", method)
				}
			}
		}
		if dir := stateOf(t, h); dir != "" {
			t.Errorf("%s: a state is left: %s", method, dir)
		}
		if stops < 4 {
			t.Errorf("%s: stopped %d times, expected several", method, stops)
		}
	}
}

// unsteadyModel writes a model whose logits are just below the largest float32: large steps make
// them overflow, and small ones do not.
func unsteadyModel(t *testing.T) string {
	t.Helper()
	fixed, folder := fixedModel(t), t.TempDir()
	tok, err := newHome(t).Tokenizer(fixed)
	if err != nil {
		t.Fatal(err)
	}
	m := readModel(t, fixed).Clone()
	for i := range m.FinalNorm {
		m.FinalNorm[i] *= 2e36
	}
	if err := checkpoint.Save(t.Context(), folder, m, tok, checkpoint.SaveOptions{DType: checkpoint.BF16}); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestDivergedTrials are said with their step, are worst, and do not end the step; where all
// diverge, the error lists them. A trial that diverged is not tried again by the next run.
func TestDivergedTrials(t *testing.T) {
	const text = `
name: unsteady
task: { kind: recsys, members: 6, candidates: 1 }
models: { unsteady: { load: %q } }
pipeline:
  - baseline: { name: base, model: unsteady }
  - train: { name: sft, steps: 20, batch: 2, min_learning_rate: 1, search: { method: %s, over: "learning_rate=%s" } }
evaluate: { validation: 4, tokens: 0 }
columns: [bytes]
`
	model := unsteadyModel(t)
	for _, method := range []string{"grid", "halving"} {
		h := newHome(t)
		plan := parse(t, fmt.Sprintf(text, model, method, "1,0.9,1e-3,1e-4"), scenario.Options{})
		// stopped after the first two have diverged
		_, err := workUntil(t, h, plan, Options{}, func(e lab.Event) bool { return e.Kind == lab.KindCell && strings.Contains(e.Text, "trial 3 of 4") })
		if err == nil {
			t.Fatal("the run was not stopped")
		}
		again := 0
		out := mustWork(t, h, plan, Options{Sink: func(e lab.Event) {
			if strings.Contains(e.Text, "trial 1 of 4") || strings.Contains(e.Text, "trial 2 of 4") {
				again++
			}
		}})
		if again > 0 {
			t.Errorf("%s: what diverged is tried again: %d steps", method, again)
		}
		table := tableOf(t, h, out.Board, "sft")
		var order []string
		for _, tried := range table.Trials {
			order = append(order, tried.Settings+" "+tried.State)
		}
		if !strings.HasPrefix(order[0], "learning_rate=0.001 trained") && !strings.HasPrefix(order[0], "learning_rate=0.0001 trained") ||
			!slices.Equal(order[2:], []string{"learning_rate=1 diverged", "learning_rate=0.9 diverged"}) {
			t.Errorf("%s: trials %q", method, order)
		}
		notes := notesOf(out.Board)
		for _, want := range []string{"learning_rate=1 diverged after ", "warning: sft: trial 1, learning_rate=1: step ", "of 20: training diverged: "} {
			if !strings.Contains(notes, want) {
				t.Errorf("%s: notes lack %q:\n%s", method, want, notes)
			}
		}
		_, err = work(t, newHome(t), parse(t, fmt.Sprintf(text, model, method, "1,0.9"), scenario.Options{}), Options{})
		if err == nil || !strings.Contains(err.Error(), "search: all 2 trials diverged") || !strings.Contains(err.Error(), "learning_rate=1: step ") || !strings.Contains(err.Error(), "learning_rate=0.9: step ") {
			t.Errorf("%s: error %v, expected one that lists both trials", method, err)
		}
	}
}

// settingsOf are those of the trials that a plan would make of a step.
func settingsOf(t *testing.T, h *home.Home, plan *scenario.Plan, cell, step int) []string {
	t.Helper()
	w := &worker{run: &Run{home: h, plan: plan, Board: lab.NewBoard(), options: Options{Now: clock()}, readOnly: true}, cell: &plan.Cells[cell]}
	defer w.run.letGo()
	if _, err := w.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := plan.Cells[cell].Point.Steps[step]
	work := s.Work.(trainingWork)
	base, err := work.training(t.Context(), w, s)
	if err != nil {
		t.Fatal(err)
	}
	x, err := w.search(t.Context(), s, work, base)
	if err != nil {
		t.Fatal(err)
	}
	var settings []string
	for _, trial := range x.trials {
		settings = append(settings, trial.settings)
	}
	return settings
}

// TestRandomIsAFunctionOfTheSeed: the same seed draws the same combinations, each once, for train
// and distil alike; another seed draws others. Numbers lie in their ranges and have three digits.
func TestRandomIsAFunctionOfTheSeed(t *testing.T) {
	h, model := newHome(t), fixedModel(t)
	over := `search: { method: random, trials: 40, over: "learning_rate=1.005e-4..1e-2; batch=2..5; weight_decay=0..0.5" }`
	plan := parse(t, fmt.Sprintf(tuned, model, over), scenario.Options{Seeds: 2})
	first := settingsOf(t, h, plan, 0, 1)
	if again := settingsOf(t, h, plan, 0, 1); !slices.Equal(first, again) {
		t.Errorf("seed 1 draws\n%q, then\n%q", first, again)
	}
	if other := settingsOf(t, h, plan, 1, 1); slices.Equal(first, other) {
		t.Error("seeds 1 and 2 draw the same")
	}
	labels := strings.Replace(fmt.Sprintf(tuned, model, over), "- distil: { name: kd, into: small, teacher: fixed,", "- train: { name: kd, into: small,", 1)
	if sft := settingsOf(t, h, parse(t, labels, scenario.Options{}), 0, 1); !slices.Equal(first, sft) {
		t.Errorf("distil draws\n%q, train\n%q", first, sft)
	}
	seen, batches, below := map[string]bool{}, map[float64]int{}, 0
	for _, settings := range first {
		if seen[settings] {
			t.Errorf("%s is drawn twice", settings)
		}
		seen[settings] = true
		var rate, batch, decay float64
		if _, err := fmt.Sscanf(settings, "learning_rate=%g batch=%g weight_decay=%g", &rate, &batch, &decay); err != nil {
			t.Fatal(err)
		}
		if rate < 1.005e-4 || rate > 1e-2 || batch != math.Trunc(batch) || batch < 2 || batch > 5 || decay < 0 || decay > 0.5 || len(fmt.Sprintf("%.2e", rate)) != 8 {
			t.Errorf("drawn: %s", settings)
		}
		batches[batch]++
		if rate < 1e-3 {
			below++
		}
	}
	// half of a range that is even in its logarithm: 20 of 40, with a deviation of 3.2
	if len(batches) != 4 || below < 7 || below > 33 {
		t.Errorf("40 draws: batches %v, %d learning rates below 1e-3", batches, below)
	}
	// as many as there are leave nothing to chance
	few := parse(t, fmt.Sprintf(tuned, model, `search: { method: random, trials: 4, over: "ce=0,0.1; batch=2,4" }`), scenario.Options{})
	if got, want := settingsOf(t, h, few, 0, 1), []string{"ce=0 batch=2", "ce=0 batch=4", "ce=0.1 batch=2", "ce=0.1 batch=4"}; !slices.Equal(got, want) {
		t.Errorf("drawn %q, expected %q", got, want)
	}
}

// TestBudgets: what does not fit into the steps is left out before it starts, which a check says;
// after the time is spent no trial begins, and a note says what that does to the choice.
func TestBudgets(t *testing.T) {
	h, model := newHome(t), fixedModel(t)
	for _, c := range []struct {
		search string
		left   []string
		trials int
		notes  string
	}{
		{`steps: 40, over: "learning_rate=0.01,0.02,0.03"`, []string{"learning_rate=0.01", "learning_rate=0.02"}, 2, "kd: the search leaves out 1 of 3 trials, which do not fit into its 40 steps: learning_rate=0.03"},
		{`steps: 31, method: halving, over: "learning_rate=0.01,0.02,0.03,0.04"`, []string{"learning_rate=0.01", "learning_rate=0.02", "learning_rate=0.03"}, 3, "leaves out 1 of 4 trials"},
		{`steps: 40, over: "steps=30,16,10"`, []string{"steps=30", "steps=10"}, 2, "leaves out 1 of 3 trials, which do not fit into its 40 steps: steps=16"},
		{`steps: 32, over: "ce=0,0.1"`, []string{"ce=0", "ce=0.1"}, 2, ""},
	} {
		plan := parse(t, fmt.Sprintf(tuned, model, "search: { "+c.search+" }"), scenario.Options{})
		if got := settingsOf(t, h, plan, 0, 1); !slices.Equal(got, c.left) {
			t.Errorf("%s: trials %q, expected %q", c.search, got, c.left)
		}
		cells, notes, err := Check(t.Context(), h, plan)
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		for _, n := range notes {
			said += n.Text + "\n"
		}
		if !strings.Contains(said, c.notes) || c.notes == "" && strings.Contains(said, "leaves out") || cells[0].Steps[1].Trials != c.trials || cells[0].Steps[1].State != "to build" {
			t.Errorf("%s: a check says %+v and\n%s", c.search, cells[0].Steps[1], said)
		}
	}
	for search, want := range map[string]string{ // which of one trial would be none
		`steps: 23, method: halving, over: "ce=0,0.1,0.2"`: "search.steps is 23, into which ce=0 fits and no other trial: there is nothing to choose, expected at least the 24 that two of them take, or no search",
		`steps: 31, over: "ce=0,0.1"`:                      "expected at least the 32 that two of them take",
		`steps: 12, over: "steps=30,10,16"`:                "search.steps is 12, into which steps=10 fits and no other trial: there is nothing to choose, expected at least the 26 that two of them take",
	} {
		_, _, err := Check(t.Context(), h, parse(t, fmt.Sprintf(tuned, model, "search: { "+search+" }"), scenario.Options{}))
		if err == nil || !strings.HasPrefix(err.Error(), "test.yaml:9:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", search, err, want)
		}
	}
	for method, want := range map[string][]string{
		// the first rung has one trial, which the spent time leaves alone
		"halving": {"learning_rate=0.01 trained", "learning_rate=0.02 left out", "learning_rate=0.03 left out"},
		"grid":    {"learning_rate=0.01 trained", "learning_rate=0.02 left out", "learning_rate=0.03 left out"},
	} {
		h := newHome(t)
		out := mustWork(t, h, parse(t, fmt.Sprintf(tuned, model, `search: { seconds: 1e-9, method: `+method+`, over: "learning_rate=0.01,0.02,0.03" }`), scenario.Options{}), Options{})
		var got []string
		for _, tried := range tableOf(t, h, out.Board, "kd").Trials {
			got = append(got, tried.Settings+" "+tried.State)
		}
		if notes := notesOf(out.Board); !slices.Equal(got, want) || !strings.Contains(notes, "warning: kd: the choice depends on the machine: search.seconds of 1e-09 was spent, 2 of 3 trials were not ") {
			t.Errorf("%s: %q, expected %q; notes\n%s", method, got, want, notes)
		}
	}
}

// TestEdges: a choice at the edge of what was tried is said, unless the key can have nothing
// beyond.
func TestEdges(t *testing.T) {
	number := func(key string) scenario.Number {
		all := scenario.Numbers(&Distil{})
		return all[slices.IndexFunc(all, func(n scenario.Number) bool { return n.Key == key })]
	}
	for _, c := range []struct {
		key         string
		best, other float64
		want        string
	}{
		{"learning_rate", 4e-3, 1e-3, "learning_rate 0.004 is the largest that was tried"},
		{"learning_rate", 1e-3, 4e-3, "learning_rate 0.001 is the smallest that was tried"},
		{"learning_rate", 2e-3, 2e-3, ""},
		{"ce", 0, 0.1, ""}, // no share is smaller
		{"ce", 0.1, 0.2, "ce 0.1 is the smallest that was tried"},
		{"samples.temperature", 2, 1, "samples.temperature 2 is the largest that was tried"},
	} {
		x := &search{axes: []axis{{Number: number(c.key)}}}
		x.trials = []*trial{{values: []float64{c.other}, rung: 1}, {values: []float64{c.best}, rung: 1}, {values: []float64{99}}} // the last was left out
		x.best = x.trials[1]
		if got := strings.Join(x.edges(), "; "); got != c.want {
			t.Errorf("%s=%v beside %v: %q, expected %q", c.key, c.best, c.other, got, c.want)
		}
	}
	model := fixedModel(t)
	out := mustWork(t, newHome(t), parse(t, fmt.Sprintf(tuned, model, `search: { over: "learning_rate=1e-6,1e-2" }`), scenario.Options{}), Options{})
	if notes := notesOf(out.Board); !strings.Contains(notes, "warning: kd: learning_rate 0.01 is the largest that was tried") {
		t.Errorf("notes\n%s", notes)
	}
}

// TestSearchesThatCannotBe are refused with the place of their key and what would do.
func TestSearchesThatCannotBe(t *testing.T) {
	for search, want := range map[string]string{
		`over: "learning_rat=1e-3,2e-3"`:                                   `test.yaml:9:91: step kd's search.over has an unknown key "learning_rat": expected one of sequence, steps, batch, learning_rate`,
		`over: "learning_rate 1e-3"`:                                       `search.over has "learning_rate 1e-3", expected key=values`,
		`over: "ce=0,0.1;"`:                                                `search.over has "", expected key=values`,
		`over: "ce=0,0.1; ce=0.2,0.3"`:                                     "search.over has ce twice",
		`over: "ce=0,0.1,1e-1"`:                                            "search.over has the value 0.1 of ce twice",
		`over: "ce=0,2"`:                                                   "search.over has a value of ce that is 2, expected at least 0 and at most 1",
		`over: "learning_rate=0,1e-3"`:                                     "search.over has a value of learning_rate that is 0, expected above 0 and at most 1",
		`over: "batch=2,2.5"`:                                              "search.over has a value of batch that is 2.5, expected a whole number",
		`over: "batch=2,0x10"`:                                             `search.over has the value "0x10" of batch, expected a number`,
		`over: "ce=0,nan"`:                                                 `search.over has the value "nan" of ce, expected a number`,
		`over: "ce=0,"`:                                                    `search.over has the value "" of ce, expected a number`,
		`over: "loss=fkl,rkl"`:                                             "search.over has loss, which is no number of the training",
		`over: "keep_best=true,false"`:                                     "search.over has keep_best, which is no number of the training",
		`over: "search.trials=1,2"`:                                        "search.over has search.trials, which is no number of the training",
		`over: "every=1,2"`:                                                "search.over has every, which says when the validation loss is taken",
		`over: "seed=1,2"`:                                                 "search.over has seed, which is the chance that settings are compared by",
		`over: "ce=0.1"`:                                                   "step kd's search tries one combination, expected at least 2",
		`over: "ce=0..1"`:                                                  "search.over has a range of ce, and method is grid, expected values such as ce=0,1, or method: random",
		`over: "ce=1..0", method: random, trials: 3`:                       "search.over has the range 1..0 of ce, expected the lower end first",
		`over: "ce=0,0.1", trials: 2`:                                      "search.trials is 2, and method is grid",
		`over: "ce=0,0.1", method: random`:                                 "search.trials is 0, expected how many combinations are drawn",
		`over: "ce=0..1", method: halving`:                                 "search.trials is 0, expected how many combinations are drawn",
		`over: "ce=0,0.1", method: random, trials: 3`:                      "search.trials is 3, and over has 2 combinations",
		`over: "batch=2..4", method: random, trials: 4`:                    "search.trials is 4, and over has 3 combinations",
		`over: "ce=0,0.1", method: random, trials: 1`:                      "search tries one combination",
		`over: "ce=0..1", method: halving, trials: 64`:                     "search.method is halving, which parts the 16 steps of 64 trials into 7",
		`over: "ce=0,0.1", method: bayes`:                                  `search's method is "bayes"`,
		`over: "ce=0,0.1", steps: 9`:                                       "search.steps is 9, expected at least the 16 of one training",
		`over: "ce=0,0.1", seconds: -1`:                                    "search's seconds is -1, expected at least 0",
		`over: "steps=8,16", method: halving`:                              "search.over has steps, of which halving trains parts",
		`over: "warmup=0,17"`:                                              "search.over has warmup=17, of which warmup is 17, expected at most the 16 steps",
		`over: "warmup=0..17", method: random, trials: 2`:                  "search.over has warmup=17, of which warmup is 17",
		`over: "decay=0,0.5"`:                                              "search.over has decay=0.5, of which decay is 0.5, and schedule is cosine",
		`over: "samples.top_k=0,5"`:                                        "search.over has samples.top_k, and the step has no samples: expected samples with a fraction",
		`method: random`:                                                   "step kd's search has no over",
		`over: "ce=0,0.1", trails: 2`:                                      `unknown key of step kd's search "trails"`,
		`over: "learning_rate=` + values(101) + `; ce=` + values(11) + `"`: "search.over has 1111 combinations, expected at most 1000",
	} {
		_, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(tuned, "pretrained:recsys-fm", "search: { "+search+" }")), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "test.yaml:9:") {
			t.Errorf("%s: error %v, expected %q", search, err, want)
		}
	}
	late := `every: 5, search: { method: halving, over: "ce=0,0.1,0.2,0.3" }`
	if _, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(tuned, "pretrained:recsys-fm", late)), scenario.Options{Vocabulary: Vocabulary()}); err == nil ||
		!strings.Contains(err.Error(), "search.method is halving, which with 4 trials first drops some after step 4, before the first evaluation of the validation loss after step 5: expected every: 4 or less, or fewer trials") {
		t.Errorf("an evaluation after the first rung: error %v", err)
	}
	// only a plan knows what is drawn
	over := "learning_rate=0.1..0.2; warmup=0,4,8,12,16; batch=" + values(15) + "; clip=" + values(15)
	drawn := parse(t, strings.Replace(fmt.Sprintf(tuned, "pretrained:recsys-fm", `schedule: wsd, search: { method: random, trials: 3, over: "`+over+`" }`), "steps: 16", "steps: 15", 1), scenario.Options{Seeds: 9})
	if _, _, err := Check(t.Context(), newHome(t), drawn); err == nil || !strings.HasPrefix(err.Error(), "test.yaml:9:") || !strings.Contains(err.Error(), "of which warmup is 16, expected at most the 15 steps") {
		t.Errorf("what was drawn: error %v", err)
	}
}

// values writes so many different numbers that a key from 0 to 1 can have.
func values(n int) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprint(i + 1)
	}
	if n > 50 || n == 11 {
		for i := range texts {
			texts[i] = fmt.Sprint(float64(i+1) / 1000)
		}
	}
	return strings.Join(texts, ",")
}

// TestSearchChangesKeys: a search is another artifact when what it tries changes, or what it is
// measured on, and not when its numbers are written in another way, or a setting changes that it
// replaces.
func TestSearchChangesKeys(t *testing.T) {
	h, path := newHome(t), sums(t)
	key := func(keys, set string) string {
		t.Helper()
		o := scenario.Options{}
		if set != "" {
			o.Set = []string{set}
		}
		plan := parse(t, strings.Replace(fmt.Sprintf(onPolicy, path, "samples: { fraction: 1, top_k: 9 }, "+keys), "steps: 6, batch: 4, learning_rate: 1e-3", "steps: 6, batch: 4", 1), o)
		w := &worker{run: &Run{home: h, plan: plan, Board: lab.NewBoard(), options: Options{Now: clock()}, readOnly: true}, cell: &plan.Cells[0]}
		defer w.run.letGo()
		jobs, err := w.plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return jobs[2].model.key
	}
	first := key(`search: { over: "learning_rate=1e-3,2e-3; samples.top_k=0,5" }`, "")
	for _, c := range []struct {
		keys, set string
		same      bool
	}{
		{`search: { over: " learning_rate = 0.001, 2.0e-3 ;samples.top_k=0,5" }`, "", true},
		{`learning_rate: 0.5, search: { over: "learning_rate=1e-3,2e-3; samples.top_k=0,5" }`, "", true},
		{`search: { over: "learning_rate=2e-3,1e-3; samples.top_k=0,5" }`, "", false}, // ties go to the first
		{`search: { over: "learning_rate=1e-3,2e-3" }`, "", false},
		{`search: { method: halving, over: "learning_rate=1e-3,2e-3; samples.top_k=0,5" }`, "", false},
		{`search: { seconds: 5, over: "learning_rate=1e-3,2e-3; samples.top_k=0,5" }`, "", false},
		{"", "two.samples.top_k=8", true},
		{"", "two.samples.fraction=0.5", false},
		{`keep_best: true, search: { over: "learning_rate=1e-3,2e-3; samples.top_k=0,5" }`, "", false},
		{`search: { over: "learning_rate=1e-3,2e-3; samples.top_k=0,5" }`, "evaluate.validation=5", false},
	} {
		if c.keys == "" {
			c.keys = `search: { over: "learning_rate=1e-3,2e-3; samples.top_k=0,5" }`
		}
		if got := key(c.keys, c.set); (got == first) != c.same {
			t.Errorf("%s %s: the same key: %v, expected %v", c.keys, c.set, got == first, c.same)
		}
	}
}

// TestSearchWithACache: the trials of a search read one file of the teacher's distributions, and
// come to what they come to with the teacher in memory.
func TestSearchWithACache(t *testing.T) {
	model := fixedModel(t)
	const search = `search: { over: "learning_rate=1e-3,4e-3", method: %s }`
	for _, method := range []string{grid, halving} {
		h := newHome(t)
		keys := fmt.Sprintf("every: 4, "+search, method)
		near := mustWork(t, h, parse(t, fmt.Sprintf(tuned, model, keys), scenario.Options{}), Options{})
		far := mustWork(t, h, parse(t, fmt.Sprintf(tuned, model, "cache: exact, "+keys), scenario.Options{}), Options{})
		if !bytes.Equal(weightsOf(t, h, far.Board, "kd"), weightsOf(t, h, near.Board, "kd")) {
			t.Errorf("%s: the student of a file is another", method)
		}
		if files := cacheDirs(t, h); len(files) != 1 {
			t.Errorf("%s: %d files of the teacher's distributions, expected 1", method, len(files))
		}
	}
}

// TestSearchedSettings: the settings of a scenario have what a search goes over in place of values
// that no training uses, and all others as without it.
func TestSearchedSettings(t *testing.T) {
	of := func(settings string) map[string]string {
		plan := parse(t, fmt.Sprintf(tuned, "pretrained:recsys-fm", settings), scenario.Options{})
		values := map[string]string{}
		for _, one := range plan.Scenario.Resolved() {
			values[one.Key] = one.Value
		}
		return values
	}
	plain, searched := of("ce: 0.2"), of(`ce: 0.2, search: { over: "learning_rate = 1e-3, 2e-3; clip=0.5..2", method: random, trials: 3 }`)
	want := map[string]string{"kd.learning_rate": "searched: 1e-3,2e-3", "kd.clip": "searched: 0.5..2"}
	for key, value := range plain {
		if of, is := want[key]; is && searched[key] != of || !is && !strings.HasPrefix(key, "kd.search.") && searched[key] != value {
			t.Errorf("%s is %q with a search, %q without, expected %q", key, searched[key], value, of)
		}
	}
	if plain["kd.learning_rate"] == "" || plain["kd.clip"] == "" || plain["kd.ce"] != "0.2" {
		t.Errorf("without a search: %v", plain)
	}
}
