// Package atomicfile writes the output files of a command. A regular file is replaced
// in one step: a reader, a crash or a full disk never leaves half of it.
//
// The name is taken as the shell takes it. Links are followed, also those that lead to what is
// absent. What is there and is no regular file, such as a device or a pipe, is written into, and
// /dev/stdout and its like are the open files themselves. A file that is replaced keeps its mode,
// and its owner where the system lets it; a regular file beside which no other can be made, or that
// cannot be replaced because something is mounted on it, is written in place.
//
// Check says before the work what Write would say after it. The package leaves out locks.
package atomicfile

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"slimlab/internal/filelock"
)

// Write calls fill with a buffered writer and puts what it writes into the file name. A regular
// file is then synced and has its new content at once: on any error it is as it was, and nothing
// else is left. Into any other file the bytes go as they come.
func Write(name string, fill func(w io.Writer) error) error {
	d, err := find(name)
	if err != nil {
		return err
	}
	if !d.replaced() {
		f, err := d.open()
		if err != nil {
			return err
		}
		return errors.Join(buffered(f, fill), f.Close())
	}
	temp, err := d.temporary()
	if err != nil {
		if d.there() && deniesNewFiles(err) {
			return d.overwrite(fill)
		}
		return err
	}
	defer os.Remove(temp.Name()) // after the rename there is nothing to remove
	err = buffered(&synced{File: temp}, fill)
	if err == nil {
		err = d.keepModes(temp)
	}
	if err == nil {
		err = temp.Sync()
	}
	if e := temp.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), d.path); err != nil {
		// a file that is mounted, as in containers
		if !d.there() || !errors.Is(err, syscall.EBUSY) {
			return err
		}
		return d.overwrite(func(w io.Writer) error { return copyFile(w, temp.Name()) })
	}
	return SyncDir(filepath.Dir(d.path))
}

// Check reports why Write of a file cannot succeed, as far as it can be known before: a folder that
// is missing or takes no files, a file that is read-only, a name that is too long. It writes
// nothing, and leaves nothing behind.
func Check(name string) error {
	d, err := find(name)
	switch {
	case err != nil:
		return err
	case d.descriptor >= 0:
		f, err := d.open()
		if err != nil {
			return err
		}
		return f.Close()
	case !d.replaced(): // not opened: the reader of a pipe would take it for the end
		return d.named(writable(d.path))
	}
	if d.there() {
		f, err := os.OpenFile(d.path, os.O_WRONLY, 0)
		if err != nil {
			return d.named(err)
		}
		f.Close()
	}
	temp, err := d.temporary()
	if err != nil {
		if d.there() && deniesNewFiles(err) {
			return nil
		}
		return err
	}
	temp.Close()
	return os.Remove(temp.Name())
}

// Replaced reports whether Write replaces the file of a name: whether it is a regular file, or is
// absent. Into others, each Write adds to what the one before has written.
func Replaced(name string) bool {
	d, err := find(name)
	return err != nil || d.replaced()
}

// Create opens a file for what is written over time: empty, where it is a regular file.
func Create(name string) (*os.File, error) {
	d, err := find(name)
	if err != nil {
		return nil, err
	}
	if !d.replaced() {
		return d.open()
	}
	f, err := os.Create(d.path)
	return f, d.named(err)
}

// buffered calls fill and flushes what it has written.
func buffered(w io.Writer, fill func(w io.Writer) error) error {
	b := bufio.NewWriterSize(w, 1<<20)
	if err := fill(b); err != nil {
		return err
	}
	return b.Flush()
}

// destination is the file that a name stands for.
type destination struct {
	name       string      // as it was given
	path       string      // without links
	info       os.FileInfo // nil where nothing is there
	descriptor int         // of this process, in place of a path; −1 is none
}

// maxLinks bounds the links that are followed, as Linux does.
const maxLinks = 40

// find follows the links of a name.
func find(name string) (*destination, error) {
	d := &destination{name: name, path: name, descriptor: -1}
	switch {
	case name == "":
		return nil, errors.New("the name of the file is empty")
	case os.IsPathSeparator(name[len(name)-1]):
		return nil, fmt.Errorf("%s: ends as the name of a folder does, expected the name of a file", name)
	}
	for range maxLinks {
		dir, base := filepath.Split(d.path)
		dir, err := filepath.EvalSymlinks(cmp.Or(dir, "."))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s: its folder is absent: %w", name, syscall.ENOENT)
		case errors.Is(err, syscall.ENOTDIR):
			return nil, fmt.Errorf("%s: its path leads through a file, expected folders: %w", name, syscall.ENOTDIR)
		case err != nil:
			return nil, d.named(err)
		}
		if n, ok := descriptor(dir, base); ok {
			d.descriptor = n
			return d, nil
		}
		d.path = filepath.Join(dir, base)
		info, err := os.Lstat(d.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return d, nil
		case err != nil:
			return nil, d.named(err)
		case info.IsDir():
			return nil, fmt.Errorf("%s: is a folder, expected the name of a file", name)
		case info.Mode()&fs.ModeSymlink == 0:
			d.info = info
			return d, nil
		}
		link, err := os.Readlink(d.path)
		if err != nil {
			return nil, d.named(err)
		}
		// not cleaned: a part of it that is a link leads elsewhere than its name
		if !filepath.IsAbs(link) {
			link = dir + string(filepath.Separator) + link
		}
		d.path = link
	}
	return nil, fmt.Errorf("%s: more than %d links one after the other", name, maxLinks)
}

// descriptor reads the number of a file that this process has open, where a name in a folder is
// that of one: /proc/self/fd/1, to which /dev/stdout leads, or /dev/fd/1.
func descriptor(dir, base string) (n int, ok bool) {
	dir = filepath.ToSlash(dir)
	if dir == "/dev" { // where the names are no links
		switch base {
		case "stdin", "stdout", "stderr":
			if info, err := os.Lstat("/dev/" + base); err == nil && info.Mode()&fs.ModeSymlink == 0 {
				return map[string]int{"stdin": 0, "stdout": 1, "stderr": 2}[base], true
			}
		}
	}
	if dir != "/dev/fd" && dir != fmt.Sprintf("/proc/%d/fd", os.Getpid()) {
		return 0, false
	}
	if _, err := fmt.Sscanf(base, "%d", &n); err != nil || fmt.Sprint(n) != base {
		return 0, false
	}
	return n, true
}

func (d *destination) there() bool { return d.info != nil }

// replaced reports whether the file gets its new content by a rename.
func (d *destination) replaced() bool {
	return d.descriptor < 0 && (!d.there() || d.info.Mode().IsRegular())
}

// named gives an error of the file system the name that the file was given by.
func (d *destination) named(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return &fs.PathError{Op: "open", Path: d.name, Err: of.Err}
	}
	return err
}

// open opens what is no regular file, to be written into.
func (d *destination) open() (*os.File, error) {
	if d.descriptor >= 0 {
		return duplicate(d.descriptor, d.name)
	}
	f, err := os.OpenFile(d.path, os.O_WRONLY, 0)
	return f, d.named(err)
}

// longestPrefix leaves room for the random part in a file name of 255 bytes.
const longestPrefix = 100

// temporary makes a file beside the destination, with the mode of a new one.
func (d *destination) temporary() (*os.File, error) {
	dir, base := filepath.Split(d.path)
	if len(base) > longestPrefix {
		if _, err := os.Lstat(d.path); errors.Is(err, syscall.ENAMETOOLONG) {
			return nil, d.named(err)
		}
		base = shortened(base)
	}
	for {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf(".%s-%08x", base, rand.Uint32())), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			_ = filelock.TryLock(f) // until it is closed; see RemoveAbandoned
		}
		if !errors.Is(err, fs.ErrExist) {
			return f, d.named(err)
		}
	}
}

// keepModes gives the temporary file the mode of the one that it replaces, and its owner where that
// is allowed.
func (d *destination) keepModes(temp *os.File) error {
	if !d.there() {
		return nil
	}
	keepOwner(temp, d.info)
	return temp.Chmod(d.info.Mode().Perm())
}

// overwrite writes into a regular file as it lies, all that fill writes at once.
func (d *destination) overwrite(fill func(w io.Writer) error) error {
	var content bytes.Buffer
	if err := fill(&content); err != nil {
		return err
	}
	f, err := os.OpenFile(d.path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return d.named(err)
	}
	_, err = f.Write(content.Bytes())
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// deniesNewFiles reports that a folder takes no new files, though what is in it may be writable.
func deniesNewFiles(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

func copyFile(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
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

// SyncDir makes a folder's entries durable, such as a rename. Not every system can sync a folder,
// and not every folder can be read; there they are as durable as it gets.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}
