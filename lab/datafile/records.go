package datafile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
)

// LongestLine bounds a line of JSON.
const LongestLine = 64 << 20

// Record is a JSON value of a file.
type Record struct {
	Line int // at which it begins
	JSON []byte
}

// Text returns the first lines of a text, all for lines ≤ 0, the last one's end included.
func (f *File) Text(lines int) (string, error) {
	var b strings.Builder
	for n := 0; lines <= 0 || n < lines; {
		piece, err := f.text.ReadSlice('\n')
		b.Write(piece)
		switch {
		case err == io.EOF:
			return b.String(), nil
		case err == nil:
			n++
		case err != bufio.ErrBufferFull:
			return "", f.describe(err)
		}
	}
	return b.String(), nil
}

// Records yields the file's JSON values in order: the lines of JSON lines that are not white space,
// the elements of a JSON array, or those of a list under a key such as "data" of one JSON object.
// A value with two equal keys in one object, or with half of a surrogate pair, is an error: readers
// of JSON differ on what it means. After an error, which names the file and the line, there are no
// more.
func (f *File) Records() iter.Seq2[Record, error] {
	return func(all func(Record, error) bool) {
		fail := func(line int, err error) {
			if line > 0 {
				err = &lineError{line, err}
			}
			all(Record{}, f.describe(err))
		}
		yield := func(r Record, err error) bool {
			if at, bad := ambiguous(r.JSON); bad != nil {
				fail(r.Line+bytes.Count(r.JSON[:at], []byte("\n")), bad)
				return false
			}
			return all(r, err)
		}
		if f.form == Array {
			f.rest(nil, 1, yield, fail)
			return
		}
		var held *Record // the first line: alone, it may be an object with the list
		for line := 1; ; line++ {
			text, err := f.line(line)
			if err != nil && err != io.EOF {
				if held == nil || held.JSON == nil || yield(*held, nil) {
					fail(0, err)
				}
				return
			}
			last := err == io.EOF
			text = f.trim(text, line)
			switch {
			case len(text) == 0:
			case held == nil:
				if f.form == Lines && (continues(text) || f.several(text, line)) {
					f.rest(text, line, yield, fail)
					return
				}
				held = &Record{line, slices.Clone(text)}
			default:
				if held.JSON != nil && !yield(*held, nil) {
					return
				}
				held.JSON = nil
				if !f.each(text, line, yield, fail) {
					return
				}
			}
			if last {
				break
			}
		}
		if held != nil && held.JSON != nil {
			f.object(*held, yield, fail)
		}
	}
}

// line reads a line. It is valid until the next one is read.
func (f *File) line(number int) ([]byte, error) {
	text, err := f.text.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return text, err
	}
	long := slices.Clone(text)
	for err == bufio.ErrBufferFull {
		if len(long) > LongestLine {
			return nil, &lineError{number, fmt.Errorf("the line is longer than %d MB, expected one JSON object a line", LongestLine>>20)}
		}
		text, err = f.text.ReadSlice('\n')
		long = append(long, text...)
	}
	return long, err
}

// trim takes off what stands around a line's record: white space, and a byte order mark, which
// files written one behind the other have in their midst.
func (f *File) trim(text []byte, line int) []byte {
	text = bytes.TrimSpace(text)
	if rest, found := bytes.CutPrefix(text, []byte("\ufeff")); found {
		f.note("line %d begins with a byte order mark, which is left out", line)
		return bytes.TrimSpace(rest)
	}
	return text
}

var bordering = regexp.MustCompile(`\}\s*\{`)

// several reports a line of several JSON objects, one behind the other, as files have whose last
// lines had no ends when they were joined.
func (f *File) several(text []byte, line int) bool {
	if !bordering.Match(text) {
		return false // the usual case, known without decoding
	}
	_, end, err := value(text, line)
	if tail, _ := skipSpace(text[max(0, end):], line); err != nil || len(tail) == 0 || tail[0] != '{' {
		return false
	}
	f.note("line %d holds several records: they are read one after the other", line)
	return true
}

// each yields the records of a line, and reports whether there may be more.
func (f *File) each(text []byte, line int, yield func(Record, error) bool, fail func(int, error)) bool {
	if !f.several(text, line) {
		return yield(Record{line, text}, nil)
	}
	for len(text) > 0 {
		raw, end, err := value(text, line)
		if err != nil {
			fail(0, err)
			return false
		}
		if !yield(Record{line, raw}, nil) {
			return false
		}
		text = bytes.TrimSpace(text[end:])
	}
	return true
}

// continues reports a JSON value that goes on in the next line.
func continues(line []byte) bool {
	d := json.NewDecoder(bytes.NewReader(line))
	var value json.RawMessage
	return errors.Is(d.Decode(&value), io.ErrUnexpectedEOF)
}

// rest reads the values of a file that are not one a line. begun is what was read of the first,
// from a line on.
func (f *File) rest(begun []byte, line int, yield func(Record, error) bool, fail func(int, error)) {
	data := slices.Clone(begun)
	if len(begun) > 0 {
		data = append(data, '\n')
	}
	more, err := io.ReadAll(f.text)
	if err != nil {
		fail(0, err)
		return
	}
	data, line = skipSpace(append(data, more...), line)
	for first := true; len(data) > 0; first = false {
		raw, end, err := value(data, line)
		if err != nil {
			fail(0, err)
			return
		}
		tail, next := skipSpace(data[end:], line+bytes.Count(data[:end], []byte("\n")))
		switch {
		case f.form == Array && len(tail) > 0:
			fail(next, fmt.Errorf("found %.20q behind the end of the JSON array, expected nothing", tail))
			return
		case f.form == Array:
			f.note("read as one JSON array of records")
			f.elements(raw, line, yield, fail)
		case first && len(tail) == 0:
			f.object(Record{line, raw}, yield, fail)
		case !yield(Record{line, raw}, nil):
			return
		}
		data, line = tail, next
	}
}

// skipSpace drops the white space before a value, and counts its lines.
func skipSpace(data []byte, line int) ([]byte, int) {
	rest := bytes.TrimLeft(data, " \t\r\n")
	return rest, line + bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
}

// value reads the first JSON value of data, at a line, and returns the offset of its end. Its
// errors count lines from that one.
func value(data []byte, line int) (raw json.RawMessage, end int, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&raw); err != nil {
		return nil, 0, broken(jsonread.Explain(data, err), data, line)
	}
	return raw, int(d.InputOffset()), nil
}

// broken names the line of a file in an error about JSON that begins at a line.
func broken(err error, data []byte, line int) error {
	var syntax *jsonread.SyntaxError
	if errors.As(err, &syntax) {
		return &lineError{line + syntax.Line - 1, fmt.Errorf("column %d: not JSON: %s", syntax.Column, advised(syntax.Problem, data))}
	}
	return &lineError{line, err}
}

// elements yields the elements of a valid JSON array that begins at a line.
func (f *File) elements(array json.RawMessage, line int, yield func(Record, error) bool, fail func(int, error)) {
	d := json.NewDecoder(bytes.NewReader(array))
	if _, err := d.Token(); err != nil {
		fail(line, err)
		return
	}
	before := int64(0)
	for d.More() {
		if err := f.ctx.Err(); err != nil {
			fail(0, err)
			return
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			fail(line, jsonread.Explain(array, err))
			return
		}
		begin := d.InputOffset() - int64(len(raw))
		line += bytes.Count(array[before:begin], []byte("\n"))
		before = begin
		if !yield(Record{line, raw}, nil) {
			return
		}
	}
}
