package model

import (
	"fmt"

	"slimlab/kernels"
)

// KVPool is the memory of a paged KV cache: keys and values of pages of positions for each layer.
type KVPool struct {
	Format          kernels.KVFormat
	Pages, PageSize int

	ranks [][]*kernels.KVLayer // by rank and layer, each with the KV heads of its rank
}

// NewKVPool allocates pages for a model of shape c; format.Check says what fits.
func NewKVPool(c Config, format kernels.KVFormat, pages, pageSize int) (*KVPool, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return newKVPool(c, 1, format, pages, pageSize)
}

// newKVPool is NewKVPool for ranks, by whose number the KV heads of all layers can be divided.
func newKVPool(c Config, ranks int, format kernels.KVFormat, pages, pageSize int) (*KVPool, error) {
	if pages < 1 {
		return nil, fmt.Errorf("kv pool: %d pages, expected at least 1", pages)
	}
	if err := format.Check(pageSize, c.HeadDim); err != nil {
		return nil, fmt.Errorf("kv pool: %w", err)
	}
	p := &KVPool{Format: format, Pages: pages, PageSize: pageSize, ranks: make([][]*kernels.KVLayer, ranks)}
	for r := range p.ranks {
		for _, l := range c.Layers {
			p.ranks[r] = append(p.ranks[r], kernels.NewKVLayer(format, pages, pageSize, l.KVHeads/ranks, c.HeadDim))
		}
	}
	return p, nil
}

// PositionBytes is what the keys and values of a position take in all layers of a model of shape c.
func PositionBytes(c Config, format kernels.KVFormat) (n int64) {
	for _, l := range c.Layers {
		n += int64(format.PositionBytes(l.KVHeads, c.HeadDim))
	}
	return n
}

// CopyPages copies pages in all layers, one after another.
func (p *KVPool) CopyPages(copies []kernels.PageCopy) {
	for _, layers := range p.ranks {
		for _, l := range layers {
			l.CopyPages(copies)
		}
	}
}

// Bytes is the memory that the pool takes.
func (p *KVPool) Bytes() int64 {
	var n int64
	for _, layers := range p.ranks {
		for _, l := range layers {
			n += l.Bytes()
		}
	}
	return n
}
