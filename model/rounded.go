package model

import (
	"fmt"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// InBFloat16 returns a model for inference with the Dense weights of m rounded to bfloat16, head
// and tied embedding included, which attends in bfloat16 as well; weights of other formats are
// shared.
func (m *Model) InBFloat16() *Model {
	c := shell(m.Config)
	c.FinalNorm, c.Embedding, c.Head, c.attention = m.FinalNorm, m.Embedding, m.Head, kernels.BFloat16
	c.kv, c.cached = m.kv, m.cached
	copy(c.Blocks, m.Blocks)
	for _, l := range c.Linears() {
		l.Weight = rounded(l.Weight)
	}
	if head := rounded(m.Head); m.headIsEmbedding() {
		c.TieHead(head)
	} else {
		c.Head = head
		c.Gather()
	}
	return c
}

// WithKV returns a model for inference that shares the weights of m and attends to keys and values
// as a KV cache of that format keeps them: Forward has the bits of an Extender over such a pool,
// and an executor of serve/host has such a cache where its options name none. m must not change
// while the other is used.
func (m *Model) WithKV(format kernels.KVFormat) (*Model, error) {
	if err := format.Check(kernels.KVBlock, m.HeadDim); err != nil {
		return nil, fmt.Errorf("model: KV cache: %w", err)
	}
	c := shell(m.Config)
	copy(c.Blocks, m.Blocks)
	c.FinalNorm, c.Embedding, c.Head, c.attention = m.FinalNorm, m.Embedding, m.Head, m.attention
	c.kv, c.cached = format, true
	return c, nil
}

// KV is the format of the KV cache that the model was made for by WithKV; given is false where it
// was not.
func (m *Model) KV() (format kernels.KVFormat, given bool) { return m.kv, m.cached }

func rounded(w weight.Weight) weight.Weight {
	d, ok := w.(*weight.Dense)
	if !ok {
		return w
	}
	bits := make([]uint16, len(d.Data))
	kernels.RoundBFloat16(bits, d.Data)
	return weight.NewBFloat16(bits, d.Out, d.In)
}
