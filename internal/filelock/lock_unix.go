//go:build unix

package filelock

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Lock takes the lock of a file; it lasts until the file is closed or its process ends. It waits
// while another holds it.
func Lock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// TryLock is Lock that does not wait: it returns ErrLocked.
func TryLock(f *os.File) error { return flock(f, unix.LOCK_EX|unix.LOCK_NB) }

// Share takes the shared lock of a file, which many can hold and which keeps Lock and TryLock from
// theirs. It waits while another holds the file's lock.
func Share(f *os.File) error { return flock(f, unix.LOCK_SH) }

// Probe reports ErrLocked while another holds the file's lock.
func Probe(f *os.File) error {
	if err := flock(f, unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return err
	}
	return flock(f, unix.LOCK_UN)
}

func flock(f *os.File, how int) error {
	for {
		switch err := unix.Flock(int(f.Fd()), how); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrLocked
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// LockFolder takes the lock of a folder, which lasts until release is called or the process ends.
// It waits while another holds it.
func LockFolder(dir string) (release func(), err error) { return lockPath(dir, Lock) }

// TryLockPath takes the lock of a folder or file, and returns ErrLocked where another holds it. It
// lasts until release is called or the process ends.
func TryLockPath(name string) (release func(), err error) { return lockPath(name, TryLock) }

func lockPath(name string, lock func(*os.File) error) (release func(), err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil // which cannot lose anything
}

// FolderLocked reports whether another holds the folder's lock.
func FolderLocked(f *os.File, _ fs.FileInfo) bool { return errors.Is(Probe(f), ErrLocked) }

// Remove removes a lock file and then releases its lock: who opened the file meanwhile finds
// that it is gone.
func Remove(f *os.File) {
	os.Remove(f.Name())
	f.Close()
}

// alive reports whether there is a process of an id.
func alive(pid int) bool {
	err := unix.Kill(pid, 0)
	return pid > 0 && (err == nil || errors.Is(err, unix.EPERM))
}
