package checkpoint

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"slimlab/model"
)

// opened saves m and opens it twice: mapped, and read from a file system in memory.
func opened(t *testing.T, m *model.Model, o SaveOptions) map[string]*Checkpoint {
	t.Helper()
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, o); err != nil {
		t.Fatal(err)
	}
	memory := fstest.MapFS{}
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		memory[name] = &fstest.MapFile{Data: data}
	}
	mapped, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	read, err := OpenFS(memory, ".")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range []*Checkpoint{mapped, read} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return map[string]*Checkpoint{"mapped": mapped, "read": read}
}

// Layer by layer a checkpoint gives the model that it gives as a whole.
func TestBlocks(t *testing.T) {
	for name, c := range shapes() {
		for _, bits := range []int{0, 4} {
			m := random(t, c)
			if bits > 0 {
				quantize(m, func(layer string) (int, int) {
					if strings.Contains(layer, "q_proj") {
						return bits, 8
					}
					return 0, 0
				})
			}
			for kind, c := range opened(t, m, SaveOptions{}) {
				blockwise(t, name+" "+kind, c, m)
			}
		}
	}
}

func blockwise(t *testing.T, name string, c *Checkpoint, m *model.Model) {
	t.Helper()
	s, err := c.Skeleton()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if s.Embedding != nil || s.Head != nil || !slices.Equal(s.FinalNorm, m.FinalNorm) {
		t.Errorf("%s: the skeleton has an embedding or a head, or another final norm", name)
	}
	for i := range s.Blocks {
		if s.Blocks[i].Q.Weight != nil {
			t.Errorf("%s: layer %d of the skeleton has weights", name, i)
		}
		s.Layers[i] = model.LayerConfig{Heads: 1, KVHeads: 1, MLP: 1} // as pruning may have left it
		if err := c.LoadBlock(context.Background(), s, i); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, expected := s.BlockTensors(i), m.BlockTensors(i)
		for j, p := range got {
			if p.Name != expected[j].Name || !slices.Equal(p.Data, expected[j].Data) {
				t.Errorf("%s: %s differs", name, p.Name)
			}
		}
		if len(got) != len(expected) || s.Layers[i] != m.Layers[i] {
			t.Errorf("%s: layer %d has %d tensors and widths %+v, expected %d and %+v", name, i, len(got), s.Layers[i], len(expected), m.Layers[i])
		}
		for j, l := range s.BlockLinears(i) {
			sameWeight(t, name+" "+l.Name, l.Weight, m.BlockLinears(i)[j].Weight)
		}
	}
	tokens := []int32{7, 0, int32(m.Vocab - 1), 7}
	got, want := make([]float32, len(tokens)*m.Hidden), make([]float32, len(tokens)*m.Hidden)
	m.Embed(want, tokens)
	if err := c.Embed(got, tokens); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: embeddings differ: %v", name, err)
	}
	for want, err := range map[string]error{
		"token 0 is 300, expected 0 to 299":             c.Embed(got[:m.Hidden], []int32{300}),
		"embeddings of 1 tokens of 16 into 64 elements": c.Embed(got, tokens[:1]),
		"layer 2 of a model of 2: the checkpoint has 2": c.LoadBlock(context.Background(), s, 2),
		`tensor "none" is missing`:                      second(c.Raw("none")),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("%s: found %v, expected %s", name, err, want)
		}
	}
}

func TestTensorsAndFormats(t *testing.T) {
	m := random(t, shapes()["tied"])
	quantize(m, func(layer string) (int, int) {
		switch {
		case strings.HasSuffix(layer, "0.mlp.up_proj"):
			return 8, 0
		case strings.HasSuffix(layer, "1.self_attn.q_proj"):
			return 4, 8
		}
		return 0, 0
	})
	for kind, c := range opened(t, m, SaveOptions{DType: BF16}) {
		var total int64
		for _, tensor := range c.Tensors() {
			raw, err := c.Raw(tensor.Name)
			if err != nil || int64(len(raw)) != tensor.Bytes() {
				t.Errorf("%s: %s has %d bytes, expected %d: %v", kind, tensor.Name, len(raw), tensor.Bytes(), err)
			}
			total += tensor.Bytes()
		}
		if want := plannedBytes(t, m, BF16); total != want {
			t.Errorf("%s: %d bytes in all, expected %d", kind, total, want)
		}
		formats := c.Quantization()
		if len(formats) != 14 {
			t.Errorf("%s: %d linear layers, expected 14", kind, len(formats))
		}
		for _, f := range formats {
			want := "BF16"
			switch f.Layer {
			case "model.layers.0.mlp.up_proj":
				want = "w8a8"
			case "model.layers.1.self_attn.q_proj":
				want = "w4a16-g8"
			}
			if f.Format != want {
				t.Errorf("%s: %s is %s, expected %s", kind, f.Layer, f.Format, want)
			}
		}
	}
}
