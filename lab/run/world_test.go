package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab/scenario"
)

const worlds = `
name: worlds
task: { kind: recsys, members: 6, candidates: 1, world: %d }
models: { fixed: { load: %q }, s: { layers: 1, hidden: 16, heads: 2, mlp: 24 } }
pipeline:
  - baseline: { name: known, model: fixed }
  - train: { name: base, into: s, steps: 2, batch: 2%s }
  - train: { name: tuned, from: base, steps: 2, batch: 2 }
columns: [auc]
`

// TestTrainedInAnotherWorld: a step that trains on another world has the model of a scenario of
// that world, and is measured in its own.
func TestTrainedInAnotherWorld(t *testing.T) {
	model := fixedModel(t)
	row := func(world int, key string) (base, test, tuned string) {
		view := mustWork(t, newHome(t), parse(t, fmt.Sprintf(worlds, world, model, key), scenario.Options{}), Options{}).Board.Snapshot()
		return view.Rows[1].Keys[0], view.Rows[1].Tests[0], view.Rows[2].Keys[0]
	}
	own, test, tunedOwn := row(1, "")
	other, otherTest, _ := row(7, "")
	base, measured, tuned := row(1, ", world: 7")
	if base != other || base == own || measured != test || test == otherTest {
		t.Errorf("base %s measured on %s; in world 7 %s on %s, in world 1 %s on %s", base, measured, other, otherTest, own, test)
	}
	if tuned == tunedOwn {
		t.Error("what is trained from the base does not depend on its world")
	}
	text := strings.Replace(fmt.Sprintf(worlds, 1, model, ", world: 7"), "{ kind: recsys, members: 6, candidates: 1, world: 1 }", fmt.Sprintf("{ kind: jsonl, path: %q }", sums(t)), 1)
	text = strings.Replace(text, "[auc]", "[loss]", 1)
	if _, _, err := Check(t.Context(), newHome(t), parse(t, text, scenario.Options{})); err == nil || !strings.Contains(err.Error(), "test.yaml:7:") || !strings.Contains(err.Error(), "step base's world is 7, and task jsonl has no worlds") {
		t.Errorf("a file's world: %v", err)
	}
}
