package pages

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestLeases drives requests that are admitted, compute, commit and end in any order, in a cache
// that is mostly full, and checks after each step all invariants and that what a lease shares is
// what any other request with its prefix would find.
func TestLeases(t *testing.T) {
	for seed := range uint64(40) {
		admitted, refused := playLeases(t, dice{rand.New(rand.NewPCG(seed, 3)), 600}, 1+int(seed%3), seed%5 != 4)
		if admitted < 20 || refused < 5 {
			t.Errorf("%d requests were admitted and %d refused: too few of either", admitted, refused)
		}
	}
}

func FuzzLeases(f *testing.F) {
	f.Add([]byte("admit, compute, commit, release"), uint8(2), true)
	f.Fuzz(func(t *testing.T, choices []byte, size uint8, share bool) {
		playLeases(t, &script{rest: choices}, 1+int(size%4), share)
	})
}

// draws are the choices of a random play: a random number generator, or a script that a fuzzer
// writes, so that it can keep the beginning of a play and change one choice of it.
type draws interface {
	IntN(n int) int
	more(steps int) bool // whether another step follows
}

// dice draw a play of a given number of steps.
type dice struct {
	*rand.Rand
	steps int
}

func (d dice) more(steps int) bool { return steps < d.steps }

// script is a play as bytes, one for each choice; it ends where they end.
type script struct{ rest []byte }

func (s *script) IntN(n int) int {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return int(b) % n
}

func (s *script) more(steps int) bool { return len(s.rest) > 0 && steps < 600 }

// request is one that runs: tokens up to computed are in its pages.
type request struct {
	Lease
	tokens   []int32
	computed int
}

func playLeases(t *testing.T, rng draws, size int, share bool) (admitted, refused int) {
	const count = 24
	p := New(count, size, share)
	var running []*request
	for steps := 0; rng.more(steps); steps++ {
		switch i := rng.IntN(max(1, len(running))); {
		case rng.IntN(3) == 0:
			q := &request{tokens: make([]int32, size*(1+rng.IntN(7))+rng.IntN(size))}
			for i := range q.tokens {
				q.tokens[i] = int32(rng.IntN(2))
			}
			prefix, need := q.tokens[:len(q.tokens)-1], p.For(len(q.tokens))
			held := p.Held(prefix)
			free, tree, evicted := p.Counts()
			lease, ok := p.Admit(prefix, need)
			if !ok {
				refused++
				if f, n, e := p.Counts(); f != free || n != tree || e != evicted || p.Held(prefix) != held {
					t.Fatalf("an admission that failed changed the pages")
				}
				break
			}
			if lease.Shared != held || len(lease.Table) != need {
				t.Fatalf("admitted with %d of %d pages shared, want %d of %d", lease.Shared, len(lease.Table), held, need)
			}
			admitted++
			q.Lease, q.computed = lease, held*size
			running = append(running, q)
		case len(running) == 0:
		case rng.IntN(3) == 0:
			p.Release(&running[i].Lease)
			running = slices.Delete(running, i, i+1)
		default:
			q := running[i]
			q.computed = min(len(q.tokens), q.computed+rng.IntN(3*size))
			p.Commit(&q.Lease, q.tokens[:q.computed])
			if share && q.Shared != max(q.computed/size, q.Shared) {
				t.Fatalf("%d tokens are computed, %d pages of %d shared", q.computed, q.Shared, size)
			}
		}
		var leases []*Lease
		for _, q := range running {
			leases = append(leases, &q.Lease)
			if share && p.Held(q.tokens) < q.Shared {
				t.Fatalf("the tree holds %d pages of a request that shares %d", p.Held(q.tokens), q.Shared)
			}
		}
		if err := p.Check(leases); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range running {
		p.Release(&q.Lease)
	}
	p.Flush()
	if free, tree, _ := p.Counts(); free != count || tree != 0 {
		t.Errorf("%d pages are free and %d in the tree after a flush, of %d", free, tree, count)
	}
	return admitted, refused
}

// TestAdmitFitsWhatEvictionLeaves: a request that would have to evict its own prefix is refused;
// one that takes the last page is not.
func TestAdmitFitsWhatEvictionLeaves(t *testing.T) {
	p := New(6, 1, true)
	l, _ := p.Admit(nil, 4)
	p.Commit(&l, ids(1, 4))
	p.Release(&l) // 4 in the tree, 2 free
	if _, ok := p.Admit(ids(1, 4), 7); ok {
		t.Error("7 pages of 6 were leased")
	}
	other, ok := p.Admit(ids(11, 11), 1)
	if !ok {
		t.Fatal("1 of 2 free pages was refused")
	}
	if _, ok := p.Admit(ids(1, 4), 6); ok {
		t.Error("4 shared and 2 own pages were leased, 1 was free")
	}
	l, ok = p.Admit(ids(1, 2), 5)
	if !ok || l.Shared != 2 {
		t.Fatalf("2 shared, 1 free and 2 evictable pages: %v, %+v", ok, l)
	}
	if err := p.Check([]*Lease{&l, &other}); err != nil {
		t.Error(err)
	}
	if _, _, evicted := p.Counts(); evicted != 2 {
		t.Errorf("%d pages were evicted, want 2", evicted)
	}
}

// TestCommitGivesUpDuplicates: two requests compute the same prefix; the second goes on with the
// first one's pages.
func TestCommitGivesUpDuplicates(t *testing.T) {
	p := New(10, 2, true)
	a, _ := p.Admit(nil, 3)
	b, _ := p.Admit(nil, 4)
	p.Commit(&a, ids(1, 5))
	p.Commit(&b, append(ids(1, 4), 9, 9))
	if !slices.Equal(a.Table[:2], b.Table[:2]) || b.Shared != 3 {
		t.Errorf("tables %v and %v with %d shared pages, want the first two alike and 3", a.Table, b.Table, b.Shared)
	}
	if free, tree, _ := p.Counts(); free != 5 || tree != 3 {
		t.Errorf("%d pages are free and %d in the tree, want 5 and 3", free, tree)
	}
	if err := p.Check([]*Lease{&a, &b}); err != nil {
		t.Error(err)
	}
}

// TestCommitUsesItsWholePath: what a request commits makes all of its prefix recently used, also
// where only a node behind it is new.
func TestCommitUsesItsWholePath(t *testing.T) {
	p := New(4, 1, true)
	long, _ := p.Admit(nil, 2)
	p.Commit(&long, ids(1, 1))
	short, _ := p.Admit(nil, 1)
	p.Commit(&short, ids(11, 11))
	p.Commit(&long, ids(1, 2))
	p.Release(&long)
	evict := func(n int) {
		t.Helper()
		free, _, _ := p.Counts()
		l, ok := p.Admit(nil, free+n)
		if !ok {
			t.Fatalf("%d free pages and %d evicted ones were refused", free, n)
		}
		p.Release(&l)
	}
	evict(1) // the end of the long prefix: the short one is locked
	p.Release(&short)
	evict(1)
	if long, short := p.Held(ids(1, 2)), p.Held(ids(11, 11)); long != 1 || short != 0 {
		t.Errorf("%d pages of the prefix that was used last are left, and %d of the other; want 1 and 0", long, short)
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
		"leaf":           func(p *Pages, _ *Lease) { p.tree.leaves[0].leaf = 0 },
		"missing leaf":   func(p *Pages, _ *Lease) { p.tree.leaves.remove(p.tree.leaves[0]) },
		"key": func(p *Pages, _ *Lease) {
			for _, n := range p.tree.root.children {
				n.tokens[0] = 77
			}
		},
	} {
		p := New(10, 1, true)
		for first := range int32(2) {
			old, _ := p.Admit(nil, 2)
			p.Commit(&old, ids(10*first+50, 10*first+51))
			p.Release(&old)
		}
		l, _ := p.Admit(nil, 4)
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
		if got := New(9, c.size, true).For(c.tokens); got != c.want {
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
		p := New(12, 2, true)
		a, _ := p.Admit(nil, 4)
		p.Commit(&a, []int32{1, 2, 3, 4, 5})
		b, ok := p.Admit([]int32{1, 2, 3, 4, 6}, 4)
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
