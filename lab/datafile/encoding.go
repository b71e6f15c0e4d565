package datafile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding is a form of text other than UTF-8.
type encoding struct {
	name, iconv string
	width       int // bytes of a unit
	order       binary.ByteOrder
}

var (
	utf32LE = encoding{"UTF-32, little-endian,", "UTF-32LE", 4, binary.LittleEndian}
	utf32BE = encoding{"UTF-32, big-endian,", "UTF-32BE", 4, binary.BigEndian}
	utf16LE = encoding{"UTF-16, little-endian,", "UTF-16LE", 2, binary.LittleEndian}
	utf16BE = encoding{"UTF-16, big-endian,", "UTF-16BE", 2, binary.BigEndian}
)

// marks are the byte order marks. That of UTF-32 begins as that of UTF-16 does.
var marks = []struct {
	mark     string
	encoding *encoding // nil is UTF-8
}{{"\xef\xbb\xbf", nil}, {"\xff\xfe\x00\x00", &utf32LE}, {"\x00\x00\xfe\xff", &utf32BE}, {"\xff\xfe", &utf16LE}, {"\xfe\xff", &utf16BE}}

// findEncoding returns the encoding that a byte order mark names, nil for UTF-8, and the mark's
// bytes. UTF-16 and UTF-32 without a mark, whose text is known by its zeros, are errors.
func findEncoding(head []byte) (e *encoding, mark int, err error) {
	for _, m := range marks {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			return m.encoding, len(m.mark), nil
		}
	}
	for _, e := range []encoding{utf32LE, utf32BE, utf16LE, utf16BE} {
		if e.fits(head) {
			return nil, 0, fmt.Errorf("found a NUL at byte %d and text in %s without a byte order mark, expected UTF-8: convert it (iconv -f %s -t UTF-8)", bytes.IndexByte(head, 0)+1, e.name, e.iconv)
		}
	}
	return nil, 0, nil
}

// fits reports whether nearly all units of the beginning are ASCII characters.
func (e encoding) fits(head []byte) bool {
	units, ascii := len(head)/e.width, 0
	for i := range units {
		if u := e.unit(head[i*e.width:]); 0 < u && u < 0x80 {
			ascii++
		}
	}
	return units >= 2 && ascii*10 >= units*8
}

// unit reads a unit of the encoding.
func (e encoding) unit(data []byte) uint32 {
	if e.width == 2 {
		return uint32(e.order.Uint16(data))
	}
	return e.order.Uint32(data)
}

// decoder turns another encoding into UTF-8.
type decoder struct {
	from     io.Reader
	encoding encoding
	offset   int // of the next unit in the file
	unit     [4]byte
}

func (d *decoder) Read(p []byte) (int, error) {
	if len(p) < utf8.UTFMax {
		return 0, io.ErrShortBuffer // which bufio never has
	}
	n := 0
	for n+utf8.UTFMax <= len(p) {
		r, err := d.rune()
		if err != nil {
			if n > 0 && err == io.EOF {
				return n, nil
			}
			return n, err
		}
		n += utf8.EncodeRune(p[n:], r)
	}
	return n, nil
}

// rune decodes a character.
func (d *decoder) rune() (rune, error) {
	at := d.offset
	u, err := d.next()
	if err != nil {
		return 0, err
	}
	r := rune(u)
	if d.encoding.width == 2 && utf16.IsSurrogate(r) {
		low, err := d.next()
		if r = utf16.DecodeRune(r, rune(low)); err != nil || r == utf8.RuneError {
			return 0, fmt.Errorf("found half of a surrogate pair at byte %d, expected text in %s", at+1, d.encoding.iconv)
		}
	}
	if u > utf8.MaxRune || !utf8.ValidRune(r) {
		return 0, fmt.Errorf("found %#x at byte %d, expected a character in %s", u, at+1, d.encoding.iconv)
	}
	return r, nil
}

func (d *decoder) next() (uint32, error) {
	unit := d.unit[:d.encoding.width]
	n, err := io.ReadFull(d.from, unit)
	if err == io.ErrUnexpectedEOF {
		return 0, fmt.Errorf("the file ends within a character, at byte %d, expected text in %s", d.offset+n, d.encoding.iconv)
	}
	d.offset += n
	return d.encoding.unit(d.unit[:]), err
}

// validator passes on what is UTF-8 without NUL, and names the place of what is not.
type validator struct {
	from   io.Reader
	line   int // of the next byte
	column int // bytes of that line before it
	offset int // bytes before it
	buffer []byte
	begin  int // of the buffer's bytes that are checked and not yet given
	end    int
	filled int
	err    error
}

func (v *validator) Read(p []byte) (int, error) {
	for v.begin == v.end {
		if v.err != nil {
			return 0, v.err
		}
		v.fill()
	}
	n := copy(p, v.buffer[v.begin:v.end])
	v.begin += n
	return n, nil
}

// fill reads on, and checks what came up to the last whole character.
func (v *validator) fill() {
	left := copy(v.buffer, v.buffer[v.end:v.filled])
	n, err := v.from.Read(v.buffer[left:])
	v.begin, v.filled, v.err = 0, left+n, err
	data := v.buffer[:v.filled]
	at := 0
	for at < len(data) {
		if c := data[at]; c < utf8.RuneSelf {
			if c == 0 {
				v.err = v.wrong("a NUL, which text does not have,")
				break
			}
			v.step(c, 1)
			at++
			continue
		}
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			if err == nil && !utf8.FullRune(data[at:]) {
				break // the rest is to come
			}
			v.err = v.wrong(fmt.Sprintf("not valid UTF-8: byte 0x%02X", data[at]))
			break
		}
		v.step(0, size)
		at += size
	}
	v.end = at
}

func (v *validator) step(c byte, size int) {
	v.offset, v.column = v.offset+size, v.column+size
	if c == '\n' {
		v.line, v.column = v.line+1, 0
	}
}

func (v *validator) wrong(found string) error {
	err := fmt.Errorf("%s at byte %d of the line, byte %d of the text", found, v.column+1, v.offset+1)
	if found[0] == 'n' {
		err = fmt.Errorf("%w; if it is Latin-1, convert it (iconv -f LATIN1 -t UTF-8)", err)
	} else {
		err = fmt.Errorf("found %w", err)
	}
	return &lineError{v.line, err}
}
