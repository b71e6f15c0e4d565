package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// A baseline that predicts no better than a guess is said once for all cells; the FM of the world
// is not doubted.
func TestBaselineThatGuesses(t *testing.T) {
	const text = `
name: guess
task: { kind: recsys, members: 6, candidates: 1 }
seeds: 2
models: { fixed: { load: %q } }
pipeline: [ baseline: { name: base, model: fixed } ]
evaluate: { validation: 4 }
columns: [loss]
`
	for load, expected := range map[string]int{fixedModel(t): 1, "pretrained:recsys-fm": 0} {
		r, err := Start(t.Context(), newHome(t), parse(t, fmt.Sprintf(text, load), scenario.Options{}), Options{Jobs: 2, Now: clock()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		said := 0
		for _, n := range r.Board.Snapshot().Notes {
			if n.Level == lab.Warning && strings.Contains(n.Text, "base: a loss of") {
				said++
			}
		}
		if said != expected {
			t.Errorf("%s: the doubt is said %d times, expected %d", load, said, expected)
		}
	}
}
