//go:build unix

package diskfree

import "golang.org/x/sys/unix"

// freeBytes is what the user can still write on a folder's file system; -1: not known.
func freeBytes(folder string) int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return -1
	}
	return int64(s.Bavail) * int64(s.Bsize)
}
