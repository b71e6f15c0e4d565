package checkpoint

import (
	"encoding/binary"
	"fmt"

	"slimlab/model/checkpoint/safetensors"
)

// DType is an element type, or GGUF's name of a block format.
type DType = safetensors.DType

// The types of float tensors, in which Save writes.
const (
	F32  = safetensors.F32
	F16  = safetensors.F16
	BF16 = safetensors.BF16
)

// Tensor is a tensor to be written.
type Tensor = safetensors.Tensor

// TensorInfo describes a stored tensor.
type TensorInfo struct {
	Name  string
	DType DType
	Shape []int

	bytes int64
}

// Elements is the product of the shape.
func (t TensorInfo) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Bytes is what the tensor takes in the file.
func (t TensorInfo) Bytes() int64 { return t.bytes }

// source gives the tensors of a checkpoint by their Hugging Face names, whatever files they are in.
// It is safe for concurrent use.
type source interface {
	// tensors lists all, in the order of the files. The list is not to be written to.
	tensors() []TensorInfo
	tensor(name string) (TensorInfo, bool)
	// ReadFloat32 reads a whole tensor of a float or block format into dst, which has its number of
	// elements.
	ReadFloat32(dst []float32, name string) error
	// ReadRows reads some rows of a matrix [rows, in] into dst [rows, in].
	ReadRows(dst []float32, name string, first, rows int) error
	// Raw returns the bytes as they are stored: a view where the file is mapped, valid until Close
	// and not to be written to.
	Raw(name string) ([]byte, error)
	Close() error
}

// folder is the safetensors files of a folder as a source.
type folder struct {
	*safetensors.Folder
	list []TensorInfo
}

func newFolder(f *safetensors.Folder) *folder {
	s := &folder{Folder: f}
	for _, t := range f.Tensors() {
		s.list = append(s.list, tensorInfo(t))
	}
	return s
}

func tensorInfo(t safetensors.Info) TensorInfo {
	return TensorInfo{t.Name, t.DType, t.Shape, t.Bytes()}
}

func (f *folder) tensors() []TensorInfo { return f.list }

func (f *folder) tensor(name string) (TensorInfo, bool) {
	t, ok := f.Tensor(name)
	return tensorInfo(t), ok
}

// bytesOf returns the bytes of a tensor that must be there, of the given type.
func bytesOf(s source, name string, dtype DType) ([]byte, error) {
	t, ok := s.tensor(name)
	if !ok {
		return nil, fmt.Errorf("tensor %q is missing", name)
	}
	if t.DType != dtype {
		return nil, fmt.Errorf("tensor %q: dtype is %s, expected %s", name, t.DType, dtype)
	}
	return s.Raw(name)
}

// int32s reads an I32 tensor.
func int32s(s source, name string) ([]int32, error) {
	b, err := bytesOf(s, name, safetensors.I32)
	list := make([]int32, len(b)/4)
	for i := range list {
		list[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return list, err
}

// int64s reads an I64 tensor.
func int64s(s source, name string) ([]int64, error) {
	b, err := bytesOf(s, name, safetensors.I64)
	list := make([]int64, len(b)/8)
	for i := range list {
		list[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return list, err
}
