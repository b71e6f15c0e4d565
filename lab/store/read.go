package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"slimlab/internal/filelock"
	"slimlab/lab"
)

// Run is a log as it was read.
type Run struct {
	Info
	// Events are all events, as Scan gives them.
	Events []lab.Event
}

// Read returns a run with all its events, by its id, a prefix of it, or "last", as Scan reads it.
func (s *Store) Read(name string) (*Run, error) {
	run := &Run{}
	var err error
	if run.Info, err = s.Scan(name, func(e lab.Event) { run.Events = append(run.Events, e) }); err != nil {
		return nil, err
	}
	return run, nil
}

// Scan reads a run by its id, a prefix of it, or "last", and calls apply with each event, in order.
// A record that the end of the file cuts off is left out; a note follows the others then, and an
// end event where the run has none and its process is gone. Of a log that is damaged it reads what
// stands before the damage: the run has failed then, and has the Problem. Only a log that is
// damaged before its first event is an error; nothing holds of what was applied of it.
func (s *Store) Scan(name string, apply func(lab.Event)) (Info, error) {
	id, err := s.Find(name)
	if err != nil {
		return Info{}, err
	}
	events := 0
	var first, last lab.Event
	info, torn, err := s.walk(id, func(r *reader, _ io.ReaderAt) error {
		for {
			payload, err := r.next()
			if err != nil {
				return err
			}
			e, err := r.decode(payload)
			if err != nil {
				return err
			}
			if events++; events == 1 {
				first = e
			}
			last = e
			apply(e)
		}
	})
	if err == nil {
		err = s.beginning(&info, first)
	}
	if err != nil && first.Begin == nil {
		return info, err
	}
	info.describe(first, last)
	if err != nil {
		info.damage(err)
		s.remember(info) // List may read less of it
	}
	if torn {
		apply(lab.Event{Kind: lab.KindNote, Time: last.Time, Level: lab.Warning, Text: tornNote})
	}
	if info.State == lab.Crashed || err != nil {
		apply(lab.Event{Kind: lab.KindEnd, Time: last.Time, State: info.State, Text: info.Error})
	}
	return info, nil
}

// walk opens a log and hands its records to f. It returns what the file itself shows: a process
// that is gone, and a torn end.
func (s *Store) walk(id string, f func(*reader, io.ReaderAt) error) (info Info, torn bool, err error) {
	info = Info{ID: id}
	file, err := os.Open(s.path(id))
	if err != nil {
		return info, false, fmt.Errorf("run store: %w", err)
	}
	defer file.Close()
	// The lock is looked at before the size: a writer that ends in between has then written its end
	// within the size.
	info.State = lab.Crashed
	if errors.Is(filelock.Probe(file), filelock.ErrLocked) {
		info.State, info.Holder = lab.Running, filelock.Holder(file)
	}
	stat, err := file.Stat()
	if err != nil {
		return info, false, fmt.Errorf("run store: %w", err)
	}
	info.Bytes, info.Modified = stat.Size(), stat.ModTime()
	r := newReader(file, file.Name(), stat.Size())
	if err = r.open(); err == nil {
		err = f(r, file)
	}
	switch {
	case errors.Is(err, errTorn):
		return info, info.State == lab.Crashed, nil
	case errors.Is(err, io.EOF):
		return info, false, nil
	}
	return info, false, err
}

// beginning reports a log without the event that begins a run, and one that holds another run than
// its name says. One that is being written may not have the event yet.
func (s *Store) beginning(run *Info, first lab.Event) error {
	switch {
	case first.Begin != nil && first.Begin.Run != run.ID:
		return fmt.Errorf("run log %s: holds the run %.160q: it was copied or renamed; give it the name %.160s%s", s.path(run.ID), first.Begin.Run, first.Begin.Run, extension)
	case run.State != lab.Crashed || first.Begin != nil:
		return nil
	}
	return fmt.Errorf("run log %s: %d bytes without the event that begins a run: it was cut off within it, or has been shortened", s.path(run.ID), run.Bytes)
}

const (
	crashed  = "its process is gone, and it did not end"
	tornNote = "log: its last record is torn and was left out: the run was cut off while writing"
)
