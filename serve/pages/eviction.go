package pages

import (
	"fmt"
	"strings"
)

// Eviction names an order in which prefixes that no request uses are evicted. A prefix goes after
// all that continue it, whatever the order.
type Eviction string

const (
	LRU  Eviction = "lru"  // the least recently used first
	LFU  Eviction = "lfu"  // those that fewest requests were admitted with first, then as LRU
	SLRU Eviction = "slru" // those that fewer than two requests were admitted with first, each part as LRU
)

// Evictions are all orders.
func Evictions() []Eviction { return []Eviction{LRU, LFU, SLRU} }

// evictions says for each order whether node a is evicted before b.
var evictions = map[Eviction]func(a, b *node) bool{
	LRU: older,
	LFU: func(a, b *node) bool {
		return a.hits < b.hits || a.hits == b.hits && older(a, b)
	},
	SLRU: func(a, b *node) bool {
		if p, q := protected(a), protected(b); p != q {
			return q
		}
		return older(a, b)
	},
}

func older(a, b *node) bool { return a.used < b.used }

// protected reports whether a node is in the part of SLRU that is evicted last.
func protected(n *node) bool { return n.hits >= 2 }

// Check returns an error for a name that is none.
func (e Eviction) Check() error {
	if evictions[e] != nil {
		return nil
	}
	var names []string
	for _, name := range Evictions() {
		names = append(names, string(name))
	}
	return fmt.Errorf("pages: eviction %q, expected one of %s", e, strings.Join(names, ", "))
}
