package store

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"slimlab/lab"
)

// Info is one line of the list of runs.
type Info struct {
	ID          string
	Scenario    string
	About       string
	Hash        string
	Machine     string
	State       lab.State // Running only while its process lives
	Interrupted bool      // it never ended, and its process is gone; State is Cancelled
	Error       string
	Started     time.Time
	Duration    time.Duration // to the last event
	Quick       bool
	Cells       int
	Settings    []string // key=value overrides of the scenario
	Source      string   // the scenario file's text
	Seeds       int      // of each point of the sweep
	Seed        int      // the first one
	Bytes       int64
	// why the log cannot be read, or only its beginning; the other fields hold what is known
	Problem error

	modified time.Time // the log
}

// Ended reports whether the run's process is gone or has ended the run.
func (i Info) Ended() bool { return i.State != lab.Running }

// List returns all runs, the newest first. A run whose log is damaged, or of a newer version
// (NewerError), is listed with its Problem. A log is read whole, once: that of a run that has ended
// is read again only when its size or its time has changed.
func (s *Store) List() ([]Info, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	runs := make([]Info, 0, len(ids))
	known := map[string]Info{}
	for _, id := range ids {
		if info, ok := s.known(id); ok {
			runs, known[id] = append(runs, info), info
			continue
		}
		var ends [2]lab.Event
		info, _, err := s.walk(id, func(r *reader) error { return firstAndLast(r, &ends) })
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err == nil {
			err = s.beginning(&info, ends[0])
		}
		info.describe(ends[0], ends[1])
		if err != nil {
			info.damage(err)
		}
		runs = append(runs, info)
		if info.Ended() && err == nil {
			known[id] = info
		}
	}
	s.mu.Lock()
	s.listed = known
	s.mu.Unlock()
	slices.SortFunc(runs, func(a, b Info) int {
		// logs of earlier versions have seconds only: of two that began in one, the later is the
		// one that was written last
		return cmp.Or(b.Started.Compare(a.Started), b.modified.Compare(a.modified), cmp.Compare(b.ID, a.ID))
	})
	return runs, nil
}

// known returns what List found of a run that has ended, unless its log has changed since.
func (s *Store) known(id string) (Info, bool) {
	s.mu.Lock()
	info, ok := s.listed[id]
	s.mu.Unlock()
	if !ok {
		return Info{}, false
	}
	stat, err := os.Stat(s.path(id))
	return info, err == nil && stat.Size() == info.Bytes && stat.ModTime().Equal(info.modified)
}

// firstAndLast decodes the first and the last whole record.
func firstAndLast(r *reader, ends *[2]lab.Event) error {
	var first, last []byte
	for {
		payload, err := r.next()
		if err == nil {
			if first == nil {
				first = bytes.Clone(payload)
			}
			last = append(last[:0], payload...)
			continue
		}
		for i, payload := range [][]byte{first, last} {
			if payload == nil {
				continue
			}
			e, bad := r.decode(payload)
			if bad != nil {
				return bad
			}
			ends[i] = e
		}
		return err
	}
}

// describe fills the line of the list from the first and the last event.
func (i *Info) describe(first, last lab.Event) {
	if b := first.Begin; b != nil {
		i.Scenario, i.About, i.Hash, i.Machine, i.Quick, i.Cells = b.Scenario, b.About, b.Hash, b.Machine, b.Quick, len(b.Cells)
		i.Started = time.Unix(b.Started, b.Nanoseconds)
		i.Settings, i.Source = b.Settings, b.Source
		i.Seed, i.Seeds = seedsOf(b.Cells)
	}
	i.Duration = time.Duration(last.Time * float64(time.Second))
	switch {
	case last.Kind == lab.KindEnd:
		i.State, i.Error, i.Interrupted = last.State, last.Text, false
	case i.Interrupted:
		i.State, i.Error = lab.Cancelled, interrupted
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
	i.Problem, i.State, i.Interrupted = err, lab.Failed, false
	i.Error = "its log is damaged, and what comes after the damage is not shown: " + err.Error()
}
