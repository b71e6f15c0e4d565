package eval

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/lab/home"
	"slimlab/model/checkpoint"
)

// TestTensorsThatAreNotFiniteAreNamed: a measurement of such a model ends with their names first,
// in every arithmetic.
func TestTensorsThatAreNotFiniteAreNamed(t *testing.T) {
	m, tok := readModel(t, shareddata.Path(t, "models", "TinyStories-656K"))
	m.Blocks[1].Up.Weight.Float32()[20] = float32(math.NaN())
	folder, text := filepath.Join(t.TempDir(), "model"), filepath.Join(t.TempDir(), "text.txt")
	if err := checkpoint.Save(t.Context(), folder, m, tok, checkpoint.SaveOptions{DType: checkpoint.F32}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte("Once upon a time there was a cat."), 0o600); err != nil {
		t.Fatal(err)
	}
	h := home.Open(t.TempDir(), "test")
	for _, dtype := range DTypes() {
		s, err := NewSource(h, folder, dtype, "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Run(t.Context(), []Source{s}, Options{Texts: []string{text}, BOS: Auto, Perplexity: Fixed, Store: h.Evaluations()})
		want := "tensors of its files have numbers that are NaN or infinite, 1 in all: 1 in model.layers.1.mlp.up_proj.weight: the log-probability of token "
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", dtype, err, want)
		}
	}
}
