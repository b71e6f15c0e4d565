//go:build !amd64 || noasm

package matrix

func kernelOf(string) stripKernel { return kernelRef }
