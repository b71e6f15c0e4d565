package pages

import (
	"slices"
	"testing"
)

// run of ids from a to b inclusive.
func ids(a, b int32) (out []int32) {
	for ; a <= b; a++ {
		out = append(out, a)
	}
	return out
}

func join(parts ...[]int32) []int32 { return slices.Concat(parts...) }

// store has a request compute tokens and end, and returns how many pages of them were there
// already.
func store(t *testing.T, p *Pages, namespace string, tokens []int32) int {
	t.Helper()
	l, ok := p.Admit(namespace, tokens, p.For(len(tokens)))
	if !ok {
		t.Fatalf("no room for %d tokens: %+v", len(tokens), p.Counts())
	}
	shared := l.Shared
	p.Commit(&l, tokens)
	if err := p.Check([]*Lease{&l}); err != nil {
		t.Fatal(err)
	}
	p.Release(&l)
	return shared
}

// held counts the pages of tokens that are cached, without a trace.
func held(p *Pages, namespace string, tokens []int32) int {
	return p.Held(Hashes(namespace, tokens, p.Size()))
}

// evictPages evicts so many.
func evictPages(t *testing.T, p *Pages, n int) {
	t.Helper()
	l, ok := p.AdmitAlone(p.Counts().Free + n)
	if !ok {
		t.Fatalf("%d pages cannot be evicted: %+v", n, p.Counts())
	}
	p.Release(&l)
}

// TestPrefixes: what is found of stored prefixes, in pages, and how many pages they take together.
func TestPrefixes(t *testing.T) {
	type prefix struct {
		namespace string
		tokens    []int32
	}
	type query struct {
		prefix
		held int // tokens
	}
	plain := func(tokens ...[]int32) prefix { return prefix{"", join(tokens...)} }
	branches := []prefix{plain(ids(1, 8)), plain(ids(1, 2), ids(9, 10))}
	for _, c := range []struct {
		name    string
		size    int
		stored  []prefix
		pages   int
		queries []query
	}{
		{"nothing is stored", 1, nil, 0, []query{{plain(ids(1, 3)), 0}, {plain(), 0}}},
		{"all, the beginning, more than is stored", 1, []prefix{plain(ids(1, 3))}, 3, []query{{plain(ids(1, 3)), 3}, {plain(ids(1, 2)), 2}, {plain(ids(1, 5)), 3}, {plain(ids(2, 3)), 0}, {plain(ids(1, 1), ids(3, 3)), 1}}},
		{"the same twice", 1, []prefix{plain(ids(1, 3)), plain(ids(1, 3))}, 3, []query{{plain(ids(1, 3)), 3}}},
		{"prefixes without a common beginning add up", 1, []prefix{plain(ids(1, 3)), plain(ids(4, 7))}, 7, []query{{plain(ids(1, 3)), 3}, {plain(ids(4, 7)), 4}}},
		{"a longer one goes on where a shorter ends", 1, []prefix{plain(ids(1, 3)), plain(ids(1, 7))}, 7, []query{{plain(ids(1, 7)), 7}, {plain(ids(1, 3)), 3}}},
		{"a shorter one within a longer", 1, []prefix{plain(ids(1, 7)), plain(ids(1, 3))}, 7, []query{{plain(ids(1, 7)), 7}}},
		{"branches", 1, branches, 10, []query{{branches[0], 8}, {branches[1], 4}, {plain(ids(1, 4), ids(98, 99)), 4}, {plain(ids(1, 6), ids(77, 78)), 6}, {plain(ids(1, 2), ids(9, 9), ids(3, 3)), 3}, {plain(ids(2, 8)), 0}}},
		{"branches in pages of two", 2, branches, 5, []query{{branches[0], 8}, {branches[1], 4}, {plain(ids(1, 4), ids(98, 99)), 4}, {plain(ids(1, 5)), 4}, {plain(ids(2, 8)), 0}}},
		{"branches of branches", 1, []prefix{plain(ids(1, 6)), plain(ids(1, 4), ids(9, 9)), plain(ids(1, 2), ids(8, 8)), plain(ids(1, 4), ids(9, 9), ids(7, 7))}, 9, []query{{plain(ids(1, 6)), 6}, {plain(ids(1, 4), ids(9, 9), ids(7, 7)), 6}, {plain(ids(1, 2), ids(8, 8), ids(8, 8)), 3}}},
		{"whole pages: 5 tokens by 1", 1, []prefix{plain(ids(1, 5))}, 5, []query{{plain(ids(1, 5)), 5}}},
		{"whole pages: 5 tokens by 2", 2, []prefix{plain(ids(1, 5))}, 2, []query{{plain(ids(1, 5)), 4}, {plain(ids(1, 3)), 2}, {plain(ids(1, 1)), 0}}},
		{"whole pages: 6 tokens by 4", 4, []prefix{plain(ids(1, 6))}, 1, []query{{plain(ids(1, 6)), 4}, {plain(ids(1, 3)), 0}}},
		{"a page counts whole or not at all", 4, []prefix{plain(ids(1, 4)), plain(ids(1, 3), ids(9, 9))}, 2, []query{{plain(ids(1, 4)), 4}, {plain(ids(1, 3), ids(9, 9)), 4}, {plain(ids(1, 3), ids(8, 8)), 0}}},
		{"the same page again is another prefix", 2, []prefix{plain(ids(1, 2), ids(1, 2), ids(1, 2))}, 3, []query{{plain(ids(1, 2), ids(1, 2)), 4}, {plain(ids(1, 2), ids(1, 2), ids(1, 2), ids(1, 2)), 6}}},
		{"namespaces share nothing", 1, []prefix{{"", ids(1, 3)}, {"a", ids(1, 5)}, {"b", ids(1, 5)}}, 13, []query{{plain(ids(1, 5)), 3}, {prefix{"a", ids(1, 5)}, 5}, {prefix{"c", ids(1, 5)}, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewShared(40, c.size, LRU)
			for _, s := range c.stored {
				want := held(p, s.namespace, s.tokens)
				before := p.Counts().Tree
				if got := store(t, p, s.namespace, s.tokens); got != want {
					t.Errorf("%d pages of %v were there, the hashes say %d", got, s, want)
				}
				if got, want := p.Counts().Tree-before, len(s.tokens)/c.size-want; got != want {
					t.Errorf("%v added %d pages, expected %d", s, got, want)
				}
			}
			for _, q := range c.queries {
				if got := held(p, q.namespace, q.tokens) * c.size; got != q.held {
					t.Errorf("%v: %d tokens are held, expected %d", q.prefix, got, q.held)
				}
				// A request finds as much, and splits an edge where it ends.
				l, _ := p.Admit(q.namespace, q.tokens, 0)
				if l.Shared*c.size != q.held {
					t.Errorf("%v: a request shares %d tokens, expected %d", q.prefix, l.Shared*c.size, q.held)
				}
				if got := p.Counts(); got.Locked != l.Shared {
					t.Errorf("%v: %+v with a lease that shares %d pages", q.prefix, got, l.Shared)
				}
				p.Release(&l)
				if err := p.Check(nil); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := p.Counts(), (Counts{Free: 40 - c.pages, Tree: c.pages}); got != want {
				t.Errorf("found %+v, expected %+v", got, want)
			}
			p.Flush()
			if got, want := p.Counts(), (Counts{Free: 40}); got != want {
				t.Errorf("after a flush %+v, expected %+v", got, want)
			}
		})
	}
}

// TestSharesNothing: a cache without a tree and a lease that is alone leave nothing and find
// nothing.
func TestSharesNothing(t *testing.T) {
	p := New(10, 1)
	if got := store(t, p, "", ids(1, 3)) + store(t, p, "", ids(1, 3)) + held(p, "", ids(1, 3)); got != 0 {
		t.Errorf("a cache without a tree held %d pages", got)
	}
	p = NewShared(10, 1, LRU)
	store(t, p, "", ids(1, 3))
	l, ok := p.AdmitAlone(4)
	p.Commit(&l, ids(1, 4))
	if got, want := p.Counts(), (Counts{Free: 3, Tree: 3, Private: 4}); !ok || got != want || held(p, "", ids(1, 4)) != 3 {
		t.Errorf("found %+v, expected %+v", got, want)
	}
}

// TestLocksCountPages: a lease protects its prefix and nothing behind it, wherever edges are split.
func TestLocksCountPages(t *testing.T) {
	p := NewShared(10, 1, LRU)
	store(t, p, "", ids(1, 6))
	l, _ := p.Admit("", ids(1, 3), 3)
	locked := func(want int) {
		t.Helper()
		if got := p.Counts(); got.Locked != want || got.Tree != 6 {
			t.Errorf("%+v, expected 6 pages of which %d are locked", got, want)
		}
	}
	locked(3)
	for _, end := range []int32{2, 5, 3} { // above and below the lock, and at it
		split, _ := p.Admit("", ids(1, end), 0)
		p.Release(&split)
		locked(3)
	}
	if p.Flush(); held(p, "", ids(1, 6)) != 3 {
		t.Errorf("%d pages are left by a flush, expected the 3 that are locked", held(p, "", ids(1, 6)))
	}
	again := l
	p.Release(&l)
	if p.Flush(); p.Counts().Free != 10 {
		t.Errorf("%+v after the release", p.Counts())
	}
	defer func() {
		if recover() == nil {
			t.Error("a second release of one lease went unnoticed")
		}
	}()
	p.Release(&again)
}

// TestEvictions: which prefixes each order leaves when pages are evicted one after another.
func TestEvictions(t *testing.T) {
	a, b, c := ids(1, 3), ids(11, 12), ids(21, 21)
	use := func(p *Pages, tokens []int32) { store(t, p, "", tokens) }
	plays := map[string]func(p *Pages){
		"in turn":         func(p *Pages) { use(p, a); use(p, b); use(p, c) },
		"the first again": func(p *Pages) { use(p, a); use(p, b); use(p, c); use(p, a) },
		"the first twice again": func(p *Pages) {
			use(p, a)
			use(p, b)
			use(p, c)
			use(p, a)
			use(p, a)
			use(p, b)
		},
		"a beginning twice again": func(p *Pages) {
			use(p, a)
			use(p, b)
			use(p, a[:1])
			use(p, a[:1])
			use(p, c)
			use(p, c)
		},
		"two kept, one of them old": func(p *Pages) {
			use(p, a)
			use(p, a)
			use(p, a)
			use(p, b)
			use(p, b)
			use(p, b)
			use(p, c)
		},
	}
	for _, test := range []struct {
		play  string
		order Eviction
		left  [][3]int // pages of a, b and c, after 1, 2, … evictions
	}{
		{"in turn", LRU, [][3]int{{2, 2, 1}, {1, 2, 1}, {0, 2, 1}, {0, 1, 1}, {0, 0, 1}, {0, 0, 0}}},
		{"in turn", LFU, [][3]int{{2, 2, 1}, {1, 2, 1}, {0, 2, 1}, {0, 1, 1}, {0, 0, 1}, {0, 0, 0}}},
		{"in turn", SLRU, [][3]int{{2, 2, 1}, {1, 2, 1}, {0, 2, 1}, {0, 1, 1}, {0, 0, 1}, {0, 0, 0}}},
		{"the first again", LRU, [][3]int{{3, 1, 1}, {3, 0, 1}, {3, 0, 0}, {2, 0, 0}}},
		{"the first again", LFU, [][3]int{{3, 1, 1}, {3, 0, 1}, {3, 0, 0}, {2, 0, 0}}},
		{"the first twice again", LRU, [][3]int{{3, 2, 0}, {2, 2, 0}, {1, 2, 0}, {0, 2, 0}}},
		{"the first twice again", LFU, [][3]int{{3, 2, 0}, {3, 1, 0}, {3, 0, 0}, {2, 0, 0}}},
		{"the first twice again", SLRU, [][3]int{{3, 2, 0}, {3, 1, 0}, {3, 0, 0}, {2, 0, 0}}},
		{"a beginning twice again", LRU, [][3]int{{2, 2, 1}, {1, 2, 1}, {1, 1, 1}, {1, 0, 1}, {0, 0, 1}}},
		{"a beginning twice again", LFU, [][3]int{{2, 2, 1}, {1, 2, 1}, {1, 1, 1}, {1, 0, 1}, {1, 0, 0}}},
		{"a beginning twice again", SLRU, [][3]int{{2, 2, 1}, {1, 2, 1}, {1, 1, 1}, {1, 0, 1}, {1, 0, 0}}},
		{"two kept, one of them old", LRU, [][3]int{{2, 2, 1}, {1, 2, 1}, {0, 2, 1}, {0, 1, 1}}},
		{"two kept, one of them old", SLRU, [][3]int{{3, 2, 0}, {2, 2, 0}, {1, 2, 0}, {0, 2, 0}, {0, 1, 0}}},
	} {
		p := NewShared(20, 1, test.order)
		plays[test.play](p)
		for i, want := range test.left {
			evictPages(t, p, 1)
			if got := [3]int{held(p, "", a), held(p, "", b), held(p, "", c)}; got != want {
				t.Errorf("%s, %s: pages %v are left after %d evictions, expected %v", test.play, test.order, got, i+1, want)
			}
		}
		if got := p.Counts().Evicted; got != len(test.left) {
			t.Errorf("%s, %s: %d evictions are counted, expected %d", test.play, test.order, got, len(test.left))
		}
	}
	for _, e := range Evictions() {
		if err := e.Check(); err != nil {
			t.Error(err)
		}
	}
	if err := Eviction("fifo").Check(); err == nil || err.Error() != `pages: eviction "fifo", expected one of lru, lfu, slru` {
		t.Error(err)
	}
}

// TestSplitsInherit: the part before a split has the hits and the locks of the whole edge.
func TestSplitsInherit(t *testing.T) {
	p := NewShared(20, 1, LFU)
	store(t, p, "a", ids(1, 4))
	store(t, p, "a", ids(1, 4))
	long, _ := p.Admit("a", ids(1, 4), 4)
	short, _ := p.Admit("a", ids(1, 1), 1)
	want := []Node{{"a", 0, ids(1, 1), 1, 2, 3, p.tree.clock}, {"a", 1, ids(2, 4), 3, 1, 2, p.tree.clock - 1}}
	if got := p.Tree(9).Nodes; !slices.EqualFunc(got, want, equalNodes) {
		t.Errorf("found %+v, expected %+v", got, want)
	}
	if err := p.Check([]*Lease{&long, &short}); err != nil {
		t.Error(err)
	}
}

func equalNodes(a, b Node) bool {
	tokens := slices.Equal(a.Tokens, b.Tokens)
	a.Tokens, b.Tokens = nil, nil
	return tokens && a.Namespace == b.Namespace && a.Depth == b.Depth && a.Pages == b.Pages && a.Locks == b.Locks && a.Hits == b.Hits && a.Used == b.Used
}

// TestTree: the nodes are listed by namespace and tokens, parents first, and those beyond the limit
// are counted.
func TestTree(t *testing.T) {
	p := NewShared(40, 2, LRU)
	store(t, p, "b", ids(1, 2))
	store(t, p, "", join(ids(5, 6), ids(1, 4)))
	store(t, p, "", join(ids(5, 6), ids(9, 10)))
	store(t, p, "", ids(1, 2))
	want := []Node{
		{"", 0, ids(1, 2), 1, 0, 0, 7}, {"", 0, ids(5, 6), 1, 0, 1, 6}, {"", 1, ids(1, 4), 2, 0, 0, 4}, {"", 1, ids(9, 10), 1, 0, 0, 6},
		{"b", 0, ids(1, 2), 1, 0, 0, 2},
	}
	for most := range 7 {
		got := p.Tree(most)
		n := min(most, len(want))
		for i := range got.Nodes {
			got.Nodes[i].Used, want[i].Used = 0, 0
		}
		if !slices.EqualFunc(got.Nodes, want[:n], equalNodes) || got.LeftOut != len(want)-n || got.Clock != p.tree.clock {
			t.Errorf("at most %d: found %+v, expected %+v", most, got, want[:n])
		}
	}
	if got := New(9, 1).Tree(9); len(got.Nodes) != 0 {
		t.Errorf("a cache without a tree has %+v", got)
	}
}

// TestTreeOfBeforeStays: what is stored where a prefix was evicted does not show in a Tree that was
// taken before.
func TestTreeOfBeforeStays(t *testing.T) {
	p := NewShared(8, 2, LRU)
	first, second := ids(1, 8), join(ids(1, 4), ids(50, 51))
	a, ok := p.Admit("", nil, 4)
	b, fits := p.Admit("", nil, 3)
	if !ok || !fits {
		t.Fatal("no room")
	}
	p.Commit(&a, first)
	p.Release(&a)
	tree := p.Tree(10)
	if _, ok := p.AdmitAlone(3); !ok {
		t.Fatal("no room")
	}
	p.Commit(&b, second[:4])
	p.Commit(&b, second)
	if got := tree.Nodes[0].Tokens; !slices.Equal(got, first) {
		t.Errorf("the tree of before has %d, expected %d", got, first)
	}
}

// TestHashes: a page's hash is that of all before it and of the namespace.
func TestHashes(t *testing.T) {
	h := Hashes("", join(ids(1, 4), ids(1, 4)), 4)
	if len(h) != 2 || h[0] == h[1] {
		t.Errorf("the same page twice has the hashes %x", h)
	}
	if other := Hashes("", join(ids(1, 4), ids(1, 3)), 4); len(other) != 1 || other[0] != h[0] {
		t.Errorf("the same beginning has the hashes %x and %x", h, other)
	}
	if other := Hashes("a", ids(1, 4), 4); other[0] == h[0] {
		t.Errorf("two namespaces have the hash %x", h[0])
	}
}

// TestManyBranches: ten thousand prefixes that begin alike take the pages of their common beginning
// once.
func TestManyBranches(t *testing.T) {
	const branches, common = 10_000, 10_000
	p := NewShared(common+branches, 1, LRU)
	stem := make([]int32, common+1)
	for i := range int32(branches) {
		stem[common] = i
		l, ok := p.Admit("", stem, len(stem))
		if !ok {
			t.Fatalf("no room for branch %d: %+v", i, p.Counts())
		}
		p.Commit(&l, stem)
		p.Release(&l)
	}
	if got := p.Counts().Tree; got != common+branches {
		t.Errorf("the tree has %d pages, expected %d", got, common+branches)
	}
	if err := p.Check(nil); err != nil {
		t.Error(err)
	}
}
