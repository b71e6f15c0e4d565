package pages

import (
	"fmt"
	"slices"
)

// radix is a forest of token prefixes in whole pages: a tree for each namespace. Its invariants,
// checked by check:
//
//   - every edge is a whole number of pages, not empty, and has one pool page for each page of
//     tokens;
//   - siblings differ in their first page, by which they are in ascending order;
//   - a node's locks are those of its children and one for each lease that ends at it: locking a
//     node locks the path to the root;
//   - evictable counts the pages of unlocked nodes, protected those of locked ones;
//   - leaves holds exactly the unlocked nodes without children;
//   - hashes holds the hash of each page's prefix;
//   - a namespace has a root as long as it has nodes or a lease;
//   - a page is in the tree, in a request's private tail or in the free list, never in two of them.
//
// A node represents the prefix that ends where its edge ends. Splitting an edge keeps the node at
// its end, so a reference to a node keeps meaning the same prefix.
type radix struct {
	pageSize             int
	roots                map[string]*node // by namespace
	clock                uint64
	evictable, protected int // pages
	leaves               leaves
	hashes               map[uint64]struct{}
}

// node is one edge and the place that it leads to. A root has no edge.
type node struct {
	namespace string // of a root
	tokens    []int32
	pages     []int32
	hashes    []uint64 // of the prefix up to the end of each page
	parent    *node    // nil of a root
	children  []*node
	locks     int
	hits      int    // requests that were admitted with this prefix
	used      uint64 // the tree's clock when the node was last matched or inserted
	leaf      int    // one more than the index in leaves; 0 outside
}

func newRadix(pageSize int, e Eviction) *radix {
	return &radix{pageSize: pageSize, roots: map[string]*node{}, leaves: leaves{before: evictions[e]}, hashes: map[uint64]struct{}{}}
}

// root returns the root of a namespace, which is new where it has none.
func (r *radix) root(namespace string) *node {
	root := r.roots[namespace]
	if root == nil {
		root = &node{namespace: namespace, hashes: []uint64{hashOf(namespace)}}
		r.roots[namespace] = root
	}
	return root
}

// place finds where a child that begins with tokens, a page or less, is or would be.
func (r *radix) place(n *node, tokens []int32) (at int, found bool) {
	return slices.BinarySearchFunc(n.children, tokens[:min(len(tokens), r.pageSize)], func(c *node, page []int32) int {
		return slices.Compare(c.tokens[:r.pageSize], page)
	})
}

// child returns the child that begins with the first page of tokens, or nil.
func (r *radix) child(n *node, tokens []int32) *node {
	if at, found := r.place(n, tokens); found {
		return n.children[at]
	}
	return nil
}

// put makes a node the child of another that begins with its first page.
func (r *radix) put(under, n *node) {
	at, found := r.place(under, n.tokens)
	if found {
		under.children[at] = n
	} else {
		under.children = slices.Insert(under.children, at, n)
	}
	n.parent = under
}

// beginning finds the page below a node that begins with most of tokens, and how many. Of all that
// begin with as many, one is beside the place of tokens in the order.
func (r *radix) beginning(n *node, tokens []int32) (page int32, common int) {
	at, _ := r.place(n, tokens)
	for _, c := range n.children[max(0, at-1):min(at+1, len(n.children))] {
		if k := commonTokens(c.tokens, tokens); k > common {
			page, common = c.pages[0], k
		}
	}
	return page, common
}

// commonTokens counts the leading tokens in which a and b agree.
func commonTokens(a, b []int32) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// commonPages counts the leading whole pages in which a and b agree.
func (r *radix) commonPages(a, b []int32) int { return commonTokens(a, b) / r.pageSize }

// peek counts the pages of the longest cached prefix of tokens, and how many of them are unlocked.
// It changes nothing.
func (r *radix) peek(namespace string, tokens []int32) (held, unlocked int) {
	for at := r.roots[namespace]; at != nil && len(tokens) >= r.pageSize; {
		child := r.child(at, tokens)
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

// acquire returns the pages of the longest cached prefix of tokens, in whole pages, and locks the
// node where it ends. It splits an edge in which the match ends, marks the path as used, and counts
// a hit of it.
func (r *radix) acquire(namespace string, tokens []int32) (pages []int32, at *node) {
	r.clock++
	pages, at = r.descend(r.root(namespace), tokens)
	for n := at; n.parent != nil; n = n.parent {
		n.hits++
	}
	r.lockBelow(nil, at) // and so no node of the path is a leaf that would be out of order now
	return pages, at
}

// descend follows tokens from a node on, as far as the tree has them, and marks the path as used.
// It splits the edge in which they end.
func (r *radix) descend(at *node, tokens []int32) (pages []int32, end *node) {
	for len(tokens) >= r.pageSize {
		child := r.child(at, tokens)
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
	for n := from; n.parent != nil; n = n.parent {
		r.use(n)
	}
	own, at = r.descend(from, tokens)
	held := len(own)
	if held == len(pages) {
		return at, own
	}
	tokens, pages = tokens[held*r.pageSize:len(pages)*r.pageSize], pages[held:]
	if at == from && from.growsAlone() {
		r.extend(from, tokens, pages)
		r.protected += len(pages)
		return at, own
	}
	leaf := &node{used: r.clock, parent: at}
	r.extend(leaf, tokens, pages)
	r.put(at, leaf)
	r.evictable += len(leaf.pages)
	r.update(at)
	r.update(leaf)
	return leaf, own
}

// growsAlone reports whether one lease alone made a node and ends there: then what it adds needs no
// node of its own. A text that grows by pages is one edge.
func (n *node) growsAlone() bool {
	return n.parent != nil && n.locks == 1 && n.hits == 0 && len(n.children) == 0
}

// extend adds pages to the end of a node's edge.
func (r *radix) extend(n *node, tokens, pages []int32) {
	above := n.parent
	if len(n.pages) > 0 {
		above = n
	}
	added := appendHashes(nil, above.hashes[len(above.hashes)-1], tokens, r.pageSize)
	for _, h := range added {
		r.hashes[h] = struct{}{}
	}
	n.tokens, n.pages, n.hashes = append(n.tokens, tokens...), append(n.pages, pages...), append(n.hashes, added...)
}

// split cuts a node's edge after n pages and returns the upper part, which inherits locks, hits and
// age.
func (r *radix) split(lower *node, n int) *node {
	upper := &node{
		tokens: lower.tokens[: n*r.pageSize : n*r.pageSize],
		pages:  lower.pages[:n:n],
		hashes: lower.hashes[:n:n],
		locks:  lower.locks,
		hits:   lower.hits,
		used:   lower.used,
	}
	r.put(lower.parent, upper)
	lower.tokens, lower.pages, lower.hashes = lower.tokens[n*r.pageSize:], lower.pages[n:], lower.hashes[n:]
	r.put(upper, lower)
	return upper
}

// lockBelow protects the path to a node from eviction, until unlock: from below top on, which is on
// it, or from the root on where top is nil.
func (r *radix) lockBelow(top, n *node) {
	for ; n != top; n = n.parent {
		if n.locks++; n.locks == 1 {
			r.evictable -= len(n.pages)
			r.protected += len(n.pages)
			r.update(n)
		}
	}
}

func (r *radix) unlock(n *node) {
	for ; n != nil; n = n.parent {
		if n.locks--; n.locks < 0 {
			panic("pages: prefix unlocked more often than locked")
		}
		if n.locks == 0 {
			r.protected -= len(n.pages)
			r.evictable += len(n.pages)
			r.update(n)
		}
	}
}

// update adds a node to leaves or removes it, as its locks and children are now. A root that has
// neither is gone.
func (r *radix) update(n *node) {
	switch unused := n.locks == 0 && len(n.children) == 0; {
	case n.parent == nil:
		if unused {
			delete(r.roots, n.namespace)
		}
	case unused:
		r.leaves.add(n)
	default:
		r.leaves.remove(n)
	}
}

// evict removes unlocked leaves in the order of its policy, page by page from their ends, until
// want pages are free or nothing unlocked is left, and returns the freed pages.
func (r *radix) evict(want int) (freed []int32) {
	for len(freed) < want && r.leaves.Len() > 0 {
		n := r.leaves.nodes[0]
		take := min(len(n.pages), want-len(freed))
		keep := len(n.pages) - take
		freed = append(freed, n.pages[keep:]...)
		for _, h := range n.hashes[keep:] {
			delete(r.hashes, h)
		}
		r.evictable -= take
		if keep > 0 {
			// clipped: what is appended must not show in a Tree of before
			n.pages, n.tokens, n.hashes = n.pages[:keep], slices.Clip(n.tokens[:keep*r.pageSize]), n.hashes[:keep]
			break
		}
		r.leaves.remove(n)
		at, _ := r.place(n.parent, n.tokens)
		n.parent.children = slices.Delete(n.parent.children, at, at+1)
		r.update(n.parent)
	}
	return freed
}

// walk visits every node but the roots.
func (r *radix) walk(visit func(*node)) {
	var down func(*node)
	down = func(n *node) {
		for _, c := range n.children {
			visit(c)
			down(c)
		}
	}
	for _, root := range r.roots {
		down(root)
	}
}

// check returns the first broken invariant, given how many leases end at each node.
func (r *radix) check(ends map[*node]int) (err error) {
	evictable, protected, leaves, hashes := 0, 0, 0, 0
	seen := map[int32]bool{}
	fail := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf("pages: "+format, args...)
		}
	}
	locks := func(n *node) {
		want := ends[n]
		for _, c := range n.children {
			want += c.locks
		}
		if n.locks != want {
			fail("prefix node with %d locks, its children and leases have %d", n.locks, want)
		}
	}
	for name, root := range r.roots {
		if locks(root); root.namespace != name || root.parent != nil || root.locks == 0 && len(root.children) == 0 {
			fail("namespace %q has a root with %d locks and %d children", name, root.locks, len(root.children))
		}
	}
	r.walk(func(n *node) {
		if len(n.pages) == 0 || len(n.tokens) != len(n.pages)*r.pageSize {
			fail("prefix node with %d tokens and %d pages of %d", len(n.tokens), len(n.pages), r.pageSize)
			return
		}
		if r.child(n.parent, n.tokens) != n {
			fail("prefix node is not in the place of its first page")
		}
		locks(n)
		if (n.locks == 0 && len(n.children) == 0) != (n.leaf > 0) {
			fail("prefix node with %d locks and %d children is leaf %d", n.locks, len(n.children), n.leaf)
		}
		if n.parent.parent != nil && (n.parent.hits < n.hits || n.parent.used < n.used) {
			fail("prefix node with %d hits and last use %d under one with %d and %d", n.hits, n.used, n.parent.hits, n.parent.used)
		}
		for _, p := range n.pages {
			if seen[p] {
				fail("page %d is in the tree twice", p)
			}
			seen[p] = true
		}
		if want := appendHashes(nil, n.parent.hashes[len(n.parent.hashes)-1], n.tokens, r.pageSize); !slices.Equal(n.hashes, want) {
			fail("prefix node has the hashes of another prefix")
		}
		for _, h := range n.hashes {
			if _, ok := r.hashes[h]; !ok {
				fail("a page's hash is not listed")
			}
		}
		hashes += len(n.hashes)
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
	if hashes != len(r.hashes) {
		fail("tree lists %d hashes of %d pages", len(r.hashes), hashes)
	}
	if leaves != r.leaves.Len() {
		fail("tree has %d unlocked leaves, of which %d are listed", leaves, r.leaves.Len())
	}
	for i, n := range r.leaves.nodes {
		if n.leaf != i+1 || i > 0 && !r.leaves.Less((i-1)/2, i) {
			fail("leaf %d of %d is out of order", i, r.leaves.Len())
		}
	}
	return err
}
