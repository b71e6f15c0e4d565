package convert

import (
	"time"

	"slimlab/internal/filelock"
)

// locked runs a conversion that alone writes the target to, a folder or file by how it is acquired.
// The conversion gets the target's path, which is the same whatever name the target was given by.
func locked(acquire func(to string) (*filelock.Target, error), to string, convert func(path string) (*Result, error)) (*Result, error) {
	target, err := acquire(to)
	if err != nil {
		return nil, err
	}
	defer target.Release()
	ticker := time.NewTicker(samplePeriod)
	defer ticker.Stop()
	memory := newMemoryPeak(ticker.C)
	r, err := convert(target.Path)
	if peak := memory.stop(); r != nil {
		r.Peak = peak
	}
	if r != nil && target.Warning != "" {
		r.Warnings = append(r.Warnings, target.Warning)
	}
	return r, err
}
