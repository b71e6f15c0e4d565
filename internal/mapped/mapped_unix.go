//go:build unix

package mapped

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// File is a file in the address space, read only. It is safe for concurrent use until it is closed.
type File struct {
	data []byte
}

// New maps the whole of f and takes it over: f is closed, now or by Close. An empty file maps to
// nothing.
func New(f *os.File) (*File, error) {
	defer f.Close() // read only: nothing to lose, and a mapping outlives it
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is %s, expected a regular file", f.Name(), info.Mode())
	}
	if size > math.MaxInt {
		return nil, fmt.Errorf("%s: has %d bytes, more than fit the address space", f.Name(), size)
	}
	if size == 0 {
		return &File{}, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: map %d bytes: %w", f.Name(), size, err)
	}
	return &File{data}, nil
}

// Size is the bytes of the file.
func (f *File) Size() int64 { return int64(len(f.data)) }

// View returns size bytes from offset at, which are within the file. They must not be written to,
// nor read after Close.
func (f *File) View(at, size int64) []byte { return f.data[at : at+size : at+size] }

// Forget advises the system that a view is not needed soon. Its pages no longer count as this
// process's memory; a read brings them back.
func (f *File) Forget(at, size int64) {
	page := int64(os.Getpagesize())
	first, end := (at+page-1)/page*page, (at+size)/page*page
	if end <= first {
		return
	}
	// Advice that is not taken changes nothing that is read.
	_ = unix.Madvise(f.data[first:end], unix.MADV_DONTNEED)
}

// Guard calls read, which reads views, and returns an error where the system could not give what it
// reads: the file was shortened, or the disk failed.
func (f *File) Guard(read func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		cause := recover()
		if fault, ok := cause.(interface{ Addr() uintptr }); ok && f.holds(fault.Addr()) {
			err = errors.New("the mapped file could not be read: it was shortened, or its disk failed")
		} else if cause != nil {
			panic(cause)
		}
	}()
	read()
	return nil
}

func (f *File) holds(address uintptr) bool {
	first := uintptr(unsafe.Pointer(unsafe.SliceData(f.data)))
	return address >= first && address-first < uintptr(len(f.data))
}

// ReadAt copies from the file.
func (f *File) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 || at > int64(len(f.data)) {
		return 0, io.EOF
	}
	if err := f.Guard(func() { n = copy(p, f.data[at:]) }); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close unmaps the file.
func (f *File) Close() error {
	data := f.data
	f.data = nil
	if data == nil {
		return nil
	}
	return unix.Munmap(data)
}
