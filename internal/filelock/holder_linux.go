package filelock

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Holder returns the id of the process that holds the lock of a file against all others; 0 where
// none does, or where it is not known: on other systems than Linux, and where the process is one of
// another machine or container.
func Holder(f *os.File) int {
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return 0
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	return lockedBy(string(locks), fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino))
}

// lockedBy finds the holder of a file in the text of /proc/locks (proc_locks(5)), of which a line
// is such as "1: FLOCK ADVISORY WRITE 4711 08:01:2625 0 EOF".
func lockedBy(locks, file string) int {
	const kind, mode, process, of = 1, 3, 4, 5
	for line := range strings.Lines(locks) {
		fields := strings.Fields(line)
		if len(fields) > of && fields[kind] == "FLOCK" && fields[mode] == "WRITE" && fields[of] == file {
			if id, err := strconv.Atoi(fields[process]); err == nil && id > 0 {
				return id
			}
		}
	}
	return 0
}
