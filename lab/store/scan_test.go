package store

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"slimlab/lab"
)

// long makes the log of a run with n events, nearly all of them points and progress of its cells.
func long(tb testing.TB, s *Store, id string, n int) {
	tb.Helper()
	b := begin(id, 1)
	b.Cells = nil
	for seed := 1; seed <= 24; seed++ {
		b.Cells = append(b.Cells, lab.Cell{ID: fmt.Sprintf("loss=fkl ratio=0.2 seed=%d", seed), Seed: seed})
	}
	l, err := s.Create(b)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n - 2 {
		cell := b.Cells[i*len(b.Cells)/n].ID
		e := lab.Event{Kind: lab.KindPoint, Time: float64(i) / 100, Cell: cell, Name: "distilled.loss", Step: i, Value: 1 / float64(i+1)}
		if i%10 == 0 {
			e = lab.Event{Kind: lab.KindCell, Time: float64(i) / 100, Cell: cell, Stage: "distilled", State: lab.Running, Step: i, Total: n}
		}
		if err := l.Append(e); err != nil {
			tb.Fatal(err)
		}
	}
	if err := l.Append(lab.Event{Kind: lab.KindEnd, Time: float64(n) / 100, State: lab.Done}); err != nil {
		tb.Fatal(err)
	}
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
}

// fold reads a run into a board.
func fold(tb testing.TB, s *Store, id string) *lab.Board {
	tb.Helper()
	b := lab.NewBoard()
	if _, err := s.Scan(id, b.Apply); err != nil {
		tb.Fatal(err)
	}
	return b
}

// follow reads a run into a board as one that another process writes.
func follow(tb testing.TB, s *Store, id string) *lab.Board {
	tb.Helper()
	f, err := s.Follow(id)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	b := lab.NewBoard()
	if _, err := f.Next(b.Apply); err != nil {
		tb.Fatal(err)
	}
	return b
}

// A long log is folded as it is read or followed: an event more allocates nothing.
func TestNoEventsAreHeld(t *testing.T) {
	s := open(t)
	const n = 50_000
	sizes := []int{n, 2 * n}
	for _, events := range sizes {
		long(t, s, fmt.Sprint(events), events)
	}
	for name, read := range map[string]func(testing.TB, *Store, string) *lab.Board{"read": fold, "followed": follow} {
		var allocated [2]uint64
		for i, events := range sizes {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b := read(t, s, fmt.Sprint(events))
			runtime.ReadMemStats(&after)
			allocated[i] = after.TotalAlloc - before.TotalAlloc
			if v := b.Snapshot(); v.Events != events || v.State != lab.Done || len(v.Notes) > 0 {
				t.Fatalf("%s: %d events, %s, %v; expected %d", name, v.Events, v.State, v.Notes, events)
			}
		}
		if more := int64(allocated[1]) - int64(allocated[0]); more > n {
			t.Errorf("%s: %d bytes are allocated for %d events more, expected less than a byte each", name, more, n)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	const n = 1_000_000
	s := Open(filepath.Join(b.TempDir(), "runs"))
	long(b, s, "a", n)
	stat, err := os.Stat(s.path("a"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(stat.Size())
	b.ReportAllocs()
	for b.Loop() {
		fold(b, s, "a")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
}
