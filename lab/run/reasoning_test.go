package run

import (
	"math"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

// A scenario on chains trains and measures: the loss stands above the known floor, right answers
// and ends are shares over all test problems, and a repeated run finds the evaluation and has the
// same figures.
func TestReasoning(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	var first map[string]float64
	for range 2 {
		row := mustWork(t, h, parse(t, onChains, scenario.Options{}), Options{}).Board.Snapshot().Rows[0]
		got := map[string]float64{}
		for _, key := range []string{"loss", "loss_floor", "exact", "ended"} {
			series, ok := row.Metric(key)
			if !ok || math.IsNaN(series.Seeds[0].Value) {
				t.Fatalf("%s is missing", key)
			}
			m := series.Seeds[0]
			got[key] = m.Value
			if share := key == "exact" || key == "ended"; share && (m.N != 20 || m.Value < 0 || m.Value > 1 || !(m.Low < m.High)) {
				t.Errorf("%s is %+v, expected a share of 20 with its interval", key, m)
			}
		}
		if !(got["loss_floor"] > 0.1 && got["loss"] > got["loss_floor"]) {
			t.Errorf("loss %v and floor %v, expected the loss above it", got["loss"], got["loss_floor"])
		}
		if first == nil {
			first = got
		}
		for key, x := range got {
			if x != first[key] {
				t.Errorf("%s is %v, then %v", key, first[key], x)
			}
		}
	}
}

// Scenarios ask for figures of chains, and for a workload, only where there are some.
func TestFiguresOfReasoningAreOfReasoning(t *testing.T) {
	for text, want := range map[string]string{
		onWorld + "expect: [ exact(row=first) > 0 ]\n":           "expected task reasoning",
		onChains + "serve: { members: 3 }\n":                     "the workload is prompts",
		onChains + "expect: [ auc(row=first) > 0 ]\n":            "task reasoning ranks nothing",
		strings.Replace(onChains, "steps: 3 }", "steps: 9 }", 1): "steps",
	} {
		_, err := scenario.Parse("keys.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected an error with %q", err, want)
		}
	}
}
