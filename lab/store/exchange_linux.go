package store

import (
	"errors"

	"golang.org/x/sys/unix"
)

// exchange gives two folders each other's name, at once where the file system can. Both must be
// there.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return exchangeBySteps(a, b)
	}
	return err
}
