package home

import "golang.org/x/sys/unix"

// ofSystem reports that a folder shows the system's state, such as /proc: no user makes folders in
// it, whatever its permissions say. The numbers are those of statfs(2).
func ofSystem(folder string) bool {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return false
	}
	switch int64(s.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEVPTS_SUPER_MAGIC:
		return true
	}
	return false
}
