package store

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"slimlab/lab"
)

// Info is one line of the list of runs.
type Info struct {
	ID       string
	Scenario string
	About    string
	Hash     string
	Machine  string
	Process  int    // that began it; 0: its log does not say
	Host     string // the name of its machine
	// State is how the run is; Running only while its process lives. One look at a log cannot tell
	// a run that is Silent from one that is Running; Damaged and Newer have a Problem.
	State    lab.State
	Error    string
	Started  time.Time
	Duration time.Duration // to the last event
	Quick    bool
	Cells    int
	Settings []string // key=value overrides of the scenario
	Source   string   // the scenario file's text
	Seeds    int      // of each point of the sweep
	Seed     int      // the first one
	Bytes    int64
	// why the log cannot be read, or only its beginning; the other fields hold what is known
	Problem error
	// Modified is when the log was last written, or touched as a sign of life, by its writer's
	// clock.
	Modified time.Time
	// Holder is the id of the process that holds the log of a Running run; 0 where it is not known,
	// or not one of this machine.
	Holder int
}

// Ended reports whether the run's process is gone or has ended the run.
func (i Info) Ended() bool { return i.State.Over() }

// List returns all runs, the newest first. A run whose log is damaged, or of a newer version
// (NewerError), is listed with its Problem. Of a log of more than half a megabyte only the
// beginning and the end are read: damage between them is listed once Scan has found it. The log of
// a run that has ended is read again only when its size or its time has changed.
func (s *Store) List() ([]Info, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	runs := make([]Info, len(ids))
	var next atomic.Int64
	var readers sync.WaitGroup
	for range min(len(ids), runtime.GOMAXPROCS(0)) {
		readers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(ids)); i = next.Add(1) - 1 {
				runs[i] = s.look(ids[i])
			}
		})
	}
	readers.Wait()
	s.forget(ids)
	// removed since
	runs = slices.DeleteFunc(runs, func(i Info) bool { return errors.Is(i.Problem, fs.ErrNotExist) })
	slices.SortFunc(runs, func(a, b Info) int {
		// logs of earlier versions have seconds only: of two that began in one, the later is the
		// one that was written last
		return cmp.Or(b.Started.Compare(a.Started), b.Modified.Compare(a.Modified), cmp.Compare(b.ID, a.ID))
	})
	return runs, nil
}

// look returns what the list of runs says of a log, from memory or by reading it.
func (s *Store) look(id string) Info {
	if info, ok := s.known(id); ok {
		return info
	}
	var first, last lab.Event
	info, _, err := s.walk(id, func(r *reader, file io.ReaderAt) (err error) {
		first, last, err = ends(r, file, wholeSize, windowSize)
		return err
	})
	if err == nil {
		err = s.beginning(&info, first)
	}
	info.describe(first, last)
	if err != nil {
		info.damage(err)
	}
	var failed *fs.PathError // the system's, which may pass
	if info.Ended() && !errors.As(err, &failed) {
		s.remember(info)
	}
	return info
}

// known returns what was remembered of a run, unless its log has changed since.
func (s *Store) known(id string) (Info, bool) {
	s.mu.Lock()
	info, ok := s.listed[id]
	s.mu.Unlock()
	if !ok {
		return Info{}, false
	}
	stat, err := os.Stat(s.path(id))
	return info, err == nil && stat.Size() == info.Bytes && stat.ModTime().Equal(info.Modified)
}

// remember keeps what was found of a run that has ended, or of a damaged log. Damage stays until
// the log changes.
func (s *Store) remember(info Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.listed[info.ID]
	if old.Problem != nil && old.Bytes == info.Bytes && old.Modified.Equal(info.Modified) {
		return
	}
	s.listed[info.ID] = info
}

// forget drops what was remembered of runs other than ids.
func (s *Store) forget(ids []string) {
	here := make(map[string]bool, len(ids))
	for _, id := range ids {
		here[id] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.listed, func(id string, _ Info) bool { return !here[id] })
}

// describe fills the line of the list from the first and the last event.
func (i *Info) describe(first, last lab.Event) {
	if b := first.Begin; b != nil {
		i.Process, i.Host = b.Process, b.Host
		i.Scenario, i.About, i.Hash, i.Machine, i.Quick, i.Cells = b.Scenario, b.About, b.Hash, b.Machine, b.Quick, len(b.Cells)
		i.Started = time.Unix(b.Started, b.Nanoseconds)
		i.Settings, i.Source = b.Settings, b.Source
		i.Seed, i.Seeds = seedsOf(b.Cells)
	}
	i.Duration = time.Duration(last.Time * float64(time.Second))
	switch {
	case last.Kind == lab.KindEnd:
		i.State, i.Error = last.State, last.Text
	case i.State == lab.Crashed:
		i.Error = crashed
	}
}

// seedsOf returns the first seed of a plan, and how many seeds each point of its sweep has: the
// plan's order has the seeds of a point beside each other.
func seedsOf(cells []lab.Cell) (first, n int) {
	for _, c := range cells {
		if n > 0 && c.Seed == first {
			break
		}
		if n == 0 {
			first = c.Seed
		}
		n++
	}
	return first, n
}

// damage marks a run whose log cannot be read to its end: how it ended is not known.
func (i *Info) damage(err error) {
	i.Problem, i.State = err, lab.Damaged
	i.Error = "its log is damaged, and what comes after the damage is not shown: " + err.Error()
	var newer *NewerError
	if errors.As(err, &newer) {
		i.State, i.Error = lab.Newer, err.Error()
	}
}
