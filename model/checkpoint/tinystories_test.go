package checkpoint

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/model"
)

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestTinyStories runs a real checkpoint from its text to its logits, which an independent float64
// forward pass and a greedy continuation made by another program check.
func TestTinyStories(t *testing.T) {
	m, tok, err := load(shareddata.Path(t, "models", "TinyStories-656K"))
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Config.Parameters(); n != 656_000 {
		t.Errorf("%d parameters, expected 656000", n)
	}
	var manifest struct {
		Prompt string `json:"prompt"`
	}
	var want []float64
	var greedy []int32
	readJSON(t, shareddata.Path(t, "vectors", "llamacpp-golden", "manifest.json"), &manifest)
	readJSON(t, shareddata.Path(t, "vectors", "llamacpp-golden", "tinystories-656K.float64.logits.json"), &want)
	readJSON(t, shareddata.Path(t, "vectors", "llamacpp-golden", "tinystories-656K_greedy_ids.json"), &greedy)

	logits := allLogits(m, tok.EncodeSpecial(manifest.Prompt))
	last := logits[len(logits)-m.Vocab:]
	worst := 0.0
	for i, v := range last {
		worst = max(worst, math.Abs(float64(v)-want[i]))
	}
	t.Logf("largest error of the last position's logits against float64: %.3g", worst)
	if worst > 1e-4 {
		t.Errorf("largest error %.3g, expected at most 1e-4", worst)
	}

	prompt := tok.EncodeSpecial("Once upon a time")
	if !slices.Equal(greedy[:len(prompt)], prompt) {
		t.Fatalf("the greedy text begins with %v, expected %v", greedy[:len(prompt)], prompt)
	}
	logits = allLogits(m, greedy)
	for i := len(prompt); i < len(greedy); i++ {
		row := logits[(i-1)*m.Vocab : i*m.Vocab]
		if best := argmax(row); best != greedy[i] {
			t.Errorf("token %d: the best is %d (%g), expected %d (%g)", i, best, row[best], greedy[i], row[greedy[i]])
		}
	}
}

// TestTinyStoriesLayerByLayer: the layers of a real checkpoint, one in memory at a time, compute
// what the whole model does, bit for bit. Its tied embedding is stored as the head alone.
func TestTinyStoriesLayerByLayer(t *testing.T) {
	c, err := Open(shareddata.Path(t, "models", "TinyStories-656K"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	whole, err := c.Model(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tok, err := c.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Skeleton()
	if err != nil {
		t.Fatal(err)
	}
	first, second := tok.EncodeSpecial("Once upon a time, there was a little girl named Lily."), tok.EncodeSpecial("One day")
	batch := model.Batch{Tokens: slices.Concat(first, second), Starts: []int{0, len(first), len(first) + len(second)}}
	x := make([]float32, len(batch.Tokens)*m.Hidden)
	if err := c.Embed(x, batch.Tokens); err != nil {
		t.Fatal(err)
	}
	for i := range m.Blocks {
		if err := c.LoadBlock(context.Background(), m, i); err != nil {
			t.Fatal(err)
		}
		m.Attention(i, x, batch, nil)
		m.MLP(i, x, len(batch.Tokens), nil)
		m.Blocks[i] = model.Block{}
	}
	m.Norm(x, len(batch.Tokens))
	if !slices.Equal(x, whole.Forward(batch, nil)) {
		t.Error("hidden states differ")
	}
}

func allLogits(m *model.Model, ids []int32) []float32 {
	hidden := m.Forward(model.Batch{Tokens: ids, Starts: []int{0, len(ids)}}, nil)
	logits := make([]float32, len(ids)*m.Vocab)
	m.Logits(logits, hidden, len(ids))
	return logits
}

func argmax(row []float32) int32 {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return int32(best)
}
