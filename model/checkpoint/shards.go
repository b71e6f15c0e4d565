package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
	const single, index = "model.safetensors", "model.safetensors.index.json"
	s := &shards{in: map[string]*Safetensors{}}
	_, err := fs.Stat(fsys, path.Join(dir, single))
	if err == nil {
		_, err = s.add(fsys, path.Join(dir, single))
	} else if errors.Is(err, fs.ErrNotExist) {
		var data []byte
		data, err = fs.ReadFile(fsys, path.Join(dir, index))
		switch {
		case err == nil:
			if err = s.addIndexed(fsys, dir, data); err != nil {
				err = fmt.Errorf("%s: %w", index, err)
			}
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("found neither %s nor %s%s: %w", single, index, pickled(fsys, dir), err)
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// pickled says that a folder has its weights in a form that runs code when it is read.
func pickled(fsys fs.FS, dir string) string {
	for _, name := range []string{"pytorch_model.bin", "pytorch_model.bin.index.json"} {
		if _, err := fs.Stat(fsys, path.Join(dir, name)); err == nil {
			return ", only " + name + ", and pickled weights are not read"
		}
	}
	return ""
}

// addIndexed opens the files that an index names, each of which must hold the tensors that the
// index says.
func (s *shards) addIndexed(fsys fs.FS, dir string, data []byte) error {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return err
	}
	if len(index.WeightMap) == 0 {
		return errors.New("weight_map names no files")
	}
	files := map[string]*Safetensors{}
	for _, tensor := range slices.Sorted(maps.Keys(index.WeightMap)) {
		name := index.WeightMap[tensor]
		if name != path.Base(name) || !fs.ValidPath(name) {
			return fmt.Errorf("weight_map %q: %q is not the name of a file beside the index", tensor, name)
		}
		if files[name] == nil {
			file, err := s.add(fsys, path.Join(dir, name))
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
func (s *shards) add(fsys fs.FS, name string) (*Safetensors, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	var r io.ReaderAt
	var size int64
	if system, ok := f.(*os.File); ok {
		m, err := mapped.New(system)
		if err != nil {
			return nil, err
		}
		r, size = m, m.Size()
		s.open = append(s.open, m)
	} else {
		s.open = append(s.open, f)
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if r, ok = f.(io.ReaderAt); !ok {
			return nil, fmt.Errorf("%s: the file system gives %T, which cannot be read at an offset", path.Base(name), f)
		}
		size = info.Size()
	}
	file, err := OpenSafetensors(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Base(name), err)
	}
	for _, t := range file.Tensors {
		if s.in[t.Name] != nil {
			return nil, fmt.Errorf("%s: tensor %q is also in another file", path.Base(name), t.Name)
		}
		s.in[t.Name] = file
	}
	s.list = append(s.list, file.Tensors...)
	return file, nil
}
