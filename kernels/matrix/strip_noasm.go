//go:build !amd64 || noasm

package matrix

func routinesOf(string) routines { return plain }
