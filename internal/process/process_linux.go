package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time under /proc, on all architectures that Go has.
const tick = 10 * time.Millisecond

// others lists the other processes whose names begin with a name.
func others(name string) map[int]usage { return listed("/proc", name, os.Getpid()) }

// listed reads a folder of the form of /proc, without the process self.
func listed(folder, name string, self int) map[int]usage {
	found := map[int]usage{}
	d, err := os.Open(folder)
	if err != nil {
		return found
	}
	defer d.Close()
	entries, _ := d.Readdirnames(-1) // what can be read
	for _, entry := range entries {
		id, err := strconv.Atoi(entry)
		if err != nil || id == self {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry, "stat"))
		if err != nil {
			continue // it has ended
		}
		if of, comm, ok := parseStat(string(text)); ok && strings.HasPrefix(comm, name) {
			found[id] = of
		}
	}
	return found
}

// parseStat reads the line of /proc/PID/stat (proc(5)): the id, the name in parentheses, which may
// hold spaces and parentheses, the state and numbers. A process that has ended is not ok.
func parseStat(line string) (of usage, comm string, ok bool) {
	open, shut := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || shut < open {
		return of, "", false
	}
	const state, user, system, started = 0, 11, 12, 19 // fields 3, 14, 15 and 22
	fields := strings.Fields(line[shut+1:])
	if len(fields) <= started || strings.Contains("ZX", fields[state]) {
		return of, "", false
	}
	var numbers [3]uint64
	for i, at := range []int{user, system, started} {
		n, err := strconv.ParseUint(fields[at], 10, 64)
		if err != nil {
			return of, "", false
		}
		numbers[i] = n
	}
	return usage{started: numbers[2], spent: time.Duration(numbers[0]+numbers[1]) * tick}, line[open+1 : shut], true
}
