package pages

import (
	"encoding/binary"
	"fmt"
)

// radix is a tree of token prefixes in whole pages. Its invariants, checked by check:
//
//   - every edge is a whole number of pages, not empty, and has one pool page for each page of
//     tokens;
//   - siblings differ in their first page, and a child's key is its first page;
//   - a node's locks are at least those of each child: locking a node locks the path to the root;
//   - evictable counts the pages of unlocked nodes, protected those of locked ones;
//   - leaves holds exactly the unlocked nodes without children;
//   - a page is in the tree, in a request's private tail or in the free list, never in two of them.
//
// A node represents the prefix that ends where its edge ends. Splitting an edge keeps the node at
// its end, so a reference to a node keeps meaning the same prefix.
type radix struct {
	pageSize             int
	root                 *node
	clock                uint64
	evictable, protected int // pages
	leaves               leaves
	key                  []byte // scratch of pageKey
}

// node is one edge and the place that it leads to.
type node struct {
	tokens   []int32
	pages    []int32
	parent   *node
	children map[string]*node
	locks    int
	used     uint64 // the tree's clock when the node was last matched or inserted
	leaf     int    // one more than the index in leaves; 0 outside
}

func newRadix(pageSize int) *radix {
	return &radix{pageSize: pageSize, root: &node{children: map[string]*node{}}}
}

// pageKey is the map key of the first page of tokens, valid until the next call.
func (r *radix) pageKey(tokens []int32) []byte {
	r.key = r.key[:0]
	for _, t := range tokens[:r.pageSize] {
		r.key = binary.LittleEndian.AppendUint32(r.key, uint32(t))
	}
	return r.key
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

// peek counts the pages of the longest cached prefix of tokens, and how many of them are unlocked.
// It changes nothing.
func (r *radix) peek(tokens []int32) (held, unlocked int) {
	at := r.root
	for len(tokens) >= r.pageSize {
		child := at.children[string(r.pageKey(tokens))]
		if child == nil {
			break
		}
		n := r.commonPages(tokens, child.tokens)
		held += n
		if child.locks == 0 {
			unlocked += n
		}
		if n < len(child.pages) {
			break
		}
		tokens, at = tokens[len(child.tokens):], child
	}
	return held, unlocked
}

// match returns the pages of the longest cached prefix of tokens, in whole pages, and the node
// where it ends. It splits an edge in which the match ends and marks the path as used. The pages
// are safe to read only while the node is locked.
func (r *radix) match(tokens []int32) (pages []int32, at *node) {
	r.clock++
	return r.descend(r.root, tokens)
}

// descend is match from a node on.
func (r *radix) descend(at *node, tokens []int32) (pages []int32, end *node) {
	for len(tokens) >= r.pageSize {
		child := at.children[string(r.pageKey(tokens))]
		if child == nil {
			break
		}
		n := r.commonPages(tokens, child.tokens)
		if n < len(child.pages) {
			child = r.split(child, n)
		}
		r.use(child)
		pages = append(pages, child.pages...)
		tokens = tokens[len(child.tokens):]
		at = child
	}
	return pages, at
}

// use marks a node as used now.
func (r *radix) use(n *node) {
	n.used = r.clock
	r.leaves.fix(n)
}

// insert adds tokens (whole pages) with their pages after the prefix that ends at from, and returns
// the node where they end and the pages that the tree held already for the first of them. Of those
// the caller still owns its duplicates. The others are the tree's now.
func (r *radix) insert(from *node, tokens, pages []int32) (at *node, own []int32) {
	r.clock++
	for n := from; n != r.root; n = n.parent {
		r.use(n)
	}
	own, at = r.descend(from, tokens)
	held := len(own)
	if held == len(pages) {
		return at, own
	}
	leaf := &node{
		tokens:   append([]int32(nil), tokens[held*r.pageSize:len(pages)*r.pageSize]...),
		pages:    append([]int32(nil), pages[held:]...),
		parent:   at,
		children: map[string]*node{},
		used:     r.clock,
	}
	at.children[string(r.pageKey(leaf.tokens))] = leaf
	r.evictable += len(leaf.pages)
	r.updateLeaf(at)
	r.updateLeaf(leaf)
	return leaf, own
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
	lower.parent.children[string(r.pageKey(upper.tokens))] = upper
	lower.tokens, lower.pages, lower.parent = lower.tokens[n*r.pageSize:], lower.pages[n:], upper
	upper.children[string(r.pageKey(lower.tokens))] = lower
	return upper
}

// lock protects the path to a node from eviction, until unlock.
func (r *radix) lock(n *node) { r.lockBelow(r.root, n) }

// lockBelow locks the path to a node from below top on, which is on it.
func (r *radix) lockBelow(top, n *node) {
	for ; n != top; n = n.parent {
		if n.locks++; n.locks == 1 {
			r.evictable -= len(n.pages)
			r.protected += len(n.pages)
			r.updateLeaf(n)
		}
	}
}

func (r *radix) unlock(n *node) {
	for ; n != r.root; n = n.parent {
		if n.locks--; n.locks < 0 {
			panic("pages: prefix unlocked more often than locked")
		}
		if n.locks == 0 {
			r.protected -= len(n.pages)
			r.evictable += len(n.pages)
			r.updateLeaf(n)
		}
	}
}

// updateLeaf adds a node to leaves or removes it, as its locks and children are now.
func (r *radix) updateLeaf(n *node) {
	if n != r.root && n.locks == 0 && len(n.children) == 0 {
		r.leaves.add(n)
	} else {
		r.leaves.remove(n)
	}
}

// evict removes least recently used unlocked leaves, page by page from their ends, until want pages
// are free or nothing unlocked is left, and returns the freed pages.
func (r *radix) evict(want int) (freed []int32) {
	for len(freed) < want && len(r.leaves) > 0 {
		n := r.leaves[0]
		take := min(len(n.pages), want-len(freed))
		keep := len(n.pages) - take
		freed = append(freed, n.pages[keep:]...)
		r.evictable -= take
		if keep > 0 {
			n.pages, n.tokens = n.pages[:keep], n.tokens[:keep*r.pageSize]
			break
		}
		r.leaves.remove(n)
		delete(n.parent.children, string(r.pageKey(n.tokens)))
		r.updateLeaf(n.parent)
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
	evictable, protected, leaves := 0, 0, 0
	seen := map[int32]bool{}
	fail := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf("pages: "+format, args...)
		}
	}
	r.walk(func(n *node) {
		if len(n.pages) == 0 || len(n.tokens) != len(n.pages)*r.pageSize {
			fail("prefix node with %d tokens and %d pages of %d", len(n.tokens), len(n.pages), r.pageSize)
			return
		}
		if n.parent.children[string(r.pageKey(n.tokens))] != n {
			fail("prefix node is not under the key of its first page")
		}
		if n.parent != r.root && n.parent.locks < n.locks {
			fail("prefix node with %d locks under one with %d", n.locks, n.parent.locks)
		}
		if (n.locks == 0 && len(n.children) == 0) != (n.leaf > 0) {
			fail("prefix node with %d locks and %d children is leaf %d", n.locks, len(n.children), n.leaf)
		}
		for _, p := range n.pages {
			if seen[p] {
				fail("page %d is in the tree twice", p)
			}
			seen[p] = true
		}
		if n.locks == 0 {
			evictable += len(n.pages)
		} else {
			protected += len(n.pages)
		}
		if n.leaf > 0 {
			leaves++
		}
	})
	if evictable != r.evictable || protected != r.protected {
		fail("tree counts %d evictable and %d protected pages, holds %d and %d", r.evictable, r.protected, evictable, protected)
	}
	if leaves != len(r.leaves) {
		fail("tree has %d unlocked leaves, of which %d are listed", leaves, len(r.leaves))
	}
	for i, n := range r.leaves {
		if n.leaf != i+1 || i > 0 && !r.leaves.Less((i-1)/2, i) {
			fail("leaf %d of %d is out of order", i, len(r.leaves))
		}
	}
	return err
}
