package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrLocked says that another holds a lock.
var ErrLocked = errors.New("locked by another process")

// Target is a folder or file that this process alone writes, until Release.
type Target struct {
	// Path is where the target is, whatever name it was given by: absolute and without links. All
	// names of one target have one Path.
	Path string
	// Warning says why nothing is locked; "" where the lock is held.
	Warning string

	release func()
	made    []string // folders that were made for the lock file, the innermost first
}

// LockedError is the error of a target that another holds.
type LockedError struct {
	Target  string
	Process int // the holder's, if it is on this machine and known; else 0
}

func (e *LockedError) Error() string {
	holder := "another slimlab process"
	if e.Process != 0 {
		holder += fmt.Sprintf(" (pid %d)", e.Process)
	}
	return fmt.Sprintf("%s: %s is writing it; wait until that ends, or name another target", e.Target, holder)
}

func (e *LockedError) Is(err error) bool { return err == ErrLocked }

// AcquireFile takes the lock of a file that is to be written, before anything of it is read or
// removed. The file may be absent. One that another holds is a LockedError at once.
//
// Where no file can be made beside a target that exists, the target itself is locked. Where the
// filesystem has no locks, the target is returned with a Warning. A device or pipe has no lock.
func AcquireFile(name string) (*Target, error) { return acquire(name, false, TryLock) }

// AcquireFolder is AcquireFile for a folder. The folders around it may be absent too: they are
// made.
func AcquireFolder(name string) (*Target, error) { return acquire(name, true, TryLock) }

func acquire(name string, makeFolders bool, lock func(*os.File) error) (*Target, error) {
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return &Target{Path: name, release: func() {}}, nil
	}
	path, err := TargetPath(name)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil && !makeFolders {
		return nil, fmt.Errorf("%s: its folder: %w", name, err)
	}
	t := &Target{Path: path}
	err = t.acquire(makeFolders, lock)
	if (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) && info != nil {
		if release, e := TryLockPath(path); e == nil || errors.Is(e, ErrLocked) {
			t.release, err = release, e
		}
	}
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, ErrLocked):
		pid := holder(t.lockFile())
		if pid == os.Getpid() {
			return nil, fmt.Errorf("%s: this command writes it already, expected another target", name)
		}
		return nil, &LockedError{Target: name, Process: pid}
	}
	t.removeMade()
	return nil, fmt.Errorf("%s: it cannot be locked against other processes, for which a file is made beside it: %w", name, err)
}

// TargetPath returns the Path of a target.
func TargetPath(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return resolve(path, 32), nil
}

// resolve follows the links in a path, also where they lead to what is absent. links bounds their
// number.
func resolve(path string, links int) string {
	whole, err := filepath.EvalSymlinks(path)
	if err == nil {
		return whole
	}
	dir := filepath.Dir(path)
	if dir == path || links == 0 || !errors.Is(err, fs.ErrNotExist) {
		return path
	}
	dir = resolve(dir, links)
	path = filepath.Join(dir, filepath.Base(path))
	link, err := os.Readlink(path)
	if err != nil { // absent
		return path
	}
	if !filepath.IsAbs(link) {
		link = filepath.Join(dir, link)
	}
	return resolve(link, links-1)
}

// lockFile is the name of the file whose lock is the target's.
func (t *Target) lockFile() string {
	return filepath.Join(filepath.Dir(t.Path), "."+filepath.Base(t.Path)+".slimlab-lock")
}

func (t *Target) acquire(makeFolders bool, lock func(*os.File) error) error {
	for {
		f, err := t.open(makeFolders)
		if err != nil {
			return err
		}
		err = lock(f)
		if unsupported(err) {
			Remove(f)
			t.Warning = fmt.Sprintf("%s: its filesystem has no locks (%v): nothing keeps another slimlab process from writing it too", t.Path, err)
			t.release = func() {}
			return nil
		}
		if err != nil {
			f.Close()
			return err
		}
		if !Current(f) {
			f.Close() // its holder removed it before it was locked
			continue
		}
		if err := writeHolder(f); err != nil {
			Remove(f)
			return err
		}
		t.release = func() { Remove(f) }
		return nil
	}
}

// open opens the lock file, and makes it where it is absent, on demand with the folders around it.
// The holder before may remove the folders that it made at any moment: then open tries again.
func (t *Target) open(makeFolders bool) (f *os.File, err error) {
	for range 100 {
		if makeFolders {
			err = t.makeFolders()
		}
		if err == nil {
			f, err = os.OpenFile(t.lockFile(), os.O_CREATE|os.O_RDWR, 0o644)
		}
		if !makeFolders || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, err
}

// makeFolders makes the folders around the target, and notes those that were absent.
func (t *Target) makeFolders() error {
	parent := filepath.Dir(t.Path)
	for dir := parent; !slices.Contains(t.made, dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		t.made = append(t.made, dir)
	}
	return os.MkdirAll(parent, 0o755)
}

// Current reports whether an open file still has its name.
func Current(f *os.File) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.Name())
	return err == nil && os.SameFile(opened, named)
}

// unsupported reports whether a filesystem has no locks.
func unsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ENOLCK)
}

// Release lets others write the target, and removes what was made for the lock. A target is
// released when its work is done, and stays written. A second call does nothing.
func (t *Target) Release() {
	t.release()
	t.removeMade()
	t.release, t.made = func() {}, nil
}

// removeMade removes the folders that were made and are still empty.
func (t *Target) removeMade() {
	for _, dir := range t.made {
		if os.Remove(dir) != nil {
			return
		}
	}
}

// writeHolder says in a lock file which process holds it. The machine's name tells process ids of
// other machines and containers apart.
func writeHolder(f *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), host), 0)
	return err
}

// holder reads which process of this machine holds a lock file, 0 where that is not known. It may
// still be the name of a process that was killed: such a one is not reported.
func holder(name string) int {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	pid, host, ok := strings.Cut(strings.TrimSuffix(string(text), "\n"), " ")
	n, err := strconv.Atoi(pid)
	here, hostErr := os.Hostname()
	if !ok || err != nil || hostErr != nil || host != here || !alive(n) {
		return 0
	}
	return n
}
