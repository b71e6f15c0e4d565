package store

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestFind: an id, last, a scenario for its newest run, and the beginning or the end of an id that
// no other has, in this order.
func TestFind(t *testing.T) {
	s := open(t)
	if _, err := s.Find("last"); !errors.Is(err, ErrNotFound) {
		t.Errorf("without runs: %v", err)
	}
	for i, r := range [][2]string{{"2026-tiny-1a00", "tiny"}, {"2026-tiny-2b00", "tiny"}, {"2027-paper-fig-3c00", "paper/fig"}, {"2028-last-4d11", "last"}, {"2029-2026-5e12", "2026"}} {
		b := begin(r[0], int64(100+i))
		b.Scenario = r[1]
		l, err := s.Create(b)
		if err != nil {
			t.Fatal(err)
		}
		l.Append(lab.Event{Kind: lab.KindEnd, State: lab.Done})
		l.Close()
	}
	for name, want := range map[string]string{
		"last": "2029-2026-5e12", "2026-tiny-1a00": "2026-tiny-1a00", "tiny": "2026-tiny-2b00", "paper/fig": "2027-paper-fig-3c00", "2026": "2029-2026-5e12",
		"2026-tiny-2": "2026-tiny-2b00", "2027": "2027-paper-fig-3c00", "2b00": "2026-tiny-2b00", "1a00": "2026-tiny-1a00",
	} {
		if id, err := s.Find(name); id != want || err != nil {
			t.Errorf("%s: %q, %v; expected %s", name, id, err, want)
		}
	}
	for name, want := range map[string]string{
		"2026-": "the beginning of 2 ids: 2026-tiny-2b00, 2026-tiny-1a00; expected more of the id", "00": "the end of 3 ids: 2027-paper-fig-3c00, ",
		"202": "the beginning of 5 ids", "2": "the beginning of 5 ids",
	} {
		if _, err := s.Find(name); !errors.Is(err, ErrSeveral) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; expected %q", name, err, want)
		}
	}
	for _, name := range []string{"", "zzz", "iny", "TINY", "../tiny"} {
		if _, err := s.Find(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestRunningRunNamesItsProcess: who writes a run that cannot be removed, and what to do, as far as
// its log knows it.
func TestRunningRunNamesItsProcess(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	holder := "stop its process first, which its log does not name; lsof"
	if runtime.GOOS == "linux" { // which says what process holds a lock
		holder = fmt.Sprintf("process %d writes its log", os.Getpid())
	}
	for _, c := range []struct {
		process int
		host    string
		want    string
	}{
		{4242, here, "process 4242 writes its log; stop it first (kill -INT 4242"},
		{4242, "elsewhere", "process 4242 on the machine elsewhere writes its log"},
		{0, "", holder},
	} {
		s := open(t)
		b := begin("a", 1)
		b.Process, b.Host = c.process, c.host
		l, err := s.Create(b)
		if err != nil {
			t.Fatal(err)
		}
		l.Flush()
		var running *RunningError
		if err := s.Remove("a"); !errors.As(err, &running) || !strings.Contains(fmt.Sprint(err), "run a is running: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; expected %q", err, c.want)
		}
		l.Close()
		if err := s.Remove("a"); err != nil {
			t.Error(err)
		}
	}
}
