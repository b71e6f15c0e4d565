package filelock

import "testing"

// TestLockedBy: the holder of a file's exclusive lock in the table of the system; lines of other
// kinds, files and forms name none.
func TestLockedBy(t *testing.T) {
	const table = `1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF
2: FLOCK  ADVISORY  READ 12 08:01:77 0 EOF
2: -> FLOCK  ADVISORY  WRITE 13 08:01:77 0 EOF
3: FLOCK  ADVISORY  WRITE 14 08:01:7 0 EOF
4: FLOCK  ADVISORY  WRITE -1 08:01:78 0 EOF
5: FLOCK  ADVISORY  WRITE 4711 08:01:77 0 EOF
6: FLOCK
`
	for file, want := range map[string]int{"08:01:77": 4711, "08:01:7": 14, "08:01:78": 0, "08:01:79": 0} {
		if got := lockedBy(table, file); got != want {
			t.Errorf("%s: process %d, expected %d", file, got, want)
		}
	}
	if got := lockedBy("", "08:01:77"); got != 0 {
		t.Errorf("an empty table: process %d", got)
	}
}
