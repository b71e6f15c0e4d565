//go:build unix

package wrongfile

import (
	"io/fs"
	"syscall"
)

// disk is the number of the disk that a file is on.
func disk(info fs.FileInfo) (number uint64, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(stat.Dev), true
}
