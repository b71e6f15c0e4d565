//go:build !linux

package load

import "time"

// finest is 0 where nothing is known to be finer than Go's timers.
const finest = 0

func nap(d time.Duration) { time.Sleep(d) }
