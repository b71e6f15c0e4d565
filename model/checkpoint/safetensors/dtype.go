package safetensors

// DType is an element type.
type DType string

// The element types that are read and written; files may hold others beside them.
const (
	F32    DType = "F32"
	F16    DType = "F16"
	BF16   DType = "BF16"
	U8     DType = "U8"
	I8     DType = "I8"
	U16    DType = "U16"
	I32    DType = "I32"
	I64    DType = "I64"
	F8E4M3 DType = "F8_E4M3"
	F8E5M2 DType = "F8_E5M2"
	F8E8M0 DType = "F8_E8M0"
)

// Size is the bytes of an element, 0 for a type that the format does not have.
func (d DType) Size() int64 {
	switch d {
	case "BOOL", U8, I8, F8E5M2, F8E4M3, F8E8M0:
		return 1
	case "I16", U16, F16, BF16:
		return 2
	case I32, "U32", F32:
		return 4
	case I64, "U64", "F64":
		return 8
	}
	return 0
}

// bytesOf is what a tensor of a shape takes.
func bytesOf(d DType, shape []int) int64 { return int64(elements(shape)) * d.Size() }

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
