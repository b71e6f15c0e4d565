package checkpoint

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// source gives the tensors of a checkpoint by their Hugging Face names, whatever files they lie in.
// It is safe for concurrent use.
type source interface {
	// tensors lists all, in the order of the files. The list is not to be written to.
	tensors() []TensorInfo
	tensor(name string) (TensorInfo, bool)
	// readFloat32 reads a whole tensor of a float or block format into dst, which has its number of
	// elements.
	readFloat32(dst []float32, name string) error
	// readRows reads some rows of a matrix [rows, in] into dst [rows, in].
	readRows(dst []float32, name string, first, rows int) error
	// raw returns the bytes as they are stored: a view where the file is mapped, valid until Close
	// and not to be written to.
	raw(name string) ([]byte, error)
	Close() error
}

// checkType reports a tensor that is not there, or of another than some types.
func checkType(t TensorInfo, found bool, name string, types ...DType) error {
	if !found {
		return fmt.Errorf("tensor %q is missing", name)
	}
	if !slices.Contains(types, t.DType) {
		return fmt.Errorf("tensor %q: dtype is %s, expected %s", name, t.DType, orList(types))
	}
	return nil
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

// int32s reads an I32 tensor.
func int32s(s source, name string) ([]int32, error) {
	return decoded(s, name, I32, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
}

// int64s reads an I64 tensor.
func int64s(s source, name string) ([]int64, error) {
	return decoded(s, name, I64, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
}

func decoded[T any](s source, name string, dtype DType, decode func(b []byte) T) ([]T, error) {
	t, ok := s.tensor(name)
	if err := checkType(t, ok, name, dtype); err != nil {
		return nil, err
	}
	b, err := s.raw(name)
	if err != nil {
		return nil, err
	}
	list, size := make([]T, t.Elements()), int(dtype.size())
	for i := range list {
		list[i] = decode(b[i*size:])
	}
	return list, nil
}
