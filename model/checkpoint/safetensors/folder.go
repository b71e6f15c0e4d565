package safetensors

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/mapped"
)

// Folder is one or several files as one. It is safe for concurrent use.
type Folder struct {
	Notes []string // what was found in another form than the usual one

	list []Info
	in   map[string]*File // by tensor name
	open []io.Closer
}

// OpenFolder opens model.safetensors, or the files that model.safetensors.index.json names, or all
// of a numbered set whose index is missing. Files must be readable at any offset.
func OpenFolder(fsys fs.FS, dir string) (*Folder, error) {
	_, err := fs.Stat(fsys, path.Join(dir, singleName))
	if err == nil {
		f, err := OpenFiles(fsys, path.Join(dir, singleName))
		if _, both := fs.Stat(fsys, path.Join(dir, IndexName)); err == nil && both == nil {
			f.Notes = append(f.Notes, singleName+" is read, not the files of "+IndexName+" beside it")
		}
		return f, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data, err := jsonread.ReadFile(fsys, path.Join(dir, IndexName))
	if errors.Is(err, fs.ErrNotExist) {
		return withoutIndex(fsys, dir, err)
	}
	if err != nil {
		return nil, err
	}
	f := &Folder{in: map[string]*File{}}
	if err := f.addIndexed(fsys, dir, data); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", IndexName, err), f.Close())
	}
	return f, nil
}

// OpenFiles opens some files by their names in fsys. No two may hold a tensor of one name.
func OpenFiles(fsys fs.FS, names ...string) (*Folder, error) {
	f := &Folder{in: map[string]*File{}}
	for _, name := range names {
		if _, err := f.add(fsys, name); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// Tensors lists all tensors, file by file and by name. The caller must not write to the list.
func (f *Folder) Tensors() []Info { return f.list }

// Tensor finds a tensor by name.
func (f *Folder) Tensor(name string) (Info, bool) { return f.file(name).Tensor(name) }

// ReadFloat32 is that of the file that holds the tensor.
func (f *Folder) ReadFloat32(dst []float32, name string) error {
	return f.file(name).ReadFloat32(dst, name)
}

// ReadRows is that of the file that holds the tensor.
func (f *Folder) ReadRows(dst []float32, name string, first, rows int) error {
	return f.file(name).ReadRows(dst, name, first, rows)
}

// Raw is that of the file that holds the tensor.
func (f *Folder) Raw(name string) ([]byte, error) { return f.file(name).Raw(name) }

// file returns the file that holds a tensor; one without tensors says that it is missing.
func (f *Folder) file(name string) *File {
	if file := f.in[name]; file != nil {
		return file
	}
	return new(File)
}

// Close closes the files: what Raw returned is no longer valid.
func (f *Folder) Close() error {
	var errs []error
	for _, file := range f.open {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// indexTable is that of the keys of an index.
var indexTable = jsonread.Keys(jsonread.Read, "weight_map").With(jsonread.Keys(jsonread.Harmless, "metadata"))

// addIndexed opens the files that an index names, each of which must hold the tensors that the
// index says.
func (f *Folder) addIndexed(fsys fs.FS, dir string, data []byte) error {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	var keys map[string]json.RawMessage
	repeats, err := jsonread.DecodeNoting(data, &index)
	if err = cmp.Or(err, jsonread.Decode(data, &keys)); err != nil {
		return err
	}
	if unknown, _ := indexTable.Check(keys); len(unknown) > 0 {
		f.Notes = append(f.Notes, fmt.Sprintf("%s: %s: not known to slimlab, and not read", IndexName, strings.Join(unknown, ", ")))
	}
	for _, repeat := range repeats {
		f.Notes = append(f.Notes, IndexName+": "+repeat)
	}
	if len(index.WeightMap) == 0 {
		return errors.New("weight_map names no files")
	}
	for _, tensor := range slices.Sorted(maps.Keys(index.WeightMap)) {
		if name := index.WeightMap[tensor]; name != path.Base(name) || !fs.ValidPath(name) {
			return fmt.Errorf("weight_map %q: %q is not the name of a file beside the index", tensor, name)
		}
	}
	if err := allThere(fsys, dir, slices.Sorted(maps.Values(index.WeightMap))); err != nil {
		return err
	}
	files := map[string]*File{}
	for _, tensor := range slices.Sorted(maps.Keys(index.WeightMap)) {
		name := index.WeightMap[tensor]
		if files[name] == nil {
			file, err := f.add(fsys, path.Join(dir, name))
			if err != nil {
				return err
			}
			files[name] = file
		}
		if _, ok := files[name].Tensor(tensor); !ok {
			return fmt.Errorf("weight_map %q: %s has no such tensor", tensor, name)
		}
	}
	return nil
}

// add opens a file: mapped, where it is one of the system's.
func (f *Folder) add(fsys fs.FS, name string) (*File, error) {
	opened, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	var r io.ReaderAt
	var size int64
	if system, ok := opened.(*os.File); ok {
		m, err := mapped.New(system)
		if err != nil {
			return nil, err
		}
		r, size = m, m.Size()
		f.open = append(f.open, m)
	} else {
		f.open = append(f.open, opened)
		info, err := opened.Stat()
		if err != nil {
			return nil, err
		}
		if r, ok = opened.(io.ReaderAt); !ok {
			return nil, fmt.Errorf("%s: the file system gives %T, which cannot be read at an offset", path.Base(name), opened)
		}
		size = info.Size()
	}
	file, err := Open(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Base(name), err)
	}
	for _, t := range file.Tensors {
		if f.in[t.Name] != nil {
			return nil, fmt.Errorf("%s: tensor %q is also in another file", path.Base(name), t.Name)
		}
		f.in[t.Name] = file
	}
	f.list = append(f.list, file.Tensors...)
	return file, nil
}
