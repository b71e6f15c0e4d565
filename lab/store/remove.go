package store

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
)

// RunningError is the error of a run that cannot be removed: its process lives.
type RunningError struct {
	ID      string
	Log     string // the file
	Process int    // that writes it; 0: not known
	Host    string // of the process, where that is another machine than this one
}

func (e *RunningError) Error() string { return "run " + e.ID + " is running: " + e.What() }

// What says which process works on the run, as far as its log knows it, and what to do.
func (e *RunningError) What() string {
	switch {
	case e.Process == 0:
		return "stop its process first, which its log does not name; lsof or fuser finds it by the file " + e.Log
	case e.Host != "":
		return fmt.Sprintf("process %d on the machine %s writes its log; stop it there first (kill -INT %d; what it has finished is kept)", e.Process, e.Host, e.Process)
	}
	return fmt.Sprintf("process %d writes its log; stop it first (kill -INT %d, or x in its workbench; what it has finished is kept)", e.Process, e.Process)
}

// Running is the RunningError of a run that has not ended; nil of one that has.
func (s *Store) Running(i *Info) *RunningError {
	if i.Ended() {
		return nil
	}
	e := &RunningError{ID: i.ID, Log: s.path(i.ID), Process: cmp.Or(i.Process, i.Holder)}
	if here, err := os.Hostname(); err != nil || here != i.Host {
		e.Host = i.Host
	}
	return e
}

// Remove deletes the log of the run of an id. Artifacts stay. A run whose process lives is a
// RunningError.
func (s *Store) Remove(id string) error {
	f, err := os.Open(s.path(id))
	if err != nil {
		return fmt.Errorf("run store: %w", err)
	}
	defer f.Close()
	if errors.Is(filelock.Probe(f), filelock.ErrLocked) {
		info := s.look(id)
		if running := s.Running(&info); running != nil {
			return running
		}
		return &RunningError{ID: id, Log: s.path(id), Process: cmp.Or(info.Process, info.Holder)}
	}
	if err := os.Remove(s.path(id)); err != nil {
		return fmt.Errorf("run store: %w", err)
	}
	return atomicfile.SyncDir(s.dir)
}
