//go:build amd64 && !noasm

package parallel

// pause tells the core that it is busy waiting.
func pause()
