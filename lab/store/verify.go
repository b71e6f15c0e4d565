package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/lab/recipe"
)

// DamagedError is the error of an artifact that was there but is not what its key says. To the
// caller it is absent, and errors.Is(err, ErrNotFound) holds, unless Restored.
type DamagedError struct {
	Key    string
	Reason error // what does not match, and what became of the artifact
	// Restored reports that the artifact lay under the key of another and is in its place now: it
	// can be asked for again.
	Restored bool

	meta os.FileInfo // of the metadata of what was read; nil where it had none
}

func (e *DamagedError) Error() string {
	if e.Restored {
		return fmt.Sprintf("artifact %.12s: %v", e.Key, e.Reason)
	}
	return fmt.Sprintf("artifact %.12s is corrupt and will be made again: %v", e.Key, e.Reason)
}

func (e *DamagedError) Unwrap() []error {
	if e.Restored {
		return []error{e.Reason}
	}
	return []error{e.Reason, ErrNotFound}
}

// damage is what makes an artifact useless, as opposed to what makes it unreadable for now.
type damage struct{ error }

func (d damage) Unwrap() error { return d.error }

// misplaced is the damage of a whole artifact under the key of another.
type misplaced struct{ key string }

func (m misplaced) Error() string {
	return fmt.Sprintf("its recipe is that of artifact %.12s", m.key)
}

// verify compares the artifact with its metadata and its key. What does not match is a damage.
func (a *Artifacts) verify(ctx context.Context, key, dir string) error {
	meta, err := readMeta(dir)
	if err != nil {
		return err
	}
	if meta.Format != metaFormat {
		return &FormatError{Key: key, Format: meta.Format}
	}
	if err := checkNames(dir, meta.Files); err != nil {
		return err
	}
	if err := checkRecipe(ctx, key, dir, meta.Files); err != nil {
		return err
	}
	a.mu.Lock()
	verified := a.verified[key]
	a.mu.Unlock()
	for _, f := range meta.Files {
		if err := checkFile(ctx, dir, f, verified); err != nil {
			return err
		}
	}
	a.mu.Lock()
	a.verified[key] = true
	a.mu.Unlock()
	return nil
}

// checkNames compares the names of an artifact's files with its folder: readers take whatever lies
// in it for the artifact's. Hidden files, which none reads, may lie there.
func checkNames(dir string, files []file) error {
	listed := map[string]bool{}
	for _, f := range files {
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return damage{fmt.Errorf("file name %q leads out of the artifact", f.Name)}
		}
		listed[f.Name] = true
	}
	if !listed[recipe.FileName] {
		return damage{fmt.Errorf("its metadata lists no %s", recipe.FileName)}
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return unreadable(err)
		}
		name, err := filepath.Rel(dir, path)
		if name = filepath.ToSlash(name); err == nil && name != metaFile && !listed[name] {
			return damage{fmt.Errorf("%s was added to it", name)}
		}
		return err
	})
}

// checkRecipe compares the recipe, whose hash is the key.
func checkRecipe(ctx context.Context, key, dir string, files []file) error {
	sum, err := recipe.File(ctx, filepath.Join(dir, recipe.FileName))
	switch {
	case err != nil:
		return unreadable(err)
	case sum == key:
		return nil
	case slices.ContainsFunc(files, func(f file) bool { return f.Name == recipe.FileName && f.Sum == sum }):
		return damage{misplaced{sum}}
	}
	return damage{fmt.Errorf("%s has the checksum %.12s…, expected the artifact's key", recipe.FileName, sum)}
}

// checkFile compares a file's size, and its checksum unless the process has read that before.
func checkFile(ctx context.Context, dir string, f file, verified bool) error {
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(err)
	}
	if info.Size() != f.Size {
		return damage{fmt.Errorf("%s has %d bytes, expected %d", f.Name, info.Size(), f.Size)}
	}
	if verified {
		return nil
	}
	sum, err := recipe.File(ctx, path)
	if err != nil {
		return unreadable(err)
	}
	if sum != f.Sum {
		return damage{fmt.Errorf("%s has the checksum %.12s…, expected %.12s…", f.Name, sum, f.Sum)}
	}
	return nil
}

// unreadable makes a file that is absent a damage. Other errors, such as too many open files, say
// nothing of the artifact.
func unreadable(err error) error {
	var of *fs.PathError
	switch {
	case !absent(err):
		return err
	case errors.As(err, &of):
		return damage{fmt.Errorf("the file %s is missing", filepath.Base(of.Path))}
	}
	return damage{err}
}

// discard puts an artifact that lies under the key of another in its place, if that is free or the
// two were exchanged. Any other damaged one is moved aside, where a person can look at it. It
// returns nil where another process has put a new one in its place since it was read, with that
// metadata: then nothing is known of the one that is there.
func (a *Artifacts) discard(ctx context.Context, key, dir string, why damage, meta os.FileInfo) *DamagedError {
	a.forget(key)
	var elsewhere misplaced
	if errors.As(why, &elsewhere) {
		if restored, text := a.restore(ctx, key, dir, elsewhere.key); text != "" {
			return &DamagedError{Key: key, Reason: errors.New(text), Restored: restored}
		}
	}
	var reason error = why
	to := filepath.Join(a.dir, aside+key)
	if err := os.RemoveAll(to); err != nil {
		reason = fmt.Errorf("%w; an older corrupt one cannot be removed: %v", reason, err)
	}
	if err := os.Rename(dir, to); err != nil {
		reason = fmt.Errorf("%w; it cannot be moved aside: %v", reason, err)
	} else if now, err := os.Stat(filepath.Join(to, metaFile)); err == nil && (meta == nil || !os.SameFile(now, meta)) && os.Rename(to, dir) == nil {
		return nil
	}
	return &DamagedError{Key: key, Reason: reason}
}

// restore moves the artifact of another key, which lies in dir, to its own place. restored reports
// that the artifact of key lay there, and is in dir now; text says what was done, "" for nothing.
func (a *Artifacts) restore(ctx context.Context, key, dir, other string) (restored bool, text string) {
	to := filepath.Join(a.dir, other)
	a.forget(other)
	if _, err := os.Stat(to); absent(err) {
		if os.Rename(dir, to) != nil {
			return false, ""
		}
		return false, fmt.Sprintf("in its place lay artifact %.12s, which is where it belongs now", other)
	}
	if sum, err := recipe.File(ctx, filepath.Join(to, recipe.FileName)); err != nil || sum != key || exchange(dir, to) != nil {
		return false, ""
	}
	if err := a.verify(ctx, key, dir); err != nil {
		return false, fmt.Sprintf("it and artifact %.12s had been exchanged, and it is damaged: %v", other, err)
	}
	return true, fmt.Sprintf("it and artifact %.12s had been exchanged, and are where they belong now", other)
}
