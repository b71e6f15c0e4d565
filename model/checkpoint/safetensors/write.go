package safetensors

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"slimlab/internal/atomicfile"
	"slimlab/internal/half"
)

// Tensor is a tensor to be written.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	// Data returns a function that writes the bytes of a tensor too large to be made at once,
	// func(io.Writer) error, or the elements: []float32 for F32, F16 and BF16 (rounded to nearest,
	// ties to even), []int32 or []int64, or the bytes as they are stored, []byte, or an
	// error that ends the writing. It is called when the tensor's turn comes, so that packed forms
	// need not all be in memory, and once more where what was written is compared.
	Data func() any
}

// NewTensor is a tensor to be written, whose content data gives: see Tensor.Data.
func NewTensor(name string, dtype DType, shape []int, data func() any) Tensor {
	return Tensor{name, dtype, shape, data}
}

// Bytes is what the tensor takes in a file.
func (t Tensor) Bytes() int64 { return bytesOf(t.DType, t.Shape) }

// Write writes a file in one step. Tensors are ordered by the width of their elements,
// so that each is aligned, and by name. When ctx ends there is no file.
func Write(ctx context.Context, name string, tensors []Tensor) error {
	return atomicfile.Write(name, func(w io.Writer) error { return Encode(interruptible{ctx, w}, tensors) })
}

// interruptible is a writer that fails when its context ends.
type interruptible struct {
	ctx context.Context
	w   io.Writer
}

// Write implements io.Writer, a megabyte at a time.
func (i interruptible) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		if err := i.ctx.Err(); err != nil {
			return written, err
		}
		n, err := i.w.Write(b[:min(len(b), 1<<20)])
		if written += n; err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}

// Encode is Write to a stream.
func Encode(w io.Writer, tensors []Tensor) error {
	tensors = slices.Clone(tensors)
	slices.SortFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.Size(), a.DType.Size()), cmp.Compare(a.Name, b.Name))
	})
	header, err := writeHeader(tensors)
	if err != nil {
		return err
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(len(header))); err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range tensors {
		if err := t.Encode(w); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// writeHeader returns the header, padded with spaces so that the data begin at a multiple of 8.
func writeHeader(tensors []Tensor) ([]byte, error) {
	var b bytes.Buffer
	// transformers wants to know which framework's layout it is
	b.WriteString(`{"__metadata__":{"format":"pt"}`)
	seen := map[string]bool{"__metadata__": true}
	var at int64
	for _, t := range tensors {
		if seen[t.Name] {
			return nil, fmt.Errorf("tensor %q is given twice", t.Name)
		}
		seen[t.Name] = true
		name, err := json.Marshal(t.Name)
		if err != nil {
			return nil, err
		}
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		entry, err := json.Marshal(struct {
			DType   DType    `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{t.DType, shape, [2]int64{at, at + t.Bytes()}})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, ",%s:%s", name, entry)
		at += t.Bytes()
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	return b.Bytes(), nil
}

// Encode writes the tensor's bytes as a file has them.
func (t Tensor) Encode(w io.Writer) error {
	little := binary.LittleEndian
	found := t.Data()
	switch data := found.(type) {
	case func(io.Writer) error:
		return data(w)
	case error:
		return data
	case []byte:
		if int64(len(data)) != t.Bytes() {
			return fmt.Errorf("found %d bytes, expected %d for shape %d", len(data), t.Bytes(), t.Shape)
		}
		_, err := w.Write(data)
		return err
	case []float32:
		switch t.DType {
		case F32:
			return put(w, t, data, func(b []byte, v float32) []byte { return little.AppendUint32(b, math.Float32bits(v)) })
		case F16:
			if i := slices.IndexFunc(data, beyondFloat16); i >= 0 {
				return fmt.Errorf("element %d is %v, which F16 does not hold: its largest number is 65504", i, data[i])
			}
			return put(w, t, data, func(b []byte, v float32) []byte { return little.AppendUint16(b, half.ToFloat16(v)) })
		case BF16:
			return put(w, t, data, func(b []byte, v float32) []byte { return little.AppendUint16(b, half.ToBFloat16(v)) })
		}
	case []uint16:
		if t.DType == U16 {
			return put(w, t, data, little.AppendUint16)
		}
	case []int32:
		if t.DType == I32 {
			return put(w, t, data, func(b []byte, v int32) []byte { return little.AppendUint32(b, uint32(v)) })
		}
	case []int64:
		if t.DType == I64 {
			return put(w, t, data, func(b []byte, v int64) []byte { return little.AppendUint64(b, uint64(v)) })
		}
	}
	return fmt.Errorf("cannot write %T as %s", found, t.DType)
}

func put[T any](w io.Writer, t Tensor, data []T, encode func([]byte, T) []byte) error {
	if want := elements(t.Shape); len(data) != want {
		return fmt.Errorf("found %d elements, expected %d for shape %d", len(data), want, t.Shape)
	}
	const chunk = 1 << 16
	buf := make([]byte, 0, min(chunk, 8*len(data)+8))
	for _, v := range data {
		buf = encode(buf, v)
		if len(buf) > chunk-8 {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(buf)
	return err
}

// beyondFloat16 reports whether a finite number becomes infinite in F16.
func beyondFloat16(f float32) bool {
	return half.ToFloat16(f)&0x7fff == 0x7c00 && !math.IsInf(float64(f), 0)
}
