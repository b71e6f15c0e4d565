package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// finest is below what Go's timers keep: a process that has nothing else to do waits in whole
// milliseconds.
const finest = 2 * time.Millisecond

// nap sleeps for about d, by the system's own timer, which is late by about 0.05 ms.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal ends it early, and the caller looks at the clock again
}
