package host

import (
	"fmt"

	"slimlab/model"
	"slimlab/serve"
)

// Begin begins a prompt that is scored layer by layer, without the pages of the KV cache but in its
// format.
func (e *Executor) Begin(prompt []int32, items [][]int32) (serve.Pass, error) {
	p, err := e.ranks.NewPass(e.kv, prompt, items)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return &pass{e, p, nil}, nil
}

type pass struct {
	executor *Executor
	pass     *model.Pass
	hidden   []float32
}

// Step takes some rows through a layer.
func (p *pass) Step() (done bool) {
	p.hidden, done = p.pass.Step()
	return done
}

// Logits multiplies the last states with the head, or with its rows of labels.
func (p *pass) Logits(labels []int32) [][]float32 {
	m := p.executor.model
	n, width := len(p.hidden)/m.Hidden, m.Vocab
	if len(labels) > 0 {
		width = len(labels)
	}
	all := make([]float32, n*width)
	if len(labels) > 0 {
		m.LabelLogits(all, p.hidden, n, labels)
	} else {
		p.executor.ranks.Logits(all, p.hidden, n)
	}
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = all[i*width : (i+1)*width]
	}
	return rows
}
