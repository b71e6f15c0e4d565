package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
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
		mustWork(t, h, parse(t, fmt.Sprintf(tuned, model, c.plain+`search: { over: "learning_rate=0.01,0.02" }`), scenario.Options{Set: set}), Options{Sink: trained.sink("kd")})
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

// TestDivergedTrials are said and do not end the step; all of them do.
func TestDivergedTrials(t *testing.T) {
	model := fixedModel(t)
	for _, method := range []string{"grid", "halving"} {
		h := newHome(t)
		text := fmt.Sprintf(tuned, model, `clip: 0, search: { method: `+method+`, over: "learning_rate=%s; weight_decay=0,0.1" }`)
		text = strings.Replace(text, "steps: 16, ", "steps: 40, ", 1)
		_ = maps.Clone(map[string]int{})
		_ = h
		_ = text
	}
}
