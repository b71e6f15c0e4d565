package datafile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"slimlab/internal/await"
)

// Standard is the path that names standard input.
const Standard = "-"

// headBytes is how much of a file its form is known by.
const headBytes = 4096

// File is an open file of text or records.
type File struct {
	name  string
	raw   *source
	text  *bufio.Reader // UTF-8 without a byte order mark
	notes []string
	noted []string // formats of the notes that are given once
	form  Form
	ctx   context.Context
	purpose
}

// Form is what a file holds, by how it begins.
type Form int

// The forms of a file.
const (
	Text  Form = iota
	Lines      // JSON objects: one a line, or one object, or several over many lines
	Array      // a JSON array
)

// Open opens a file, or standard input where path is Standard. Its errors begin with the file's
// name.
func Open(ctx context.Context, path string) (*File, error) {
	name := Name(path)
	in, err := open(ctx, path)
	if err != nil {
		return nil, err // which names the file
	}
	if info, err := in.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s: a directory, expected a file of text or records", name), in.Close())
	}
	f, err := New(ctx, name, in)
	if err != nil {
		return nil, errors.Join(err, closeFile(in))
	}
	return f, nil
}

// New begins to read a file that is open, or other data, under a name for messages. What it reads
// from is closed by Close where it is an os.File.
func New(ctx context.Context, name string, in io.Reader) (*File, error) {
	return newFile(ctx, name, in, func(f *File) error {
		f.sequence()
		return f.classify()
	})
}

// newFile begins to read data; classify finds out what its text holds.
func newFile(ctx context.Context, name string, in io.Reader, classify func(*File) error) (*File, error) {
	f := &File{name: name, ctx: ctx, raw: &source{ctx: ctx, from: in, buffer: make([]byte, bufferOf(in, 1<<18)), most: sizeBound(in), sum: sha256.New()}}
	err := f.begin()
	if err == nil {
		err = classify(f)
	}
	if err != nil {
		return nil, f.describe(err)
	}
	return f, nil
}

// bufferOf is the size of a buffer for data: most, or what they fill where that is less.
func bufferOf(in io.Reader, most int) int {
	if sized, ok := in.(interface{ Len() int }); ok {
		return max(headBytes, min(most, sized.Len()+1))
	}
	return most
}

// Name is a file's name in messages.
func Name(path string) string {
	if path == Standard {
		return "standard input"
	}
	return path
}

func open(ctx context.Context, path string) (*os.File, error) {
	if path == Standard {
		return os.Stdin, ctx.Err()
	}
	return await.Do(ctx, func() (*os.File, error) { return os.Open(path) })
}

// begin finds out how the file is packed, and how its text is encoded.
func (f *File) begin() error {
	size := min(1<<16, len(f.raw.buffer))
	in := bufio.NewReaderSize(f.raw, size)
	head, err := peek(in)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(head, []byte(gzipMagic)) {
		if in, head, err = f.gunzip(in); err != nil {
			return err
		}
	}
	if len(head) == 0 {
		return errors.New("the file is empty, expected text or records")
	}
	if err := refuse(head); err != nil {
		return err
	}
	e, mark, err := findEncoding(head)
	if err != nil {
		return err
	}
	if _, err := in.Discard(mark); err != nil {
		return err
	}
	var text io.Reader = in
	if e != nil {
		text = &decoder{from: in, encoding: *e, offset: mark}
		f.notes = append(f.notes, fmt.Sprintf("%s: decoded from %s by its byte order mark", f.name, e.name))
	}
	f.text = bufio.NewReaderSize(&validator{from: text, line: 1, buffer: make([]byte, size/2)}, size)
	return nil
}

// sequence reads a sequence of JSON texts, each of which has a record separator before it (RFC
// 7464), as the same texts without: JSON has no such byte within a value.
func (f *File) sequence() {
	if head, _ := f.text.Peek(headBytes); beginsObject(bytes.TrimLeft(head, separator+" \t\r\n")) && head[0] == separator[0] {
		f.note("read as a sequence of JSON texts with record separators before them (RFC 7464)")
		f.text = bufio.NewReaderSize(&unseparated{f.text}, 1<<16)
	}
}

const separator = "\x1e"

// unseparated has spaces in the place of record separators.
type unseparated struct{ from io.Reader }

func (u *unseparated) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	for i, c := range p[:n] {
		if c == separator[0] {
			p[i] = ' '
		}
	}
	return n, err
}

// gunzip reads what a gzip stream holds.
func (f *File) gunzip(in *bufio.Reader) (*bufio.Reader, []byte, error) {
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, nil, describeGzip(err)
	}
	out := bufio.NewReaderSize(&expansion{from: &members{in: in, member: z}, raw: f.raw}, 1<<16)
	head, err := peek(out)
	if err != nil {
		return nil, nil, err
	}
	if bytes.HasPrefix(head, []byte(gzipMagic)) {
		return nil, nil, errors.New("gzip within gzip, expected text or records: decompress it once (gzip -d)")
	}
	f.notes = append(f.notes, f.name+": decompressed from gzip")
	return out, head, nil
}

// peek returns the first bytes of a file, fewer than headBytes where there are no more.
func peek(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(headBytes)
	if err == io.EOF {
		err = nil
	}
	return head, err
}

// describe puts the file's name before an error. Errors of a line have it there without a space:
// "data.jsonl:7: …".
func (f *File) describe(err error) error {
	var of *fs.PathError
	var at *lineError
	switch {
	case f.ctx.Err() != nil && errors.Is(err, f.ctx.Err()):
		return err
	case errors.As(err, &of):
		return err // which names the file
	case errors.As(err, &at):
		return fmt.Errorf("%s:%d: %w", f.name, at.line, at.err)
	}
	return fmt.Errorf("%s: %w", f.name, err)
}

// lineError is an error at a line.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// Name is the file's name in messages.
func (f *File) Name() string { return f.name }

// Form is what the file holds.
func (f *File) Form() Form { return f.form }

// note adds a note once for the file.
func (f *File) note(format string, args ...any) {
	if !slices.Contains(f.noted, format) {
		f.noted, f.notes = append(f.noted, format), append(f.notes, f.name+": "+fmt.Sprintf(format, args...))
	}
}

// Notes say what was decoded and chosen in reading so far.
func (f *File) Notes() []string { return f.notes }

// Sum reads what is left of the file and returns the hexadecimal SHA-256 of all its bytes as they
// are stored.
func (f *File) Sum() (string, error) {
	if _, err := io.Copy(io.Discard, f.raw); err != nil {
		return "", f.describe(err)
	}
	return hex.EncodeToString(f.raw.sum.Sum(nil)), nil
}

// Close closes the file. Standard input stays open.
func (f *File) Close() error {
	if file, ok := f.raw.from.(*os.File); ok {
		return closeFile(file)
	}
	return nil
}

func closeFile(file *os.File) error {
	if file == os.Stdin {
		return nil
	}
	return file.Close()
}

// source reads a file until the context ends, and keeps count of it.
type source struct {
	ctx    context.Context
	from   io.Reader
	buffer []byte // of one reading, which may go on after the context has ended
	rest   []byte // of the buffer
	err    error
	read   int64
	most   int64 // bytes that may be read
	sum    hash.Hash
}

// mostOfStream is how much is read of what has no size: pipes, devices, standard input. One that
// never ends would fill the memory: short records take about 12 times their bytes.
const mostOfStream = 256 << 20

// sizeBound is how much may be read of a file.
func sizeBound(in io.Reader) int64 {
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
			return mostOfStream
		}
	}
	return math.MaxInt64
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		read := func() (int, error) { return s.from.Read(s.buffer) }
		n, err := 0, s.ctx.Err()
		switch _, inMemory := s.from.(interface{ Len() int }); {
		case err != nil:
		case inMemory:
			n, err = read() // which does not wait
		default:
			n, err = await.Do(s.ctx, read)
		}
		s.rest, s.err, s.read = s.buffer[:n], err, s.read+int64(n)
		s.sum.Write(s.rest)
		if s.read > s.most {
			s.rest, s.err = nil, fmt.Errorf("a pipe or device has given %d MB and does not end: write what it gives to a file of a known size", s.most>>20)
			return 0, s.err
		}
		if n == 0 {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// A gzip stream that becomes more than largeExpansion bytes may be mostExpansion times as long as
// the file. Text and records shrink to a hundredth at most; a stream that is made to fill the
// memory, to a thousandth.
const (
	largeExpansion = 256 << 20
	mostExpansion  = 250
)

// expansion reads a gzip stream and bounds what it becomes.
type expansion struct {
	from io.Reader
	raw  *source
	read int64
}

func (e *expansion) Read(p []byte) (int, error) {
	n, err := e.from.Read(p)
	e.read += int64(n)
	if e.read > largeExpansion && e.read > mostExpansion*e.raw.read {
		return 0, fmt.Errorf("gzip: found %d MB in the first %d kB, more than %d times as much: decompress it if it is meant so", e.read>>20, e.raw.read>>10, mostExpansion)
	}
	return n, describeGzip(err)
}

// members reads the members of a gzip file, one after the other. Behind the last there is nothing,
// or zeros, with which some programs fill up a block.
type members struct {
	in     *bufio.Reader
	member *gzip.Reader
}

func (m *members) Read(p []byte) (int, error) {
	for {
		m.member.Multistream(false)
		n, err := m.member.Read(p)
		if n > 0 && err == io.EOF {
			err = nil // it comes again
		}
		if n > 0 || err != io.EOF {
			return n, err
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
}

// next begins the next member, or returns io.EOF.
func (m *members) next() error {
	for {
		head, err := m.in.Peek(32)
		switch {
		case len(head) == 0:
			return err
		case bytes.HasPrefix(head, []byte(gzipMagic)):
			return m.member.Reset(m.in)
		case head[0] != 0:
			return fmt.Errorf("gzip: found %q behind the end of the compressed text, expected its end: take out what was added behind it, or compress the text anew", head)
		}
		if _, err := m.in.Discard(1); err != nil {
			return err
		}
	}
}

// describeGzip puts an error of package gzip in words.
func describeGzip(err error) error {
	switch {
	case err == nil, err == io.EOF:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("gzip: the file ends within the stream: it was cut off")
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), strings.HasPrefix(err.Error(), "flate:"):
		return fmt.Errorf("gzip: the stream is damaged: %s", strings.TrimPrefix(strings.TrimPrefix(err.Error(), "gzip: "), "flate: "))
	}
	return err
}
