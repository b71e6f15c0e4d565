// Package pages accounts for the pages of a KV cache: which are free, which belong to one request,
// and which hold a prefix that requests share.
//
// A request is admitted with all the pages that it can come to need, so that it never has to stop
// for want of one. What it has computed it commits page by page; committed pages belong to a radix
// tree of prefixes, from where later requests take them. Pages that no request uses stay in the
// tree until room is needed: then the least recently used prefixes are evicted, from their ends.
//
// The package promises that a page is in one place at any time, that the pages of an admitted
// request are never taken from it, and that a call that reports false has changed nothing. It knows
// page numbers and token ids, not what is in the pages. It is not safe for concurrent use.
package pages

import "fmt"

// Pages is the accounting of one cache.
type Pages struct {
	size, count int
	free        []int32
	tree        *radix // nil where prefixes are not shared
	evicted     int
}

// New accounts for count free pages of size tokens. With share, committed prefixes are kept and
// shared.
func New(count, size int, share bool) *Pages {
	p := &Pages{size: size, count: count}
	for page := count - 1; page >= 0; page-- {
		p.free = append(p.free, int32(page))
	}
	if share {
		p.tree = newRadix(size)
	}
	return p
}

// Lease is the pages of one request. The zero value holds none.
type Lease struct {
	Table  []int32 // page numbers by position: first the tree's, then the request's own
	Shared int     // leading pages that belong to the tree
	end    *node   // where the shared prefix ends in the tree; locked
}

// Size is the number of tokens of a page.
func (p *Pages) Size() int { return p.size }

// For is the number of pages that so many tokens take.
func (p *Pages) For(tokens int) int { return (tokens + p.size - 1) / p.size }

// Shares reports whether committed prefixes are kept and shared.
func (p *Pages) Shares() bool { return p.tree != nil }

// Held counts the leading whole pages of tokens that the tree holds. It changes nothing.
func (p *Pages) Held(tokens []int32) int {
	if p.tree == nil {
		return 0
	}
	held, _ := p.tree.peek(tokens)
	return held
}

// Admit leases need pages, of which as many as possible hold the beginning of prefix already. It
// reports false, and changes nothing, when there is no room.
func (p *Pages) Admit(prefix []int32, need int) (l Lease, ok bool) {
	room := len(p.free)
	if p.tree != nil {
		held, unlocked := p.tree.peek(prefix)
		// What this request locks cannot be evicted for it.
		room += held + p.tree.evictable - unlocked
	}
	if need > room {
		return Lease{}, false
	}
	if p.tree != nil {
		l.Table, l.end = p.tree.match(prefix)
		l.Shared = len(l.Table)
		p.tree.lock(l.end)
		p.evict(need - l.Shared - len(p.free))
	}
	cut := len(p.free) - (need - l.Shared)
	l.Table = append(l.Table, p.free[cut:]...)
	p.free = p.free[:cut]
	return l, true
}

// Commit gives the whole pages of tokens, which the request has computed, to the tree, so that
// others can use them at once. Where another request was faster, the lease gives up its duplicates
// and goes on with the tree's pages.
func (p *Pages) Commit(l *Lease, tokens []int32) {
	full := len(tokens) / p.size
	if p.tree == nil || full <= l.Shared {
		return
	}
	at, own := p.tree.insert(l.end, tokens[l.Shared*p.size:full*p.size], l.Table[l.Shared:full])
	p.free = append(p.free, l.Table[l.Shared:][:len(own)]...)
	copy(l.Table[l.Shared:], own)
	p.tree.lockBelow(l.end, at)
	l.end, l.Shared = at, full
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

func (p *Pages) evict(want int) {
	if want > 0 {
		freed := p.tree.evict(want)
		p.evicted += len(freed)
		p.free = append(p.free, freed...)
	}
}

// Counts says how many pages are free, how many are in the tree, and how many were evicted so far
// to make room.
func (p *Pages) Counts() (free, tree, evicted int) {
	if p.tree != nil {
		tree = p.tree.evictable + p.tree.protected
	}
	return len(p.free), tree, p.evicted
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
		if err := l.check(p.tree); err != nil {
			return fmt.Errorf("pages: lease %d: %w", i, err)
		}
	}
	if p.tree != nil {
		if err := p.tree.check(); err != nil {
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
func (l *Lease) check(r *radix) error {
	at := l.Shared
	for n := l.end; n != nil && n != r.root; n = n.parent {
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
