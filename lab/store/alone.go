package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"slimlab/internal/filelock"
)

// lookEvery is how often a process looks whether another has ended making an artifact.
const lookEvery = 100 * time.Millisecond

// Alone keeps other processes from making the artifact of a key at the same time, until release is
// called. While another makes it, Alone waits, until ctx ends; waits is called once before. Where
// the file system has no locks, it does not wait.
func (a *Artifacts) Alone(ctx context.Context, key string, waits func()) (release func(), err error) {
	if err := a.prepare(); err != nil {
		return nil, &WriteError{err}
	}
	name := filepath.Join(a.dir, temp+key+".lock")
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, &WriteError{fmt.Errorf("artifact %.12s: %w", key, err)}
		}
		err = filelock.TryLock(f)
		switch {
		case err == nil && filelock.Current(f):
			return func() { filelock.Remove(f) }, nil
		case err == nil: // its holder removed it before it was locked
			f.Close()
			continue
		case !errors.Is(err, filelock.ErrLocked):
			f.Close()
			return func() {}, nil
		}
		f.Close()
		if waits != nil {
			waits()
			waits = nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}
