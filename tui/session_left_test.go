package tui

import (
	"testing"
	"time"

	"slimlab/lab"
)

// TestTimeLeftRestsOnEarlierRuns: a live run that has finished no step yet is estimated by the runs
// before it, and says by how many; one without them is not estimated.
func TestTimeLeftRestsOnEarlierRuns(t *testing.T) {
	finished := lab.Fold(sweepLog(2, 2, 1)).Snapshot()
	var earlier lab.Earlier
	earlier.Add(finished)
	if earlier.Runs != 1 {
		t.Fatalf("the run of the test makes no model: %+v", earlier)
	}
	events := sweepLog(2, 2, 1)[:1]
	for _, c := range []struct {
		earlier lab.Earlier
		runs    int
	}{{earlier, 1}, {lab.Earlier{}, 0}} {
		board := lab.Fold(events)
		s := &session{id: sweepRun, board: board, live: &Live{RunID: sweepRun, Board: board, Earlier: c.earlier}, began: time.Unix(1e9, 0)}
		left := s.left(board.Snapshot(), time.Unix(1e9, 0))
		if left.Earlier != c.runs || (left.Seconds > 0) != (c.runs > 0) {
			t.Errorf("with %d earlier runs: %+v", c.runs, left)
		}
	}
}
