package store

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slimlab/lab"
)

func begin(id string, started int64) lab.Begin {
	return lab.Begin{Run: id, Scenario: "figure1", About: "x", Hash: "h", Machine: "m", Started: started, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}, Rows: []string{"FM"}}
}

func open(t *testing.T) *Store {
	t.Helper()
	return Open(filepath.Join(t.TempDir(), "runs"))
}

// write makes a log of a begin event and n points, with an end where state is not Running.
func write(t *testing.T, s *Store, id string, started int64, n int, state lab.State) {
	t.Helper()
	l, err := s.Create(begin(id, started))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := l.Append(lab.Event{Kind: lab.KindPoint, Time: float64(i), Cell: "seed=1", Name: "loss", Step: i, Value: 1 / float64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if state != lab.Running {
		if err := l.Append(lab.Event{Kind: lab.KindEnd, Time: float64(n), State: state}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListAndFind(t *testing.T) {
	s := open(t)
	write(t, s, "2026-b", 200, 2, lab.Failed)
	write(t, s, "2026-a", 300, 3, lab.Running) // closed without an end
	write(t, s, "2025-c", 100, 1, lab.Done)
	live, err := s.Create(begin("2027-live", 50))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	runs, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range runs {
		got = append(got, r.ID+" "+r.State.String())
	}
	if want := "2026-a crashed, 2026-b failed, 2025-c done, 2027-live running"; strings.Join(got, ", ") != want || runs[0].Error == "" {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	for _, r := range runs {
		log, err := os.ReadFile(s.path(r.ID))
		if err != nil || r.Bytes != int64(len(log)) || r.Bytes == 0 {
			t.Errorf("run %s has %d bytes, its log %d; %v", r.ID, r.Bytes, len(log), err)
		}
	}
	for name, want := range map[string]string{"last": "2026-a", "2025": "2025-c", "2026-b": "2026-b"} {
		if id, err := s.Find(name); id != want || err != nil {
			t.Errorf("find %s: %q, %v", name, id, err)
		}
	}
	if _, err := s.Find("2026"); err == nil || !strings.Contains(err.Error(), "the beginning of 2 ids: 2026-a, 2026-b") {
		t.Errorf("ambiguous: %v", err)
	}
	for _, name := range []string{"zzz", ""} {
		if _, err := s.Read(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("absent: %v", err)
		}
	}
	run, err := s.Read("2026-a")
	if err != nil {
		t.Fatal(err)
	}
	if end := run.Events[len(run.Events)-1]; end.Kind != lab.KindEnd || end.State != lab.Crashed || end.Time != 2 {
		t.Errorf("crashed run ends with %+v", end)
	}
	if run, err := s.Read("2027-live"); err != nil || len(run.Events) != 1 || run.State != lab.Running {
		t.Errorf("live run: %+v, %v", run, err)
	}
}

func TestOneWriter(t *testing.T) {
	s := open(t)
	l, err := s.Create(begin("a", 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(begin("a", 1)); !errors.Is(err, os.ErrExist) {
		t.Errorf("second writer: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Append(lab.Event{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	for _, id := range []string{"", "../a", "a b", "a/b", strings.Repeat("x", 200)} {
		if _, err := s.Create(begin(id, 1)); err == nil {
			t.Errorf("created %q", id)
		}
	}
	if id := NewID("paper/figure2", time.Unix(0, 0), 0x1abcd); id != "19700101-000000-paper-figure2-abcd" || !validID.MatchString(id) {
		t.Errorf("id %s", id)
	}
}

func TestForeignFiles(t *testing.T) {
	s := open(t)
	newer := binary.LittleEndian.AppendUint32([]byte(magic), 99)
	for content, want := range map[string]string{"hello, world": "is no run log", "hi": "is no run log", string(newer): "schema version 99, expected 1"} {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path("x"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read("x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// TestFolderThatCannotBe: below a file there are no runs and no artifacts, and none can be made.
func TestFolderThatCannotBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, a := Open(filepath.Join(path, "runs")), OpenArtifacts(filepath.Join(path, "artifacts"))
	if runs, err := s.List(); err != nil || len(runs) != 0 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	if _, err := s.Read("last"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := a.Get(t.Context(), of("x").Key()); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := s.Create(begin("a", 1)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if _, err := a.Put(of("x"), Label{}, model); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

// TestOrderOfRuns: the newest run is the one that began last, to the nanosecond; of two logs that
// know only the second, the one that was written last.
func TestOrderOfRuns(t *testing.T) {
	s := open(t)
	for i, id := range []string{"20260101-000000-z-0001", "20260101-000000-a-0002", "20260101-000000-m-0003"} {
		b := begin(id, 1000)
		b.Nanoseconds = int64(i) * 5
		l, err := s.Create(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range []string{"old-z", "old-a", "old-m"} {
		write(t, s, id, 999, 1, lab.Done)
		when := time.Unix(2000+int64(i), 0)
		if err := os.Chtimes(s.path(id), when, when); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	if want := "20260101-000000-m-0003 20260101-000000-a-0002 20260101-000000-z-0001 old-m old-a old-z"; strings.Join(ids, " ") != want {
		t.Errorf("listed %v, expected %s", ids, want)
	}
	if id, err := s.Find("last"); err != nil || id != "20260101-000000-m-0003" {
		t.Errorf("last is %s, %v", id, err)
	}
}

// TestIDsOfLongNames: a run has an id whatever its scenario is called.
func TestIDsOfLongNames(t *testing.T) {
	s := open(t)
	for i, name := range []string{"", "-", "名", strings.Repeat("/long/path", 50), strings.Repeat("n", 5000)} {
		id := NewID(name, time.Unix(1e9, 0), uint64(i))
		l, err := s.Create(begin(id, 1))
		if err != nil {
			t.Errorf("%.20s: %v", name, err)
			continue
		}
		l.Close()
	}
}

// A list that is read again shows runs that have begun, grown, ended or gone since, and logs that
// were changed after their end.
func TestListFollowsTheFolder(t *testing.T) {
	s := open(t)
	list := func(want string) {
		t.Helper()
		runs, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range runs {
			got = append(got, r.ID+" "+r.State.String())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
		}
	}
	list("")
	write(t, s, "a", 100, 1, lab.Done)
	list("a done")
	list("a done")
	live, err := s.Create(begin("b", 200))
	if err != nil {
		t.Fatal(err)
	}
	list("b running, a done")
	if err := live.Append(lab.Event{Kind: lab.KindEnd, State: lab.Failed}); err != nil {
		t.Fatal(err)
	}
	if err := live.Close(); err != nil {
		t.Fatal(err)
	}
	list("b failed, a done")
	stat, err := os.Stat(s.path("b"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.path("b"), stat.Size()-1); err != nil { // within its end event
		t.Fatal(err)
	}
	list("b crashed, a done")
	if err := s.Remove("a"); err != nil {
		t.Fatal(err)
	}
	list("b crashed")
}
