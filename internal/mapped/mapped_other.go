//go:build !unix

package mapped

import "os"

// File is a file that is read, not mapped: it has no View.
type File struct {
	*os.File
	size int64
}

// New takes f over: f is closed, now or by Close.
func New(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{f, info.Size()}, nil
}

// Size is the bytes of the file.
func (f *File) Size() int64 { return f.size }
