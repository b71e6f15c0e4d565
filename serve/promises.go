package serve

import (
	"fmt"
	"slices"
)

// promises counts, for each page of a prompt that is about to be computed, the running requests
// that will share it when they have done so. A waiting request follows them: it waits for the pages
// of its own prompt that are promised. So are the logits after a whole prompt, by a hash of it: a
// request with the same prompt, of a page at least, waits for its end and is recalled then. Those
// of shorter prompts are computed beside each other, a step sooner.
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
	if q.awaitsLogits {
		p.lookups++
		return p.count[q.promptHash] > 0
	}
	return q.awaited > 0 && p.promised(q, q.awaited)
}

// follows reports whether a running request is computing pages of q's prompt that the cache does
// not hold: then q waits for them. It changes nothing but q's note of what it waits for.
func (s *scheduler) follows(q *sequence) bool {
	if s.stillFollows(q) {
		return true
	}
	if q.awaitsLogits = s.recallsAll(q) && s.count[q.promptHash] > 0; q.awaitsLogits {
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

// follows is the hash of what q waits for, which stillFollows another.
func (q *sequence) follows() uint64 {
	if q.awaitsLogits {
		return q.promptHash
	}
	return q.hashes[q.awaited-1]
}

// recallsAll reports whether q needs nothing but what another request with its prompt leaves.
func (s *scheduler) recallsAll(q *sequence) bool {
	return q.promptHash != 0 && q.recallable() && q.PromptLogP == nil && len(q.Prompt) >= s.pages.Size()
}

// promised reports whether the first n pages of q's prompt are about to be shared.
func (p *promises) promised(q *sequence, n int) bool {
	p.lookups++
	return p.count[q.hashes[n-1]] > 0
}

// promise is called when q begins to run: it will share the whole pages of its prompt, and the
// logits after it, where it does not begin with them.
func (p *promises) promise(q *sequence) {
	if q.owesLogits = q.promptHash != 0 && q.recallable() && q.recalled == nil; q.owesLogits {
		p.count[q.promptHash]++
	}
	q.kept = min(q.lease.Shared, len(q.hashes))
	for _, h := range q.hashes[q.kept:] {
		p.count[h]++
	}
}

// keep ends q's promises of the first n pages: they are shared, or never will be.
func (p *promises) keep(q *sequence, n int) {
	for ; q.kept < min(n, len(q.hashes)); q.kept++ {
		p.settle(q.hashes[q.kept])
	}
}

// keepLogits ends q's promise of the logits after its prompt, if it has made it.
func (p *promises) keepLogits(q *sequence) {
	if q.owesLogits {
		q.owesLogits = false
		p.settle(q.promptHash)
	}
}

// settle ends one promise of a hash.
func (p *promises) settle(h uint64) {
	if p.count[h]--; p.count[h] == 0 {
		delete(p.count, h)
	}
}

// promised are the hashes of what q, which runs, still promises.
func (q *sequence) promised() []uint64 {
	if !q.owesLogits {
		return q.hashes[q.kept:]
	}
	return append(slices.Clip(q.hashes[q.kept:]), q.promptHash)
}

// check compares the promises with those of the running requests.
func (p *promises) check(running []*sequence) error {
	want := map[uint64]int{}
	for i, q := range running {
		if q.kept < min(q.lease.Shared, len(q.hashes)) {
			return fmt.Errorf("serve: request %d shares %d pages, of which %d are still promised", i, q.lease.Shared, q.lease.Shared-q.kept)
		}
		for _, h := range q.promised() {
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
