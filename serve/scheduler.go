package serve

import "slimlab/serve/pages"

// scheduler decides which requests run, and how many tokens of each are computed in a step. It
// holds the queues and the pages; it does not know models, logits or clocks.
type scheduler struct {
	options Options
	pages   *pages.Pages
	waiting []*sequence
	running []*sequence
	batch   []part
	promises
}

// part is a sequence's share of a batch: its next tokens.
type part struct {
	*sequence
	tokens int
}

// window bounds how many waiting requests a step looks at.
const window = 512

func newScheduler(o Options, s Shape) *scheduler {
	cache := pages.New(s.Pages, s.PageSize)
	if o.PrefixCache {
		cache = pages.NewShared(s.Pages, s.PageSize, pages.LRU)
	}
	return &scheduler{options: o, pages: cache, promises: promises{count: map[uint64]int{}}}
}

func (s *scheduler) submit(q *sequence) { s.waiting = append(s.waiting, q) }

// idle reports whether there is nothing to do.
func (s *scheduler) idle() bool { return len(s.waiting)+len(s.running) == 0 }

// plan chooses the parts of the next batch within the token budget: decoding requests first, then
// prefill chunks in order of arrival, then newly admitted requests. The batch is valid until the
// next call.
func (s *scheduler) plan() []part {
	budget := s.options.BatchTokens
	s.batch = s.batch[:0]
	add := func(q *sequence) {
		if n := min(len(q.tokens)-q.computed, budget, s.options.Chunk); n > 0 {
			budget -= n
			s.batch = append(s.batch, part{q, n})
		}
	}
	for _, q := range s.running {
		if q.decodes() {
			add(q)
		}
	}
	for _, q := range s.running {
		if !q.decodes() {
			add(q)
		}
	}
	left := s.waiting[:0]
	for i, q := range s.waiting {
		if budget == 0 || i >= window || len(s.running) >= s.options.Running {
			left = append(left, s.waiting[i:]...)
			break
		}
		if s.follows(q) {
			left = append(left, q)
			continue
		}
		if !s.admit(q) {
			left = append(left, s.waiting[i:]...)
			break
		}
		add(q)
	}
	clear(s.waiting[len(left):])
	s.waiting = left
	return s.batch
}

// admit leases q's cached prefix and pages for the rest, and lets it run. It reports false, with
// nothing changed, when there is no room now.
func (s *scheduler) admit(q *sequence) bool {
	// At least one token is computed, or there would be no logits to answer with.
	lease, ok := s.pages.Admit("", q.Prompt[:len(q.Prompt)-1], s.pages.For(q.reserve()))
	if !ok {
		return false
	}
	q.lease, q.computed = lease, lease.Shared*s.pages.Size()
	s.promise(q)
	s.running = append(s.running, q)
	return true
}

// computed notes that a batch is computed: full pages are shared at once.
func (s *scheduler) computed(batch []part) {
	for _, p := range batch {
		q := p.sequence
		q.computed += p.tokens
		s.pages.Commit(&q.lease, q.tokens[:q.computed])
		s.keep(q, q.lease.Shared)
	}
}

// release frees what q holds. What it has computed stays in the prefix cache.
func (s *scheduler) release(q *sequence) {
	s.keep(q, len(q.hashes))
	s.pages.Release(&q.lease)
}

// remove drops the sequences for which ended is true from the queues.
func (s *scheduler) remove(ended func(*sequence) bool) {
	s.waiting = without(s.waiting, ended)
	s.running = without(s.running, ended)
}

// without filters in place.
func without(list []*sequence, drop func(*sequence) bool) []*sequence {
	out := list[:0]
	for _, q := range list {
		if !drop(q) {
			out = append(out, q)
		}
	}
	clear(list[len(out):])
	return out
}

// check returns the first broken invariant: those of the pages and of the promises.
func (s *scheduler) check() error {
	leases := make([]*pages.Lease, len(s.running))
	for i, q := range s.running {
		leases[i] = &q.lease
	}
	if err := s.pages.Check(leases); err != nil {
		return err
	}
	return s.promises.check(s.running)
}
