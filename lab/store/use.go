package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"slimlab/internal/filelock"
)

// InUseError is the error of an artifact that cannot be removed: a run reads it.
type InUseError struct{ Key string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("artifact %.12s is in use by a run", e.Key)
}

// Get returns the folder of a complete and undamaged artifact. Its files must not be changed. An
// artifact that is absent is ErrNotFound, a damaged one a DamagedError, and one that another
// version made in another form a FormatError; one that cannot be read is another error. Checksums
// are read once in a process, until ctx ends; names, sizes and the recipe each time.
func (a *Artifacts) Get(ctx context.Context, key string) (dir string, err error) {
	dir, release, err := a.Use(ctx, key)
	if err != nil {
		return "", err
	}
	release()
	return dir, nil
}

// Use is Get, and keeps other processes from removing the artifact until release is called.
func (a *Artifacts) Use(ctx context.Context, key string) (dir string, release func(), err error) {
	for {
		dir, release, err = a.Look(ctx, key)
		var damaged *DamagedError
		var found damage
		if !errors.As(err, &damaged) || !errors.As(err, &found) {
			return dir, release, err
		}
		dir = filepath.Join(a.dir, key)
		if _, gone := os.Stat(dir); absent(gone) { // removed while it was read
			return "", nil, fmt.Errorf("artifact %.12s: %w", key, ErrNotFound)
		}
		if discarded := a.discard(ctx, key, dir, found, damaged.meta); discarded != nil {
			return "", nil, discarded
		}
	}
}

// Look is Use that leaves a damaged artifact where it is.
func (a *Artifacts) Look(ctx context.Context, key string) (dir string, release func(), err error) {
	dir = filepath.Join(a.dir, key)
	if !validKey.MatchString(key) {
		return "", nil, fmt.Errorf("artifact %q: %w", key, ErrNotFound)
	}
	if _, err := os.Stat(dir); absent(err) {
		return "", nil, fmt.Errorf("artifact %.12s: %w", key, ErrNotFound)
	}
	var meta os.FileInfo
	for {
		var f *os.File
		if f, err = a.share(dir); err != nil {
			break
		}
		if err = a.verify(ctx, key, dir); err == nil {
			return dir, func() { f.Close() }, nil // which cannot lose anything
		}
		var found damage
		replaced := errors.As(err, &found) && !filelock.Current(f)
		meta, _ = f.Stat()
		f.Close()
		if !replaced || ctx.Err() != nil {
			break
		}
		// What was read is in parts that of the one before, and in parts that of the one after.
		a.forget(key)
	}
	var format *FormatError
	var found damage
	switch {
	case errors.As(err, &format):
		return "", nil, err
	case !errors.As(err, &found):
		return "", nil, fmt.Errorf("artifact %.12s cannot be read: %w", key, err)
	}
	return "", nil, &DamagedError{Key: key, Reason: found, meta: meta}
}

// share locks an artifact against its removal until the file is closed. The lock is that of its
// metadata, which every artifact has and every system locks.
func (a *Artifacts) share(dir string) (*os.File, error) {
	for {
		f, err := os.Open(filepath.Join(dir, metaFile))
		if absent(err) {
			return nil, damage{fmt.Errorf("it has no %s", metaFile)}
		}
		if err != nil {
			return nil, err
		}
		_ = filelock.Share(f) // where a file system has no locks, nothing is locked
		if filelock.Current(f) {
			return f, nil
		}
		f.Close() // it was removed or replaced before it was locked
	}
}

// Remove deletes an artifact. One that is absent is ErrNotFound, and one that a process uses is an
// InUseError.
func (a *Artifacts) Remove(key string) error {
	dir := filepath.Join(a.dir, key)
	if _, err := os.Stat(dir); !validKey.MatchString(key) || absent(err) {
		return fmt.Errorf("artifact %.12s: %w", key, ErrNotFound)
	}
	a.forget(key)
	if f, err := os.Open(filepath.Join(dir, metaFile)); err == nil {
		defer f.Close()
		if err := filelock.TryLock(f); errors.Is(err, filelock.ErrLocked) {
			return &InUseError{key}
		}
	}
	// Under another name first: a kill in the middle must not leave half an artifact under its key.
	gone, release, err := a.makeTemp(temp)
	if err != nil {
		return fmt.Errorf("artifact %.12s: %w", key, err)
	}
	defer release()
	defer os.RemoveAll(gone)
	if err := os.Rename(dir, filepath.Join(gone, key)); err != nil {
		return fmt.Errorf("artifact %.12s: %w", key, err)
	}
	return nil
}
