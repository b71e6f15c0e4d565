//go:build !linux

package machine

// Memory is 0: the system does not say.
func Memory() int64 { return 0 }

// FreeMemory is 0: the system does not say.
func FreeMemory() int64 { return 0 }
