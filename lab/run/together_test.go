package run

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// TestTwoRunsMakeEachArtifactOnce: what one run makes, another on the same home that needs it waits
// for, as it would in another process; both end with the figures of one.
func TestTwoRunsMakeEachArtifactOnce(t *testing.T) {
	ref := theReference(t)
	folder := copyHome(t, onlyTokenizer).Folder
	var mu sync.Mutex
	trained := map[string]map[int]bool{} // by the stage: the runs that trained it
	var all sync.WaitGroup
	boards, plans := make([]*lab.Board, 3), make([]*scenario.Plan, 3)
	for i := range plans {
		plans[i] = parse(t, chain, scenario.Options{})
	}
	for i := range boards {
		all.Go(func() {
			out, err := work(t, openHome(t, folder), plans[i], Options{Sink: func(e lab.Event) {
				if !ofTraining(e) {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if trained[e.Stage] == nil {
					trained[e.Stage] = map[int]bool{}
				}
				trained[e.Stage][i] = true
			}})
			if boards[i] = out.Board; err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	for _, b := range boards {
		sameFigures(t, b, ref.board, 1)
	}
	if len(trained) != 3 {
		t.Errorf("trained %v, expected teacher, student and healed", trained)
	}
	for stage, runs := range trained {
		if len(runs) != 1 {
			t.Errorf("%s was trained by the runs %v", stage, runs)
		}
	}
	artifactDirs(t, openHome(t, folder), everything) // nothing unfinished is left
}

// TestWaitingIsSaid: a run that waits for another process to make an artifact says so, and for
// what.
func TestWaitingIsSaid(t *testing.T) {
	h := copyHome(t, onlyTokenizer)
	key := theReference(t).board.Snapshot().Rows[0].Keys[0]
	release, err := openHome(t, h.Folder).Artifacts.Alone(t.Context(), key, func() {})
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(release)
	defer time.AfterFunc(time.Minute, release).Stop() // a run that says nothing would wait for ever
	var said []string
	workUntil(t, h, parse(t, chain, scenario.Options{}), Options{Sink: func(e lab.Event) {
		if e.Kind == lab.KindNote && strings.Contains(e.Text, "waiting") {
			said = append(said, e.Text)
			release()
		}
	}}, func(e lab.Event) bool { return e.Kind == lab.KindPoint }) // when it trains it has gone on
	if want := []string{"train teacher: waiting for another process that makes it"}; !slices.Equal(said, want) {
		t.Errorf("found %q, expected %q", said, want)
	}
}
