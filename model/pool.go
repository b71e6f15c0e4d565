package model

import (
	"fmt"

	"slimlab/kernels"
)

// KVPool is the memory of a paged KV cache: for each layer K and V of pages × KV heads × page size × head dim float32.
type KVPool struct {
	Pages, PageSize int

	k, v [][]float32 // a layer, as kernels.KVPages lays them out
}

// NewKVPool allocates pages for a model of shape c. pageSize divides kernels.KVBlock.
func NewKVPool(c Config, pages, pageSize int) (*KVPool, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if pages < 1 {
		return nil, fmt.Errorf("kv pool: %d pages, expected at least 1", pages)
	}
	if pageSize < 1 || kernels.KVBlock%pageSize != 0 {
		return nil, fmt.Errorf("kv pool: page size is %d, expected a divisor of %d", pageSize, kernels.KVBlock)
	}
	p := &KVPool{Pages: pages, PageSize: pageSize}
	for _, l := range c.Layers {
		n := pages * l.KVHeads * pageSize * c.HeadDim
		p.k = append(p.k, make([]float32, n))
		p.v = append(p.v, make([]float32, n))
	}
	return p, nil
}

// Bytes is the memory that the pool takes.
func (p *KVPool) Bytes() int64 {
	var n int64
	for i := range p.k {
		n += 4 * int64(len(p.k[i])+len(p.v[i]))
	}
	return n
}

// layer is one layer's cache as the owner of the page table sees it.
func (p *KVPool) layer(i int, table []int32) kernels.KVPages {
	return kernels.KVPages{K: p.k[i], V: p.v[i], PageSize: p.PageSize, Table: table}
}
