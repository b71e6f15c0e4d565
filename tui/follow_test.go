package tui

import (
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
)

// TestRunOfAnotherProcessIsFollowed: it is drawn as it grows, cannot be stopped here, asks nothing
// on quitting, and is left alone once another run is open.
func TestRunOfAnotherProcessIsFollowed(t *testing.T) {
	const id = "20261123-1822-figure1-b2"
	events := fakeLog(id, 3, 0)
	cancelled, done := 0, make(chan struct{})
	board := lab.Fold(events[:520])
	s := newScript(t, 124, 40, Options{})
	s.bench.other = &Live{RunID: id, Board: board, Done: done, Cancel: func() { cancelled++ }}
	s.run(s.m.openRun(id, false))
	s.expect("[2 Run]", "live in another process", "● running")
	if strings.Contains(s.screen(), "x stop") {
		t.Error("a run of another process can be stopped")
	}
	if !s.m.session.moving() || s.m.running() {
		t.Error("a followed run is not looked at, or counts as one of this program")
	}
	for _, e := range events[520:] {
		board.Apply(e)
	}
	close(done)
	s.send(tickMsg(epoch)) // the last one that was waited for
	s.expect("✓ done")
	if strings.Contains(s.screen(), "live in another process") || s.m.session.moving() {
		t.Error("the run has ended, and is shown as live")
	}
	s.bench.other = nil
	s.run(s.m.openRun("20261124-1130-figure1-a1", false))
	if cancelled != 1 {
		t.Errorf("the following was ended %d times, expected once", cancelled)
	}
	if s.keys("q"); !s.quit {
		t.Error("quitting asks")
	}
}

// TestWriterThatIsGoneIsSaid: a run whose process was killed says so, one that was stopped only
// that.
func TestWriterThatIsGoneIsSaid(t *testing.T) {
	const id = "20261123-1822-figure1-b2"
	for state, words := range map[lab.State][]string{
		lab.Crashed: {"✗ crashed", "its process is gone", "as of 2026-"}, lab.Stopped: {"■ stopped", "took 20.0s"},
	} {
		text := map[lab.State]string{lab.Crashed: "its process is gone, and it did not end", lab.Stopped: lab.Interrupted}[state]
		events := append(fakeLog(id, 3, 0)[:520:520], lab.Event{Kind: lab.KindEnd, Time: 20, State: state, Text: text})
		events[0].Begin.Started = epoch.Unix()
		board := lab.Fold(events)
		done := make(chan struct{})
		close(done)
		s := newScript(t, 124, 40, Options{})
		s.bench.other = &Live{RunID: id, Board: board, Done: done, Cancel: func() {}}
		s.run(s.m.openRun(id, false))
		s.expect(append(words, "– not run")...).expectNot("waiting", lab.Interrupted)
	}
}

// TestFollowedRunIsLookedAtSlowly: a run of another process wakes the workbench four times a
// second, one of this program and a replay thirty times; a frozen view says as of when it is.
func TestFollowedRunIsLookedAtSlowly(t *testing.T) {
	const id = "20261123-1822-figure1-b2"
	s := newScript(t, 124, 40, Options{})
	var after time.Duration
	s.m.tickLater = func(d time.Duration) tea.Cmd {
		after = d
		return nil
	}
	s.bench.other = &Live{RunID: id, Board: lab.Fold(fakeLog(id, 3, 0)[:520]), Done: make(chan struct{}), Cancel: func() {}}
	s.run(s.m.openRun(id, false))
	if after != followInterval {
		t.Errorf("a followed run is looked at after %v", after)
	}
	s.keys(".").expect("frozen (.) as of 12:04:05")
	s.send(tickMsg(epoch))
	s.run(s.m.openRun("20261124-1130-figure1-a1", true))
	if s.send(tickMsg(epoch)); after != tickInterval {
		t.Errorf("a replay is looked at after %v", after)
	}
}

// TestDeletedByAnotherWorkbench: a run that is shown while another program deletes its log stays on
// the screen, which says so once.
func TestDeletedByAnotherWorkbench(t *testing.T) {
	const id = "20261124-1130-figure1-a1"
	s := newScript(t, 124, 40, Options{})
	s.run(s.m.openRun(id, false))
	s.send(lookMsg{})
	s.expectNot("deleted")
	s.bench.deleted = append(s.bench.deleted, id)
	s.send(lookMsg{})
	s.expect("✓ done", "log deleted", "what was read is shown", "distilled")
	s.keys("j").expect("log deleted").expectNot("what was read is shown")
}

// TestSilentRunIsSaid: a followed run whose process writes nothing is silent, with the time and the
// process, on the Run screen and the Bench, and running again once it writes; it stays followed.
func TestSilentRunIsSaid(t *testing.T) {
	const id = "20261123-1822-figure1-b2"
	silence := ""
	s := newScript(t, 124, 40, Options{})
	s.bench.other = &Live{RunID: id, Board: lab.Fold(fakeLog(id, 3, 0)[:520]), Done: make(chan struct{}), Cancel: func() {}, Silence: func() string { return silence }}
	s.run(s.m.openRun(id, false))
	s.expect("● running", "left")
	silence = "for 14s: its process 1234 holds the log but writes nothing"
	s.m.dirty = true
	s.expect("◌ silent", silence, "0/3 cells").expectNot("left")
	if !s.m.session.moving() {
		t.Error("a silent run is not looked at any more")
	}
	silence, s.m.dirty = "", true
	s.expect("● running", "left")
	b := newBenchScreen(s.m.workbench)
	run := RunInfo{ID: id, Scenario: "x", State: lab.Silent, Started: epoch, Silence: "for 14s: its process 1234 holds the log but writes nothing", Progress: Progress{Done: "1/3 cells"}}
	if got := strings.Join(b.runDetails(&run, 120), "\n"); !strings.Contains(got, "◌ silent "+run.Silence+": 1/3 cells") {
		t.Errorf("the details say\n%s", got)
	}
	b.runs = []RunInfo{{ID: "newer", Scenario: "x", State: lab.Done, Started: epoch}, run}
	if last := b.lastRun("x"); last.ID != id {
		t.Errorf("the last run of the scenario is %s, expected the silent one, which goes on", last.ID)
	}
}
