package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/scenario"
)

// TestComparedByOneSeed: two runs of one seed at the size of the smallest scenario. A model that
// loses some points of AUC and of agreement is worse by the test set that both runs have
// in common, though the intervals of both overlap.
func TestComparedByOneSeed(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped in short mode: it takes 15 seconds of CPU")
	}
	const text = `
name: compared
task: { kind: recsys, members: 40, candidates: 2 }
models: { FM: { load: "pretrained:recsys-fm" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - prune:    { name: pruned, method: magnitude, %s }
evaluate: { validation: 16 }
columns: [params, auc, auc_soft, auc_soft_delta, agreement]
`
	h := newHome(t)
	cut := func(cuts string) *lab.View {
		return mustWork(t, h, parse(t, fmt.Sprintf(text, cuts), scenario.Options{}), Options{}).Board.Snapshot()
	}
	judged := map[string]report.Change{}
	for _, one := range report.Compare(cut("mlp: 0.1"), cut("mlp: 0.75, heads: 0.25")).Changes {
		judged[one.Row+" "+one.Metric.Key] = one
	}
	for _, key := range []string{"auc_soft", "auc_soft_delta", "agreement"} {
		one := judged["pruned "+key]
		t.Logf("%s: %.4f → %.4f [%.4f, %.4f] %s", key, one.Base.Value, one.New.Value, one.Low, one.High, one.Judgement)
		if one.Judgement != report.Worse || !strings.Contains(strings.Join(one.Warnings, "; "), "paired over the test's ") {
			t.Errorf("%s is %s: %+v", key, one.Judgement, one)
		}
	}
	if one := judged["pruned auc_soft"]; one.Base.Low > one.New.High {
		t.Errorf("the intervals of both runs are apart, which shows nothing: %+v", one)
	}
	if one := judged["FM auc"]; one.Judgement != report.Same {
		t.Errorf("what did not change is %s", one.Judgement)
	}
}
