package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slimlab/lab"
	"slimlab/lab/home"
)

// TestWorkbenchFollows: a run that a process writes grows on its board; without an end event it is
// stopped as soon as its writer is gone; what nobody writes is not followed.
func TestWorkbenchFollows(t *testing.T) {
	h := home.Open(t.TempDir(), "test")
	b := newBench(h, "")
	log, err := h.Logs.Create(lab.Begin{Run: "a", Scenario: "x", Rows: []string{"FM"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	live := b.Follow(t.Context(), "a")
	if live == nil {
		t.Fatal("a run that is being written is not followed")
	}
	log.Append(lab.Event{Kind: lab.KindRow, Cell: "seed=1", Row: "FM", Values: map[string]lab.Measure{"auc": {Value: 0.5}}})
	if err := log.Close(); err != nil { // as a process that is killed: without an end
		t.Fatal(err)
	}
	select {
	case <-live.Done:
	case <-time.After(5 * time.Second):
		t.Fatal("a writer that is gone is not noticed within 5 seconds")
	}
	live.Board.Read(func(v *lab.View) {
		if v.State != lab.Crashed || v.Rows[0].Done != 1 {
			t.Errorf("the run is %v with %d seeds of FM, expected one that crashed, with 1", v.State, v.Rows[0].Done)
		}
	})
	b.wait.Wait()
	if b.Follow(t.Context(), "a") != nil || b.Follow(t.Context(), "none") != nil {
		t.Error("a run that nobody writes is followed")
	}
}

// TestWorkbenchSaysThatALogIsGone: where another program deletes a run that is followed, what was
// read stays, and the first words say what happened.
func TestWorkbenchSaysThatALogIsGone(t *testing.T) {
	folder := t.TempDir()
	h := home.Open(folder, "test")
	b := newBench(h, "")
	log, err := h.Logs.Create(lab.Begin{Run: "a", Scenario: "x", Rows: []string{"FM"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	live := b.Follow(t.Context(), "a")
	if live == nil {
		t.Fatal("a run that is being written is not followed")
	}
	if err := os.Remove(filepath.Join(folder, "runs", "a.runlog")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-live.Done:
	case <-time.After(5 * time.Second):
		t.Fatal("a log that is gone is not noticed within 5 seconds")
	}
	live.Board.Read(func(v *lab.View) {
		if v.State != lab.Deleted || !strings.HasPrefix(v.Error, "its log was deleted") || v.Begin.Scenario != "x" {
			t.Errorf("%q says %q", v.Begin.Scenario, v.Error)
		}
	})
}

// TestListSaysHowFarARunIs: the list reads a run that goes on as it grows, and lets it go when it
// is over.
func TestListSaysHowFarARunIs(t *testing.T) {
	h := home.Open(t.TempDir(), "test")
	b := newBench(h, "")
	started := time.Now().Add(-100 * time.Second)
	log, err := h.Logs.Create(lab.Begin{
		Run: "a", Scenario: "x", Rows: []string{"FM"}, Started: started.Unix(), Nanoseconds: int64(started.Nanosecond()),
		Cells: []lab.Cell{{ID: "seed=1", Seed: 1}, {ID: "seed=2", Seed: 2}, {ID: "seed=3", Seed: 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		runs, err := b.Runs(t.Context())
		if err != nil || len(runs) != 1 || !strings.HasPrefix(runs[0].Progress.String(), want) || want == "" && runs[0].Progress.String() != "" {
			t.Errorf("the list says %+v, %v; expected %q", runs, err, want)
		}
	}
	expect("0/3 cells, time left not known yet")
	log.Append(lab.Event{Kind: lab.KindCell, Cell: "seed=1", Stage: "FM", State: lab.Running})
	log.Append(lab.Event{Kind: lab.KindCell, Time: 90, Cell: "seed=1", State: lab.Done})
	log.Append(lab.Event{Kind: lab.KindCell, Time: 90, Cell: "seed=2", Stage: "FM", State: lab.Running})
	log.Flush()
	expect("1/3 cells, ~2m ")
	log.Append(lab.Event{Kind: lab.KindEnd, Time: 91, State: lab.Done})
	log.Close()
	expect("")
	if len(b.others) != 0 {
		t.Error("a run that is over is still watched")
	}
}
