package run

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// TestHiddenStates: the loss of hidden states is part of what is minimised, has a curve that falls,
// and gives another student for its layers; a training with it that was stopped goes on to the same
// figures.
func TestHiddenStates(t *testing.T) {
	path := sums(t)
	losses := map[string]string{}
	for _, keys := range []string{"hidden: 0.5", "hidden: { weight: 0.5, layers: even }", "hidden: 0.5, ce: 1", "ce: 0.99"} {
		text := strings.ReplaceAll(fmt.Sprintf(onPolicy, path, "loss: fkl, every: 2, "+keys), "layers: 1", "layers: 2")
		plan := parse(t, text, scenario.Options{})
		h := newHome(t)
		out := mustWork(t, h, plan, Options{})
		view := out.Board.Snapshot()
		loss, _ := view.Rows[2].Metric("loss")
		found := fmt.Sprint(loss.Value)
		for other, l := range losses {
			if l == found {
				t.Errorf("%s: the loss is that of %s", keys, other)
			}
		}
		losses[keys] = found
		hidden, divergence := view.Cells[0].Find("two.hidden"), view.Cells[0].Find("two.divergence")
		if (hidden != nil) != strings.Contains(keys, "hidden") || (divergence != nil) == strings.Contains(keys, "ce: 1") {
			t.Fatalf("%s: curves hidden %v, divergence %v", keys, hidden, divergence)
		}
		if hidden == nil {
			continue
		}
		points := hidden.Points()
		if n := len(points); n < 2 || !(points[n-1].Value < points[0].Value) || math.IsNaN(points[0].Value) {
			t.Errorf("%s: the distance of the states is %v", keys, points)
		}
		stopped := newHome(t)
		if _, err := workUntil(t, stopped, plan, Options{Now: hasty()}, func(e lab.Event) bool { return e.Kind == lab.KindCell && e.Stage == "two" && e.Step >= 3 }); err == nil {
			t.Fatal("the run was not stopped")
		}
		again := mustWork(t, stopped, plan, Options{})
		sameFigures(t, again.Board, out.Board, 1)
		if got := again.Board.Snapshot().Cells[0].Find("two.hidden").Points(); !slices.Equal(got, points) {
			t.Errorf("%s: the curve of a stopped training is %v, expected %v", keys, got, points)
		}
	}
}

// TestHiddenStatesThatCannotBe are refused when the scenario is loaded, with what would do.
func TestHiddenStatesThatCannotBe(t *testing.T) {
	path := sums(t)
	for keys, want := range map[string]string{
		"hidden: { layers: even }":        "hidden has no weight, expected one above 0",
		"hidden: -1":                      "hidden's weight is -1",
		"hidden: { layers: first }":       "expected one of",
		"hidden: 1, cache: exact":         "expected teacher without it, or no hidden",
		"hidden: { weight: 1, layer: 2 }": "layers",
	} {
		_, err := scenario.Parse("test.yaml", []byte(fmt.Sprintf(onPolicy, path, keys)), scenario.Options{Vocabulary: Vocabulary()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", keys, err, want)
		}
	}
}
