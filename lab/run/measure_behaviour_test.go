package run

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
)

// TestTextIsJudgedByItsTokens: where answers are text, a decision is the likeliest token, so flips
// and agreement are the two parts of a whole, a flip may be from one wrong token to another, and
// perplexity is exp of the loss with the interval of its examples.
func TestTextIsJudgedByItsTokens(t *testing.T) {
	const text = `
name: judged
task: { kind: jsonl, path: %q, max_tokens: 48, validation: 0.25 }
tokenizer: { vocab: 280 }
models: { little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 32 } }
pipeline:
  - train: { name: whole, into: little, steps: 20, batch: 4, learning_rate: 1e-2 }
  - prune: { name: half, method: magnitude, mlp: 0.5 }
evaluate: { validation: 16 }
columns: [flips, perplexity]
`
	view := mustWork(t, newHome(t), parse(t, fmt.Sprintf(text, sums(t)), scenario.Options{}), Options{}).Board.Snapshot()
	row := view.Rows[1]
	of := func(key string) lab.SeedMeasure {
		s, ok := row.Metric(key)
		if !ok {
			t.Fatalf("%s is not measured", key)
		}
		return s.Seeds[0]
	}
	if flips, agreement := of("flips"), of("agreement"); flips.Value == 0 || math.Abs(flips.Value+agreement.Value-1) > 1e-12 || flips.N != of("loss").N {
		t.Errorf("%+v flips, %+v agree", flips, agreement)
	}
	if of("flips_lost").Value+of("flips_won").Value > of("flips").Value {
		t.Errorf("%v lost and %v won of %v", of("flips_lost").Value, of("flips_won").Value, of("flips").Value)
	}
	if p := of("perplexity"); math.Abs(p.Value-math.Exp(of("loss").Value)) > 1e-9 || !(p.Low < p.Value && p.Value < p.High) || p.Influence == nil {
		t.Errorf("perplexity %+v of a loss of %v", p, of("loss").Value)
	}
	if d := of("loss_delta"); !(d.Low < d.Value && d.Value < d.High) {
		t.Errorf("the difference of the losses has no interval: %+v", d)
	}
}

// TestNotAskedForNotMeasured: columns without a figure of behaviour cost no comparison of tokens.
func TestNotAskedForNotMeasured(t *testing.T) {
	for columns, want := range map[string]bool{"loss": false, "loss, kl": true, "mcnemar": true, "kl_p99": true, "agreement": true} {
		s := parse(t, strings.Replace(fmt.Sprintf(onRecords, sums(t)), "[loss]", "["+columns+"]", 1), scenario.Options{}).Scenario
		view := mustWork(t, newHome(t), s.Plan(), Options{}).Board.Snapshot()
		if _, ok := view.Rows[0].Metric("kl"); ok != want {
			t.Errorf("columns %s: KL is measured: %t, expected %t", columns, ok, want)
		}
	}
}

// TestWarningOfFlips: a row that keeps its accuracy and decides otherwise is warned of; one that
// loses accuracy, or flips little, is not.
func TestWarningOfFlips(t *testing.T) {
	for _, c := range []struct {
		name   string
		flips  float64
		values map[string]lab.Measure
		kept   *kept
		want   string
	}{
		{"AUC kept", 0.06, map[string]lab.Measure{"auc_soft_delta": {Value: -0.001, Low: -0.003, High: 0.001}}, nil, "AUC exp. is kept, and more than 5% of the decisions flip"},
		{"AUC better", 0.06, map[string]lab.Measure{"auc_delta": {Value: 0.01, Low: 0.001, High: 0.02}}, nil, "AUC is kept, and"},
		{"AUC lost", 0.06, map[string]lab.Measure{"auc_soft_delta": {Value: -0.01, Low: -0.02, High: -0.001}}, nil, ""},
		{"few flips", 0.05, map[string]lab.Measure{"auc_soft_delta": {Value: 0, Low: -0.003, High: 0.001}}, nil, ""},
		{"expected AUC goes first", 0.06, map[string]lab.Measure{"auc_soft_delta": {Value: -0.01, Low: -0.02, High: -0.001}, "auc_delta": {Value: 0, Low: -0.1, High: 0.1}, "loss_delta": {Value: 0, Low: -0.1, High: 0.1}}, nil, ""},
		{"loss kept", 0.06, map[string]lab.Measure{"loss_delta": {Value: 0.01, Low: -0.001, High: 0.02}}, nil, "val loss is kept, and"},
		{"loss worse", 0.06, map[string]lab.Measure{"loss_delta": {Value: 0.01, Low: 0.001, High: 0.02}}, nil, ""},
		{"no interval", 0.06, map[string]lab.Measure{"loss_delta": {Value: 0.01}}, nil, ""},
		{"answers kept", 0.06, nil, &kept{"exact", true}, "exact is kept, and"},
		{"answers lost", 0.06, map[string]lab.Measure{"loss_delta": {Value: 0.01, Low: -0.001, High: 0.02}}, &kept{"exact", false}, ""},
	} {
		row := &measured{values: c.values, kept: c.kept}
		if row.values == nil {
			row.values = map[string]lab.Measure{}
		}
		row.values["flips"] = lab.Measure{Value: c.flips}
		(&worker{}).judgeFlips(row)
		if got := row.values["flips"].Warning; (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, expected %q", c.name, got, c.want)
		}
	}
}

// TestFlipsOfReasoning: answers that are right or wrong are decisions, and whether accuracy is kept
// is judged by their paired difference.
func TestFlipsOfReasoning(t *testing.T) {
	verdicts := func(right, wrong int) (list []task.Verdict) {
		for i := range right + wrong {
			list = append(list, task.Verdict{Right: i < right})
		}
		return list
	}
	row := &measured{key: "row", values: map[string]lab.Measure{}, influence: map[string]lab.Influence{}, verdicts: verdicts(20, 80)}
	w := &worker{run: &Run{}, data: &dataset{}, base: &measured{key: "base", verdicts: verdicts(60, 40)}}
	if err := w.flips(row); err != nil {
		t.Fatal(err)
	}
	if v := row.values; v["flips"].Value != 0.4 || v["flips_lost"].Value != 0.4 || v["flips_won"].Value != 0 || v["mcnemar"].Value > 1e-9 || row.kept == nil || row.kept.is {
		t.Errorf("%+v, %+v", v, row.kept)
	}
	if of := row.influence["flips"]; of.Units != 100 || of.Unit != "problems" {
		t.Errorf("influence of %d %s", of.Units, of.Unit)
	}
}
