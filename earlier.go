package main

import (
	"slices"

	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/store"
)

// What a forecast reads of earlier runs: enough for a mean, and no log that would keep it waiting.
const (
	mostEarlierRuns = 3
	mostEarlierLogs = 10
	mostEarlierLog  = 16 << 20 // bytes
)

// earlierRuns are the last runs of the same scenario, settings and machine as those of a plan, in
// which steps were made.
func earlierRuns(h *home.Home, runs []store.Info, b *lab.Begin, machine string) lab.Earlier {
	var earlier lab.Earlier
	read := 0
	for _, r := range runs { // the newest first
		if r.ID == b.Run || !r.Ended() || r.Problem != nil || r.Scenario != b.Scenario || r.Hash != b.Hash || r.Quick != b.Quick || r.Machine != machine || r.Bytes > mostEarlierLog {
			continue
		}
		if earlier.Runs == mostEarlierRuns || read == mostEarlierLogs {
			break
		}
		read++
		if board, _, err := foldRun(h, r.ID); err == nil { // one that was removed since counts for nothing
			board.Read(earlier.Add)
		}
	}
	return earlier
}

// earlierOf is earlierRuns of a run that is there; a list that cannot be read is none.
func earlierOf(h *home.Home, board *lab.Board) (earlier lab.Earlier) {
	runs, err := h.Logs.List()
	if err != nil {
		return earlier
	}
	var begin lab.Begin
	board.Read(func(v *lab.View) { begin = v.Begin })
	// later runs, where the run is followed or its list is old, are as good
	return earlierRuns(h, slices.DeleteFunc(runs, func(r store.Info) bool { return r.ID == begin.Run }), &begin, begin.Machine)
}
