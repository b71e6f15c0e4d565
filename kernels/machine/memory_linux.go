package machine

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory is the memory in bytes that this process can have at most, 0 where the system does not
// say: that of the machine, or the limit of the process or of its control groups where it is less.
func Memory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	most, _ := memoryOf("/", addressSpace())
	return min(most, int64(info.Totalram)*int64(info.Unit))
}

// FreeMemory is the memory in bytes that this process can still get without another having to give
// its own back, 0 where the system does not say. Cached files count as free.
func FreeMemory() int64 {
	_, free := memoryOf("/", addressSpace())
	return free
}

// addressSpace is the limit of the process's addresses.
func addressSpace() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) != nil || limit.Cur > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(limit.Cur)
}

// memoryOf reads the limits from the system's files below a folder, and what is free of the
// narrowest; addresses is the limit of the process. Where the machine's free memory cannot be read
// free is 0; else it is at least 1.
func memoryOf(root string, addresses int64) (most, free int64) {
	most, free = math.MaxInt64, math.MaxInt64
	limit := func(all, used int64) {
		most, free = min(most, all), min(free, max(1, all-used))
	}
	if addresses < math.MaxInt64 {
		used, _ := fieldOf(filepath.Join(root, "proc/self/status"), "VmSize:")
		limit(addresses, used<<10)
	}
	groups, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	for line := range bytes.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) < 3 {
			continue
		}
		mount, all, used, cached := "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
		if parts[1] == "memory" {
			mount, all, used, cached = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
		} else if parts[1] != "" {
			continue
		}
		// a container sees its own group as the root, whatever the group is called outside
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			folder := filepath.Join(root, mount, group)
			if n, found := numberOf(filepath.Join(folder, all)); found {
				u, _ := numberOf(filepath.Join(folder, used))
				c, _ := fieldOf(filepath.Join(folder, "memory.stat"), cached)
				limit(n, max(0, u-c))
			}
			if group == "/" {
				break
			}
		}
	}
	available, found := fieldOf(filepath.Join(root, "proc/meminfo"), "MemAvailable:")
	if !found {
		return most, 0
	}
	return most, min(free, max(1, available<<10))
}

// numberOf reads a file that is one number; "max" is none.
func numberOf(file string) (n int64, found bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// fieldOf reads the number after a name at the beginning of a line.
func fieldOf(file, name string) (n int64, found bool) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == name {
			n, err = strconv.ParseInt(fields[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
