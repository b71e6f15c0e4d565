package diskfree

import "golang.org/x/sys/windows"

// freeBytes is what the user can still write on a folder's file system; -1: not known.
func freeBytes(folder string) int64 {
	name, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return -1
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return -1
	}
	return int64(free)
}
