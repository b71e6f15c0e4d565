package kernels

import "unsafe"

// hugePage is the size of the pages that large buffers ask for: with small ones part of the
// memory's bandwidth goes to translating addresses (LOG.md).
const hugePage = 2 << 20

// aligned returns n zeros that begin at a cache line. Buffers of several huge pages ask the
// operating system for them.
func aligned[T any](n int) []T {
	const line = 64
	var zero T
	size := int(unsafe.Sizeof(zero))
	pad := line / size
	if n*size >= 4*hugePage {
		pad = hugePage / size
	}
	x := make([]T, n+pad)
	start := uintptr(unsafe.Pointer(unsafe.SliceData(x)))
	skip := 0
	if past := start % uintptr(pad*size); past > 0 {
		skip = pad - int(past)/size
	}
	x = x[skip : skip+n : skip+n]
	if n*size >= 4*hugePage {
		adviseHugePages(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), n*size))
	}
	return x
}
