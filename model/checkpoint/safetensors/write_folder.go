package safetensors

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"slimlab/internal/atomicfile"
)

// defaultShard is the limit on the bytes of tensors in a file, as Hugging Face's tools have it.
const defaultShard = 5_000_000_000

const singleName = "model.safetensors"

// IndexName is the name of the index of a folder's files.
const IndexName = "model.safetensors.index.json"

// ShardName is the name of file n of several, counted from 0.
func ShardName(n, of int) string { return fmt.Sprintf("model-%05d-of-%05d.safetensors", n+1, of) }

// FolderOptions says how WriteFolder writes. The zero value is Hugging Face's.
type FolderOptions struct {
	ShardBytes int64 // of tensors in a file at most, but one tensor at least; 0 is 5·10⁹
	Verify     bool  // read every file again and compare
}

// WriteFolder writes the tensors in their order to files of limited size, with an index where there
// are several, and removes files of weights that another model left.
func WriteFolder(ctx context.Context, dir string, tensors []Tensor, o FolderOptions) error {
	limit := o.ShardBytes
	if limit == 0 {
		limit = defaultShard
	}
	names := []string{singleName}
	shards := split(tensors, limit)
	if len(shards) > 1 {
		names = nil
		for i := range shards {
			names = append(names, ShardName(i, len(shards)))
		}
	}
	written := map[string]string{} // the file of each tensor
	for i, shard := range shards {
		for _, t := range shard {
			if other, ok := written[t.Name]; ok {
				return fmt.Errorf("tensor %q is given twice, in %s too", t.Name, other)
			}
			written[t.Name] = names[i]
		}
		name := filepath.Join(dir, names[i])
		if err := Write(ctx, name, shard); err != nil {
			return err
		}
		if o.Verify {
			if err := Verify(ctx, name, shard); err != nil {
				return fmt.Errorf("%s does not hold what was written: %w", names[i], err)
			}
		}
	}
	if len(shards) > 1 {
		if err := WriteIndex(dir, names); err != nil {
			return err
		}
		names = append(names, IndexName)
	}
	return removeOthers(dir, names)
}

// WriteIndex writes the index of some files of a folder, whose headers it reads.
func WriteIndex(dir string, names []string) error {
	var index struct {
		Metadata struct {
			TotalSize int64 `json:"total_size"`
		} `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}
	index.WeightMap = map[string]string{}
	for _, name := range names {
		f, err := OpenFiles(os.DirFS(dir), name)
		if err != nil {
			return err
		}
		for _, t := range f.Tensors() {
			index.WeightMap[t.Name] = name
			index.Metadata.TotalSize += t.Bytes()
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return atomicfile.WriteJSON(filepath.Join(dir, IndexName), index)
}

// split cuts tensors into runs of at most limit bytes, or of one tensor; there is at least one run.
func split(tensors []Tensor, limit int64) (shards [][]Tensor) {
	var bytes int64
	first := 0
	for i, t := range tensors {
		n := t.Bytes()
		if i > first && bytes+n > limit {
			shards = append(shards, tensors[first:i])
			first, bytes = i, 0
		}
		bytes += n
	}
	return append(shards, tensors[first:])
}

var weightFile = regexp.MustCompile(`^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$`)

// removeOthers removes files of weights but those named: a reader would take them for this model's.
func removeOthers(dir string, names []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if weightFile.MatchString(e.Name()) && !slices.Contains(names, e.Name()) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
