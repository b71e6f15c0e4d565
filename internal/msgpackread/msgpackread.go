// Package msgpackread decodes MessagePack that comes from files.
//
// It promises that a damaged or hostile value is an error: every length is compared with the bytes
// that are there before anything is allocated for it, and the depth of values within values is
// bounded. The library that decodes allocates as many elements as an array claims to have.
//
// The package leaves out extensions, times among them, which the lab does not write: the library
// reads the content of some as if it were values that follow. It leaves out writing, and what the
// values mean.
package msgpackread

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// maxDepth bounds arrays and maps within each other; a run's events have 5.
const maxDepth = 64

// errOtherType is the error of whole MessagePack whose values are not those that the reader takes.
var errOtherType = errors.New("a value of another type than expected: another program or version wrote it")

// Decode reads the first value of data.
func Decode(data []byte, into any) (err error) {
	if err := check(data); err != nil {
		return err
	}
	defer func() {
		// such as for a key that is there twice and has a value of any kind
		if p := recover(); p != nil {
			err = errOtherType
		}
	}()
	if msgpack.Unmarshal(data, into) != nil { // its errors speak of the program's types
		return errOtherType
	}
	return nil
}

// check walks through the first value of data without decoding it.
func check(data []byte) error {
	open := []uint64{1} // elements to come of the value and of each array and map around it
	at := 0
	for len(open) > 0 {
		last := len(open) - 1
		if open[last] == 0 {
			open = open[:last]
			continue
		}
		open[last]--
		h, err := readHead(data[at:])
		if err != nil {
			return fmt.Errorf("byte %d: %w", at, err)
		}
		left := uint64(len(data) - at - h.size)
		switch {
		case h.bytes > left:
			return fmt.Errorf("byte %d: a value of %d bytes, expected at most the %d that follow", at, h.bytes, left)
		case h.elements > left: // each has a byte at least
			return fmt.Errorf("byte %d: %d elements, expected at most the %d bytes that follow", at, h.elements, left)
		case h.elements > 0 && len(open) > maxDepth:
			return fmt.Errorf("byte %d: more than %d values within each other", at, maxDepth)
		}
		at += h.size + int(h.bytes)
		open = append(open, h.elements)
	}
	return nil
}

// head is the beginning of a value.
type head struct {
	size            int    // bytes of the head itself
	bytes, elements uint64 // what follows it
}

// readHead reads the head at the beginning of data (MessagePack specification, "Formats").
func readHead(data []byte) (head, error) {
	if len(data) == 0 {
		return head{}, fmt.Errorf("the end, expected a value")
	}
	c := data[0]
	switch {
	case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // small integers, nil, booleans
		return head{size: 1}, nil
	case c <= 0x8f:
		return head{size: 1, elements: 2 * uint64(c&0x0f)}, nil
	case c <= 0x9f:
		return head{size: 1, elements: uint64(c & 0x0f)}, nil
	case c <= 0xbf:
		return head{size: 1, bytes: uint64(c & 0x1f)}, nil
	case c == 0xc1:
		return head{}, fmt.Errorf("found 0xc1, which begins no value")
	case c >= 0xc7 && c <= 0xc9, c >= 0xd4 && c <= 0xd8:
		return head{}, fmt.Errorf("found an extension (0x%x), expected none", c)
	case c >= 0xca && c <= 0xd3: // floats and integers
		sizes := [...]uint64{4, 8, 1, 2, 4, 8, 1, 2, 4, 8}
		return head{size: 1, bytes: sizes[c-0xca]}, nil
	}
	return longHead(data)
}

// longHead reads a head with a length of 1, 2 or 4 bytes.
func longHead(data []byte) (head, error) {
	width, kind := 0, byte(0) // of the length; 'b' bytes, 'a' array, 'm' map
	switch c := data[0]; {
	case c <= 0xc6:
		width, kind = 1<<(c-0xc4), 'b'
	case c <= 0xdb:
		width, kind = 1<<(c-0xd9), 'b'
	case c <= 0xdd:
		width, kind = 2<<(c-0xdc), 'a'
	default:
		width, kind = 2<<(c-0xde), 'm'
	}
	if len(data) < 1+width {
		return head{}, fmt.Errorf("the end within a length of %d bytes", width)
	}
	var length [8]byte
	copy(length[8-width:], data[1:1+width])
	n := binary.BigEndian.Uint64(length[:])
	h := head{size: 1 + width}
	switch kind {
	case 'b':
		h.bytes = n
	case 'a':
		h.elements = n
	case 'm':
		h.elements = 2 * n
	}
	return h, nil
}
