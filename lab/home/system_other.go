//go:build !linux

package home

// ofSystem reports that a folder shows the system's state; only Linux has such folders.
func ofSystem(string) bool { return false }
