package pages

import (
	"fmt"
	"math/rand/v2"
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

// put inserts tokens with fresh page numbers from *next on and returns how many pages were there
// already.
func put(t *testing.T, r *radix, next *int32, tokens []int32) int {
	t.Helper()
	full := len(tokens) / r.pageSize
	pages := ids(*next, *next+int32(full)-1)
	*next += int32(full)
	_, own := r.insert(r.root, tokens[:full*r.pageSize], pages)
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	return len(own)
}

func TestRadixSplitsAndMatches(t *testing.T) {
	for _, page := range []int{1, 2} {
		r, next := newRadix(page), int32(0)
		if held := put(t, r, &next, ids(1, 8)); held != 0 {
			t.Fatalf("page %d: an empty tree held %d pages", page, held)
		}
		put(t, r, &next, join(ids(1, 2), ids(9, 10)))
		total := (8 + 2) / page
		cases := []struct {
			query []int32
			want  int // tokens
		}{
			{ids(1, 8), 8},
			{join(ids(1, 2), ids(9, 10)), 4},
			{join(ids(1, 4), ids(999, 1000)), 4},
			{join(ids(1, 6), ids(777, 888)[:2]), 6},
			{ids(2, 8), 0},
			{nil, 0},
		}
		for _, c := range cases {
			pages, _ := r.match(c.query)
			if len(pages)*page != c.want {
				t.Errorf("page %d: match of %v is %d tokens, want %d", page, c.query, len(pages)*page, c.want)
			}
			if err := r.check(); err != nil {
				t.Fatal(err)
			}
			if r.evictable != total {
				t.Errorf("page %d: a match changed the size to %d pages, want %d", page, r.evictable, total)
			}
		}
	}
}

func TestRadixLocksCountPages(t *testing.T) {
	r, next := newRadix(1), int32(0)
	put(t, r, &next, ids(1, 6))
	_, at := r.match(ids(1, 3))
	r.lock(at)
	if r.evictable != 3 || r.protected != 3 {
		t.Fatalf("locking 3 of 6 pages leaves %d evictable, %d protected", r.evictable, r.protected)
	}
	// A split above and below a lock changes nothing that can be seen.
	r.match(ids(1, 2))
	r.match(ids(1, 5))
	if r.evictable != 3 || r.protected != 3 {
		t.Fatalf("splits changed the counts to %d evictable, %d protected", r.evictable, r.protected)
	}
	if freed := r.evict(100); len(freed) != 3 {
		t.Fatalf("eviction freed %v, want the 3 unlocked pages", freed)
	}
	r.unlock(at)
	if freed := r.evict(100); len(freed) != 3 || r.evictable+r.protected != 0 {
		t.Fatalf("eviction after unlock freed %v", freed)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second unlock went unnoticed")
		}
	}()
	put(t, r, &next, ids(1, 2))
	_, at = r.match(ids(1, 2))
	r.unlock(at)
}

func TestRadixEvictsTheLeastRecentlyUsedFromItsEnd(t *testing.T) {
	r, next := newRadix(1), int32(0)
	put(t, r, &next, ids(1, 4))   // pages 0-3
	put(t, r, &next, ids(11, 14)) // pages 4-7
	r.match(ids(1, 4))
	if freed := r.evict(2); !slices.Equal(freed, []int32{6, 7}) {
		t.Fatalf("evicted pages %v, want 6 and 7, the end of the older sequence", freed)
	}
	if pages, _ := r.match(ids(11, 14)); len(pages) != 2 {
		t.Errorf("the trimmed sequence matches %d pages, want 2", len(pages))
	}
}

// TestRadixAgainstNaiveModel drives random operations and compares with a map from each cached
// prefix to its page.
func TestRadixAgainstNaiveModel(t *testing.T) {
	for seed := range uint64(30) {
		playRadix(t, dice{rand.New(rand.NewPCG(seed, 1)), 400}, 1+int(seed%3))
	}
}

func FuzzRadix(f *testing.F) {
	f.Add([]byte("insert, match, lock, evict"), uint8(2))
	f.Fuzz(func(t *testing.T, choices []byte, page uint8) { playRadix(t, &script{rest: choices}, 1+int(page%4)) })
}

func playRadix(t *testing.T, rng draws, page int) {
	r := newRadix(page)
	cached := map[string]int32{} // every page-aligned cached prefix → its last page
	type pin struct {
		at     *node
		tokens []int32
	}
	var pins []pin
	next := int32(0)
	draw := func() []int32 {
		s := make([]int32, page*(1+rng.IntN(6))+rng.IntN(page))
		for i := range s {
			s[i] = int32(rng.IntN(2))
		}
		return s
	}
	key := func(s []int32, pages int) string { return fmt.Sprint(s[:pages*page]) }
	for steps := 0; rng.more(steps); steps++ {
		switch s := draw(); rng.IntN(5) {
		case 0, 1:
			full := len(s) / page
			pages := ids(next, next+int32(full)-1)
			next += int32(full)
			// From any node on the way the rest is inserted alike.
			from := rng.IntN(full + 1)
			above, at := r.match(s[:from*page])
			_, own := r.insert(at, s[len(above)*page:full*page], pages[len(above):])
			held := len(above) + len(own)
			for n := 1; n <= full; n++ {
				if _, ok := cached[key(s, n)]; ok != (n <= held) {
					t.Fatalf("insert says %d pages were held; page %d is cached: %v", held, n, ok)
				}
				if n > held {
					cached[key(s, n)] = pages[n-1]
				}
			}
		case 2:
			nodes, clock := r.count(), r.clock
			held, unlocked := r.peek(s)
			if r.count() != nodes || r.clock != clock {
				t.Fatalf("a peek changed the tree")
			}
			pages, at := r.match(s)
			free := 0
			for n := at; n != r.root; n = n.parent {
				if n.locks == 0 {
					free += len(n.pages)
				}
			}
			if held != len(pages) || unlocked != free {
				t.Fatalf("a peek at %v sees %d pages, %d unlocked; a match %d and %d", s, held, unlocked, len(pages), free)
			}
			want := 0
			for want < len(s)/page && hasKey(cached, key(s, want+1)) {
				want++
			}
			if len(pages) != want {
				t.Fatalf("match of %v is %d pages, the model has %d", s, len(pages), want)
			}
			for n, p := range pages {
				if cached[key(s, n+1)] != p {
					t.Fatalf("match of %v gives page %d at %d, the model has %d", s, p, n, cached[key(s, n+1)])
				}
			}
			if rng.IntN(2) == 0 {
				r.lock(at)
				pins = append(pins, pin{at, s[:want*page]})
			}
		case 3:
			if len(pins) > 0 {
				i := rng.IntN(len(pins))
				r.unlock(pins[i].at)
				pins = slices.Delete(pins, i, i+1)
			}
		case 4:
			want := 1 + rng.IntN(4)
			before, order := r.evictable, r.evictionOrder(want)
			freed := r.evict(want)
			if !slices.Equal(freed, order) {
				t.Fatalf("evict(%d) freed pages %v, a walk of the tree %v", want, freed, order)
			}
			if len(freed) != min(want, before) {
				t.Fatalf("evict(%d) freed %d of %d evictable pages", want, len(freed), before)
			}
			for k, p := range cached {
				if slices.Contains(freed, p) {
					delete(cached, k)
				}
			}
			for _, p := range pins {
				if pages, _ := r.match(p.tokens); len(pages)*page != len(p.tokens) {
					t.Fatalf("eviction took a locked prefix")
				}
			}
		}
		if err := r.check(); err != nil {
			t.Fatal(err)
		}
		if r.evictable+r.protected != len(cached) {
			t.Fatalf("the tree has %d pages, the model %d", r.evictable+r.protected, len(cached))
		}
	}
}

func hasKey(m map[string]int32, k string) bool { _, ok := m[k]; return ok }

func (r *radix) count() (nodes int) {
	r.walk(func(*node) { nodes++ })
	return nodes
}

// evictionOrder finds what evict(want) is to free, by walking the tree for the least recently used
// leaf again and again.
func (r *radix) evictionOrder(want int) (pages []int32) {
	left := map[*node]int{} // pages
	children := map[*node]int{}
	r.walk(func(n *node) {
		if left[n] = len(n.pages); n.parent != r.root {
			children[n.parent]++
		}
	})
	for len(pages) < want {
		var oldest *node
		for n := range left {
			if n.locks == 0 && children[n] == 0 && (oldest == nil || n.used < oldest.used) {
				oldest = n
			}
		}
		if oldest == nil {
			return pages
		}
		take := min(left[oldest], want-len(pages))
		if left[oldest] -= take; left[oldest] == 0 {
			delete(left, oldest)
			children[oldest.parent]--
		}
		pages = append(pages, oldest.pages[len(oldest.pages)-take:]...)
	}
	return pages
}
