//go:build !amd64 || noasm

package machine

func loops(string) []Loop { return loopsRef }

func read(b []byte) { readRef(b) }
