package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// The numbers of the value types in metadata.
const (
	valueUint8 = iota
	valueInt8
	valueUint16
	valueInt16
	valueUint32
	valueInt32
	valueFloat32
	valueBool
	valueString
	valueArray
	valueUint64
	valueInt64
	valueFloat64
)

// leastBytes is what a value of each type takes at least.
var leastBytes = [...]int64{
	valueUint8: 1, valueInt8: 1, valueUint16: 2, valueInt16: 2, valueUint32: 4, valueInt32: 4, valueFloat32: 4,
	valueBool: 1, valueString: 8, valueArray: 12, valueUint64: 8, valueInt64: 8, valueFloat64: 8,
}

const (
	maxDepth      = 4 // of arrays in arrays
	maxDimensions = 4
	leastPair     = 8 + 4 + 1     // empty key, type, one byte
	leastTensor   = 8 + 4 + 4 + 8 // empty name, no dimension, type, offset
	alignmentKey  = "general.alignment"
	usualAlign    = 32
	magic         = "GGUF"
	headerBytes   = 4 + 4 + 8 + 8
)

// header reads the beginning of a file and keeps the first error; what is read after an error is
// zero.
type header struct {
	r    *bufio.Reader
	at   int64 // bytes read
	size int64 // of the file
	err  error
}

func (h *header) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

// read fills b.
func (h *header) read(b []byte) {
	if h.err != nil {
		clear(b)
		return
	}
	n, err := io.ReadFull(h.r, b)
	h.at += int64(n)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		h.fail("the header ends at byte %d of the file: %w", h.at, err)
		clear(b)
	}
}

func (h *header) uint32() uint32 {
	var b [4]byte
	h.read(b[:])
	return little.Uint32(b[:])
}

func (h *header) uint64() uint64 {
	var b [8]byte
	h.read(b[:])
	return little.Uint64(b[:])
}

// count reads the number of things to follow, each of which takes at least least bytes of what is
// left of the file.
func (h *header) count(of string, least int64) int {
	n := h.uint64()
	if limit := (h.size - h.at) / least; h.err == nil && n > uint64(limit) {
		h.fail("the number of %s is %d, expected at most %d: the file has %d bytes left", of, n, limit, h.size-h.at)
	}
	if h.err != nil {
		return 0
	}
	return int(n)
}

func (h *header) string(of string) string {
	b := make([]byte, h.count("bytes of "+of, 1))
	h.read(b)
	return string(b)
}

// list reads n values one by one, none after an error. Memory is taken as they are read: a text may
// take less in the file than in memory.
func list[T any](h *header, n int, one func() T) []T {
	if h.err != nil {
		return nil
	}
	values := make([]T, 0, min(n, 1<<12))
	for range n {
		if values = append(values, one()); h.err != nil {
			return nil
		}
	}
	return values
}

// numbers reads n numbers of fixed size.
func numbers[T any](h *header, n int) []T {
	values := make([]T, n)
	if h.err != nil {
		return values
	}
	if err := binary.Read(h.r, little, values); err != nil {
		h.fail("the header ends within an array of %d values: %w", n, err)
	}
	h.at += int64(binary.Size(values))
	return values
}

func number[T any](h *header) T {
	return numbers[T](h, 1)[0]
}

func (h *header) bool() bool {
	b := number[uint8](h)
	if b > 1 {
		h.fail("a truth value is %d, expected 0 or 1", b)
	}
	return b == 1
}

// value reads a value of a type.
func (h *header) value(kind uint32, depth int) any {
	switch kind {
	case valueUint8:
		return number[uint8](h)
	case valueInt8:
		return number[int8](h)
	case valueUint16:
		return number[uint16](h)
	case valueInt16:
		return number[int16](h)
	case valueUint32:
		return number[uint32](h)
	case valueInt32:
		return number[int32](h)
	case valueUint64:
		return number[uint64](h)
	case valueInt64:
		return number[int64](h)
	case valueFloat32:
		return number[float32](h)
	case valueFloat64:
		return number[float64](h)
	case valueBool:
		return h.bool()
	case valueString:
		return h.string("a text")
	case valueArray:
		return h.array(depth + 1)
	}
	h.fail("the value's type is %d, expected 0 to %d", kind, valueFloat64)
	return nil
}

func (h *header) array(depth int) any {
	kind := h.uint32()
	if h.err == nil && kind >= uint32(len(leastBytes)) {
		h.fail("the array's type is %d, expected 0 to %d", kind, valueFloat64)
	}
	if depth > maxDepth {
		h.fail("arrays are nested more than %d deep", maxDepth)
	}
	if h.err != nil {
		return nil
	}
	n := h.count("array elements", leastBytes[kind])
	switch kind {
	case valueUint8:
		return numbers[uint8](h, n)
	case valueInt8:
		return numbers[int8](h, n)
	case valueUint16:
		return numbers[uint16](h, n)
	case valueInt16:
		return numbers[int16](h, n)
	case valueUint32:
		return numbers[uint32](h, n)
	case valueInt32:
		return numbers[int32](h, n)
	case valueUint64:
		return numbers[uint64](h, n)
	case valueInt64:
		return numbers[int64](h, n)
	case valueFloat32:
		return numbers[float32](h, n)
	case valueFloat64:
		return numbers[float64](h, n)
	case valueBool:
		return list(h, n, h.bool)
	case valueString:
		return list(h, n, func() string { return h.string("a text") })
	}
	return list(h, n, func() any { return h.array(depth + 1) })
}

// version reads the first bytes and refuses what is not GGUF of versions 2 and 3.
func (h *header) version() int {
	var b [4]byte
	h.read(b[:])
	if h.err == nil && string(b[:]) != magic {
		h.fail("the file begins with %q, expected %q", b[:], magic)
	}
	v := h.uint32()
	switch swapped := bits.ReverseBytes32(v); {
	case h.err != nil || v == 2 || v == 3:
	case swapped < 1<<16 && v >= 1<<16:
		h.fail("the file is big-endian (version %d), expected little-endian", swapped)
	default:
		h.fail("version is %d, expected 2 or 3", v)
	}
	return int(v)
}

func (h *header) metadata(n int) Metadata {
	seen := map[string]bool{}
	return list(h, n, func() Pair {
		key := h.string("a metadata key")
		if seen[key] {
			h.fail("metadata key %q is listed twice", key)
		}
		seen[key] = true
		kind := h.uint32()
		if h.err != nil {
			return Pair{}
		}
		value := h.value(kind, 0)
		if h.err != nil {
			h.err = fmt.Errorf("metadata key %q: %w", key, h.err)
		}
		return Pair{key, value}
	})
}

func (h *header) tensors(n int) []Tensor {
	seen := map[string]bool{}
	at := 0
	return list(h, n, func() Tensor {
		at++
		t := Tensor{Name: h.string("a tensor's name")}
		if h.err != nil {
			h.err = fmt.Errorf("tensor %d of %d: %w", at, n, h.err)
			return t
		}
		if seen[t.Name] {
			h.fail("the name is listed twice")
		}
		seen[t.Name] = true
		h.tensor(&t)
		if h.err != nil {
			h.err = fmt.Errorf("tensor %q: %w", t.Name, h.err)
		}
		return t
	})
}

// tensor reads what follows a tensor's name, and checks that the shape does not overflow and is
// whole blocks, where the type's are known.
func (h *header) tensor(t *Tensor) {
	n := h.uint32()
	if h.err == nil && n > maxDimensions {
		h.fail("has %d dimensions, expected at most %d", n, maxDimensions)
	}
	if h.err != nil {
		return
	}
	t.Shape = make([]int, n)
	var elements uint64 = 1
	for i := range t.Shape {
		d := h.uint64()
		high, low := bits.Mul64(elements, d)
		if h.err == nil && d == 0 {
			h.fail("a dimension is 0")
		}
		if high != 0 || low > math.MaxInt64/8 || d > math.MaxInt64/8 {
			h.fail("the shape overflows at a dimension of %d", d)
			return
		}
		elements = low
		t.Shape[len(t.Shape)-1-i] = int(d)
	}
	t.Type = Type(h.uint32())
	offset := h.uint64()
	if h.err != nil {
		return
	}
	if offset > math.MaxInt64 {
		h.fail("begins at byte %d", offset)
		return
	}
	t.offset = int64(offset)
	f, known := formats[t.Type]
	if !known {
		return // place finds what it may take
	}
	if t.RowLength()%f.elements != 0 {
		h.fail("rows have %d elements, expected blocks of %d for %s", t.RowLength(), f.elements, t.Type)
		return
	}
	high, low := bits.Mul64(elements/uint64(f.elements), uint64(f.bytes))
	if high != 0 || low > math.MaxInt64 {
		h.fail("the shape overflows: %d elements of %s", elements, t.Type)
	}
	t.size = int64(low)
}
