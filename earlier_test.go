package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/tui"
)

// TestForecastRestsOnEarlierRuns: where the same scenario ran before with the same settings on this
// machine, the list, the progress and the sheet take the times of its steps, and say from how many
// runs.
func TestForecastRestsOnEarlierRuns(t *testing.T) {
	h := home.Open(t.TempDir(), "test")
	b := newBench(h, "")
	plan := func(id string, i int) lab.Begin {
		begin := lab.Begin{Run: id, Scenario: "x", Hash: "h", Machine: "m", Rows: []string{"FM"}, Started: time.Now().Unix() - 1000 + int64(i)}
		for seed := 1; seed <= 3; seed++ {
			begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprintf("seed=%d", seed), Seed: seed})
		}
		return begin
	}
	for i, change := range []func(*lab.Begin){
		func(*lab.Begin) {}, func(*lab.Begin) {}, func(b *lab.Begin) { b.Hash = "other" }, func(b *lab.Begin) { b.Quick = true }, func(b *lab.Begin) { b.Machine = "other" }, func(b *lab.Begin) { b.Scenario = "y" },
	} {
		begin := plan(fmt.Sprint("past-", i), i)
		change(&begin)
		log, err := h.Logs.Create(begin)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range begin.Cells {
			at := float64(100 * seed)
			log.Append(lab.Event{Kind: lab.KindCell, Time: at, Cell: begin.Cells[seed].ID, Stage: "FM", State: lab.Running})
			log.Append(lab.Event{Kind: lab.KindCell, Time: at + 100, Cell: begin.Cells[seed].ID, State: lab.Done})
		}
		log.Append(lab.Event{Kind: lab.KindEnd, Time: 300, State: lab.Done})
		log.Close()
	}
	begin := plan("now", 0)
	begin.Started = time.Now().Unix()
	log, err := h.Logs.Create(begin)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	log.Append(lab.Event{Kind: lab.KindCell, Cell: "seed=1", Stage: "FM", State: lab.Running})
	log.Flush()
	runs, err := b.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if r.ID == "now" && !strings.HasSuffix(r.Progress.Left, "left, from 2 earlier runs") {
			t.Errorf("the list says %+v", r.Progress)
		}
	}
	live := b.Follow(t.Context(), "now")
	if live == nil || live.Earlier.Runs != 2 || live.Earlier.Steps["FM"] != 100 {
		t.Fatalf("followed: %+v", live)
	}
	live.Cancel()
	b.wait.Wait()
}

// TestSheetAndProgressNameEarlierRuns: the run sheet says how long a run takes by the last one, and
// the progress of the next run begins with it.
func TestSheetAndProgressNameEarlierRuns(t *testing.T) {
	file := newHome(t)
	for range 2 {
		if _, stderr, code := slimlab(t, "run", file, "--fresh"); code != exitHeld {
			t.Fatal(stderr)
		}
	}
	h := home.Open(os.Getenv("SLIMLAB_HOME"), "test")
	b := newBench(h, file)
	if _, err := b.Runs(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := b.Preview(t.Context(), tui.Request{Scenario: file, Fresh: true})
	if err != nil || !strings.HasSuffix(p.Duration, ", from 2 earlier runs of it on this machine") {
		t.Errorf("%q, %v", p.Duration, err)
	}
	if p, err = b.Preview(t.Context(), tui.Request{Scenario: file}); err != nil || strings.Contains(p.Duration, "from 2 earlier") {
		t.Errorf("all is cached: %q, %v", p.Duration, err)
	}
}
