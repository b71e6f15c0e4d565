// Package pages accounts for the pages of a KV cache: which are free, which belong to one request,
// and which hold a prefix that requests share.
//
// A request is admitted with pages for what is known of it, and its lease grows by more where it
// needs them. What it has computed it commits page by page; committed pages belong to a radix tree
// of prefixes, one for each namespace, from where later requests of the namespace take them. Pages
// that no request uses stay in the tree until room is needed: then prefixes are evicted in the
// order of an Eviction, from their ends. Beginning finds the page whose first tokens continue what
// a request shares; among those are pages that ended before they were whole.
//
// The package promises that a page is in one place at any time, that the pages of a lease are never
// taken from it, that no prefix is shared across namespaces, and that a call that reports false has
// changed nothing. It knows page numbers and token ids, not what is in the pages. It is not safe
// for concurrent use.
package pages

import (
	"fmt"
	"slices"
)

// Pages is the accounting of one cache.
type Pages struct {
	size, count int
	free        []int32
	tree        *radix // nil where prefixes are not shared
	evicted     int
}

// New accounts for count free pages of size tokens, none of which is shared.
func New(count, size int) *Pages {
	p := &Pages{size: size, count: count}
	for page := count - 1; page >= 0; page-- {
		p.free = append(p.free, int32(page))
	}
	return p
}

// NewShared is New with a tree, in which committed prefixes are kept and shared until they are
// evicted. The eviction must be one of Evictions.
func NewShared(count, size int, e Eviction) *Pages {
	p := New(count, size)
	p.tree = newRadix(size, e)
	return p
}

// Lease is the pages of one request. The zero value holds none.
type Lease struct {
	Table  []int32 // page numbers by position: first the tree's, then the request's own
	Shared int     // leading pages that belong to the tree
	end    *node   // where the shared prefix ends in the tree, locked; nil where nothing is shared
}

// Size is the number of tokens of a page.
func (p *Pages) Size() int { return p.size }

// For is the number of pages that so many tokens take.
func (p *Pages) For(tokens int) int { return (tokens + p.size - 1) / p.size }

// Held counts the leading pages of a prefix, given by its Hashes, that the tree holds.
func (p *Pages) Held(hashes []uint64) int {
	if p.tree == nil {
		return 0
	}
	return p.tree.held(hashes)
}

// Admit leases need pages, of which as many as possible hold the beginning of prefix already. It
// reports false, and changes nothing, when there is no room.
func (p *Pages) Admit(namespace string, prefix []int32, need int) (l Lease, ok bool) {
	if p.tree == nil {
		return p.AdmitAlone(need)
	}
	held, unlocked := p.tree.peek(namespace, prefix)
	// What this request locks cannot be evicted for it.
	if need > len(p.free)+held+p.tree.evictable-unlocked {
		return Lease{}, false
	}
	l.Table, l.end = p.tree.acquire(namespace, prefix)
	l.Shared = len(l.Table)
	p.take(&l, need)
	return l, true
}

// Beginning finds the page of the tree that continues the shared pages of a lease with most of the
// tokens that follow them, and says how many it begins with: 0 where there is none. A copy of it
// holds what is to be computed of them; until the next batch is computed its content stays, even
// where the page itself is evicted.
func (p *Pages) Beginning(l *Lease, tokens []int32) (page int32, count int) {
	if l.end == nil {
		return 0, 0
	}
	return p.tree.beginning(l.end, tokens)
}

// AdmitAlone is Admit for a request that shares nothing: it takes no pages of the tree and commits
// none.
func (p *Pages) AdmitAlone(need int) (l Lease, ok bool) { return l, p.Grow(&l, need) }

// Grow extends a lease to need pages, where it has fewer. It reports false, and changes nothing,
// when there is no room.
func (p *Pages) Grow(l *Lease, need int) bool {
	if need-len(l.Table) > p.room() {
		return false
	}
	p.take(l, need)
	return true
}

// room counts the pages that are free or can be.
func (p *Pages) room() int {
	if p.tree == nil {
		return len(p.free)
	}
	return len(p.free) + p.tree.evictable
}

// take moves free pages into a lease until it has need, for which there must be room.
func (p *Pages) take(l *Lease, need int) {
	more := need - len(l.Table)
	if more <= 0 {
		return
	}
	if more > len(p.free) {
		freed := p.tree.evict(more - len(p.free))
		p.evicted += len(freed)
		p.free = append(p.free, freed...)
	}
	cut := len(p.free) - more
	l.Table = append(l.Table, p.free[cut:]...)
	p.free = p.free[:cut]
}

// Commit gives the whole pages of tokens, which the request has computed, to the tree, so that
// others can use them at once. Where another request was faster, the lease gives up its duplicates
// and goes on with the tree's pages. A lease that shares nothing commits nothing.
func (p *Pages) Commit(l *Lease, tokens []int32) {
	full := len(tokens) / p.size
	if l.end == nil || full <= l.Shared {
		return
	}
	p.commit(l, tokens[l.Shared*p.size:full*p.size])
}

// commit gives the tree the lease's next pages, which hold those tokens.
func (p *Pages) commit(l *Lease, tokens []int32) {
	full := l.Shared + len(tokens)/p.size
	at, own := p.tree.insert(l.end, tokens, l.Table[l.Shared:full])
	p.free = append(p.free, l.Table[l.Shared:][:len(own)]...)
	copy(l.Table[l.Shared:], own)
	p.tree.lockBelow(l.end, at)
	l.end, l.Shared = at, full
}

// nothing stands in the places of a page that hold no token. No prompt has it.
const nothing = -1

// CommitAll is Commit for a lease that is about to end: a last page that is not whole is given to
// the tree too, unless another begins with the same tokens. No lease shares it, since no prompt
// goes on as it does, but Beginning finds it.
func (p *Pages) CommitAll(l *Lease, tokens []int32) {
	p.Commit(l, tokens)
	if l.end == nil || len(tokens) <= l.Shared*p.size {
		return
	}
	tail := tokens[l.Shared*p.size:]
	if _, known := p.Beginning(l, tail); known == len(tail) {
		return
	}
	page := slices.Repeat([]int32{nothing}, p.size)
	copy(page, tail)
	p.commit(l, page)
}

// Release ends a lease: its own pages are free, those of the tree are kept for others.
func (p *Pages) Release(l *Lease) {
	p.free = append(p.free, l.Table[l.Shared:]...)
	if l.end != nil {
		p.tree.unlock(l.end)
	}
	*l = Lease{}
}

// Flush frees all pages of the tree that no lease holds.
func (p *Pages) Flush() {
	if p.tree != nil {
		p.free = append(p.free, p.tree.evict(p.tree.evictable)...)
	}
}

// Counts are the pages by their place, and those that were evicted so far to make room.
type Counts struct {
	Free, Tree, Private int // Private are those of leases alone
	Locked              int // of Tree, those that leases share
	Evicted             int
}

// Counts counts the pages.
func (p *Pages) Counts() Counts {
	c := Counts{Free: len(p.free), Evicted: p.evicted}
	if p.tree != nil {
		c.Tree, c.Locked = p.tree.evictable+p.tree.protected, p.tree.protected
	}
	c.Private = p.count - c.Free - c.Tree
	return c
}

// Check returns the first broken invariant, given all leases: the tree's own, that every page is in
// exactly one place, and that a lease begins with the tree's pages.
func (p *Pages) Check(leases []*Lease) error {
	owner := make([]string, p.count)
	claim := func(pages []int32, name string) error {
		for _, page := range pages {
			if owner[page] != "" {
				return fmt.Errorf("pages: page %d belongs to %s and to %s", page, owner[page], name)
			}
			owner[page] = name
		}
		return nil
	}
	if err := claim(p.free, "the free list"); err != nil {
		return err
	}
	for i, l := range leases {
		if err := claim(l.Table[l.Shared:], fmt.Sprintf("lease %d", i)); err != nil {
			return err
		}
		if err := l.check(); err != nil {
			return fmt.Errorf("pages: lease %d: %w", i, err)
		}
	}
	if p.tree != nil {
		ends := map[*node]int{}
		for _, l := range leases {
			if l.end != nil {
				ends[l.end]++
			}
		}
		if err := p.tree.check(ends); err != nil {
			return err
		}
		var err error
		p.tree.walk(func(n *node) {
			if e := claim(n.pages, "the tree"); err == nil {
				err = e
			}
		})
		if err != nil {
			return err
		}
	}
	for page, name := range owner {
		if name == "" {
			return fmt.Errorf("pages: page %d is lost", page)
		}
	}
	return nil
}

// check compares a lease's shared pages with the path to its end.
func (l *Lease) check() error {
	at := l.Shared
	for n := l.end; n != nil; n = n.parent {
		if n.locks == 0 {
			return fmt.Errorf("a node of its prefix is not locked")
		}
		for i := len(n.pages) - 1; i >= 0; i-- {
			if at--; at < 0 || l.Table[at] != n.pages[i] {
				return fmt.Errorf("its page %d is not that of the tree", at)
			}
		}
	}
	if at != 0 {
		return fmt.Errorf("the tree has %d of its %d shared pages", l.Shared-at, l.Shared)
	}
	return nil
}
