package checkpoint

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// FuzzFolder opens whole folders of two shards with hostile configs, indexes and headers. What
// opens can be read, in memory that is in proportion to the files.
func FuzzFolder(f *testing.F) {
	for name, c := range shapes() {
		c.Vocab, c.Hidden, c.HeadDim, c.BOS, c.EOS, c.MoreEOS = 3, 4, 2, -1, -1, nil
		for i := range c.Layers {
			c.Layers[i].MLP = 5
		}
		m := random(f, c)
		dir := f.TempDir()
		if err := Save(context.Background(), dir, m, nil, SaveOptions{DType: BF16}); err != nil {
			f.Fatal(name, err)
		}
		config, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		whole, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
		if err != nil {
			f.Fatal(err)
		}
		empty := withHeader(`{"__metadata__":{"format":"pt"}}`, 0)
		f.Add(config, []byte(`{"weight_map":{"model.norm.weight":"a"}}`), whole, empty)
		f.Add(config, []byte(`{"metadata":{"total_size":1e30},"weight_map":{"model.norm.weight":"b","lm_head.weight":"a"}}`), whole, whole)
	}
	f.Fuzz(func(t *testing.T, config, index, a, b []byte) {
		folder := fstest.MapFS{"config.json": {Data: config}, "model.safetensors.index.json": {Data: index}, "a": {Data: a}, "b": {Data: b}}
		c, err := OpenFS(folder, ".")
		if err != nil {
			return
		}
		defer c.Close()
		for _, tensor := range c.Tensors() {
			if raw, err := c.Raw(tensor.Name); err != nil || int64(len(raw)) != tensor.Bytes() {
				t.Errorf("%q has %d bytes, expected %d: %v", tensor.Name, len(raw), tensor.Bytes(), err)
			}
		}
		c.Quantization()
		whole, wholeErr := c.Model(context.Background())
		s, err := c.Skeleton()
		if err != nil {
			if wholeErr == nil {
				t.Errorf("the skeleton of a model that loads: %v", err)
			}
			return
		}
		for i := range s.Blocks {
			if err := c.LoadBlock(context.Background(), s, i); err != nil && wholeErr == nil {
				t.Errorf("layer %d of a model that loads: %v", i, err)
			}
		}
		if wholeErr == nil {
			if err := whole.Check(); err != nil {
				t.Error(err)
			}
		}
		if err := c.Embed(make([]float32, c.Config().Hidden), []int32{0}); err != nil && wholeErr == nil {
			t.Errorf("the first embedding of a model that loads: %v", err)
		}
	})
}
