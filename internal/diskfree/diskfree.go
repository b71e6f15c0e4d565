// Package diskfree says how much of a disk is free.
package diskfree

import (
	"os"
	"path/filepath"
)

// Bytes is what the user can still write on the file system of a path, of which the end need not be
// there yet; -1: not known.
func Bytes(path string) int64 {
	path, err := filepath.Abs(path)
	if err != nil {
		return -1
	}
	return freeBytes(existing(path))
}

// existing returns the longest part of a path that is there.
func existing(folder string) string {
	for folder != filepath.Dir(folder) {
		if _, err := os.Stat(folder); err == nil {
			break
		}
		folder = filepath.Dir(folder)
	}
	return folder
}
