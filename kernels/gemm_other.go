//go:build !amd64 || noasm

package kernels

func pause() {}
