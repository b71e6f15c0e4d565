package checkpoint

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
	"slimlab/kernels/parallel"
)

// maxHeader is the format's limit on a header.
const maxHeader = 100_000_000

// Safetensors reads tensors from a safetensors file, one at a time. It is safe for concurrent use
// if its reader is.
type Safetensors struct {
	Metadata map[string]string // may be nil
	Tensors  []TensorInfo      // sorted by name

	r    io.ReaderAt
	data int64 // where the tensors begin
}

// viewer is a reader whose file is mapped: what is read need not be copied.
type viewer interface {
	View(at, size int64) []byte
	Forget(at, size int64)
	Guard(read func()) error
}

// OpenSafetensors reads and checks the header of a file of size bytes.
func OpenSafetensors(r io.ReaderAt, size int64) (*Safetensors, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, fmt.Errorf("safetensors: the file has %d bytes, expected at least 8", size)
	}
	if err := readFull(r, prefix[:], 0); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if limit := min(maxHeader, size-8); length == 0 || length > uint64(limit) {
		return nil, fmt.Errorf("safetensors: the header's length is %d, expected 1 to %d in a file of %d bytes", length, limit, size)
	}
	header := make([]byte, length)
	if err := readFull(r, header, 8); err != nil {
		return nil, fmt.Errorf("safetensors: header: %w", err)
	}
	s := &Safetensors{r: r, data: 8 + int64(length)}
	var err error
	if s.Tensors, s.Metadata, err = parseHeader(header, size-s.data); err != nil {
		return nil, err
	}
	slices.SortFunc(s.Tensors, func(a, b TensorInfo) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// Tensor finds a tensor by name.
func (s *Safetensors) Tensor(name string) (TensorInfo, bool) {
	i, ok := slices.BinarySearchFunc(s.Tensors, name, func(t TensorInfo, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return TensorInfo{}, false
	}
	return s.Tensors[i], true
}

// Raw returns a tensor's bytes as they are stored. Where the reader is mapped they are a view of
// the file, and must not be written to.
func (s *Safetensors) Raw(name string) ([]byte, error) {
	t, ok := s.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("tensor %q is missing", name)
	}
	if v, ok := s.r.(viewer); ok {
		return v.View(s.data+t.start, t.Bytes()), nil
	}
	b := make([]byte, t.Bytes())
	if err := readFull(s.r, b, s.data+t.start); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	return b, nil
}

// ReadFloat32 reads an F32, F16 or BF16 tensor into dst, which has its number of elements.
func (s *Safetensors) ReadFloat32(dst []float32, name string) error {
	t, err := s.float(name)
	if err != nil {
		return err
	}
	if len(dst) != t.Elements() {
		return fmt.Errorf("tensor %q: shape is %d, expected %d elements", name, t.Shape, len(dst))
	}
	return s.read(dst, t, t.start)
}

// ReadRows reads some rows of an F32, F16 or BF16 matrix [rows, in] into dst [rows, in].
func (s *Safetensors) ReadRows(dst []float32, name string, first, rows int) error {
	t, err := s.float(name)
	if err != nil {
		return err
	}
	if len(t.Shape) != 2 || first < 0 || rows < 0 || first > t.Shape[0]-rows {
		return fmt.Errorf("tensor %q: shape is %d, expected a matrix with rows %d to %d", name, t.Shape, first, first+rows-1)
	}
	if len(dst) != rows*t.Shape[1] {
		return fmt.Errorf("tensor %q: shape is %d, expected %d elements in %d rows", name, t.Shape, len(dst), rows)
	}
	return s.read(dst, t, t.start+int64(first*t.Shape[1])*t.DType.size())
}

func (s *Safetensors) float(name string) (TensorInfo, error) {
	t, ok := s.Tensor(name)
	return t, checkType(t, ok, name, F32, F16, BF16)
}

// read decodes elements of a float tensor from offset at of the data on: from the mapped file on
// all threads, or through a small buffer.
func (s *Safetensors) read(dst []float32, t TensorInfo, at int64) error {
	const chunk = 1 << 18 // elements
	size := t.DType.size()
	at += s.data
	if v, ok := s.r.(viewer); ok {
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
		if err := readFull(s.r, b, at); err != nil {
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
