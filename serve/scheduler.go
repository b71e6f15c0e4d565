package serve

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/serve/pages"
)

// scheduler decides which requests run, and how many tokens of each are computed in a step. It
// holds the queues and the pages; it does not know models, logits or clocks.
type scheduler struct {
	options Options
	pages   *pages.Pages
	waiting queue
	running []*sequence
	batch   []part
	copies  []kernels.PageCopy   // of pages that requests admitted to the batch begin inside
	tails   map[uint64]*sequence // that run, by the hash of the prompt the logits after which they left
	promises

	passes, retractions int // since the start
}

// part is a sequence's share of a batch: its next tokens, none where the logits after its prompt
// are kept, or an item that forks from them.
type part struct {
	*sequence
	tokens int
	fork   *fork
}

func newScheduler(o Options, s Shape) *scheduler {
	return &scheduler{options: o, pages: newPages(o, s), promises: promises{count: map[uint64]int{}}, tails: map[uint64]*sequence{}}
}

// newPages accounts for the pages of an executor.
func newPages(o Options, s Shape) *pages.Pages {
	if o.PrefixCache {
		return pages.NewShared(s.Pages, s.PageSize, o.Eviction)
	}
	return pages.New(s.Pages, s.PageSize)
}

// idle reports whether there is nothing to do.
func (s *scheduler) idle() bool { return len(s.waiting.list)+len(s.running) == 0 }

// plan chooses the parts of the next batch within the token budget: decoding requests first, then
// prefill chunks in order of admission, then newly admitted requests. The batch is valid until the
// next call.
func (s *scheduler) plan() []part {
	s.makeRoom()
	budget := s.options.BatchTokens
	s.batch, s.copies = s.batch[:0], s.copies[:0]
	add := func(q *sequence) {
		room := min(budget, s.options.Chunk)
		n := min(len(q.tokens)-q.computed, room)
		if n > 0 || q.recalled != nil {
			s.batch = append(s.batch, part{sequence: q, tokens: n})
		}
		budget -= n + s.planItems(q, q.computed+n, room-n)
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
	if budget == 0 || len(s.running) >= s.options.Running {
		return s.batch
	}
	s.rank()
	for budget > 0 && len(s.running) < s.options.Running {
		q := s.next()
		if q == nil {
			break
		}
		add(q)
	}
	s.waiting.list = without(s.waiting.list, func(q *sequence) bool { return q.runs })
	return s.batch
}

// makeRoom gives every running request the pages for its next tokens. Where there are none it
// retracts requests until there are. None of these fits again in the same step: it needs more than
// it gave back.
func (s *scheduler) makeRoom() {
	for _, q := range s.running {
		for q.runs && !s.pages.Grow(&q.lease, s.pages.For(len(q.tokens))) {
			s.retract(s.victim())
		}
	}
	s.drop(func(q *sequence) bool { return !q.runs })
}

// victim is the running request whose retraction costs least: the one with the fewest generated
// tokens, of those the longest prompt, of those the last to arrive. The first in the reverse of
// that order is never retracted for another, so it comes to its end; and a request that runs alone
// has room, since it would have been refused at submission.
func (s *scheduler) victim() (v *sequence) {
	for _, q := range s.running {
		if q.runs && (v == nil || cheaper(q, v) < 0) {
			v = q
		}
	}
	return v
}

func cheaper(a, b *sequence) int {
	return cmp.Or(
		cmp.Compare(a.generated(), b.generated()),
		cmp.Compare(len(b.Prompt), len(a.Prompt)),
		cmp.Compare(b.number, a.number),
	)
}

// retract ends q's lease and has it wait again before all others, with what it has generated as
// part of its prompt. What it has computed stays in the prefix cache as long as there is room. The
// caller removes it from those that run.
func (s *scheduler) retract(q *sequence) {
	s.release(q)
	q.runs, q.computed, q.prefill = false, 0, len(q.tokens)
	q.retractions++
	s.retractions++
	s.waiting.putBack(q)
}

// admit leases q's cached prefix and pages for the rest, and lets it run. It reports false, with
// nothing changed, when there is no room now.
func (s *scheduler) admit(q *sequence) bool {
	lease, ok := q.admitted(s.pages, q.reusable(), s.reserved(q))
	if !ok {
		return false
	}
	q.lease, q.runs = lease, true
	q.computed, s.copies = q.cached(s.pages, &q.lease, q.reusable(), s.copies)
	s.copyTail(q)
	if q.computed < len(q.tokens) {
		q.recalled = nil // what is kept does not help: its pages are not all there
	}
	s.promise(q)
	s.running = append(s.running, q)
	return true
}

// leaves notes that the logits after q's prompt, and its keys and values, are there for others.
func (s *scheduler) leaves(q *sequence) {
	s.keepLogits(q)
	if q.leavesLogits && len(q.Prompt)%s.pages.Size() > 0 {
		s.tails[q.promptHash] = q
	}
}

// copyTail gives q, whose next token is chosen by logits that are kept, the last page of its prompt
// from the request that has left them, where that page is not whole and so not yet in the tree. The
// other goes on behind it. As it runs, the page stays until the batch is computed. A q that asks
// about places of its prompt computes them.
func (s *scheduler) copyTail(q *sequence) {
	whole, from := q.lease.Shared, s.tails[q.promptHash]
	if q.recalled == nil || q.reusable() < len(q.tokens) || from == nil || whole != len(q.tokens)/s.pages.Size() || !q.continues(from) {
		return
	}
	to := q.lease.Table[whole]
	if q.computed > whole*s.pages.Size() { // of another page that begins so
		s.copies = s.copies[:len(s.copies)-1]
	}
	s.copies = append(s.copies, kernels.PageCopy{From: from.lease.Table[whole], To: to})
	q.computed = len(q.tokens)
}

// continues reports whether another sequence begins with all of q.
func (q *sequence) continues(other *sequence) bool {
	return q.Namespace == other.Namespace && slices.Equal(q.tokens, other.Prompt)
}

// admitted leases q pages for so many tokens, of which the leading ones may come from the cache.
func (q *sequence) admitted(p *pages.Pages, reusable, tokens int) (pages.Lease, bool) {
	if q.NoReuse {
		return p.AdmitAlone(p.For(tokens))
	}
	return p.Admit(q.Namespace, q.tokens[:reusable], p.For(tokens))
}

// cached counts q's leading tokens that a new lease has the keys and values of: those of its shared
// pages, and behind them those with which another page begins. That one is copied: it goes on
// otherwise, or would be written to.
func (q *sequence) cached(p *pages.Pages, l *pages.Lease, reusable int, copies []kernels.PageCopy) (int, []kernels.PageCopy) {
	whole := l.Shared * p.Size()
	page, more := p.Beginning(l, q.tokens[whole:max(whole, reusable)])
	if more > 0 {
		copies = append(copies, kernels.PageCopy{From: page, To: l.Table[l.Shared]})
	}
	return whole + more, copies
}

// reserved is the number of tokens for which q needs room to run. The last token is never computed
// on. One that was retracted gets room for all, so that it is not for want of its own pages again.
// One with items gets room for the longest.
func (s *scheduler) reserved(q *sequence) int {
	if len(q.Items) > 0 {
		return len(q.Prompt) + q.longestItem()
	}
	more := max(0, q.MaxTokens-q.generated()-1)
	if q.retractions == 0 {
		more = int(math.Ceil(s.options.Reserve * float64(more)))
	}
	return len(q.tokens) + more
}

// computed notes that a batch is computed: full pages are shared at once.
func (s *scheduler) computed(batch []part) {
	for _, p := range batch {
		if p.fork != nil {
			s.pages.Release(&p.fork.lease)
			continue
		}
		s.advance(p.sequence, p.tokens)
	}
}

// advance notes that so many more tokens of q are computed.
func (s *scheduler) advance(q *sequence, tokens int) {
	q.computed += tokens
	s.pages.Commit(&q.lease, q.shareable(q.computed))
	s.keep(q, q.lease.Shared)
}

// release frees what q holds. What it has computed stays in the prefix cache, with a last page that
// is not whole where its prompt's logits are kept: else a prompt that comes again had to be
// computed from there on.
func (s *scheduler) release(q *sequence) {
	s.keep(q, len(q.hashes))
	s.keepLogits(q)
	if s.tails[q.promptHash] == q {
		delete(s.tails, q.promptHash)
	}
	if q.leavesLogits {
		s.pages.CommitAll(&q.lease, q.shareable(q.computed))
	}
	s.pages.Release(&q.lease)
}

// drop removes those for which ended is true from the requests that run.
func (s *scheduler) drop(ended func(*sequence) bool) { s.running = without(s.running, ended) }

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

// check returns the first broken invariant: those of the pages, of the promises and of the queues.
func (s *scheduler) check() error {
	leases := make([]*pages.Lease, len(s.running))
	for i, q := range s.running {
		leases[i] = &q.lease
		if !q.runs || slices.Contains(s.waiting.list, q) {
			return fmt.Errorf("serve: request %d of those that run waits", q.number)
		}
		if have, want := len(q.lease.Table), s.pages.For(q.computed); have < want {
			return fmt.Errorf("serve: request %d has %d pages, its computed tokens take %d", q.number, have, want)
		}
	}
	for hash, q := range s.tails {
		if !q.runs || hash != q.promptHash || q.computed < len(q.Prompt) {
			return fmt.Errorf("serve: the last page of request %d's prompt is offered, of which %d tokens are computed", q.number, q.computed)
		}
	}
	if err := s.pages.Check(leases); err != nil {
		return err
	}
	if err := s.waiting.check(s.options.Passes); err != nil {
		return err
	}
	return s.promises.check(s.running)
}
