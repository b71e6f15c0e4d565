package store

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"slimlab/lab"
)

// TestSilentRun: a run whose process lives and gives no sign of life for ten seconds of the
// reader's clock is silent, with its process; a write or a touch makes it a running one again,
// whatever the time of the file says.
func TestSilentRun(t *testing.T) {
	s := open(t)
	now := time.Unix(5000, 0)
	s.now = func() time.Time { return now }
	l, err := s.Create(begin("a", 100))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := s.Follow("a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	touches := 0
	for _, step := range []struct {
		what    string
		seconds int // that pass before it
		sign    func()
		want    lab.State
	}{
		{"at first", 0, nil, lab.Running},
		{"just before the time", 9, nil, lab.Running},
		{"at the time", 1, nil, lab.Silent},
		{"later", 300, nil, lab.Silent},
		{"an event", 5, func() {
			if err := l.Append(lab.Event{Kind: lab.KindNote, Level: lab.Warning, Text: "x"}); err != nil {
				t.Fatal(err)
			}
			l.Flush()
		}, lab.Running},
		{"nothing since", 9, nil, lab.Running},
		{"nothing for long", 2, nil, lab.Silent},
		{"a touch from a clock that is years behind", 1, func() {
			touches++
			at := time.Unix(int64(touches), 0)
			if err := os.Chtimes(s.path("a"), at, at); err != nil {
				t.Fatal(err)
			}
		}, lab.Running},
		{"nothing again", 10, nil, lab.Silent},
	} {
		now = now.Add(time.Duration(step.seconds) * time.Second)
		if step.sign != nil {
			step.sign()
		}
		status, err := f.Next(func(lab.Event) {})
		if err != nil || status.State != step.want || status.State.Over() {
			t.Errorf("%s: %s, error %v, expected %s", step.what, status.State, err, step.want)
		}
		if status.State != lab.Silent {
			continue
		}
		said := status.Silence(now)
		if runtime.GOOS == "linux" && status.Process != os.Getpid() {
			t.Errorf("%s: process %d holds the log, expected %d", step.what, status.Process, os.Getpid())
		}
		if !strings.HasPrefix(said, "for ") || !strings.Contains(said, "holds the log but writes nothing") {
			t.Errorf("%s: %q", step.what, said)
		}
	}
	if info, err := s.List(); err != nil || info[0].State != lab.Running {
		t.Errorf("one look: %+v, %v, expected a running run", info, err)
	}
	if l.Close(); true {
		if status, err := f.Next(func(lab.Event) {}); err != nil || status.State != lab.Crashed || !status.State.Over() {
			t.Errorf("a writer that is gone: %s, %v", status.State, err)
		}
	}
}

// TestSilenceNamesTheMachine: of a process of another machine the machine is named.
func TestSilenceNamesTheMachine(t *testing.T) {
	now := time.Unix(5000, 0)
	for _, c := range []struct {
		status Status
		want   string
	}{
		{Status{Process: 7, Host: "node-2"}, "for 14s: its process 7 on node-2 holds the log but writes nothing"},
		{Status{Process: 7}, "for 14s: its process 7 holds the log but writes nothing"},
		{Status{}, "for 14s: its process holds the log but writes nothing"},
	} {
		c.status.Beat = now.Add(-14 * time.Second)
		if got := c.status.Silence(now); got != c.want {
			t.Errorf("%+v: %q, expected %q", c.status, got, c.want)
		}
	}
}
