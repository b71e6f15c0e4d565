package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slimlab/internal/filelock"
	"slimlab/lab/recipe"
)

// Condition is what a folder of the store is.
type Condition int

const (
	Complete   Condition = iota // an artifact that can be found
	OldFormat                   // an artifact in the form of an earlier version: it is made anew
	NewFormat                   // an artifact in the form of a newer version
	Unfinished                  // left by a process that was killed
	InUse                       // being made by a living process
	Damaged                     // moved aside, or without readable metadata
	Foreign                     // not made by slimlab
	Partial                     // what an ended build has left, from which the next one goes on
)

func (c Condition) String() string {
	return [...]string{"complete", "of an earlier version", "of a newer version", "unfinished", "being made", "damaged", "foreign", "a part, from which a run goes on"}[c]
}

// Entry is a folder of the store.
type Entry struct {
	Name      string // the key, for an artifact
	Title     string // of the artifact, where it is known
	Condition Condition
	Bytes     int64 // of its files
	// of a complete artifact, and of a part of one
	Created time.Time         // to the second; of a part, when it was last written
	Model   bool              // it holds a model, not a measurement or a tokenizer
	Stage   string            // of its recipe
	Inputs  map[string]string // the same
}

// Useless reports whether no run can use the entry.
func (e Entry) Useless() bool {
	return e.Condition == OldFormat || e.Condition == Unfinished || e.Condition == Damaged
}

// Entries lists everything in the store, in order of name. It reads metadata, no checksums.
func (a *Artifacts) Entries() ([]Entry, error) {
	found, err := os.ReadDir(a.dir)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	var entries []Entry
	for _, e := range found {
		entry := Entry{Name: e.Name()}
		path := filepath.Join(a.dir, e.Name())
		if entry.Bytes, err = bytesOf(path); err != nil {
			return nil, fmt.Errorf("artifacts: %w", err)
		}
		examine(path, e, &entry)
		entries = append(entries, entry)
	}
	return entries, nil
}

// examine finds what a folder is by its name and metadata.
func examine(path string, e fs.DirEntry, entry *Entry) {
	switch {
	case strings.HasPrefix(e.Name(), temp) && inUse(path):
		entry.Condition = InUse
		return
	case strings.HasPrefix(e.Name(), temp):
		entry.Condition = Unfinished
		return
	case strings.HasPrefix(e.Name(), aside):
		entry.Condition = Damaged
		return
	case strings.HasPrefix(e.Name(), partial):
		examinePartial(path, entry)
		return
	case !validKey.MatchString(e.Name()):
		entry.Condition = Foreign
		return
	}
	m, err := readMeta(path)
	if err != nil {
		entry.Condition = Damaged
		return
	}
	entry.Title, entry.Created = m.Title, time.Unix(m.Created, 0)
	switch {
	case m.Format < metaFormat:
		entry.Condition = OldFormat
	case m.Format > metaFormat:
		entry.Condition = NewFormat
	default:
		entry.Condition = Complete
		entry.Stage, entry.Inputs = made(path)
		_, err := os.Stat(filepath.Join(path, "config.json"))
		entry.Model = err == nil
	}
}

// made reads the stage and the inputs of an artifact's recipe. What cannot be read has none: Use
// refuses it.
func made(dir string) (stage string, inputs map[string]string) {
	text, err := os.ReadFile(filepath.Join(dir, recipe.FileName))
	if err != nil {
		return "", nil
	}
	var r struct {
		Stage  string
		Inputs map[string]string
	}
	_ = json.Unmarshal(text, &r)
	return r.Stage, r.Inputs
}

// bytesOf sums the files below a path. What is removed meanwhile counts nothing.
func bytesOf(path string) (bytes int64, err error) {
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && d.Type().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes, err
}

// Discard removes an entry, whatever it is. An artifact that a process uses or makes is an
// InUseError.
func (a *Artifacts) Discard(e Entry) error {
	if validKey.MatchString(e.Name) {
		return a.Remove(e.Name)
	}
	path := filepath.Join(a.dir, filepath.Base(e.Name))
	if key, ok := strings.CutPrefix(e.Name, partial); ok {
		return a.dropPartial(path, key)
	}
	if strings.HasPrefix(e.Name, temp) {
		return dropTemp(path)
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	return nil
}

// makeTemp makes a folder and locks it. What removes such folders holds their locks, so that one
// that was removed before it was locked is gone, and another is made.
func (a *Artifacts) makeTemp(pattern string) (dir string, release func(), err error) {
	for {
		if dir, err = os.MkdirTemp(a.dir, pattern); err != nil {
			return "", nil, err
		}
		if release, err = filelock.LockFolder(dir); absent(err) {
			continue
		} else if err != nil {
			return "", nil, err
		}
		if _, err = os.Stat(dir); !absent(err) {
			return dir, release, err
		}
		release()
	}
}

// dropTemp removes what a killed process left of its making. What a living one makes is an
// InUseError.
func dropTemp(path string) error {
	release, err := filelock.TryLockPath(path)
	switch {
	case absent(err):
		return nil
	case errors.Is(err, filelock.ErrLocked):
		return &InUseError{strings.TrimPrefix(filepath.Base(path), temp)}
	case err == nil:
		defer release()
	} // else there are no locks here, and age alone says that nobody makes it
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	return nil
}

// inUse reports whether a living process is making an artifact in a folder.
func inUse(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	return err == nil && filelock.FolderLocked(f, info)
}
