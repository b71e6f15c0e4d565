package host

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/serve"
)

// TestPromptLogPIsForward: what is told of each place has the bits of the model's plain forward
// pass, whatever shares the prefix cache, the chunks and the batch.
func TestPromptLogPIsForward(t *testing.T) {
	m, err := tinyModel(t).WithKV(kernels.KVInt8)
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(m, Options{PageSize: 4}, serve.Options{PrefixCache: true, Chunk: 11})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ps := prompts(rand.New(rand.NewPCG(6, 6)), 12)
	for round := range 2 {
		var rs []serve.Request
		rows := make([][]float32, len(ps))
		for i, p := range ps {
			rs = append(rs, serve.Request{Prompt: p, MaxTokens: i % 3, PromptLogP: &serve.PromptLogP{Each: func(r serve.PromptRow) {
				if r.Place != len(rows[i])/m.Vocab+1 || r.Token != p[r.Place] {
					t.Errorf("prompt %d: place %d of token %d after %d places", i, r.Place, r.Token, len(rows[i])/m.Vocab)
				}
				rows[i] = append(rows[i], r.Logits...)
			}}})
		}
		if _, err := e.DoAll(context.Background(), rs); err != nil {
			t.Fatal(err)
		}
		for i, p := range ps {
			want := make([]float32, (len(p)-1)*m.Vocab)
			m.Logits(want, m.Forward(model.Batch{Tokens: p, Starts: []int{0, len(p)}}, nil)[:(len(p)-1)*m.Hidden], len(p)-1)
			if !slices.Equal(rows[i], want) {
				t.Errorf("round %d, prompt %d: other logits than the model's", round, i)
			}
		}
	}
}
