package gguf

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"slimlab/internal/wrongfile"
)

// File is an open GGUF file. It is safe for concurrent use if its reader is.
type File struct {
	Version   int
	Alignment int
	Metadata  Metadata
	Tensors   []Tensor // in the order of the header

	r     io.ReaderAt
	index map[string]int // of Tensors
}

// Tensor is an entry of the header.
type Tensor struct {
	Name  string
	Type  Type
	Shape []int // [rows, in]: the last is contiguous

	offset, size int64 // bytes, from the beginning of the file
}

// RowLength is the last size of the shape; a scalar has one element.
func (t Tensor) RowLength() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Rows is the product of the other sizes of the shape.
func (t Tensor) Rows() int {
	n := 1
	for _, d := range t.Shape[:max(0, len(t.Shape)-1)] {
		n *= d
	}
	return n
}

// Elements is the product of the shape.
func (t Tensor) Elements() int { return t.Rows() * t.RowLength() }

// Offset is the byte of the file at which the tensor begins.
func (t Tensor) Offset() int64 { return t.offset }

// Bytes is what the tensor takes in the file. For a type that is not known it is the room up to the
// next tensor or the file's end, of which the tensor may leave some free.
func (t Tensor) Bytes() int64 { return t.size }

// Viewer is a reader that holds its file in memory, mapped: File.Raw then returns views of it, and
// what ReadRows has decoded is given back to the system.
type Viewer interface {
	View(at, size int64) []byte
	Forget(at, size int64)
}

// Open reads and checks the header of a file of size bytes.
func Open(r io.ReaderAt, size int64) (*File, error) {
	if size < headerBytes {
		return nil, fmt.Errorf("gguf: the file has %d bytes, expected at least %d", size, headerBytes)
	}
	h := &header{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<16), size: size}
	f := &File{Version: h.version(), r: r, index: map[string]int{}}
	tensors := h.count("tensors", leastTensor)
	f.Metadata = h.metadata(h.count("metadata keys", leastPair))
	f.Tensors = h.tensors(tensors)
	if h.err != nil {
		return nil, fmt.Errorf("gguf: %w", cmp.Or(otherFile(r, size), h.err))
	}
	if err := f.place(h.at, size); err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return f, nil
}

// otherFile says what a file is that is no GGUF file but another kind that is known, else nil.
func otherFile(r io.ReaderAt, size int64) error {
	head := make([]byte, min(wrongfile.Head, size))
	if n, _ := r.ReadAt(head, 0); n < len(head) || bytes.HasPrefix(head, []byte(magic)) {
		return nil
	}
	if other := wrongfile.Name(head); other != "" {
		return errors.New("found " + other)
	}
	return nil
}

// place finds where the tensors lie, behind a header of the given length, and checks that they lie
// in the file and do not overlap.
func (f *File) place(header, size int64) error {
	align, found, err := f.Metadata.Int(alignmentKey)
	if err != nil {
		return err
	}
	if !found {
		align = usualAlign
	}
	if align < 1 || align > 1<<30 || align&(align-1) != 0 {
		return fmt.Errorf("metadata key %q: found %d, expected a power of two up to 2^30", alignmentKey, align)
	}
	f.Alignment = align
	data := aligned(header, align)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		f.index[t.Name] = i
		if t.offset%int64(align) != 0 {
			return fmt.Errorf("tensor %q begins at byte %d of the data, expected a multiple of %d", t.Name, t.offset, align)
		}
		if left := size - data; t.size > left || t.offset > left-t.size {
			return fmt.Errorf("tensor %q has %d bytes from byte %d of the data, which has %d: the file is truncated or not what its header says", t.Name, t.size, t.offset, max(0, left))
		}
		t.offset += data
	}
	order := make([]int, len(f.Tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(f.Tensors[a].offset, f.Tensors[b].offset), cmp.Compare(f.Tensors[a].size, f.Tensors[b].size))
	})
	for i, at := range order {
		a, end := &f.Tensors[at], size
		if i+1 < len(order) {
			end = f.Tensors[order[i+1]].offset
		}
		switch {
		case !a.Type.Known() && a.offset < end:
			a.size = end - a.offset
		case !a.Type.Known():
			return fmt.Errorf("tensor %q begins at byte %d of the file and has no room there", a.Name, a.offset)
		case a.offset+a.size > end:
			b := f.Tensors[order[i+1]]
			return fmt.Errorf("tensor %q begins at byte %d of the file, inside tensor %q, which ends at %d", b.Name, b.offset, a.Name, a.offset+a.size)
		}
	}
	return nil
}

// aligned is the first multiple of align from n on.
func aligned(n int64, align int) int64 { return (n + int64(align) - 1) / int64(align) * int64(align) }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Raw returns the bytes of a run of rows as they are stored; where the reader is a Viewer they are
// not copied, and must not be written to.
func (f *File) Raw(name string, first, rows int) ([]byte, error) {
	t, at, size, err := f.rows(name, first, rows)
	if err != nil {
		return nil, err
	}
	return f.bytes(t, at, size)
}

// ReadRows decodes a run of rows into dst, [rows, in].
func (f *File) ReadRows(dst []float32, name string, first, rows int) error {
	t, at, _, err := f.rows(name, first, rows)
	if err != nil {
		return err
	}
	width := t.RowLength()
	if len(dst) != rows*width {
		return fmt.Errorf("tensor %q: %d rows of %d elements into %d", name, rows, width, len(dst))
	}
	const most = 1 << 16 // elements that are read at a time where the file is not in memory
	for len(dst) > 0 {
		n := min(len(dst), max(width, most/width*width))
		b, err := f.bytes(t, at, int64(t.Type.RowBytes(n)))
		if err == nil {
			err = t.Type.Decode(dst[:n], b)
		}
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		if v, ok := f.r.(Viewer); ok {
			v.Forget(at, int64(len(b)))
		}
		dst, at = dst[n:], at+int64(len(b))
	}
	return nil
}

// rows finds the bytes of a run of rows.
func (f *File) rows(name string, first, rows int) (t Tensor, at, size int64, err error) {
	t, ok := f.Tensor(name)
	if !ok {
		return t, 0, 0, fmt.Errorf("tensor %q is missing", name)
	}
	if !t.Type.Known() {
		return t, 0, 0, fmt.Errorf("tensor %q: %s", name, t.Type.Problem())
	}
	if first < 0 || rows < 0 || first > t.Rows()-rows {
		return t, 0, 0, fmt.Errorf("tensor %q: rows %d to %d, expected 0 to %d", name, first, first+rows, t.Rows())
	}
	row := int64(t.Type.RowBytes(t.RowLength()))
	return t, t.offset + int64(first)*row, int64(rows) * row, nil
}

func (f *File) bytes(t Tensor, at, size int64) ([]byte, error) {
	if v, ok := f.r.(Viewer); ok {
		return v.View(at, size), nil
	}
	b := make([]byte, size)
	n, err := f.r.ReadAt(b, at)
	if n == len(b) {
		return b, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("tensor %q: read %d of %d bytes at %d: %w", t.Name, n, len(b), at, err)
}
