package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"slimlab/internal/filelock"
	"slimlab/lab/recipe"
)

// partial begins the name of a folder in which the work of a long build is kept.
const partial = "unfinished-"

// Partial returns the folder in which the work on an artifact is kept over several builds: what one
// of them has written, and not finished, is there for the next build of the same recipe, after a
// failure or a kill. It is locked until release is called, which removes a folder in which nothing
// was written. The caller holds Alone of the key, takes what it finished out of the folder, and
// then calls DropPartial.
func (a *Artifacts) Partial(r recipe.Recipe, label Label) (dir string, release func(), err error) {
	key := r.Key()
	if err := a.prepare(); err != nil {
		return "", nil, &WriteError{err}
	}
	dir = filepath.Join(a.dir, partial+key)
	f, err := beginPartial(dir, r, label)
	if err != nil {
		return "", nil, &WriteError{fmt.Errorf("artifact %.12s: %w", key, err)}
	}
	return dir, func() {
		f.Close() // which cannot lose anything
		if entries, err := os.ReadDir(dir); err == nil && len(entries) == 2 {
			os.RemoveAll(dir) // what stays is no harm
		}
	}, nil
}

// beginPartial makes the folder where it is absent, and locks its metadata, which every system can
// lock. What a file system without locks has is not locked.
func beginPartial(dir string, r recipe.Recipe, label Label) (f *os.File, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if f, err = os.OpenFile(filepath.Join(dir, metaFile), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, err
	}
	if err := filelock.TryLock(f); errors.Is(err, filelock.ErrLocked) {
		f.Close()
		return nil, fmt.Errorf("another process makes it")
	}
	err = os.WriteFile(filepath.Join(dir, recipe.FileName), r.Canonical(), 0o644)
	if err == nil {
		err = writeMeta(dir, meta{Format: metaFormat, Title: label.Title, Program: label.Program, Created: time.Now().Unix()})
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// partialInUse reports whether a process holds the lock of a folder of kept work.
func partialInUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, metaFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(filelock.Probe(f), filelock.ErrLocked)
}

// DropPartial removes the kept work on an artifact, if there is any and no process goes on with it.
func (a *Artifacts) DropPartial(key string) error {
	return a.dropPartial(filepath.Join(a.dir, partial+key), key)
}

func (a *Artifacts) dropPartial(dir, key string) error {
	if partialInUse(dir) {
		return &InUseError{key}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("artifact %.12s: %w", key, err)
	}
	return nil
}

// examinePartial describes the folder of kept work.
func examinePartial(path string, entry *Entry) {
	if entry.Condition = Partial; partialInUse(path) {
		entry.Condition = InUse
	}
	if m, err := readMeta(path); err == nil {
		entry.Title = m.Title
	}
	entry.Stage, entry.Inputs = made(path)
	files, _ := os.ReadDir(path) // what cannot be read is as old as can be
	for _, f := range files {
		if info, err := f.Info(); err == nil && info.ModTime().After(entry.Created) {
			entry.Created = info.ModTime() // of the last build
		}
	}
}
