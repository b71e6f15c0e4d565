// Package statistics keeps calibration statistics in a folder, a file for each input of linear
// layers, so that a later pass over the same model with the same sequences gathers nothing again.
//
// A file's name is a hash of what the statistics are of: the content of the model and the
// sequences, and the key that package calibrate gives them. A file holds that text, the moments as
// float32 (one triangle of the symmetric one) and the other numbers as float64, with a checksum;
// it is there whole or not at all, and two processes that write the same one write the same bytes.
//
// It leaves out what the content of a model is called, and when files are removed.
package statistics

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"slimlab/internal/atomicfile"
	"slimlab/internal/stamped"
	"slimlab/internal/wrongfile"
	"slimlab/kernels/matrix"
	"slimlab/model"
	"slimlab/model/calibrate"
)

// Suffix ends the name of a file of statistics.
const Suffix = ".statistics"

const mark = "slimlab statistics 1\n"

// Folder is a folder of statistics of one model and one list of sequences, and a calibrate.Store.
type Folder struct {
	dir, of string
	dense   bool
	// of a folder that nobody asked for, what has kept it from being written
	problem atomic.Pointer[error]
	read    atomic.Int64
	written atomic.Int64
	passed  atomic.Int64 // inputs that were gathered and are not kept
	damaged atomic.Int64 // files that count as none

	// OnDamage is told of each file that is damaged and counts as none; nil is not.
	OnDamage func(file string)
}

// New returns the statistics in dir, which need not be there yet, of a content: a text that is
// another one where the model, the sequences or what gathers statistics of them is. With denseOnly
// those of a model that was changed before are not kept, and a folder that cannot be written keeps
// nothing and is no error: see Problem. Nor is a damaged file one there: see Damaged.
func New(dir, content string, denseOnly bool) *Folder {
	return &Folder{dir: dir, of: content, dense: denseOnly}
}

// Read and Written count the inputs whose statistics were found, and written.
func (f *Folder) Read() int    { return int(f.read.Load()) }
func (f *Folder) Written() int { return int(f.written.Load()) }

// Passed counts the inputs whose statistics were gathered and are not kept.
func (f *Folder) Passed() int { return int(f.passed.Load()) }

// Damaged counts the files that were damaged and count as none.
func (f *Folder) Damaged() int { return int(f.damaged.Load()) }

// Problem is why a folder with denseOnly keeps no more; nil where it does.
func (f *Folder) Problem() error {
	if p := f.problem.Load(); p != nil {
		return *p
	}
	return nil
}

func (f *Folder) text(key string) string { return f.of + "\n" + key }

func (f *Folder) file(key string) string {
	sum := sha256.Sum256([]byte(f.text(key)))
	return filepath.Join(f.dir, fmt.Sprintf("%x", sum[:16])+Suffix)
}

// Has implements calibrate.Store. With denseOnly a damaged file counts as none: nobody has asked
// for it, and what is gathered again takes its place.
func (f *Folder) Has(key string) bool {
	info, err := os.Stat(f.file(key))
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	if f.dense && damaged(f.file(key), f.text(key)) {
		if f.damaged.Add(1); f.OnDamage != nil {
			f.OnDamage(f.file(key))
		}
		return false
	}
	return true
}

// damaged reports a file whose checksum is not that of its content, or which is of another text.
// One that cannot be read is reported by Load.
func damaged(name, text string) bool {
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false
	}
	head := append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)
	rest := info.Size() - int64(len(mark)+len(head)) - crc32.Size
	return stamped.Read(file, mark, func(r io.Reader) error {
		found := make([]byte, len(head))
		if _, err := io.ReadFull(r, found); err != nil {
			return err
		}
		if !bytes.Equal(found, head) {
			return fmt.Errorf("it is of %q, expected %q", found, head)
		}
		_, err := io.CopyN(io.Discard, r, max(0, rest))
		return err
	}) != nil
}

// Load implements calibrate.Store.
func (f *Folder) Load(ctx context.Context, key string) (*calibrate.Stats, error) {
	name := f.file(key)
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var s *calibrate.Stats
	err = stamped.Read(file, mark, func(r io.Reader) (err error) {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		s, err = decode(ctx, r, f.text(key), info.Size())
		return err
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, calibrate.Damaged(name, err)
	}
	f.read.Add(1)
	return s, nil
}

// Keeps implements calibrate.Store. It is asked once for each input that was gathered, and counts
// those that are not kept.
func (f *Folder) Keeps(changed bool) bool {
	keeps := (!changed || !f.dense) && f.problem.Load() == nil
	if !keeps {
		f.passed.Add(1)
	}
	return keeps
}

// Save implements calibrate.Store.
func (f *Folder) Save(ctx context.Context, key string, s *calibrate.Stats) error {
	if f.problem.Load() != nil {
		return nil
	}
	err := f.save(ctx, key, s)
	if err == nil || !f.dense || ctx.Err() != nil {
		return err
	}
	f.passed.Add(1)
	f.problem.CompareAndSwap(nil, &err)
	return nil
}

func (f *Folder) save(ctx context.Context, key string, s *calibrate.Stats) error {
	if err := os.MkdirAll(f.dir, 0o777); err != nil {
		return err
	}
	name := f.file(key)
	if _, err := os.Stat(name); err == nil { // else what is written would go into it
		if err := wrongfile.Check(name); err != nil {
			return err
		}
	}
	if err := atomicfile.RemoveAbandoned(name); err != nil {
		return err
	}
	err := atomicfile.Write(name, func(w io.Writer) error {
		return stamped.Write(w, mark, func(w io.Writer) error { return encode(ctx, w, f.text(key), s) })
	})
	if err == nil {
		f.written.Add(1)
	}
	return err
}

// Size is the bytes of a file of statistics of inputs of a width, but for its text.
func Size(width int, cross bool) int64 {
	n := int64(width)
	size := int64(len(mark)) + headerBytes + 4 + 3*8*n + 4*n*(n+1)/2
	if cross {
		size += 4 * n * n
	}
	return size
}

// Bound is the most bytes of such a file, its text included.
func Bound(width int, cross bool) int64 {
	const text = 400
	return Size(width, cross) + text
}

// Most bounds the bytes that the statistics of a model's inputs take in a folder. reads says which
// inputs' are kept, and cross whether those after the first layer have a moment across to the dense
// model's.
func Most(c model.Config, reads func(layer int, site model.Site) bool, cross bool) (bytes int64) {
	for i, l := range c.Layers {
		for site, width := range map[model.Site]int{model.SiteQKV: c.Hidden, model.SiteO: l.Heads * c.HeadDim, model.SiteGateUp: c.Hidden, model.SiteDown: l.MLP} {
			if reads(i, site) {
				bytes += Bound(width, cross && i > 0)
			}
		}
	}
	return bytes
}

// headerBytes are those of header with the length of the text.
const headerBytes = 4 + 5*8

// header are the numbers before the moments.
type header struct {
	Layer, Site, Width, Tokens, Cross uint64
}

func encode(ctx context.Context, w io.Writer, text string, s *calibrate.Stats) error {
	h := header{Layer: uint64(s.Layer), Site: uint64(s.Site), Width: uint64(s.Width), Tokens: uint64(s.Tokens)}
	if s.Cross.Data != nil {
		h.Cross = 1
	}
	for _, v := range []any{uint32(len(text)), []byte(text), h, s.MaxAbs, s.MeanAbs, s.Mean} {
		if err := binary.Write(w, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	row := make([]float32, s.Width)
	for i := range s.Width {
		if err := writeRow(ctx, w, row[i:], s.Gram.Row(i)[i:]); err != nil {
			return err
		}
	}
	for i := 0; i < s.Width && h.Cross == 1; i++ {
		if err := writeRow(ctx, w, row, s.Cross.Row(i)); err != nil {
			return err
		}
	}
	return nil
}

func writeRow(ctx context.Context, w io.Writer, row []float32, from []float64) error {
	for j, v := range from {
		row[j] = float32(v)
	}
	if _, err := w.Write(littleEndian(row)); err != nil {
		return err
	}
	return ctx.Err()
}

// littleEndian are the bytes of numbers; of a processor of the other order in memory of their own.
func littleEndian(x []float32) []byte {
	if bigEndian {
		b := make([]byte, 0, 4*len(x))
		for _, v := range x {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		return b
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}

var bigEndian = binary.NativeEndian.Uint16([]byte{1, 0}) != 1

// decode reads what encode wrote, of a file of a size, with the text that it is to have.
func decode(ctx context.Context, r io.Reader, text string, size int64) (*calibrate.Stats, error) {
	var length uint32
	if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
		return nil, err
	}
	if int(length) != len(text) {
		return nil, fmt.Errorf("it has a name of %d bytes, expected %d", length, len(text))
	}
	found := make([]byte, length)
	var h header
	if _, err := io.ReadFull(r, found); err != nil {
		return nil, err
	}
	if !bytes.Equal(found, []byte(text)) {
		return nil, fmt.Errorf("it is of %q, expected %q", found, text)
	}
	if err := binary.Read(r, binary.LittleEndian, &h); err != nil {
		return nil, err
	}
	const widest = 1 << 20
	if h.Cross > 1 || h.Width < 1 || h.Width > widest || h.Site > uint64(model.SiteDown) || Size(int(h.Width), h.Cross == 1)+int64(length) != size {
		return nil, fmt.Errorf("it has %d bytes of width %d, which do not fit each other", size, h.Width)
	}
	n := int(h.Width)
	s := &calibrate.Stats{Layer: int(h.Layer), Site: model.Site(h.Site), Width: n, Tokens: int(h.Tokens),
		MaxAbs: make([]float64, n), MeanAbs: make([]float64, n), Mean: make([]float64, n), Gram: matrix.NewDense(n, n, nil)}
	for _, v := range [][]float64{s.MaxAbs, s.MeanAbs, s.Mean} {
		if err := binary.Read(r, binary.LittleEndian, v); err != nil {
			return nil, err
		}
	}
	row := make([]byte, 4*n)
	for i := range n {
		if err := readRow(ctx, r, row[4*i:], s.Gram.Row(i)[i:]); err != nil {
			return nil, err
		}
	}
	calibrate.Mirror(s.Gram)
	if h.Cross == 1 {
		s.Cross = matrix.NewDense(n, n, nil)
		for i := range n {
			if err := readRow(ctx, r, row, s.Cross.Row(i)); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func readRow(ctx context.Context, r io.Reader, row []byte, to []float64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := io.ReadFull(r, row); err != nil {
		return err
	}
	for j := range to {
		to[j] = float64(math.Float32frombits(binary.LittleEndian.Uint32(row[4*j:])))
	}
	return nil
}

// Entry is a file of statistics in a folder.
type Entry struct {
	Path    string
	Bytes   int64
	Written time.Time
	// the content as New had it: of a model with a list of sequences; "" of a file that is damaged
	Of string
}

// content reads which content a file is of.
func content(name string) string {
	file, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	var length uint32
	head := make([]byte, len(mark))
	if _, err := io.ReadFull(file, head); err != nil || string(head) != mark {
		return ""
	}
	if err := binary.Read(file, binary.LittleEndian, &length); err != nil || length > longestText {
		return ""
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(file, text); err != nil {
		return ""
	}
	of, _, _ := strings.Cut(string(text), "\n")
	return of
}

// longestText is far above the length of any text that a file begins with.
const longestText = 1 << 20

// List lists the files of statistics of a folder, of all contents. A folder that is not there has
// none.
func List(dir string) ([]Entry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && strings.HasSuffix(e.Name(), Suffix) {
			list = append(list, Entry{filepath.Join(dir, e.Name()), info.Size(), info.ModTime(), content(filepath.Join(dir, e.Name()))})
		}
	}
	return list, nil
}
