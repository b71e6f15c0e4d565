package model

import (
	"slimlab/kernels"
	"slimlab/model/weight"
)

// InBFloat16 returns a model for inference with the Dense weights of m rounded to bfloat16, head
// and tied embedding included, which attends in bfloat16 as well; weights of other formats are
// shared.
func (m *Model) InBFloat16() *Model {
	c := shell(m.Config)
	c.FinalNorm, c.Embedding, c.Head, c.attention = m.FinalNorm, m.Embedding, m.Head, kernels.BFloat16
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

func rounded(w weight.Weight) weight.Weight {
	d, ok := w.(*weight.Dense)
	if !ok {
		return w
	}
	bits := make([]uint16, len(d.Data))
	kernels.RoundBFloat16(bits, d.Data)
	return weight.NewBFloat16(bits, d.Out, d.In)
}
