package run

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
)

// cutsInWords prunes one model in all the words that a cut has.
const cutsInWords = `
name: cuts
task: { kind: recsys, members: 6, candidates: 1 }
models: { fixed: { load: %q } }
pipeline:
  - baseline: { name: base, model: fixed }
  - prune:    { name: share, from: fixed, mlp: 25%%, method: magnitude, calibration: { samples: 6 } }
  - prune:    { name: number, from: fixed, mlp: 16, method: magnitude-l2, calibration: { samples: 6 } }
  - prune:    { name: chosen, from: fixed, mlp: 50%%, widths: budget, align: 8, calibration: { samples: 6 } }
  - quantize: { name: packed, from: chosen, scheme: w4a16-rtn, group: 8 }
  - prune:    { name: budget, from: fixed, budget: 60%%, calibration: { samples: 6 } }
  - prune:    { name: short, from: fixed, layers: 50%%, calibration: { samples: 6 } }
  - prune:    { name: queries, from: fixed, query_heads: 50%%, starts: greedy, calibration: { samples: 6 } }
  - prune:    { name: gradients, from: fixed, mlp: 0.5, heads: 1, method: taylor-ls, calibration: { samples: 6 } }
evaluate: { validation: 4 }
columns: [bytes]
`

func TestCutsInWords(t *testing.T) {
	h := newHome(t)
	r, err := Start(t.Context(), h, parse(t, fmt.Sprintf(cutsInWords, fixedModel(t)), scenario.Options{}), Options{Jobs: 1, Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	of := func(title string) (model.Config, pruning.CutReport) {
		t.Helper()
		dirs := artifactDirs(t, h, func(of string) bool { return of == title })
		if len(dirs) != 1 {
			t.Fatalf("%d artifacts %q, expected 1", len(dirs), title)
		}
		c, err := checkpoint.Open(dirs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var report pruning.CutReport
		if strings.HasPrefix(title, "prune") && title != "prune short" {
			if err := readFacts(dirs[0], &report); err != nil {
				t.Fatal(err)
			}
		}
		return c.Config(), report
	}
	for title, want := range map[string][]model.LayerConfig{ // of 2 layers with 4 heads, 2 KV heads and 64 neurons
		"prune share":     model.Uniform(2, 4, 2, 48),
		"prune queries":   model.Uniform(2, 2, 2, 64),
		"prune short":     model.Uniform(1, 4, 2, 64),
		"prune gradients": model.Uniform(2, 2, 1, 32),
	} {
		if c, _ := of(title); !slices.Equal(c.Layers, want) {
			t.Errorf("%s: widths %+v, expected %+v", title, c.Layers, want)
		}
	}
	if n := len(artifactDirs(t, h, func(of string) bool { return of == "prune number" })); n != 1 {
		t.Errorf("%d artifacts of a number of neurons, whose method has the same units under another name", n)
	}
	for title, most := range map[string]int{"prune chosen": 2 * 32 * 96, "prune budget": 2 * 64 * 96 * 6 / 10} {
		c, report := of(title)
		kept := 0
		for _, l := range c.Layers {
			kept += l.MLP * 96
			if l.MLP%8 != 0 || l.Heads != 4 {
				t.Errorf("%s: widths %+v", title, l)
			}
		}
		if b := report.Budget; b == nil || b.Kept != kept || kept > most || b.Error > b.Uniform || len(b.Layers) != 2 {
			t.Errorf("%s: %d parameters stay of %d, %+v", title, kept, most, report.Budget)
		}
	}
	chosen, _ := of("prune chosen")
	if packed, _ := of("quantize packed"); !slices.Equal(packed.Layers, chosen.Layers) {
		t.Errorf("quantized widths %+v, pruned %+v", packed.Layers, chosen.Layers)
	}
	notes := ""
	for _, e := range r.Board.Snapshot().Notes {
		notes += e.Text + "\n"
	}
	for _, want := range []string{
		"share: align is auto: the neurons that stay are a multiple of 16", "chosen: the widths are chosen when the step is done", "chosen: greedy removal with least squares from the model as it was, which the widths are chosen by, has ",
		"short: layers ", "queries: osscar cut 50.0% of query heads",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note %q in\n%s", want, notes)
		}
	}
}

// Words that contradict each other, and budgets that no widths meet, are refused by the check.
func TestCutsThatCannotBe(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	for step, want := range map[string]string{
		"{ name: p, mlp: 1.5 }":                                   "step p's mlp is 1.5, expected a share below 1 such as 20% or 0.2, or a whole number",
		"{ name: p, mlp: 0.5, align: 0 }":                         "step p's align is 0, expected auto or a whole number from 1 to 4096",
		"{ name: p, budget: 120% }":                               "step p's budget is 120%, expected a share that stays",
		"{ name: p, budget: 0ms }":                                "step p's budget is 0ms, expected a share that stays",
		"{ name: p, budget: 5ms, mlp: 0.5 }":                      "step p's budget is 5ms: it stands beside a cut",
		"{ name: p, budget: 50%, budget_rows: 512 }":              "step p's budget_rows is 512, which is of a budget of time, and budget is 50%: leave budget_rows out",
		"{ name: p, mlp: 50%, budget_rows: 512 }":                 "step p's budget_rows is 512, which is of a budget of time, and there is none",
		"{ name: p, budget: 5ms, budget_rows: 0 }":                "step p's budget_rows is 0, expected at least 1",
		"{ name: p, budget: 5ms, align: 64 }":                     "step p's align is 64: no layer has more than 64 neurons",
		"{ name: p, budget: 50%, widths: uniform }":               "step p's budget is 50%, and widths is uniform: leave one of them out",
		"{ name: p, budget: 50%, mlp: 0.5 }":                      "step p's budget is 50%: it stands beside a cut, which says the budget too",
		"{ name: p, budget: 1% }":                                 "step p's budget is 1%: the budget is",
		"{ name: p, budget: 5GB }":                                "nothing would be removed, expected less than ",
		"{ name: p, query_heads: 1, widths: budget }":             "step p's query_heads is 1: widths by a budget",
		"{ name: p, heads: 1, query_heads: 1 }":                   "step p's query_heads is 1: it stands beside a cut of KV groups",
		"{ name: p, mlp: 50%, intercept: true, starts: nowhere }": `"nowhere"`,
		"{ name: p, layers: 1, mlp: 0.5 }":                        "step p's layers is 1, and whole layers are removed in a step of their own: leave mlp out",
		"{ name: p, layers: 1 }":                                  "step p's layers is 1: the model has one of its layers alone, which stays",
		"{ name: p, mlp_layers: 10%, align: 64 }":                 "step p's align is 64: the cut leaves 58 neurons of layer 0, which rounds up to all 64, expected a number such as 1, 2, 4",
		"{ name: p, layers: two }":                                "step p's layers is two, expected a share below 1",
		"{ name: p, widths: budget }":                             "step p removes nothing: give mlp, mlp_layers, heads, query_heads, budget or layers",
	} {
		text := fmt.Sprintf(shapes, 32, 2, 64, "  - prune: "+step)
		s, err := scenario.Parse("test.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil {
			_, _, err = Check(t.Context(), h, s.Plan())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got\n%v\nwant\n%s", step, err, want)
		}
	}
}
