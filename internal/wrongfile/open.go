package wrongfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Open opens a regular file, or a link to one. Anything else is an error that says what it is:
// opening a pipe would wait for its writer. A link to nothing is not fs.ErrNotExist, so that a
// reader does not take an optional file for absent.
func Open(name string) (*os.File, error) {
	if err := Check(name); err != nil {
		return nil, err
	}
	return os.Open(name)
}

// Check reports what Open would refuse, without opening it.
func Check(name string) error { return check(name, name) }

// check is Check of a file that errors call shown.
func check(name, shown string) error {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if to, linkErr := os.Readlink(name); linkErr == nil {
			return fmt.Errorf("%s: is a link to %s, which does not exist: fetch that file, or copy the folder with the files behind its links (cp -rL)", shown, to)
		}
	}
	if err != nil {
		return err
	}
	if kind := Kind(info.Mode()); kind != "" {
		return fmt.Errorf("%s: is %s, expected a regular file", shown, kind)
	}
	return nil
}

// Kind says in words what is not a regular file; "" is a regular file.
func Kind(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return ""
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "no regular file (" + mode.String() + ")"
}

// Folder is the files of a folder, as os.DirFS gives them, but for those that Open refuses.
func Folder(dir string) fs.FS { return folder{os.DirFS(dir), dir} }

type folder struct {
	fs.FS // which checks names
	dir   string
}

func (f folder) check(op, name string) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	err := check(filepath.Join(f.dir, filepath.FromSlash(name)), name)
	var of *fs.PathError
	if errors.As(err, &of) {
		return &fs.PathError{Op: op, Path: name, Err: of.Err}
	}
	return err
}

func (f folder) Open(name string) (fs.File, error) {
	if err := f.check("open", name); err != nil {
		return nil, err
	}
	return f.FS.Open(name)
}

func (f folder) ReadFile(name string) ([]byte, error) {
	if err := f.check("open", name); err != nil {
		return nil, err
	}
	return fs.ReadFile(f.FS, name)
}

// Stat describes folders too.
func (f folder) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(f.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = f.check("stat", name) // which names a link
	}
	return info, err
}

func (f folder) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, name) }
