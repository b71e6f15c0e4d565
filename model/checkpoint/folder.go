package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"slimlab/internal/atomicfile"
)

// defaultShard is the limit on the bytes of tensors in a file, as Hugging Face's tools have it.
const defaultShard = 5_000_000_000

// writeShards writes the tensors in their order to files of at most as many bytes as the options
// say, and removes files of weights that another model left.
func writeShards(ctx context.Context, dir string, tensors []Tensor, o SaveOptions) error {
	limit := o.ShardBytes
	if limit == 0 {
		limit = defaultShard
	}
	names := []string{"model.safetensors"}
	shards := split(tensors, limit)
	if len(shards) > 1 {
		names = nil
		for i := range shards {
			names = append(names, fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards)))
		}
	}
	written := shardIndex{WeightMap: map[string]string{}}
	for i, shard := range shards {
		for _, t := range shard {
			if other, ok := written.WeightMap[t.Name]; ok {
				return fmt.Errorf("tensor %q is given twice, in %s too", t.Name, other)
			}
			written.WeightMap[t.Name] = names[i]
			written.Metadata.TotalSize += t.info().Bytes()
		}
		name := filepath.Join(dir, names[i])
		if err := WriteSafetensors(ctx, name, shard); err != nil {
			return err
		}
		if o.Verify {
			if err := verify(ctx, name, shard); err != nil {
				return fmt.Errorf("%s does not hold what was written: %w", names[i], err)
			}
		}
	}
	if len(shards) > 1 {
		names = append(names, "model.safetensors.index.json")
		if err := writeJSON(filepath.Join(dir, names[len(shards)]), written); err != nil {
			return err
		}
	}
	return removeOthers(dir, names)
}

// split cuts tensors into runs of at most limit bytes, or of one tensor; there is at least one run.
func split(tensors []Tensor, limit int64) (shards [][]Tensor) {
	var bytes int64
	first := 0
	for i, t := range tensors {
		n := t.info().Bytes()
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

func writeJSON(name string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return atomicfile.Write(name, func(w io.Writer) error {
		_, err := b.WriteTo(w)
		return err
	})
}
