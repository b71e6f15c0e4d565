package main

import (
	"bytes"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestProgressSaysHowFar: the lines of a run that goes on begin with its cells and the time that is
// left of all of it, and the end of a cell is a line.
func TestProgressSaysHowFar(t *testing.T) {
	begin := &lab.Begin{Run: "r1", Rows: []string{"student"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}, {ID: "seed=2", Seed: 2}, {ID: "seed=3", Seed: 3}}}
	var out bytes.Buffer
	board, p := lab.NewBoard(), newProgress(&out)
	p.of(board)
	for _, e := range []lab.Event{
		{Kind: lab.KindBegin, Name: "tiny", Begin: begin},
		{Kind: lab.KindCell, Time: 11, Cell: "seed=1", State: lab.Running, Stage: "student"},
		{Kind: lab.KindCell, Time: 101, Cell: "seed=1", State: lab.Done},
		{Kind: lab.KindCell, Time: 101, Cell: "seed=2", State: lab.Running, Stage: "student"},
		{Kind: lab.KindCell, Time: 131, Cell: "seed=2", State: lab.Running, Stage: "student", Step: 10, Total: 30},
		{Kind: lab.KindCell, Time: 191, Cell: "seed=2", State: lab.Done},
		{Kind: lab.KindCell, Time: 191, Cell: "seed=3", State: lab.Failed},
	} {
		board.Apply(e)
		p.event(e)
	}
	want := []string{
		"tiny: run r1, 3 cells × 1 step",
		"0/3 cells, time left not known yet · seed=1 · student",
		"seed=1 · done: 1/3 cells, ~3m 00s left",
		"1/3 cells, ~2m 30s left · seed=2 · student 10/30",
		"seed=2 · done: 2/3 cells, ~1m 30s left",
		"seed=3 · failed: 3/3 cells",
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("progress said\n%s", &out)
	}
	for i, line := range lines {
		if !strings.HasSuffix(line, "s "+want[i]) {
			t.Errorf("line %d is %q, expected %q", i, line, want[i])
		}
	}
}
