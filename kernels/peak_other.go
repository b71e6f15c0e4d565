//go:build !amd64 || noasm

package kernels

func loops(string) []Loop { return loopsRef }

func reader(string) func(b []byte) { return readRef }
