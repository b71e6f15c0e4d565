package memory

import "unsafe"

// hugePage is the size of the pages that large buffers ask for: with small ones part of the
// memory's bandwidth goes to translating addresses (LOG.md).
const hugePage = 2 << 20

// Aligned returns n zeros that begin at a cache line. A buffer of several huge pages asks the
// operating system for such pages.
func Aligned[T any](n int) []T {
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

// Grown returns x with n elements of any content. Where x is too short, the result is new memory
// that begins at a cache line.
func Grown[T any](x []T, n int) []T {
	if cap(x) < n {
		return Aligned[T](n)
	}
	return x[:n]
}
