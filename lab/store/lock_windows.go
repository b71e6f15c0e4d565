package store

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// errLocked says that a live process holds a file's lock.
var errLocked = errors.New("locked by another process")

// lockOffset is a byte that no log reaches: a lock here does not hinder readers.
const lockOffset = 1 << 30

// lock takes the lock of a file that was just made; it lasts until the file is closed or its
// process ends, however it ends. It waits, for there can be nothing but a probe to wait for.
func lock(f *os.File) error { return lockByte(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

// probe reports errLocked while a process holds the file's lock.
func probe(f *os.File) error {
	if err := lockByte(f, windows.LOCKFILE_FAIL_IMMEDIATELY); err != nil {
		return err
	}
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &windows.Overlapped{OffsetHigh: lockOffset})
}

func lockByte(f *os.File, flags uint32) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: lockOffset})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLocked
	}
	return err
}

// lockFolder does nothing: Windows locks no folders.
func lockFolder(string) (release func(), err error) { return func() {}, nil }

// folderLocked takes a folder of the last days for one that is in use.
func folderLocked(_ *os.File, info fs.FileInfo) bool {
	return time.Since(info.ModTime()) < 7*24*time.Hour
}
