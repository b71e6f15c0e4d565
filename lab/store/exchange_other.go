//go:build !linux

package store

// exchange gives two folders each other's name. Both must be there.
func exchange(a, b string) error { return exchangeBySteps(a, b) }
