package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"reflect"
	"slices"

	"slimlab/internal/atomicfile"
)

// maxName is the longest name of a tensor that ggml takes.
const maxName = 63

// NewTensor is a tensor to be written.
type NewTensor struct {
	Name  string
	Type  Type
	Shape []int // [rows, in] or [in]
	// ReadRows writes a run of rows to dst, [rows, in]; a vector has one. It is called when the
	// tensor's turn comes, for a few rows at a time, so that no tensor need be in memory.
	ReadRows func(dst []float32, first, rows int) error
	// Importance are the weights of the squared errors of a row's elements, for EncodeWeighted; nil
	// is none.
	Importance []float32
}

// Write writes a file of version 3 in one step. Keys and tensors keep their order.
func Write(name string, m Metadata, tensors []NewTensor) error {
	_, err := write(name, m, tensors)
	return err
}

// WriteVerified is Write, after which it reads the file, and what it was written of, again. A file
// that is not what was written, or that could not be compared, is removed. It counts each tensor's
// faint blocks.
func WriteVerified(name string, m Metadata, tensors []NewTensor) ([]Faint, error) {
	written, err := write(name, m, tensors)
	if err != nil {
		return nil, err
	}
	if err := verify(name, m, tensors, written); err != nil {
		return nil, errors.Join(fmt.Errorf("verify: %w", err), os.Remove(name))
	}
	list := make([]Faint, len(written))
	for i, w := range written {
		list[i] = w.faint
	}
	return list, nil
}

// sums are hashes of what was written of a tensor, its values and its bytes, and what its type was
// too coarse for.
type sums struct {
	values, bytes maphash.Hash
	faint         Faint
}

func newSums(seed maphash.Seed) *sums {
	s := new(sums)
	s.values.SetSeed(seed)
	s.bytes.SetSeed(seed)
	return s
}

func (s *sums) add(values []float32) {
	var b [8 << 10]byte
	for part := range slices.Chunk(values, len(b)/4) {
		encodeF32(b[:], part)
		s.values.Write(b[:4*len(part)])
	}
}

// begin lays the tensors out and makes the header.
func begin(m Metadata, tensors []NewTensor) (list []Tensor, head []byte, err error) {
	if list, err = layOut(tensors); err == nil {
		head, err = appendHeader(nil, m, list)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("gguf: %w", err)
	}
	return list, head, nil
}

// Bytes is the size of the file that Write writes.
func Bytes(m Metadata, tensors []NewTensor) (int64, error) {
	list, head, err := begin(m, tensors)
	if err != nil {
		return 0, err
	}
	size := aligned(int64(len(head)), usualAlign)
	for _, t := range list {
		size += aligned(t.size, usualAlign)
	}
	return size, nil
}

func write(name string, m Metadata, tensors []NewTensor) ([]*sums, error) {
	list, head, err := begin(m, tensors)
	if err != nil {
		return nil, err
	}
	seed := maphash.MakeSeed()
	written := make([]*sums, len(tensors))
	return written, atomicfile.Write(name, func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		if err := pad(w, int64(len(head))); err != nil {
			return err
		}
		for i, t := range tensors {
			written[i] = newSums(seed)
			if err := writeTensor(w, list[i], t, written[i]); err != nil {
				return fmt.Errorf("gguf: tensor %q: %w", t.Name, err)
			}
		}
		return nil
	})
}

// verify reads a file that was written, and what it was written of again, and reports the first
// difference.
func verify(name string, m Metadata, tensors []NewTensor, written []*sums) error {
	r, err := os.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	f, err := Open(r, info.Size())
	if err != nil {
		return err
	}
	if len(f.Tensors) != len(tensors) || !reflect.DeepEqual(f.Metadata, m) {
		return fmt.Errorf("gguf: the metadata or the number of tensors, %d, are not those that were written", len(f.Tensors))
	}
	for i, t := range tensors {
		stored, ok := f.Tensor(t.Name)
		if !ok || stored.Type != t.Type || !slices.Equal(stored.Shape, t.Shape) {
			return fmt.Errorf("gguf: tensor %q is not the one that was written", t.Name)
		}
		again := newSums(written[i].values.Seed())
		err := eachChunk(stored, t.ReadRows, func(first, rows int, values []float32) error {
			again.add(values)
			b, err := f.Raw(t.Name, first, rows)
			again.bytes.Write(b)
			return err
		})
		switch {
		case err != nil:
			return fmt.Errorf("gguf: tensor %q: %w", t.Name, err)
		case again.bytes.Sum64() != written[i].bytes.Sum64():
			return fmt.Errorf("gguf: tensor %q: the bytes are not those that were written", t.Name)
		case again.values.Sum64() != written[i].values.Sum64():
			return fmt.Errorf("gguf: tensor %q: its source has other values now than when it was written", t.Name)
		}
	}
	return nil
}

// layOut gives each tensor its place, from the end of the header, and checks what the header will
// say.
func layOut(tensors []NewTensor) ([]Tensor, error) {
	seen := map[string]bool{}
	list := make([]Tensor, len(tensors))
	var at int64
	for i, n := range tensors {
		t := Tensor{Name: n.Name, Type: n.Type, Shape: n.Shape, offset: at}
		switch {
		case seen[t.Name]:
			return nil, fmt.Errorf("tensor %q is given twice", t.Name)
		case len(t.Name) > maxName:
			return nil, fmt.Errorf("tensor %q: the name has %d bytes, expected at most %d", t.Name, len(t.Name), maxName)
		case len(t.Shape) < 1 || len(t.Shape) > maxDimensions || t.Elements() < 1:
			return nil, fmt.Errorf("tensor %q: shape is %d, expected 1 to %d sizes from 1 up", t.Name, t.Shape, maxDimensions)
		case !t.Type.CanEncode():
			return nil, fmt.Errorf("tensor %q: %w", t.Name, t.Type.unwritten())
		case n.Importance != nil && len(n.Importance) != t.RowLength():
			return nil, fmt.Errorf("tensor %q: the importance of %d elements, expected one for each of a row's %d", t.Name, len(n.Importance), t.RowLength())
		case t.RowLength()%t.Type.Block() != 0:
			return nil, fmt.Errorf("tensor %q: rows have %d elements, expected blocks of %d for %s", t.Name, t.RowLength(), t.Type.Block(), t.Type)
		}
		seen[t.Name] = true
		t.size = int64(t.Rows()) * int64(t.Type.RowBytes(t.RowLength()))
		at = aligned(at+t.size, usualAlign)
		list[i] = t
	}
	return list, nil
}

// pad writes zeros from size up to the next multiple of the alignment.
func pad(w io.Writer, size int64) error {
	var zeros [usualAlign]byte
	_, err := w.Write(zeros[:aligned(size, usualAlign)-size])
	return err
}

// writeTensor encodes a tensor a few rows at a time.
func writeTensor(w io.Writer, t Tensor, from NewTensor, written *sums) error {
	var encoded []byte
	err := eachChunk(t, from.ReadRows, func(first, rows int, values []float32) error {
		encoded = slices.Grow(encoded[:0], t.Type.RowBytes(len(values)))[:t.Type.RowBytes(len(values))]
		if err := t.Type.EncodeWeighted(encoded, values, from.Importance); err != nil {
			return fmt.Errorf("from row %d on: %w", first, err)
		}
		written.add(values)
		written.bytes.Write(encoded)
		written.faint.add(t.Type, encoded, values)
		_, err := w.Write(encoded)
		return err
	})
	if err != nil {
		return err
	}
	return pad(w, t.size)
}

// eachChunk reads a tensor's values a few rows at a time.
func eachChunk(t Tensor, readRows func(dst []float32, first, rows int) error, use func(first, rows int, values []float32) error) error {
	const most = 1 << 18 // elements in memory, unless one row has more
	width, total := t.RowLength(), t.Rows()
	step := min(total, max(1, most/width))
	values := make([]float32, step*width)
	for first := 0; first < total; first += step {
		rows := min(step, total-first)
		v := values[:rows*width]
		if err := readRows(v, first, rows); err != nil {
			return err
		}
		if err := use(first, rows, v); err != nil {
			return err
		}
	}
	return nil
}

func appendHeader(b []byte, m Metadata, tensors []Tensor) ([]byte, error) {
	b = append(b, magic...)
	b = little.AppendUint32(b, 3)
	b = little.AppendUint64(b, uint64(len(tensors)))
	b = little.AppendUint64(b, uint64(len(m)))
	// a file without the key has the alignment that is written
	seen := map[string]bool{alignmentKey: true}
	for _, p := range m {
		if seen[p.Key] {
			return nil, fmt.Errorf("metadata key %q is given twice, or is the writer's own", p.Key)
		}
		seen[p.Key] = true
		var err error
		if b, err = appendValue(appendString(b, p.Key), p.Value); err != nil {
			return nil, fmt.Errorf("metadata key %q: %w", p.Key, err)
		}
	}
	for _, t := range tensors {
		b = appendString(b, t.Name)
		b = little.AppendUint32(b, uint32(len(t.Shape)))
		for i := range t.Shape {
			b = little.AppendUint64(b, uint64(t.Shape[len(t.Shape)-1-i]))
		}
		b = little.AppendUint32(b, uint32(t.Type))
		b = little.AppendUint64(b, uint64(t.offset))
	}
	return b, nil
}

func appendString(b []byte, s string) []byte {
	return append(little.AppendUint64(b, uint64(len(s))), s...)
}

// appendValue appends the type of a value and the value.
func appendValue(b []byte, v any) ([]byte, error) {
	if reflect.ValueOf(v).Kind() == reflect.Slice {
		return appendArray(little.AppendUint32(b, valueArray), v)
	}
	kind, ok := kindOf(v)
	if !ok {
		return nil, fmt.Errorf("a %T cannot be written", v)
	}
	b = little.AppendUint32(b, kind)
	if s, ok := v.(string); ok {
		return appendString(b, s), nil
	}
	return binary.Append(b, little, v)
}

// appendArray appends the type of a slice's elements, their number, and the elements.
func appendArray(b []byte, v any) ([]byte, error) {
	kind, ok := kindOf(v)
	if !ok || reflect.ValueOf(v).Kind() != reflect.Slice {
		return nil, fmt.Errorf("a %T cannot be written as an array", v)
	}
	b = little.AppendUint32(b, kind)
	b = little.AppendUint64(b, uint64(reflect.ValueOf(v).Len()))
	switch v := v.(type) {
	case []string:
		for _, s := range v {
			b = appendString(b, s)
		}
		return b, nil
	case []any:
		for _, a := range v {
			var err error
			if b, err = appendArray(b, a); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return binary.Append(b, little, v)
}

// kindOf is the type of a value, or of the elements of a slice.
func kindOf(v any) (kind uint32, ok bool) {
	switch v.(type) {
	case uint8, []uint8:
		return valueUint8, true
	case int8, []int8:
		return valueInt8, true
	case uint16, []uint16:
		return valueUint16, true
	case int16, []int16:
		return valueInt16, true
	case uint32, []uint32:
		return valueUint32, true
	case int32, []int32:
		return valueInt32, true
	case uint64, []uint64:
		return valueUint64, true
	case int64, []int64:
		return valueInt64, true
	case float32, []float32:
		return valueFloat32, true
	case float64, []float64:
		return valueFloat64, true
	case bool, []bool:
		return valueBool, true
	case string, []string:
		return valueString, true
	case []any:
		return valueArray, true
	}
	return 0, false
}
