// Package atomicfile replaces a file in one step: a reader, a crash or a full disk never leaves
// half of it.
package atomicfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// Write calls fill with a buffered writer to a temporary file beside name, syncs it and renames it
// to name. On any error name is as it was and the temporary file is gone.
func Write(name string, fill func(w io.Writer) error) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing to remove
	w := bufio.NewWriterSize(&synced{File: f}, 1<<20)
	err = fill(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return SyncDir(dir)
}

// syncBytes are written between two syncs: on a slow disk the last one of a large file would take
// many seconds, in which nothing can interrupt the program.
const syncBytes = 32 << 20

// synced is a file that is synced as it grows.
type synced struct {
	*os.File
	unsynced int
}

func (s *synced) Write(b []byte) (int, error) {
	n, err := s.File.Write(b)
	if s.unsynced += n; err == nil && s.unsynced >= syncBytes {
		s.unsynced, err = 0, s.Sync()
	}
	return n, err
}

// WriteJSON is Write of v as indented JSON.
func WriteJSON(name string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return Write(name, func(w io.Writer) error {
		_, err := b.WriteTo(w)
		return err
	})
}

// SyncDir makes a folder's entries durable, such as a rename. Not every system can sync a folder;
// there they are as durable as it gets.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}
