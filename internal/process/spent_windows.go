package process

import (
	"time"

	"golang.org/x/sys/windows"
)

// Spent is the processor time of this process so far, of all threads.
func Spent() time.Duration {
	var created, ended, system, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &ended, &system, &user) != nil {
		return 0
	}
	const unit = 100 * time.Nanosecond
	of := func(t windows.Filetime) int64 { return int64(t.HighDateTime)<<32 | int64(t.LowDateTime) }
	return time.Duration(of(system)+of(user)) * unit
}
