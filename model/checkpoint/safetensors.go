package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// maxHeader is the format's limit on a header.
const maxHeader = 100_000_000

// Safetensors reads tensors from a safetensors file, one at a time. It is safe for concurrent use if its reader is.
type Safetensors struct {
	Metadata map[string]string // may be nil
	Tensors  []TensorInfo      // sorted by name

	r    io.ReaderAt
	data int64 // where the tensors begin
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

// ReadFloat32 reads an F32, F16 or BF16 tensor into dst, which has its number of elements.
func (s *Safetensors) ReadFloat32(dst []float32, name string) error {
	var decode func(dst []float32, src []byte)
	t, err := s.typed(name, F32, F16, BF16)
	if err != nil {
		return err
	}
	if len(dst) != t.Elements() {
		return fmt.Errorf("tensor %q: shape is %d, expected %d elements", name, t.Shape, len(dst))
	}
	switch t.DType {
	case F32:
		decode = func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
			}
		}
	case F16:
		decode = func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = float16(binary.LittleEndian.Uint16(src[2*i:]))
			}
		}
	case BF16:
		decode = func(dst []float32, src []byte) {
			for i := range dst {
				dst[i] = bfloat16(binary.LittleEndian.Uint16(src[2*i:]))
			}
		}
	}
	return read(s, t, dst, decode)
}

// Int8 reads an I8 tensor.
func (s *Safetensors) Int8(name string) ([]int8, error) {
	return readAs(s, name, I8, func(dst []int8, src []byte) {
		for i := range dst {
			dst[i] = int8(src[i])
		}
	})
}

// Int32 reads an I32 tensor.
func (s *Safetensors) Int32(name string) ([]int32, error) {
	return readAs(s, name, I32, func(dst []int32, src []byte) {
		for i := range dst {
			dst[i] = int32(binary.LittleEndian.Uint32(src[4*i:]))
		}
	})
}

// Int64 reads an I64 tensor.
func (s *Safetensors) Int64(name string) ([]int64, error) {
	return readAs(s, name, I64, func(dst []int64, src []byte) {
		for i := range dst {
			dst[i] = int64(binary.LittleEndian.Uint64(src[8*i:]))
		}
	})
}

func (s *Safetensors) typed(name string, types ...DType) (TensorInfo, error) {
	t, ok := s.Tensor(name)
	if !ok {
		return t, fmt.Errorf("tensor %q is missing", name)
	}
	if !slices.Contains(types, t.DType) {
		return t, fmt.Errorf("tensor %q: dtype is %s, expected %s", name, t.DType, orList(types))
	}
	return t, nil
}

func orList(types []DType) string {
	s := string(types[0])
	for i, t := range types[1:] {
		if i == len(types)-2 {
			s += " or " + string(t)
		} else {
			s += ", " + string(t)
		}
	}
	return s
}

func readAs[T any](s *Safetensors, name string, dtype DType, decode func(dst []T, src []byte)) ([]T, error) {
	t, err := s.typed(name, dtype)
	if err != nil {
		return nil, err
	}
	dst := make([]T, t.Elements())
	return dst, read(s, t, dst, decode)
}

// read decodes a tensor through a small buffer.
func read[T any](s *Safetensors, t TensorInfo, dst []T, decode func(dst []T, src []byte)) error {
	const chunk = 1 << 16 // elements
	size := t.DType.size()
	buf := make([]byte, min(chunk, int64(len(dst)))*size)
	at := s.data + t.start
	for len(dst) > 0 {
		n := min(chunk, len(dst))
		b := buf[:int64(n)*size]
		if err := readFull(s.r, b, at); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		decode(dst[:n], b)
		dst, at = dst[n:], at+int64(len(b))
	}
	return nil
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
