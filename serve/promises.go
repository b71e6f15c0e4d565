package serve

import "fmt"

// promises counts, for each page of a prompt that is about to be computed, the running requests
// that will share it when they have done so. A waiting request follows them: it waits for the pages
// of its own prompt that are promised.
//
// A page is known by a hash of the prompt up to its end; two that are mistaken for each other cost
// a request a wait, never an answer. Hashes are made once, at submission. In a step a request that
// waits costs one look-up, of the last page that it waits for; only when that promise is kept or
// broken is its prompt compared with the cache again. So a step costs as many look-ups as requests
// wait, and a request its prompt once for each request that it follows, however many are running.
type promises struct {
	count   map[uint64]int // by hash; promises of none are absent
	lookups int            // in count, since the start
}

// usable are the hashes of the pages that q can share.
func (q *sequence) usable(pageSize int) []uint64 {
	return q.hashes[:min(len(q.hashes), q.reusable()/pageSize)]
}

// stillFollows reports whether the pages that q waits for are still promised.
func (p *promises) stillFollows(q *sequence) bool {
	return q.awaited > 0 && p.promised(q, q.awaited)
}

// follows reports whether a running request is computing pages of q's prompt that the cache does
// not hold: then q waits for them. It changes nothing but q's note of what it waits for.
func (s *scheduler) follows(q *sequence) bool {
	if s.stillFollows(q) {
		return true
	}
	usable := q.usable(s.pages.Size())
	held := s.pages.Held(usable)
	q.awaited = held
	for q.awaited < len(usable) && s.promised(q, q.awaited+1) {
		q.awaited++
	}
	if q.awaited == held {
		q.awaited = 0
	}
	return q.awaited > 0
}

// promised reports whether the first n pages of q's prompt are about to be shared.
func (p *promises) promised(q *sequence, n int) bool {
	p.lookups++
	return p.count[q.hashes[n-1]] > 0
}

// promise is called when q begins to run: it will share the whole pages of its prompt.
func (p *promises) promise(q *sequence) {
	q.kept = min(q.lease.Shared, len(q.hashes))
	for _, h := range q.hashes[q.kept:] {
		p.count[h]++
	}
}

// keep ends q's promises of the first n pages: they are shared, or never will be.
func (p *promises) keep(q *sequence, n int) {
	for ; q.kept < min(n, len(q.hashes)); q.kept++ {
		h := q.hashes[q.kept]
		if p.count[h]--; p.count[h] == 0 {
			delete(p.count, h)
		}
	}
}

// check compares the promises with those of the running requests.
func (p *promises) check(running []*sequence) error {
	want := map[uint64]int{}
	for i, q := range running {
		if q.kept < min(q.lease.Shared, len(q.hashes)) {
			return fmt.Errorf("serve: request %d shares %d pages, of which %d are still promised", i, q.lease.Shared, q.lease.Shared-q.kept)
		}
		for _, h := range q.hashes[q.kept:] {
			want[h]++
		}
	}
	if len(want) != len(p.count) {
		return fmt.Errorf("serve: %d pages are promised, running requests promise %d", len(p.count), len(want))
	}
	for h, n := range want {
		if p.count[h] != n {
			return fmt.Errorf("serve: a page is promised %d times, by %d running requests", p.count[h], n)
		}
	}
	return nil
}
