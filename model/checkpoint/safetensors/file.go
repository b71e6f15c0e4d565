package safetensors

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"slimlab/internal/half"
	"slimlab/internal/wrongfile"
	"slimlab/kernels/parallel"
)

// maxHeader is the format's limit on a header.
const maxHeader = 100_000_000

// File reads tensors from a file, one at a time. It is safe for concurrent use if its reader is.
type File struct {
	Metadata map[string]string // may be nil
	Tensors  []Info            // sorted by name

	r    io.ReaderAt
	data int64 // where the tensors begin
}

// viewer is a reader whose file is mapped: what is read need not be copied.
type viewer interface {
	View(at, size int64) []byte
	Forget(at, size int64)
	Guard(read func()) error
}

// Open reads and checks the header of a file of size bytes.
func Open(r io.ReaderAt, size int64) (*File, error) {
	head := make([]byte, max(0, min(wrongfile.Head, size)))
	if err := readFull(r, head, 0); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, fmt.Errorf("safetensors: the file has %d bytes, expected at least 8", size)
	}
	copy(prefix[:], head)
	length := binary.LittleEndian.Uint64(prefix[:])
	if limit := min(maxHeader, size-8); length == 0 || length > uint64(limit) {
		if other := wrongfile.Name(head); other != "" {
			return nil, fmt.Errorf("safetensors: found %s", other)
		}
		return nil, fmt.Errorf("safetensors: the header's length is %d, expected 1 to %d in a file of %d bytes", length, limit, size)
	}
	header := make([]byte, length)
	if err := readFull(r, header, 8); err != nil {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	f := &File{r: r, data: 8 + int64(length)}
	var err error
	if f.Tensors, f.Metadata, err = parseHeader(header, size-f.data); err != nil {
		return nil, err
	}
	slices.SortFunc(f.Tensors, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return f, nil
}

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Info, bool) {
	i, ok := slices.BinarySearchFunc(f.Tensors, name, func(t Info, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return Info{}, false
	}
	return f.Tensors[i], true
}

// Raw returns a tensor's bytes as they are stored. Where the reader is mapped they are a view of
// the file, and must not be written to.
func (f *File) Raw(name string) ([]byte, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("tensor %q is missing", name)
	}
	if v, ok := f.r.(viewer); ok {
		return v.View(f.data+t.start, t.Bytes()), nil
	}
	b := make([]byte, t.Bytes())
	if err := readFull(f.r, b, f.data+t.start); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	return b, nil
}

// ReadFloat32 reads an F32, F16 or BF16 tensor into dst, which has its number of elements.
func (f *File) ReadFloat32(dst []float32, name string) error {
	t, err := f.float(name)
	if err != nil {
		return err
	}
	if len(dst) != t.Elements() {
		return fmt.Errorf("tensor %q: shape is %d, expected %d elements", name, t.Shape, len(dst))
	}
	return f.read(dst, t, t.start)
}

// ReadRows reads some rows of an F32, F16 or BF16 matrix [rows, in] into dst [rows, in].
func (f *File) ReadRows(dst []float32, name string, first, rows int) error {
	t, err := f.float(name)
	if err != nil {
		return err
	}
	if len(t.Shape) != 2 || first < 0 || rows < 0 || first > t.Shape[0]-rows {
		return fmt.Errorf("tensor %q: shape is %d, expected a matrix with rows %d to %d", name, t.Shape, first, first+rows-1)
	}
	if len(dst) != rows*t.Shape[1] {
		return fmt.Errorf("tensor %q: shape is %d, expected %d elements in %d rows", name, t.Shape, len(dst), rows)
	}
	return f.read(dst, t, t.start+int64(first*t.Shape[1])*t.DType.Size())
}

func (f *File) float(name string) (Info, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return t, fmt.Errorf("tensor %q is missing", name)
	}
	if t.DType != F32 && t.DType != F16 && t.DType != BF16 {
		return t, fmt.Errorf("tensor %q: dtype is %s, expected F32, F16 or BF16", name, t.DType)
	}
	return t, nil
}

// read decodes elements of a float tensor from offset at of the data on: from the mapped file on
// all threads, or through a small buffer.
func (f *File) read(dst []float32, t Info, at int64) error {
	const chunk = 1 << 18 // elements
	size := t.DType.Size()
	at += f.data
	if v, ok := f.r.(viewer); ok {
		errs := make([]error, (len(dst)+chunk-1)/chunk)
		parallel.Range(len(dst), chunk, func(lo, hi int) {
			from, n := at+int64(lo)*size, int64(hi-lo)*size
			errs[lo/chunk] = v.Guard(func() { decodeFloats(dst[lo:hi], v.View(from, n), t.DType) })
			// a small tensor shares its pages with others that may be read next
			if len(dst) > chunk {
				v.Forget(from, n)
			}
		})
		if err := cmp.Or(errs...); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		return nil
	}
	buf := make([]byte, min(chunk, int64(len(dst)))*size)
	for len(dst) > 0 {
		n := min(chunk, len(dst))
		b := buf[:int64(n)*size]
		if err := readFull(f.r, b, at); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		decodeFloats(dst[:n], b, t.DType)
		dst, at = dst[n:], at+int64(len(b))
	}
	return nil
}

// decodeFloats decodes F32, F16 or BF16 elements.
func decodeFloats(dst []float32, src []byte, dtype DType) {
	little := binary.LittleEndian
	switch dtype {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(little.Uint32(src[4*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = half.FromFloat16(little.Uint16(src[2*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = half.FromBFloat16(little.Uint16(src[2*i:]))
		}
	}
}

// readFull fills b from offset at.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d of %d bytes at %d: %w", n, len(b), at, err)
}
