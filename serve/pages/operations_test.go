package pages

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// operation is one call of a cache, or a few that a request makes together. It means something in
// any state: a lease is named by a number that is taken modulo those there are. So a log of
// operations without some of them is a log as well, and can be reduced.
type operation struct {
	kind      kind
	lease     int
	n         int // tokens, or pages beyond those of the tokens
	namespace string
	tokens    []int32
}

type kind int

const (
	admit      kind = iota // a request with tokens, and room for n more
	admitAlone             // the same, which shares nothing
	commit                 // a request has computed n more tokens
	decode                 // it has n more tokens, whose pages it asks for; where there are none it is retracted
	retract                // it is released and admitted again, with all its tokens
	release                // it ends, or was aborted
	flush
	look // up a prefix
	kinds
)

var kindNames = [kinds]string{"admit", "admit alone", "commit", "decode", "retract", "release", "flush", "look"}

func (o operation) String() string {
	switch o.kind {
	case admit, look:
		return fmt.Sprintf("%s %q %v, %d more", kindNames[o.kind], o.namespace, o.tokens, o.n)
	case admitAlone:
		return fmt.Sprintf("%s %v, %d more", kindNames[o.kind], o.tokens, o.n)
	case flush:
		return kindNames[o.kind]
	}
	return fmt.Sprintf("%s lease %d, %d tokens %v", kindNames[o.kind], o.lease, o.n, o.tokens)
}

// draws are the choices of a random play: a random number generator, or a script that a fuzzer
// writes, so that it can keep the beginning of a play and change one choice of it.
type draws interface{ IntN(n int) int }

// script is choices as bytes, one for each.
type script struct{ rest []byte }

func (s *script) IntN(n int) int {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return int(b) % n
}

// drawOperation draws one for a cache with pages of size tokens. There are few tokens and few
// namespaces, so that prefixes meet.
func drawOperation(d draws, size int) operation {
	weights := [kinds]int{admit: 6, admitAlone: 1, commit: 8, decode: 4, retract: 1, release: 3, look: 3}
	weights[flush] = d.IntN(2) // half as likely as what has weight 1
	at := d.IntN(26)
	o := operation{lease: d.IntN(8), namespace: [...]string{"", "", "a", "b"}[d.IntN(4)]}
	for at >= weights[o.kind] && o.kind < look {
		at -= weights[o.kind]
		o.kind++
	}
	switch o.kind {
	case admit, admitAlone, look:
		o.tokens = make([]int32, 1+size*d.IntN(7)+d.IntN(size))
		o.n = d.IntN(2 * size)
	case commit:
		o.n = 1 + d.IntN(3*size)
	case decode:
		o.n = 1 + d.IntN(size)
		o.tokens = make([]int32, o.n)
	}
	for i := range o.tokens {
		o.tokens[i] = int32(d.IntN(2))
	}
	return o
}

// cacheUnderTest is what operations are played on: a cache, its requests, and a naive model of it.
type cacheUnderTest struct {
	pages *Pages
	naive
	requests []*request
	outcomes
}

// outcomes counts what operations came to.
type outcomes struct{ admitted, shared, continued, refused, retracted, evicted int }

// request is one that runs: the keys and values of tokens up to computed are in its pages.
type request struct {
	Lease
	namespace string
	alone     bool
	tokens    []int32
	computed  int
}

// naive is a cache without a tree: each page of it is known by all tokens up to its end.
type naive struct {
	size, free int
	eviction   Eviction
	clock      uint64
	cached     map[string]cachedPage
}

type cachedPage struct {
	number int32
	used   uint64
	hits   int
}

// key names the first n pages of tokens.
func (m *naive) key(namespace string, tokens []int32, n int) string {
	b := append([]byte(namespace), 0)
	for _, t := range tokens[:n*m.size] {
		b = binary.LittleEndian.AppendUint32(b, uint32(t))
	}
	return string(b)
}

// before is the key of the same prefix without its last page, "" for the first.
func (m *naive) before(key string) string {
	if above := key[:len(key)-4*m.size]; strings.IndexByte(above, 0) < len(above)-1 {
		return above
	}
	return ""
}

func (m *naive) held(namespace string, tokens []int32) (n int) {
	for n < len(tokens)/m.size {
		if _, ok := m.cached[m.key(namespace, tokens, n+1)]; !ok {
			break
		}
		n++
	}
	return n
}

// locked are the keys of the pages that requests share.
func (m *naive) locked(requests []*request) map[string]bool {
	out := map[string]bool{}
	for _, q := range requests {
		for n := range q.Shared {
			out[m.key(q.namespace, q.tokens, n+1)] = true
		}
	}
	return out
}

// evict removes pages that no request shares and that no cached page continues, in order, and
// returns how many there were.
func (m *naive) evict(want int, locked map[string]bool) (evicted int) {
	for ; evicted < want; evicted++ {
		continued := map[string]bool{}
		for k := range m.cached {
			continued[m.before(k)] = true
		}
		first := ""
		for k, p := range m.cached {
			if !locked[k] && !continued[k] && (first == "" || m.order(p, m.cached[first]) < 0) {
				first = k
			}
		}
		if first == "" {
			break
		}
		delete(m.cached, first)
		m.free++
	}
	return evicted
}

func (m *naive) order(a, b cachedPage) int {
	switch m.eviction {
	case LFU:
		return cmp.Or(cmp.Compare(a.hits, b.hits), cmp.Compare(a.used, b.used))
	case SLRU:
		return cmp.Or(cmp.Compare(min(a.hits, 2)/2, min(b.hits, 2)/2), cmp.Compare(a.used, b.used))
	}
	return cmp.Compare(a.used, b.used)
}

// admit tries to admit a request, in the cache and in the model, which must agree.
func (c *cacheUnderTest) admit(q *request, need int) error {
	prefix := q.tokens[:len(q.tokens)-1]
	var held int
	locked := c.locked(c.requests)
	kept := len(locked)
	if !q.alone {
		held = c.held(q.namespace, prefix)
		for n := range held {
			locked[c.key(q.namespace, prefix, n+1)] = true
		}
	}
	fits := need-held <= c.free+len(c.cached)-len(locked)
	var ok bool
	if q.alone {
		q.Lease, ok = c.pages.AdmitAlone(need)
	} else {
		q.Lease, ok = c.pages.Admit(q.namespace, prefix, need)
	}
	if ok != fits {
		return fmt.Errorf("admitted: %v; %d pages are needed, %d held, %d free, %d of %d cached ones locked", ok, need, held, c.free, kept, len(c.cached))
	}
	if !ok {
		c.refused++
		return nil
	}
	c.admitted++
	if q.Shared != held || len(q.Table) != max(need, held) {
		return fmt.Errorf("the lease has %d pages, %d shared; expected %d and %d", len(q.Table), q.Shared, need, held)
	}
	if !q.alone {
		c.clock++
	}
	for n := range held {
		k := c.key(q.namespace, prefix, n+1)
		p := c.cached[k]
		c.cached[k] = cachedPage{p.number, c.clock, p.hits + 1}
	}
	if held > 0 {
		c.shared++
	}
	c.evicted += c.evict(need-held-c.free, locked)
	c.free -= max(0, need-held)
	q.computed = held * c.size
	c.requests = append(c.requests, q)
	return c.beginning(q, prefix)
}

// beginning compares the page that begins with most of what a new lease has yet to compute of a
// prefix with all pages of the model.
func (c *cacheUnderTest) beginning(q *request, prefix []int32) error {
	page, count := c.pages.Beginning(&q.Lease, prefix[q.computed:])
	if q.alone {
		if count != 0 {
			return fmt.Errorf("a lease that shares nothing is continued by %d tokens", count)
		}
		return nil
	}
	most, ok := 0, count == 0
	before := c.key(q.namespace, prefix, q.Shared)
	for k, p := range c.cached {
		if k[:len(k)-4*c.size] != before {
			continue
		}
		common := 0
		for common < min(c.size, len(prefix)-q.computed) && k[len(before)+4*common] == byte(prefix[q.computed+common]) {
			common++
		}
		most = max(most, common)
		ok = ok || common == count && p.number == page
	}
	if count != most || !ok {
		return fmt.Errorf("page %d continues the lease by %d tokens, expected %d, or it is another page", page, count, most)
	}
	if count > 0 {
		c.continued++
	}
	return nil
}

// play does one operation.
func (c *cacheUnderTest) play(o operation) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	switch o.kind {
	case admit, admitAlone:
		q := &request{namespace: o.namespace, alone: o.kind == admitAlone, tokens: slices.Clone(o.tokens)}
		return c.admit(q, c.pages.For(len(o.tokens)+o.n))
	case flush:
		c.pages.Flush()
		c.evict(len(c.cached), c.locked(c.requests))
		return nil
	case look:
		if got, want := c.pages.Held(Hashes(o.namespace, o.tokens, c.size)), c.held(o.namespace, o.tokens); got != want {
			return fmt.Errorf("%d pages of it are held, expected %d", got, want)
		}
		return nil
	}
	if len(c.requests) == 0 {
		return nil
	}
	i := o.lease % len(c.requests)
	q := c.requests[i]
	switch o.kind {
	case commit:
		q.computed = min(len(q.tokens), q.computed+o.n)
		c.commit(q)
	case decode:
		need := c.pages.For(len(q.tokens) + len(o.tokens))
		locked := c.locked(c.requests)
		fits := need-len(q.Table) <= c.free+len(c.cached)-len(locked)
		more := max(0, need-len(q.Table))
		if ok := c.pages.Grow(&q.Lease, need); ok != fits {
			return fmt.Errorf("grown: %v; from %d to %d pages, %d free, %d of %d cached ones locked", ok, len(q.Table), need, c.free, len(locked), len(c.cached))
		} else if !ok {
			return c.retract(i)
		}
		c.evicted += c.evict(more-c.free, locked)
		c.free -= more
		q.tokens = append(q.tokens, o.tokens...)
	case retract:
		return c.retract(i)
	case release:
		c.release(i)
	}
	return nil
}

func (c *cacheUnderTest) commit(q *request) {
	pages := slices.Clone(q.Table)
	full, shared := q.computed/c.size, q.Shared
	c.pages.Commit(&q.Lease, q.tokens[:q.computed])
	if q.alone || full <= shared {
		return
	}
	c.clock++
	for n := range full {
		k := c.key(q.namespace, q.tokens, n+1)
		p, ok := c.cached[k]
		if !ok {
			p = cachedPage{number: pages[n]}
		} else if n >= shared {
			c.free++ // the duplicate
		}
		p.used = c.clock
		c.cached[k] = p
	}
}

func (c *cacheUnderTest) release(i int) {
	q := c.requests[i]
	c.free += len(q.Table) - q.Shared
	c.pages.Release(&q.Lease)
	c.requests = slices.Delete(c.requests, i, i+1)
}

func (c *cacheUnderTest) retract(i int) error {
	c.retracted++
	q := c.requests[i]
	c.release(i)
	return c.admit(q, c.pages.For(len(q.tokens)))
}

// check compares all of the cache with the model, and has it check itself.
func (c *cacheUnderTest) check() error {
	leases := make([]*Lease, len(c.requests))
	private := 0
	for i, q := range c.requests {
		leases[i] = &q.Lease
		private += len(q.Table) - q.Shared
		for n, page := range q.Table[:q.Shared] {
			if want := c.cached[c.key(q.namespace, q.tokens, n+1)].number; page != want {
				return fmt.Errorf("lease %d has page %d at %d, expected %d", i, page, n, want)
			}
		}
	}
	if err := c.pages.Check(leases); err != nil {
		return err
	}
	want := Counts{Free: c.free, Tree: len(c.cached), Private: private, Locked: len(c.locked(c.requests)), Evicted: c.evicted}
	if found := c.pages.Counts(); found != want {
		return fmt.Errorf("found %+v, expected %+v", found, want)
	}
	if c.pages.tree == nil {
		return nil
	}
	var down func(n *node, namespace string, above []int32) error
	down = func(n *node, namespace string, above []int32) error {
		tokens := slices.Concat(above, n.tokens)
		for i, number := range n.pages {
			found := cachedPage{number, n.used, n.hits}
			want, ok := c.cached[c.key(namespace, tokens, len(above)/c.size+i+1)]
			if !ok || found != want {
				return fmt.Errorf("the prefix %q %v is %+v, expected %+v (%v)", namespace, tokens, found, want, ok)
			}
		}
		for _, child := range n.children {
			if err := down(child, namespace, tokens); err != nil {
				return err
			}
		}
		return nil
	}
	for namespace, root := range c.pages.tree.roots {
		if err := down(root, namespace, nil); err != nil {
			return err
		}
	}
	return nil
}

// plan is a cache and what is played on it.
type plan struct {
	size       int
	eviction   Eviction // "" without a tree
	operations []operation
	spoil      func(*Pages) // breaks something after each operation, to test the test; may be nil
}

const pagesUnderTest = 24

// play plays a plan on a new cache and returns the first error, with the number of its operation.
func (p plan) play() (at int, err error) {
	_, at, err = p.outcomes()
	return at, err
}

// outcomes plays a plan and counts what its operations came to.
func (p plan) outcomes() (o outcomes, at int, err error) {
	c := &cacheUnderTest{
		pages: New(pagesUnderTest, p.size),
		naive: naive{size: p.size, free: pagesUnderTest, eviction: p.eviction, cached: map[string]cachedPage{}},
	}
	if p.eviction != "" {
		c.pages = NewShared(pagesUnderTest, p.size, p.eviction)
	}
	for i, o := range p.operations {
		if p.eviction == "" && o.kind == admit {
			o.kind = admitAlone
		}
		if err := c.play(o); err != nil {
			return c.outcomes, i, err
		}
		if p.spoil != nil {
			p.spoil(c.pages)
		}
		if err := c.check(); err != nil {
			return c.outcomes, i, err
		}
	}
	for len(c.requests) > 0 {
		c.release(0)
	}
	c.pages.Flush()
	if n := c.pages.Counts(); n.Free != pagesUnderTest || n.Tree != 0 || c.pages.tree != nil && len(c.pages.tree.roots)+len(c.pages.tree.hashes) != 0 {
		return c.outcomes, len(p.operations), fmt.Errorf("%+v after all was released and flushed, of %d pages", n, pagesUnderTest)
	}
	return c.outcomes, 0, nil
}

// reduce drops operations for as long as what is left still fails, in runs of half of them first
// and one by one last.
func (p plan) reduce() plan {
	at, _ := p.play()
	p.operations = slices.Clone(p.operations[:min(at+1, len(p.operations))])
	for run := (len(p.operations) + 1) / 2; run > 0; {
		dropped := false
		for at := 0; at < len(p.operations); {
			less := p
			less.operations = slices.Delete(slices.Clone(p.operations), at, min(at+run, len(p.operations)))
			if _, err := less.play(); err != nil {
				p, dropped = less, true
			} else {
				at += run
			}
		}
		if !dropped || run > 1 {
			run /= 2
		}
	}
	return p
}

// fail reports a plan that failed, reduced.
func (p plan) fail(t *testing.T, found error) {
	t.Helper()
	p = p.reduce()
	_, err := p.play()
	var log strings.Builder
	for i, o := range p.operations {
		fmt.Fprintf(&log, "%3d %v\n", i, o)
	}
	t.Fatalf("%v\nreduced to %d operations, pages of %d, eviction %q: %v\n%s", found, len(p.operations), p.size, p.eviction, err, log.String())
}

// TestOperations plays random operations on caches that are mostly full and compares all that can
// be seen of them, after each, with a naive model. SLIMLAB_OPERATIONS is how many; a million take
// less than a minute.
func TestOperations(t *testing.T) {
	total, most := 40_000, 500
	if text := os.Getenv("SLIMLAB_OPERATIONS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("SLIMLAB_OPERATIONS=%s, expected a number", text)
		}
		total = n
	}
	few := total / 400
	var played [kinds]int
	var all outcomes
	for seed := 0; total > 0; seed++ {
		d := rand.New(rand.NewPCG(uint64(seed), 3))
		p := plan{size: 1 + seed%3, eviction: [...]Eviction{LRU, LFU, SLRU, LRU, LFU, SLRU, ""}[seed%7]}
		for range min(most, total) {
			o := drawOperation(d, p.size)
			played[o.kind]++
			p.operations = append(p.operations, o)
		}
		total -= len(p.operations)
		o, at, err := p.outcomes()
		if err != nil {
			p.fail(t, fmt.Errorf("seed %d, operation %d: %w", seed, at, err))
		}
		all.admitted += o.admitted
		all.shared += o.shared
		all.continued += o.continued
		all.refused += o.refused
		all.retracted += o.retracted
		all.evicted += o.evicted
	}
	for k, n := range played {
		if n < few {
			t.Errorf("%q was played %d times: too few", kindNames[k], n)
		}
	}
	if t.Logf("%+v", all); min(all.admitted, all.shared, all.continued, all.refused, all.retracted, all.evicted) < 4*few {
		t.Errorf("%+v: too few of one", all)
	}
}

func FuzzOperations(f *testing.F) {
	f.Add([]byte("admit, compute, commit, release"), uint8(2), uint8(0))
	f.Fuzz(func(t *testing.T, choices []byte, size, eviction uint8) {
		d := &script{choices}
		p := plan{size: 1 + int(size%4), eviction: append(Evictions(), "")[eviction%4]}
		for len(d.rest) > 0 && len(p.operations) < 600 {
			p.operations = append(p.operations, drawOperation(d, p.size))
		}
		if _, err := p.play(); err != nil {
			p.fail(t, err)
		}
	})
}

// TestReduce: a fault that needs three operations of hundreds is reduced to these.
func TestReduce(t *testing.T) {
	d := rand.New(rand.NewPCG(1, 1))
	p := plan{size: 1, eviction: LRU, spoil: func(p *Pages) {
		if len(p.tree.roots) > 1 && p.tree.protected > 0 {
			p.tree.evictable++
		}
	}}
	for range 500 {
		p.operations = append(p.operations, drawOperation(d, p.size))
	}
	if _, err := p.play(); err == nil {
		t.Fatal("the fault was not found")
	}
	r := p.reduce()
	if _, err := r.play(); err == nil || !strings.Contains(err.Error(), "evictable") || len(r.operations) != 3 {
		t.Errorf("reduced to %v, which fails by: %v", r.operations, err)
	}
}
