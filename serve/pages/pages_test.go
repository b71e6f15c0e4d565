package pages

import (
	"slices"
	"strings"
	"testing"
)

// TestAdmitFitsWhatEvictionLeaves: a request that would have to evict its own prefix is refused;
// one that takes the last page is not.
func TestAdmitFitsWhatEvictionLeaves(t *testing.T) {
	p := NewShared(6, 1, LRU)
	l, _ := p.Admit("", nil, 4)
	p.Commit(&l, ids(1, 4))
	p.Release(&l) // 4 in the tree, 2 free
	if _, ok := p.Admit("", ids(1, 4), 7); ok {
		t.Error("7 pages of 6 were leased")
	}
	other, ok := p.Admit("", ids(11, 11), 1)
	if !ok {
		t.Fatal("1 of 2 free pages was refused")
	}
	if _, ok := p.Admit("", ids(1, 4), 6); ok {
		t.Error("4 shared and 2 own pages were leased, 1 was free")
	}
	l, ok = p.Admit("", ids(1, 2), 5)
	if !ok || l.Shared != 2 {
		t.Fatalf("2 shared, 1 free and 2 evictable pages: %v, %+v", ok, l)
	}
	if err := p.Check([]*Lease{&l, &other}); err != nil {
		t.Error(err)
	}
	if evicted := p.Counts().Evicted; evicted != 2 {
		t.Errorf("%d pages were evicted, want 2", evicted)
	}
}

// TestCommitGivesUpDuplicates: two requests compute the same prefix; the second goes on with the
// first one's pages.
func TestCommitGivesUpDuplicates(t *testing.T) {
	p := NewShared(10, 2, LRU)
	a, _ := p.Admit("", nil, 3)
	b, _ := p.Admit("", nil, 4)
	p.Commit(&a, ids(1, 5))
	p.Commit(&b, append(ids(1, 4), 9, 9))
	if !slices.Equal(a.Table[:2], b.Table[:2]) || b.Shared != 3 {
		t.Errorf("tables %v and %v with %d shared pages, want the first two alike and 3", a.Table, b.Table, b.Shared)
	}
	if got, want := p.Counts(), (Counts{Free: 5, Tree: 3, Private: 2, Locked: 3}); got != want {
		t.Errorf("found %+v, expected %+v", got, want)
	}
	if err := p.Check([]*Lease{&a, &b}); err != nil {
		t.Error(err)
	}
}

// TestCommitUsesItsWholePath: what a request commits makes all of its prefix recently used, also
// where only a node behind it is new.
func TestCommitUsesItsWholePath(t *testing.T) {
	p := NewShared(4, 1, LRU)
	long, _ := p.Admit("", nil, 2)
	p.Commit(&long, ids(1, 1))
	short, _ := p.Admit("", nil, 1)
	p.Commit(&short, ids(11, 11))
	p.Commit(&long, ids(1, 2))
	p.Release(&long)
	evict := func(n int) {
		t.Helper()
		free := p.Counts().Free
		l, ok := p.Admit("", nil, free+n)
		if !ok {
			t.Fatalf("%d free pages and %d evicted ones were refused", free, n)
		}
		p.Release(&l)
	}
	evict(1) // the end of the long prefix: the short one is locked
	p.Release(&short)
	evict(1)
	if long, short := held(p, "", ids(1, 2)), held(p, "", ids(11, 11)); long != 1 || short != 0 {
		t.Errorf("%d pages of the prefix that was used last are left, and %d of the other; want 1 and 0", long, short)
	}
}

// TestGrowsInPlace: a text that grows page by page is one node, until another request shares a part
// of it.
func TestGrowsInPlace(t *testing.T) {
	p := NewShared(20, 2, LRU)
	l, _ := p.Admit("", nil, 10)
	for n := int32(1); n <= 9; n++ {
		p.Commit(&l, ids(1, n))
	}
	if tree := p.Tree(9); len(tree.Nodes) != 1 || tree.Nodes[0].Pages != 4 {
		t.Errorf("after 9 tokens: %+v, expected one node of 4 pages", tree)
	}
	other, _ := p.Admit("", ids(1, 5), 3)
	p.Commit(&l, ids(1, 10))
	p.Commit(&l, ids(1, 12))
	if tree := p.Tree(9); len(tree.Nodes) != 2 || tree.Nodes[0].Pages != 2 || tree.Nodes[1].Pages != 4 {
		t.Errorf("after a request for 5 of them and 3 more: %+v, expected nodes of 2 and of 4 pages", tree)
	}
	if err := p.Check([]*Lease{&l, &other}); err != nil {
		t.Error(err)
	}
}

// TestCheckFinds: each invariant, broken by hand, is reported.
func TestCheckFinds(t *testing.T) {
	for name, spoil := range map[string]func(p *Pages, l *Lease){
		"lost page":      func(p *Pages, _ *Lease) { p.free = p.free[1:] },
		"page twice":     func(p *Pages, l *Lease) { p.free = append(p.free, l.Table[l.Shared]) },
		"foreign prefix": func(_ *Pages, l *Lease) { l.Table[0], l.Table[1] = l.Table[1], l.Table[0] },
		"count":          func(p *Pages, _ *Lease) { p.tree.evictable++ },
		"unlocked":       func(p *Pages, l *Lease) { p.tree.unlock(l.end) },
		"leaf":           func(p *Pages, _ *Lease) { p.tree.leaves.nodes[0].leaf = 0 },
		"missing leaf":   func(p *Pages, _ *Lease) { p.tree.leaves.remove(p.tree.leaves.nodes[0]) },
		"hits":           func(p *Pages, l *Lease) { l.end.parent.hits, l.end.hits = 0, 1 },
		"last use":       func(p *Pages, l *Lease) { l.end.used = p.tree.clock + 1 },
		"hash":           func(p *Pages, l *Lease) { l.end.hashes[0]++ },
		"lost hash":      func(p *Pages, l *Lease) { delete(p.tree.hashes, l.end.hashes[0]) },
		"foreign hash":   func(p *Pages, _ *Lease) { p.tree.hashes[1] = struct{}{} },
		"lock":           func(_ *Pages, l *Lease) { l.end.parent.locks++ },
		"root":           func(p *Pages, _ *Lease) { p.tree.root("nobody") },
		"key": func(p *Pages, _ *Lease) {
			for _, n := range p.tree.roots[""].children {
				n.tokens[0] = 77
			}
		},
	} {
		p := NewShared(10, 1, LRU)
		for first := range int32(2) {
			old, _ := p.Admit("", nil, 2)
			p.Commit(&old, ids(10*first+50, 10*first+51))
			p.Release(&old)
		}
		l, _ := p.Admit("", nil, 4)
		p.Commit(&l, ids(1, 2))
		other, _ := p.Admit("", ids(1, 2), 2) // whose hit keeps the next page out of the node
		p.Release(&other)
		p.Commit(&l, ids(1, 3))
		if err := p.Check([]*Lease{&l}); err != nil {
			t.Fatal(err)
		}
		if spoil(p, &l); p.Check([]*Lease{&l}) == nil {
			t.Errorf("%s: not reported", name)
		}
	}
}

// TestFor: a page more for each token that begins one.
func TestFor(t *testing.T) {
	for _, c := range []struct{ size, tokens, want int }{{4, 0, 0}, {4, 1, 1}, {4, 4, 1}, {4, 5, 2}, {4, 8, 2}, {1, 7, 7}, {16, 33, 3}} {
		if got := New(9, c.size).For(c.tokens); got != c.want {
			t.Errorf("%d tokens take %d pages of %d, expected %d", c.tokens, got, c.size, c.want)
		}
	}
}

// TestCheckFindsDamage: each way in which the pages of two leases, one of which shares a prefix,
// can be wrong is found; without damage nothing is.
func TestCheckFindsDamage(t *testing.T) {
	for what, c := range map[string]struct {
		damage func(p *Pages, a, b *Lease)
		want   string
	}{
		"none":                      {func(*Pages, *Lease, *Lease) {}, ""},
		"a page is free twice":      {func(p *Pages, _, _ *Lease) { p.free = append(p.free, p.free[0]) }, "belongs to the free list and to the free list"},
		"a leased page is free":     {func(p *Pages, _, b *Lease) { p.free = append(p.free, b.Table[len(b.Table)-1]) }, "belongs to the free list and to lease 1"},
		"a page of the tree is":     {func(p *Pages, a, _ *Lease) { p.free = append(p.free, a.Table[0]) }, "belongs to the free list and to the tree"},
		"two leases have a page":    {func(_ *Pages, a, b *Lease) { b.Table[len(b.Table)-1] = a.Table[len(a.Table)-1] }, "belongs to lease 0 and to lease 1"},
		"a page is lost":            {func(p *Pages, _, _ *Lease) { p.free = p.free[1:] }, "is lost"},
		"a shared page is another":  {func(_ *Pages, a, _ *Lease) { a.Table[0], a.Table[1] = a.Table[1], a.Table[0] }, "lease 0: its page 1 is not that of the tree"},
		"the prefix is not locked":  {func(_ *Pages, a, _ *Lease) { a.end.locks = 0 }, "is not locked"},
		"the tree counts too many":  {func(p *Pages, _, _ *Lease) { p.tree.evictable++ }, "tree counts"},
		"a lease shares what is no": {func(p *Pages, a, _ *Lease) { p.free = append(p.free, a.Table[a.Shared]); a.Shared++ }, "its page 2 is not that of the tree"},
	} {
		p := NewShared(12, 2, LRU)
		a, _ := p.Admit("", nil, 4)
		p.Commit(&a, []int32{1, 2, 3, 4, 5})
		b, ok := p.Admit("", []int32{1, 2, 3, 4, 6}, 4)
		if !ok || a.Shared != 2 || b.Shared != 2 {
			t.Fatalf("%d and %d pages are shared", a.Shared, b.Shared)
		}
		c.damage(p, &a, &b)
		err := p.Check([]*Lease{&a, &b})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, expected %q", what, err, c.want)
		}
	}
}

// TestCommitAll: a last page that is not whole is found by those that begin as it does, shared by
// none, and not kept twice.
func TestCommitAll(t *testing.T) {
	p := NewShared(10, 4, LRU)
	admit := func(tokens []int32) Lease {
		t.Helper()
		l, ok := p.Admit("", tokens, p.For(len(tokens)))
		if !ok {
			t.Fatal("no room")
		}
		return l
	}
	end := func(l Lease, tokens []int32) {
		t.Helper()
		p.CommitAll(&l, tokens)
		if err := p.Check([]*Lease{&l}); err != nil {
			t.Fatal(err)
		}
		p.Release(&l)
		if err := p.Check(nil); err != nil {
			t.Fatal(err)
		}
	}
	six := []int32{1, 2, 3, 4, 5, 6}
	l := admit(six)
	page := l.Table[1]
	end(l, six)
	if c := p.Counts(); c.Tree != 2 || c.Free != 8 {
		t.Errorf("%+v, expected 2 pages in the tree", c)
	}
	for _, next := range []struct {
		tokens       []int32
		shared, more int
	}{{six, 1, 2}, {six[:5], 1, 1}, {[]int32{1, 2, 3, 4, 5, 7, 8}, 1, 1}, {[]int32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 2}, {[]int32{1, 2, 3, 4, 9}, 1, 0}, {[]int32{7}, 0, 0}} {
		l := admit(next.tokens)
		found, more := p.Beginning(&l, next.tokens[l.Shared*4:])
		if l.Shared != next.shared || more != next.more || more > 0 && found != page {
			t.Errorf("%v: %d pages are shared, page %d begins with %d more, expected %d and %d", next.tokens, l.Shared, found, more, next.shared, next.more)
		}
		p.Release(&l)
	}
	end(admit(six), six) // the same again
	end(admit(six[:5]), six[:5])
	if c := p.Counts(); c.Tree != 2 {
		t.Errorf("%+v, expected 2 pages in the tree", c)
	}
	seven := append(six, 7)
	end(admit(seven), seven)
	if c := p.Counts(); c.Tree != 3 {
		t.Errorf("%+v, expected 3 pages in the tree", c)
	}
	held := 0
	for _, n := range p.Tree(9).Nodes {
		held += len(n.Tokens)
	}
	if held != 4+2+3 {
		t.Errorf("%d tokens are in the tree, expected 9", held)
	}
	p.Flush()
	if c := p.Counts(); c.Free != 10 {
		t.Errorf("%+v, expected 10 free pages", c)
	}
}
