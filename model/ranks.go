package model

import (
	"fmt"

	"github.com/sourcegraph/conc"

	"slimlab/kernels"
)

// Ranks is a model divided between ranks that compute at the same time (tensor parallelism): each
// has some of every layer's KV heads with the query heads that read them, some of its neurons, and
// some of the outputs of the other linear layers and of the head. A linear layer is divided by its
// outputs alone and the parts are put side by side: no sum is divided, so that every number has the
// bits that the whole model gives it, in each format of weights and of the cache.
//
// Ranks have weights of their own, copies of the model's, whose norms and embedding they
// share. The model must not change while it is divided.
type Ranks struct {
	whole  *Model
	shares []*Model // of each rank; the model itself where there is one
}

// Divide divides a model between n ranks. All its layers need KV heads that n divides.
func (m *Model) Divide(n int) (*Ranks, error) {
	if n < 1 {
		return nil, fmt.Errorf("model: %d ranks, expected at least 1", n)
	}
	if n == 1 {
		return &Ranks{m, []*Model{m}}, nil
	}
	for i, l := range m.Layers {
		if l.KVHeads%n != 0 {
			return nil, fmt.Errorf("model: layer %d has %d KV heads, which %d ranks cannot share: expected a multiple of the ranks", i, l.KVHeads, n)
		}
		if l.MLP < n {
			return nil, fmt.Errorf("model: layer %d has %d neurons, expected at least one for each of %d ranks", i, l.MLP, n)
		}
	}
	if min(m.Hidden, m.Vocab) < n {
		return nil, fmt.Errorf("model: a hidden size of %d and a vocabulary of %d, expected at least one for each of %d ranks", m.Hidden, m.Vocab, n)
	}
	r := &Ranks{whole: m}
	for rank := range n {
		r.shares = append(r.shares, m.share(rank, n))
	}
	return r, nil
}

// share is what one of n ranks has of the model: a Model that only Ranks can use.
func (m *Model) share(rank, n int) *Model {
	s := shell(m.Config)
	for i, l := range m.Layers {
		s.Layers[i] = LayerConfig{l.Heads / n, l.KVHeads / n, len(shareOf(l.MLP, rank, n))}
		from, to := &m.Blocks[i], &s.Blocks[i]
		*to = *from
		q, kv := shareOf(l.Heads*m.HeadDim, rank, n), shareOf(l.KVHeads*m.HeadDim, rank, n)
		hidden, mlp := shareOf(m.Hidden, rank, n), shareOf(l.MLP, rank, n)
		to.Q, to.K, to.V, to.O = from.Q.outputs(q), from.K.outputs(kv), from.V.outputs(kv), from.O.outputs(hidden)
		to.Gate, to.Up, to.Down = from.Gate.outputs(mlp), from.Up.outputs(mlp), from.Down.outputs(hidden)
	}
	s.Head = m.Head.Select(shareOf(m.Vocab, rank, n))
	return s
}

// shareOf lists the outputs of so many that one of n ranks has.
func shareOf(outputs, rank, n int) []int32 {
	first := firstOf(outputs, rank, n)
	list := make([]int32, firstOf(outputs, rank+1, n)-first)
	for i := range list {
		list[i] = int32(first + i)
	}
	return list
}

// firstOf is the first of a rank's outputs.
func firstOf(outputs, rank, n int) int { return outputs * rank / n }

// Count is the number of ranks.
func (r *Ranks) Count() int { return len(r.shares) }

// NewKVPool allocates pages, of which each rank has those of its KV heads; format.Check says what
// fits.
func (r *Ranks) NewKVPool(format kernels.KVFormat, pages, pageSize int) (*KVPool, error) {
	if err := r.whole.Validate(); err != nil {
		return nil, err
	}
	return newKVPool(r.whole.Config, len(r.shares), format, pages, pageSize)
}

// Logits is Model.Logits, each rank with its part of the vocabulary.
func (r *Ranks) Logits(logits, hidden []float32, rows int) {
	n, vocab := len(r.shares), r.whole.Vocab
	if n == 1 {
		r.whole.Logits(logits, hidden, rows)
		return
	}
	var ranks conc.WaitGroup
	for rank, m := range r.shares {
		ranks.Go(func() {
			first := firstOf(vocab, rank, n)
			width := firstOf(vocab, rank+1, n) - first
			part := make([]float32, rows*width)
			m.Head.MulT(part, hidden, rows)
			putColumns(logits, part, rows, vocab, first, width)
		})
	}
	ranks.Wait()
}

// putColumns writes part [rows, width] to the columns of whole [rows, all] from first on.
func putColumns(whole, part []float32, rows, all, first, width int) {
	for i := range rows {
		copy(whole[i*all+first:][:width], part[i*width:])
	}
}
