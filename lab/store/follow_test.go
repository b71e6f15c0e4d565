package store

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"slimlab/internal/filelock"
	"slimlab/lab"
)

// A follower is handed each event once and whole, however the writes cut the records; a run whose
// writer holds its lock is running, and ends with its end event.
func TestFollowerReadsWholeRecords(t *testing.T) {
	source := Open(t.TempDir())
	l, err := source.Create(lab.Begin{Run: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for step := range 5 {
		if err := l.Append(lab.Event{Kind: lab.KindPoint, Name: "loss", Step: step, Value: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Append(lab.Event{Kind: lab.KindEnd, State: lab.Done}), l.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(source.path("a"))
	if err != nil {
		t.Fatal(err)
	}

	s := Open(t.TempDir())
	out, err := os.Create(s.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := filelock.Lock(out); err != nil {
		t.Skip("no locks here:", err)
	}
	f, err := s.Follow("last")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []lab.Event
	for i, b := range whole {
		if _, err := out.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		status, err := f.Next(func(e lab.Event) { got = append(got, e) })
		if err != nil {
			t.Fatalf("after byte %d: %v", i, err)
		}
		if want := i < len(whole)-1; (status.State == lab.Running) != want {
			t.Fatalf("after byte %d of %d the state is %v", i, len(whole), status.State)
		}
	}
	if len(got) != 7 || got[0].Kind != lab.KindBegin || got[5].Step != 4 || got[6].Kind != lab.KindEnd {
		t.Fatalf("got %v", got)
	}
}

// A writer that is gone before its end, also within a record, is crashed at the next look.
func TestFollowerOfACrashedRun(t *testing.T) {
	for _, cut := range []int64{0, 3} {
		s := Open(t.TempDir())
		l, err := s.Create(lab.Begin{Run: "a"})
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Follow("a")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		events := 0
		if !f.Writing() {
			t.Error("the log of a living process is not being written")
		}
		if status, err := f.Next(func(lab.Event) { events++ }); err != nil || status.State != lab.Running || events != 1 {
			t.Fatalf("while it is written: %v, %v, %d events", status, err, events)
		}
		if err := errors.Join(l.Append(lab.Event{Kind: lab.KindPoint, Name: "loss"}), l.Close()); err != nil {
			t.Fatal(err)
		}
		stat, err := os.Stat(s.path("a"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(s.path("a"), stat.Size()-cut); err != nil {
			t.Fatal(err)
		}
		if f.Writing() {
			t.Error("a closed log is being written")
		}
		var kinds []lab.Kind
		status, err := f.Next(func(e lab.Event) { kinds = append(kinds, e.Kind) })
		want := lab.KindPoint
		if cut > 0 {
			want = lab.KindNote
		}
		if err != nil || status.State != lab.Crashed || len(kinds) != 2 || kinds[0] != want || kinds[1] != lab.KindEnd {
			t.Errorf("cut %d: %+v, %v, events %v", cut, status, err, kinds)
		}
	}
}

// A log that is removed, replaced or shortened while it is followed is an error that says so.
func TestFollowerOfAnotherFile(t *testing.T) {
	for what, change := range map[string]func(name string) error{
		"removed":   os.Remove,
		"shortened": func(name string) error { return os.Truncate(name, 4) },
		"replaced": func(name string) error {
			other := filepath.Join(filepath.Dir(name), "other")
			return errors.Join(os.WriteFile(other, []byte("x"), 0o644), os.Rename(other, name))
		},
	} {
		s := Open(t.TempDir())
		l, err := s.Create(lab.Begin{Run: "a"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := s.Follow("a")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Next(func(lab.Event) {}); err != nil {
			t.Fatal(err)
		}
		if err := change(s.path("a")); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Next(func(lab.Event) {}); !errors.Is(err, ErrReplaced) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// Without locks the time since the last write decides.
func TestWritingWithoutLocks(t *testing.T) {
	for _, c := range []struct {
		locked error
		quiet  time.Duration
		want   bool
	}{
		{filelock.ErrLocked, time.Hour, true},
		{nil, 0, false},
		{errors.ErrUnsupported, time.Second, true},
		{errors.ErrUnsupported, time.Hour, false},
	} {
		if got := writing(c.locked, c.quiet); got != c.want {
			t.Errorf("lock %v, quiet for %v: writing %v", c.locked, c.quiet, got)
		}
	}
}

// The end of a crashed run, and the note on a torn record, have the time of the last event; the
// status has the time of the last write.
func TestCrashHasTheTimeOfTheLastEvent(t *testing.T) {
	s := Open(t.TempDir())
	l, err := s.Create(lab.Begin{Run: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Append(lab.Event{Kind: lab.KindPoint, Name: "loss", Time: 7.5}), l.Append(lab.Event{Kind: lab.KindPoint, Name: "loss", Time: 9}), l.Close()); err != nil {
		t.Fatal(err)
	}
	stat, err := os.Stat(s.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	written := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := errors.Join(os.Truncate(s.path("a"), stat.Size()-3), os.Chtimes(s.path("a"), written, written)); err != nil {
		t.Fatal(err)
	}
	f, err := s.Follow("a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []lab.Event
	status, err := f.Next(func(e lab.Event) { got = append(got, e) })
	if err != nil || status.State != lab.Crashed || !status.Modified.Equal(written) {
		t.Errorf("%v, %+v, expected a crashed run, last written at %v", err, status, written)
	}
	if len(got) != 4 || got[2].Kind != lab.KindNote || got[2].Time != 7.5 || got[3].Kind != lab.KindEnd || got[3].Time != 7.5 {
		t.Errorf("events %v, expected note and end at 7.5 s", got)
	}
}

// Of a log that is cut off anywhere behind its begin event a follower says what Read says, once.
func TestFollowerSaysWhatReadSays(t *testing.T) {
	s := Open(t.TempDir())
	l, err := s.Create(lab.Begin{Run: "a"})
	if err != nil {
		t.Fatal(err)
	}
	begun, err := os.Stat(s.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Append(lab.Event{Kind: lab.KindPoint, Name: "loss", Time: 1}), l.Append(lab.Event{Kind: lab.KindRow, Row: "x", Time: 2}), l.Append(lab.Event{Kind: lab.KindEnd, State: lab.Done, Time: 3}), l.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole); cut >= int(begun.Size()); cut-- {
		if err := os.Truncate(s.path("a"), int64(cut)); err != nil {
			t.Fatal(err)
		}
		run, err := s.Read("a")
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Follow("a")
		if err != nil {
			t.Fatal(err)
		}
		var got []lab.Event
		for range 2 { // the second look adds nothing
			status, err := f.Next(func(e lab.Event) { got = append(got, e) })
			if err != nil || status.State != run.State {
				t.Errorf("%d of %d bytes: %+v, %v, Read says %s", cut, len(whole), status, err, run.State)
			}
		}
		if !reflect.DeepEqual(got, run.Events) {
			t.Errorf("%d of %d bytes: events\n%+v\nRead says\n%+v", cut, len(whole), got, run.Events)
		}
		f.Close()
	}
}

// A look at a log to which nothing was added finds a run that goes on.
func TestFollowerOfAQuietRun(t *testing.T) {
	s := Open(t.TempDir())
	l, err := s.Create(lab.Begin{Run: "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := s.Follow("a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events := 0
	for range 3 {
		if status, err := f.Next(func(lab.Event) { events++ }); err != nil || status.State != lab.Running || events != 1 {
			t.Errorf("%+v, %v, %d events", status, err, events)
		}
	}
}
