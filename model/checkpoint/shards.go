package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"slimlab/internal/mapped"
)

// shards are the safetensors files of a folder as one.
type shards struct {
	list []TensorInfo
	in   map[string]*Safetensors // by tensor name
	open []io.Closer
}

func (s *shards) tensors() []TensorInfo { return s.list }

func (s *shards) tensor(name string) (TensorInfo, bool) {
	f := s.in[name]
	if f == nil {
		return TensorInfo{}, false
	}
	return f.Tensor(name)
}

// file returns the file that holds a tensor; one without tensors says that it is missing.
func (s *shards) file(name string) *Safetensors {
	if f := s.in[name]; f != nil {
		return f
	}
	return new(Safetensors)
}

func (s *shards) readFloat32(dst []float32, name string) error {
	return s.file(name).ReadFloat32(dst, name)
}

func (s *shards) readRows(dst []float32, name string, first, rows int) error {
	return s.file(name).ReadRows(dst, name, first, rows)
}

func (s *shards) raw(name string) ([]byte, error) { return s.file(name).Raw(name) }

func (s *shards) Close() error {
	var errs []error
	for _, f := range s.open {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// openShards opens model.safetensors, or the files that model.safetensors.index.json names.
func openShards(fsys fs.FS, dir string) (*shards, error) {
	names := []string{"model.safetensors"}
	if _, err := fs.Stat(fsys, path.Join(dir, names[0])); errors.Is(err, fs.ErrNotExist) {
		const index = "model.safetensors.index.json"
		data, err := fs.ReadFile(fsys, path.Join(dir, index))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("found neither %s nor %s: %w", names[0], index, err)
		}
		if err != nil {
			return nil, err
		}
		if names, err = indexed(data); err != nil {
			return nil, fmt.Errorf("%s: %w", index, err)
		}
	}
	s := &shards{in: map[string]*Safetensors{}}
	for _, name := range names {
		if err := s.add(fsys, path.Join(dir, name)); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// indexed returns the file names of an index, sorted.
func indexed(data []byte) ([]string, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	var names []string
	for tensor, name := range index.WeightMap {
		if name != path.Base(name) || !fs.ValidPath(name) {
			return nil, fmt.Errorf("weight_map %q: %q is not the name of a file beside the index", tensor, name)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, errors.New("weight_map names no files")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// add opens a file: mapped, where it is one of the system's.
func (s *shards) add(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	var r io.ReaderAt
	var size int64
	if system, ok := f.(*os.File); ok {
		m, err := mapped.New(system)
		if err != nil {
			return err
		}
		r, size = m, m.Size()
		s.open = append(s.open, m)
	} else {
		s.open = append(s.open, f)
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if r, ok = f.(io.ReaderAt); !ok {
			return fmt.Errorf("%s: the file system gives %T, which cannot be read at an offset", path.Base(name), f)
		}
		size = info.Size()
	}
	file, err := OpenSafetensors(r, size)
	if err != nil {
		return fmt.Errorf("%s: %w", path.Base(name), err)
	}
	for _, t := range file.Tensors {
		if s.in[t.Name] != nil {
			return fmt.Errorf("%s: tensor %q is also in another file", path.Base(name), t.Name)
		}
		s.in[t.Name] = file
	}
	s.list = append(s.list, file.Tensors...)
	return nil
}
