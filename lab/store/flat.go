package store

import (
	"encoding/binary"
	"math"

	"slimlab/lab"
)

// flatDecoder decodes the events that logs hold in masses, points and progress: a short map of
// one-letter keys to numbers, texts and booleans. It knows no other form, so that what it decodes
// is what msgpackread decodes, which is the one to say what is wrong with a record.
type flatDecoder struct {
	known map[string]string // texts that came before
}

func newFlatDecoder() *flatDecoder { return &flatDecoder{known: map[string]string{}} }

// decode fills a zero event. It reports false, and leaves the event half filled, for any form that
// it does not know.
func (d *flatDecoder) decode(data []byte, e *lab.Event) bool {
	if len(data) == 0 || data[0]&0xf0 != 0x80 { // a map of up to 15 fields
		return false
	}
	fields := data[0] & 0x0f
	data = data[1:]
	for range fields {
		if len(data) < 3 || data[0] != 0xa1 { // a text of one byte, and a value
			return false
		}
		size := d.field(data[1], data[2:], e)
		if size == 0 {
			return false
		}
		data = data[2+size:]
	}
	return len(data) == 0
}

// field decodes the value of a key at the beginning of data and returns its size; 0 for what it
// does not know.
func (d *flatDecoder) field(key byte, data []byte, e *lab.Event) (size int) {
	var n int64
	switch key {
	case 'k':
		n, size = integer(data)
		e.Kind = lab.Kind(n)
	case 't':
		e.Time, size = number(data)
	case 'c':
		e.Cell, size = d.text(data)
	case 'g':
		e.Stage, size = d.text(data)
	case 's':
		n, size = integer(data)
		e.State = lab.State(n)
	case 'n':
		e.Name, size = d.text(data)
	case 'r':
		e.Row, size = d.text(data)
	case 'i':
		n, size = integer(data)
		e.Step = int(n)
	case 'm':
		n, size = integer(data)
		e.Total = int(n)
	case 'v':
		e.Value, size = number(data)
	case 'l':
		n, size = integer(data)
		e.Level = lab.Level(n)
	case 'h':
		e.Held, size = boolean(data)
	case 'j':
		e.Unjudged, size = boolean(data)
	case 'x':
		e.Text, size = d.text(data)
	case 'a':
		e.Key, size = d.text(data)
	case 'p':
		e.Machine, size = d.text(data)
	case 'e':
		e.Test, size = d.text(data)
	case 'd':
		e.Tokens, size = d.text(data)
	case 'f':
		e.Chosen, size = d.text(data)
	}
	return size
}

// Texts that repeat are names of cells and series.
const (
	longestKnown = 64
	mostKnown    = 1024
)

// text decodes a text of up to 255 bytes. One that came before is not allocated again.
func (d *flatDecoder) text(data []byte) (text string, size int) {
	length := 0
	switch c := data[0]; {
	case c&0xe0 == 0xa0:
		length, size = int(c&0x1f), 1
	case c == 0xd9 && len(data) > 1:
		length, size = int(data[1]), 2
	default:
		return "", 0
	}
	if len(data) < size+length {
		return "", 0
	}
	data = data[size : size+length]
	size += length
	if length > longestKnown {
		return string(data), size
	}
	text, known := d.known[string(data)]
	if !known {
		if len(d.known) == mostKnown {
			clear(d.known)
		}
		text = string(data)
		d.known[text] = text
	}
	return text, size
}

// integer decodes an integer of any width. One of 64 bits without a sign that exceeds an int64
// wraps, as it does in msgpackread.
func integer(data []byte) (n int64, size int) {
	c := data[0]
	if c <= 0x7f || c >= 0xe0 {
		return int64(int8(c)), 1
	}
	if c < 0xcc || c > 0xd3 {
		return 0, 0
	}
	size = 1 + 1<<(c&3)
	if len(data) < size {
		return 0, 0
	}
	switch data = data[1:]; c {
	case 0xcc:
		n = int64(data[0])
	case 0xcd:
		n = int64(binary.BigEndian.Uint16(data))
	case 0xce:
		n = int64(binary.BigEndian.Uint32(data))
	case 0xd0:
		n = int64(int8(data[0]))
	case 0xd1:
		n = int64(int16(binary.BigEndian.Uint16(data)))
	case 0xd2:
		n = int64(int32(binary.BigEndian.Uint32(data)))
	default: // 64 bits, with and without a sign
		n = int64(binary.BigEndian.Uint64(data))
	}
	return n, size
}

// number decodes a float of either width, or an integer.
func number(data []byte) (x float64, size int) {
	switch {
	case data[0] == 0xcb && len(data) >= 9:
		return math.Float64frombits(binary.BigEndian.Uint64(data[1:])), 9
	case data[0] == 0xca && len(data) >= 5:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(data[1:]))), 5
	}
	n, size := integer(data)
	return float64(n), size
}

func boolean(data []byte) (value bool, size int) {
	if data[0] != 0xc2 && data[0] != 0xc3 {
		return false, 0
	}
	return data[0] == 0xc3, 1
}
