package pretrained

import (
	"io/fs"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
)

// TestEmbeddedModels holds each model to what the package promises: a whole Hugging Face folder in
// bfloat16; all of them together are small enough to carry.
func TestEmbeddedModels(t *testing.T) {
	if len(Names()) == 0 {
		t.Fatal("no model is embedded")
	}
	total := int64(0)
	for _, name := range Names() {
		folder, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := checkpoint.OpenFS(folder, ".")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, err := c.Model(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tok, err := c.Tokenizer()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if tok == nil || tok.Vocab() > m.Vocab {
			t.Errorf("%s: its tokenizer is absent or larger than its vocabulary of %d", name, m.Vocab)
		}
		stored := c.Bytes()
		if want := int64(2 * m.Config.Parameters()); stored != want {
			t.Errorf("%s: %d bytes of tensors, want %d: two for each parameter", name, stored, want)
		}
		entries, err := fs.ReadDir(folder, ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			total += info.Size()
		}
	}
	if total > 16e6 {
		t.Errorf("%d bytes of models, at most 16 MB are carried", total)
	}
}

// TestWidths: K-quants of GGUF, which an FM is exported to, come in blocks of 256.
func TestWidths(t *testing.T) {
	folder, err := Open("recsys-fm")
	if err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.OpenFS(folder, ".")
	if err != nil {
		t.Fatal(err)
	}
	if hidden := c.Config().Hidden; hidden%256 != 0 {
		t.Errorf("hidden %d, expected a multiple of 256", hidden)
	}
	for i, l := range c.Config().Layers {
		if l.MLP%256 != 0 {
			t.Errorf("layer %d: mlp %d, expected a multiple of 256", i, l.MLP)
		}
	}
}

func TestUnknownName(t *testing.T) {
	if _, err := Open("recsys"); err == nil || !strings.Contains(err.Error(), "recsys-fm") {
		t.Errorf("the error %v does not say what there is", err)
	}
}
