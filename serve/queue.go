package serve

import (
	"cmp"
	"fmt"
	"slices"
)

// queue is the requests that wait: first those that were retracted, then the others, each part by
// arrival. A step looks at a window of them. In it later requests pass earlier ones as the policy
// says; the earlier of two was passed at least as often, so that the first has come to the bound
// before any other.
type queue struct {
	list     []*sequence
	tokens   int // of all in it
	arrivals int

	// of one step
	first  int         // in list: those before it run by now
	oldest int         // in list: those before it were tried, and run by now or follow another
	ranked []*sequence // of the window, the best first
	best   int         // in ranked, as oldest

	admitted int // since the start
}

// window bounds how many waiting requests a step looks at.
const window = 512

// put adds a request that arrives.
func (w *queue) put(q *sequence) {
	q.number = w.number()
	w.list = append(w.list, q)
	w.tokens += len(q.tokens)
}

// number is that of a request that arrives.
func (w *queue) number() int {
	w.arrivals++
	return w.arrivals - 1
}

// putBack adds a request that was retracted.
func (w *queue) putBack(q *sequence) {
	at := 0
	for at < len(w.list) && w.list[at].retractions > 0 && w.list[at].number < q.number {
		at++
	}
	w.list = slices.Insert(w.list, at, q)
	w.tokens += len(q.tokens)
}

// remove drops those for which drop is true.
func (w *queue) remove(drop func(*sequence) bool) {
	w.list = without(w.list, func(q *sequence) bool {
		out := drop(q)
		if out {
			w.tokens -= len(q.tokens)
		}
		return out
	})
}

// check returns the first broken invariant, given how often a request may be passed.
func (w *queue) check(passes int) error {
	tokens := 0
	for i, q := range w.list {
		tokens += len(q.tokens)
		if q.runs || len(q.lease.Table) > 0 || q.kept != len(q.hashes) {
			return fmt.Errorf("serve: waiting request %d has %d pages and %d promises", q.number, len(q.lease.Table), len(q.hashes)-q.kept)
		}
		if q.passes > passes {
			return fmt.Errorf("serve: waiting request %d was passed %d times, at most %d are allowed", q.number, q.passes, passes)
		}
		if i == 0 {
			continue
		}
		p := w.list[i-1]
		if front, behind := p.retractions > 0, q.retractions > 0; !front && behind || front == behind && p.number >= q.number {
			return fmt.Errorf("serve: request %d waits behind request %d", q.number, p.number)
		} else if !front && p.passes < q.passes {
			return fmt.Errorf("serve: request %d was passed %d times, request %d before it %d times", q.number, q.passes, p.number, p.passes)
		}
	}
	if tokens != w.tokens {
		return fmt.Errorf("serve: %d tokens wait, %d are counted", tokens, w.tokens)
	}
	return nil
}

// rank begins the choice of requests to admit.
func (s *scheduler) rank() {
	w := &s.waiting
	w.first, w.oldest, w.best, w.ranked = 0, 0, 0, w.ranked[:0]
	rank := rankings[s.options.Policy]
	for _, q := range w.list[:min(window, len(w.list))] {
		q.tried = false
		if rank != nil && !s.stillFollows(q) {
			q.rank = rank(&s.options, q, s.pages.Held(q.usable(s.pages.Size()))*s.pages.Size())
			w.ranked = append(w.ranked, q)
		}
	}
	slices.SortStableFunc(w.ranked, func(a, b *sequence) int { return cmp.Compare(b.rank, a.rank) })
}

// next admits the waiting request whose turn it is, or returns nil where none can be admitted now.
func (s *scheduler) next() *sequence {
	for {
		q := s.turn()
		if q == nil {
			return nil
		}
		q.tried = true
		if s.follows(q) {
			continue
		}
		if !s.admit(q) {
			return nil
		}
		s.pass(q)
		return q
	}
}

// turn is the request to try next, or nil.
func (s *scheduler) turn() *sequence {
	w := &s.waiting
	list := w.list[:min(window, len(w.list))]
	first := skip(list, &w.first, func(q *sequence) bool { return q.runs })
	if first == nil || s.pinned(first) && first.tried {
		return nil
	}
	tried := func(q *sequence) bool { return q.tried }
	if s.pinned(first) || s.byArrival() {
		return skip(list, &w.oldest, tried)
	}
	return skip(w.ranked, &w.best, tried)
}

// skip moves a place in a list on to the first request for which pass is false, and returns it, or
// nil at the end.
func skip(list []*sequence, at *int, pass func(*sequence) bool) *sequence {
	for ; *at < len(list); *at++ {
		if !pass(list[*at]) {
			return list[*at]
		}
	}
	return nil
}

// pinned reports whether no later request may be admitted before q.
func (s *scheduler) pinned(q *sequence) bool {
	return q.retractions > 0 || q.passes >= s.options.Passes
}

// byArrival reports whether the next admission is by arrival.
func (s *scheduler) byArrival() bool {
	return rankings[s.options.Policy] == nil || s.options.Policy == KLPM && s.waiting.admitted%s.options.Turn == s.options.Turn-1
}

// pass counts that q was admitted before those that wait and came earlier.
func (s *scheduler) pass(q *sequence) {
	w := &s.waiting
	w.admitted++
	w.tokens -= len(q.tokens)
	for _, earlier := range w.list {
		if earlier == q {
			return
		}
		if !earlier.runs {
			earlier.passes++
			s.passes++
		}
	}
}
