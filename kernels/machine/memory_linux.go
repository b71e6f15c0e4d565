package machine

import "golang.org/x/sys/unix"

// Memory is the memory of the machine in bytes, 0 where the system does not say.
func Memory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}
