package checkpoint

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"slimlab/internal/mapped"
	"slimlab/internal/wrongfile"
	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// ggufFile is a GGUF file as a source: its tensors by their Hugging Face names and in their order
// of rows.
type ggufFile struct {
	model.Config
	file   *gguf.File
	mapped *mapped.File
	list   []TensorInfo
	index  map[string]int    // of list, by name
	stored map[string]string // GGUF's name of each
	notes  notes
}

// IsGGUF reports whether a name is that of a GGUF file: by its ending, or by how the file begins.
func IsGGUF(name string) bool {
	if strings.EqualFold(filepath.Ext(name), ".gguf") {
		return true
	}
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "GGUF"
}

// openGGUF opens a file, mapped, as a checkpoint. A tensor that its model does not have is refused
// by name, as is one of a type whose values are not supported.
func openGGUF(name string) (*Checkpoint, error) {
	f, err := wrongfile.Open(name)
	if err != nil {
		return nil, err
	}
	m, err := mapped.New(f)
	if err != nil {
		return nil, err
	}
	g := &ggufFile{mapped: m, index: map[string]int{}, stored: map[string]string{}}
	err = g.open(m, m.Size())
	c := &Checkpoint{config: g.Config, files: g, notes: g.notes, vocabulary: sync.OnceValues(g.tokenizer)}
	if err == nil {
		err = c.check()
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	return c, nil
}

func (g *ggufFile) open(r io.ReaderAt, size int64) (err error) {
	if g.file, err = gguf.Open(r, size); err != nil {
		return err
	}
	if g.Config, err = ggufConfig(g.file, &g.notes); err != nil {
		return err
	}
	for _, t := range g.file.Tensors {
		if t.Name == ggufRopeFactors {
			continue // the config holds what it says
		}
		name, ok := fromGGUFName(t.Name)
		if !ok {
			return fmt.Errorf("tensor %q, shape %d, has no place in a model of architecture %s", t.Name, t.Shape, g.Architecture)
		}
		if problem := t.Type.Problem(); problem != "" {
			return fmt.Errorf("tensor %q: %s", t.Name, problem)
		}
		if rows, ok := g.permuted(name, t); !ok {
			return fmt.Errorf("tensor %q: %d rows of %s, shape %d, expected whole heads of %d", t.Name, rows, t.Type, t.Shape, g.HeadDim)
		}
		g.index[name], g.stored[name] = len(g.list), t.Name
		g.list = append(g.list, TensorInfo{name, DType(t.Type.String()), t.Shape, t.Bytes()})
	}
	return nil
}

// ggufStorage is how a matrix of a type is stored: floats have 16 or 32 bits, blocks at most 8.
func ggufStorage(t DType) Storage {
	bits := map[DType]int{F32: 32, F16: 16, BF16: 16, "Q8_0": 8}[t]
	return Storage{Packing: GGUF, Format: weight.Format{Float: bits > 8, Bits: bits}}
}

// permuted returns the number of rows, or elements of a vector, that have another order in the file
// than in Hugging Face's, 0 for most tensors, and whether they are whole heads.
func (g *ggufFile) permuted(name string, t gguf.Tensor) (rows int, ok bool) {
	if !permutesRows(g.Architecture, name) {
		return 0, true
	}
	rows = t.Rows()
	if len(t.Shape) == 1 {
		rows = t.Elements()
		ok = t.Type.Block() == 1
	}
	return rows, (ok || len(t.Shape) == 2) && rows%g.HeadDim == 0
}

func (g *ggufFile) tensors() []TensorInfo { return g.list }

func (g *ggufFile) tensor(name string) (TensorInfo, bool) {
	i, ok := g.index[name]
	if !ok {
		return TensorInfo{}, false
	}
	return g.list[i], true
}

// find returns the entry of a tensor that must be there.
func (g *ggufFile) find(name string) (gguf.Tensor, error) {
	t, ok := g.file.Tensor(g.stored[name])
	if !ok {
		return t, fmt.Errorf("tensor %q is missing", name)
	}
	return t, nil
}

// ReadFloat32 decodes a whole tensor into dst.
func (g *ggufFile) ReadFloat32(dst []float32, name string) error {
	t, err := g.find(name)
	if err != nil {
		return err
	}
	if len(t.Shape) == 2 {
		return g.ReadRows(dst, name, 0, t.Rows())
	}
	if err := g.file.ReadRows(dst, t.Name, 0, t.Rows()); err != nil {
		return err
	}
	if permuted, _ := g.permuted(name, t); permuted > 0 {
		stored := slices.Clone(dst)
		for i := range dst {
			dst[i] = stored[ggufRow(i, g.HeadDim)]
		}
	}
	return nil
}

// ReadRows decodes rows of a matrix, Hugging Face's first to first+rows−1.
func (g *ggufFile) ReadRows(dst []float32, name string, first, rows int) error {
	t, err := g.find(name)
	if err != nil {
		return err
	}
	width := t.RowLength()
	permuted, _ := g.permuted(name, t)
	if permuted == 0 {
		return g.file.ReadRows(dst, t.Name, first, rows)
	}
	if len(dst) != rows*width || first < 0 || rows < 0 || first > permuted-rows {
		return fmt.Errorf("tensor %q: rows %d to %d into %d elements, expected rows of %d from 0 to %d", t.Name, first, first+rows, len(dst), width, permuted)
	}
	for i := range rows {
		if err := g.file.ReadRows(dst[i*width:(i+1)*width], t.Name, ggufRow(first+i, g.HeadDim), 1); err != nil {
			return err
		}
	}
	return nil
}

// Raw returns a tensor's bytes as they are stored, rows in Hugging Face's order: a view of the file
// where that is its own.
func (g *ggufFile) Raw(name string) ([]byte, error) {
	t, err := g.find(name)
	if err != nil {
		return nil, err
	}
	stored, err := g.file.Raw(t.Name, 0, t.Rows())
	if err != nil {
		return nil, err
	}
	permuted, _ := g.permuted(name, t)
	if permuted == 0 {
		return stored, nil
	}
	b := make([]byte, 0, len(stored))
	size := len(stored) / permuted
	for i := range permuted {
		at := ggufRow(i, g.HeadDim) * size
		b = append(b, stored[at:at+size]...)
	}
	return b, nil
}

// Close unmaps the file.
func (g *ggufFile) Close() error { return g.mapped.Close() }

// tokenizer makes the tokenizer of the file; the error is fs.ErrNotExist where it has none.
func (g *ggufFile) tokenizer() (*tokenizer.Tokenizer, error) {
	v, err := ggufVocabulary(g.file.Metadata)
	if err != nil {
		return nil, err
	}
	return tokenizer.FromVocabulary(v)
}
