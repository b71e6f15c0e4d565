//go:build unix

package store

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errLocked says that a live process holds a file's lock.
var errLocked = errors.New("locked by another process")

// lock takes the lock of a file that was just made; it lasts until the file is closed or its
// process ends, however it ends. It waits, for there can be nothing but a probe to wait for.
func lock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// probe reports errLocked while a process holds the file's lock.
func probe(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	if err != nil {
		return err
	}
	return unix.Flock(int(f.Fd()), unix.LOCK_UN)
}

// lockFolder takes the lock of a folder, which lasts until release is called or the process ends.
func lockFolder(dir string) (release func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil // which cannot lose anything
}

// folderLocked reports whether a process holds the folder's lock.
func folderLocked(f *os.File, _ fs.FileInfo) bool { return errors.Is(probe(f), errLocked) }
