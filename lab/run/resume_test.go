package run

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
)

// hasty is a clock on which minutes pass between two steps of a training.
func hasty() func() time.Time {
	var looks atomic.Int64
	return func() time.Time { return time.Unix(1e9, 0).Add(time.Duration(looks.Add(1)) * 20 * time.Second) }
}

// stateOf is the folder of the one state of a training that a home has, "" without one.
func stateOf(t *testing.T, h *home.Home) string {
	t.Helper()
	found := ""
	for _, dir := range artifactDirs(t, h, func(title string) bool { return strings.HasPrefix(title, "state of the training") }) {
		if found != "" {
			t.Fatalf("there are two states of trainings: %s and %s", found, dir)
		}
		found = dir
	}
	return found
}

// TestTrainingGoesOn: a training that is stopped goes on at its last saved step in the next run,
// and its model and curves are those of a training that was not, bit for bit. Its state is gone
// then. A state that is damaged is said and not used, and --fresh uses none.
func TestTrainingGoesOn(t *testing.T) {
	text := fmt.Sprintf(`
name: resume
task: { kind: recsys, members: 6, candidates: 1 }
models: { fixed: { load: %q } }
pipeline:
  - baseline: { name: base, model: fixed }
  - distil: { name: kd, from: base, teacher: fixed, loss: rkl, steps: 30, batch: 2, keep_best: true, every: 4, patience: 6, through: w4a16-g16 }
evaluate: { validation: 4 }
columns: [loss]
`, fixedModel(t))
	plan := parse(t, text, scenario.Options{})
	weights := func(h *home.Home) []byte {
		t.Helper()
		entries, err := h.Artifacts.Entries()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Title == "distil kd" && e.Condition == store.Complete {
				content, err := os.ReadFile(filepath.Join(h.Folder, "artifacts", e.Name, "model.safetensors"))
				if err != nil {
					t.Fatal(err)
				}
				return content
			}
		}
		t.Fatal("there is no model of kd")
		return nil
	}
	whole := newHome(t)
	want := mustWork(t, whole, plan, Options{})
	h := newHome(t)
	stopped := func(step int) func(lab.Event) bool {
		return func(e lab.Event) bool {
			return e.Kind == lab.KindCell && e.Stage == "kd" && e.Step >= step && e.Total == 30
		}
	}
	said := func(b *lab.Board, text string) bool {
		for _, n := range b.Snapshot().Notes {
			if strings.Contains(n.Text, text) {
				return true
			}
		}
		return false
	}
	if _, err := workUntil(t, h, plan, Options{Now: hasty()}, stopped(7)); err == nil {
		t.Fatal("the first run was not stopped")
	}
	if stateOf(t, h) == "" {
		t.Fatal("a stopped training leaves no state")
	}
	first := 0
	out, err := workUntil(t, h, plan, Options{Now: hasty(), Sink: func(e lab.Event) {
		if stopped(1)(e) && first == 0 {
			first = e.Step
		}
	}}, stopped(19))
	if err == nil || first < 6 || !said(out.Board, "kd: goes on after step ") {
		t.Fatalf("the second run begins with step %d and ends with %v", first, err)
	}
	done := mustWork(t, h, plan, Options{})
	if !bytes.Equal(weights(h), weights(whole)) {
		t.Error("a training in three parts has other weights than one in one")
	}
	sameFigures(t, done.Board, want.Board, 1)
	after := done.Board.Snapshot().Cells[0]
	for _, s := range want.Board.Snapshot().Cells[0].Series {
		if got := after.Find(s.Name); got == nil || fmt.Sprint(got.Points()) != fmt.Sprint(s.Points()) {
			t.Errorf("curve %s: %v, in one part %v", s.Name, got, s.Points())
		}
	}
	if dir := stateOf(t, h); dir != "" {
		t.Errorf("the state of a finished training is left: %s", dir)
	}

	damaged := newHome(t)
	if _, err := workUntil(t, damaged, plan, Options{Now: hasty()}, stopped(7)); err == nil {
		t.Fatal("the run was not stopped")
	}
	state := filepath.Join(stateOf(t, damaged), stateFile)
	content, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(state, content, 0o644); err != nil {
		t.Fatal(err)
	}
	out = mustWork(t, openHome(t, damaged.Folder), plan, Options{})
	if !bytes.Equal(weights(damaged), weights(whole)) || said(out.Board, "goes on after step") || !said(out.Board, "is corrupt") {
		t.Errorf("a damaged state: notes %v", out.Board.Snapshot().Notes)
	}
	fresh := newHome(t)
	if _, err := workUntil(t, fresh, plan, Options{Now: hasty()}, stopped(7)); err == nil {
		t.Fatal("the run was not stopped")
	}
	if out = mustWork(t, fresh, plan, Options{Fresh: true}); said(out.Board, "goes on after step") || !bytes.Equal(weights(fresh), weights(whole)) {
		t.Error("a fresh run goes on with a training of another")
	}
}
