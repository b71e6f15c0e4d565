package filelock

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// lockOffset is the high half of the place of a byte that no file reaches: a lock there does not
// hinder readers.
const lockOffset = 1 << 30

// Lock takes the lock of a file; it lasts until the file is closed or its process ends. It waits
// while another holds it.
func Lock(f *os.File) error { return lockByte(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

// TryLock is Lock that does not wait: it returns ErrLocked.
func TryLock(f *os.File) error {
	return lockByte(f, windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY)
}

// Share takes the shared lock of a file, which many can hold and which keeps Lock and TryLock from
// theirs. It waits while another holds the file's lock.
func Share(f *os.File) error { return lockByte(f, 0) }

// Probe reports ErrLocked while another holds the file's lock.
func Probe(f *os.File) error {
	if err := lockByte(f, windows.LOCKFILE_FAIL_IMMEDIATELY); err != nil {
		return err
	}
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &windows.Overlapped{OffsetHigh: lockOffset})
}

func lockByte(f *os.File, flags uint32) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: lockOffset})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// LockFolder does nothing: Windows locks no folders.
func LockFolder(string) (release func(), err error) { return func() {}, nil }

// TryLockPath fails with errors.ErrUnsupported: Windows locks no folders.
func TryLockPath(string) (release func(), err error) { return nil, errors.ErrUnsupported }

// FolderLocked takes a folder of the last days for one that is in use.
func FolderLocked(_ *os.File, info fs.FileInfo) bool {
	return time.Since(info.ModTime()) < 7*24*time.Hour
}

// Remove releases the lock of a file and removes the file, which Windows does not remove
// while it is open, here or in the process that opened it meanwhile.
func Remove(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}

// alive reports whether there is a process of an id.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release() // closes the handle
	return true
}
