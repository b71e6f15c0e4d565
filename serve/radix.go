package serve

import (
	"container/heap"
	"encoding/binary"
	"fmt"
)

// radix is a tree of token prefixes in whole pages. Its invariants, checked by check:
//
//   - every edge is a whole number of pages, not empty, and has one pool page for each page of
//     tokens;
//   - siblings differ in their first page, and a child stands under the key of its first page;
//   - a node's locks are at least those of each child: whoever locks a node locks the path to the
//     root;
//   - evictable counts the pages of unlocked nodes, protected those of locked ones;
//   - a page is in the tree, in a request's private tail or in the free list, never in two of them.
type radix struct {
	pageSize             int
	root                 *node
	clock                uint64
	evictable, protected int // pages
}

// node is one edge and the place that it leads to.
type node struct {
	tokens   []int32
	pages    []int32
	parent   *node
	children map[string]*node
	locks    int
	used     uint64 // the tree's clock when the node was last matched or inserted
}

func newRadix(pageSize int) *radix {
	return &radix{pageSize: pageSize, root: &node{children: map[string]*node{}}}
}

// pageKey is the map key of the first page of tokens.
func (r *radix) pageKey(tokens []int32) string {
	key := make([]byte, 0, 4*r.pageSize)
	for _, t := range tokens[:r.pageSize] {
		key = binary.LittleEndian.AppendUint32(key, uint32(t))
	}
	return string(key)
}

// commonPages counts the leading whole pages in which a and b agree.
func (r *radix) commonPages(a, b []int32) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	return i / r.pageSize
}

// match returns the pages of the longest cached prefix of tokens, in whole pages, and the node
// where it ends. It splits an edge in which the match ends and marks the path as used. The pages
// are safe to read only while the node is locked.
func (r *radix) match(tokens []int32) (pages []int32, at *node) {
	r.clock++
	at = r.root
	for len(tokens) >= r.pageSize {
		child := at.children[r.pageKey(tokens)]
		if child == nil {
			break
		}
		n := r.commonPages(tokens, child.tokens)
		if n < len(child.pages) {
			child = r.split(child, n)
		}
		child.used = r.clock
		pages = append(pages, child.pages...)
		tokens = tokens[len(child.tokens):]
		at = child
	}
	return pages, at
}

// insert adds tokens (whole pages) with their pages and returns the node where they end and the
// number of leading pages that the tree held already. Of those the tree keeps its own; the caller
// still owns its duplicates. The others are the tree's now.
func (r *radix) insert(tokens, pages []int32) (at *node, held int) {
	own, at := r.match(tokens)
	held = len(own)
	if held == len(pages) {
		return at, held
	}
	leaf := &node{
		tokens:   append([]int32(nil), tokens[held*r.pageSize:len(pages)*r.pageSize]...),
		pages:    append([]int32(nil), pages[held:]...),
		parent:   at,
		children: map[string]*node{},
		used:     r.clock,
	}
	at.children[r.pageKey(leaf.tokens)] = leaf
	r.evictable += len(leaf.pages)
	return leaf, held
}

// split cuts a node's edge after n pages and returns the upper part, which inherits locks and age.
func (r *radix) split(lower *node, n int) *node {
	upper := &node{
		tokens:   lower.tokens[: n*r.pageSize : n*r.pageSize],
		pages:    lower.pages[:n:n],
		parent:   lower.parent,
		children: map[string]*node{},
		locks:    lower.locks,
		used:     lower.used,
	}
	lower.parent.children[r.pageKey(upper.tokens)] = upper
	lower.tokens, lower.pages, lower.parent = lower.tokens[n*r.pageSize:], lower.pages[n:], upper
	upper.children[r.pageKey(lower.tokens)] = lower
	return upper
}

// lock protects the path to a node from eviction, until unlock.
func (r *radix) lock(n *node) {
	for ; n != r.root; n = n.parent {
		if n.locks++; n.locks == 1 {
			r.evictable -= len(n.pages)
			r.protected += len(n.pages)
		}
	}
}

func (r *radix) unlock(n *node) {
	for ; n != r.root; n = n.parent {
		if n.locks--; n.locks < 0 {
			panic("serve: prefix unlocked more often than locked")
		}
		if n.locks == 0 {
			r.protected -= len(n.pages)
			r.evictable += len(n.pages)
		}
	}
}

// evict removes least recently used unlocked leaves, page by page from their ends, until want pages
// are free or nothing unlocked is left, and returns the freed pages.
func (r *radix) evict(want int) (freed []int32) {
	leaves := &leafHeap{}
	r.walk(func(n *node) {
		if n.locks == 0 && len(n.children) == 0 {
			*leaves = append(*leaves, n)
		}
	})
	heap.Init(leaves)
	for len(freed) < want && leaves.Len() > 0 {
		n := heap.Pop(leaves).(*node)
		take := min(len(n.pages), want-len(freed))
		keep := len(n.pages) - take
		freed = append(freed, n.pages[keep:]...)
		r.evictable -= take
		if keep > 0 {
			n.pages, n.tokens = n.pages[:keep], n.tokens[:keep*r.pageSize]
			break
		}
		parent := n.parent
		delete(parent.children, r.pageKey(n.tokens))
		if parent != r.root && parent.locks == 0 && len(parent.children) == 0 {
			heap.Push(leaves, parent)
		}
	}
	return freed
}

// walk visits every node but the root.
func (r *radix) walk(visit func(*node)) {
	var down func(*node)
	down = func(n *node) {
		for _, c := range n.children {
			visit(c)
			down(c)
		}
	}
	down(r.root)
}

// check returns the first broken invariant.
func (r *radix) check() (err error) {
	evictable, protected := 0, 0
	seen := map[int32]bool{}
	r.walk(func(n *node) {
		switch {
		case err != nil:
		case len(n.pages) == 0 || len(n.tokens) != len(n.pages)*r.pageSize:
			err = fmt.Errorf("serve: prefix node with %d tokens and %d pages of %d", len(n.tokens), len(n.pages), r.pageSize)
		case n.parent.children[r.pageKey(n.tokens)] != n:
			err = fmt.Errorf("serve: prefix node does not stand under its first page")
		case n.parent != r.root && n.parent.locks < n.locks:
			err = fmt.Errorf("serve: prefix node with %d locks under one with %d", n.locks, n.parent.locks)
		}
		for _, p := range n.pages {
			if seen[p] && err == nil {
				err = fmt.Errorf("serve: page %d is in the tree twice", p)
			}
			seen[p] = true
		}
		if n.locks == 0 {
			evictable += len(n.pages)
		} else {
			protected += len(n.pages)
		}
	})
	if err == nil && (evictable != r.evictable || protected != r.protected) {
		err = fmt.Errorf("serve: tree counts %d evictable and %d protected pages, holds %d and %d", r.evictable, r.protected, evictable, protected)
	}
	return err
}

// leafHeap orders leaves by last use; the first page breaks ties, so that eviction is the same in
// every run.
type leafHeap []*node

func (h leafHeap) Len() int { return len(h) }
func (h leafHeap) Less(i, j int) bool {
	if h[i].used != h[j].used {
		return h[i].used < h[j].used
	}
	return h[i].pages[0] < h[j].pages[0]
}
func (h leafHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *leafHeap) Push(x any)   { *h = append(*h, x.(*node)) }
func (h *leafHeap) Pop() any {
	old := *h
	n := old[len(old)-1]
	*h = old[:len(old)-1]
	return n
}
