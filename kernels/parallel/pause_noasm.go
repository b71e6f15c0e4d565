//go:build !amd64 || noasm

package parallel

func pause() {}
