//go:build amd64 && !noasm

package parallel

// pause hints to the core that the thread is busy waiting.
func pause()
