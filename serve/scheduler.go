package serve

import (
	"fmt"
	"time"

	"slimlab/model"
)

// scheduler is the engine without its goroutine: submit and step, one caller at a time.
type scheduler struct {
	model   *model.Model
	options Options
	pool    *model.KVPool
	scratch *model.Step
	tree    *radix // nil with the prefix cache off
	free    []int32
	waiting []*sequence
	running []*sequence
	stats   Stats
	now     func() time.Time
	logits  []float32
}

// window bounds how many waiting requests a step looks at.
const window = 512

func newScheduler(m *model.Model, o Options) (*scheduler, error) {
	pool, err := model.NewKVPool(m.Config, o.KV, o.Pages, o.PageSize)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &scheduler{model: m, options: o, pool: pool, scratch: model.NewStep(m.Config, o.BatchTokens), now: o.Now}
	if o.PrefixCache {
		s.tree = newRadix(o.PageSize)
	}
	for p := o.Pages - 1; p >= 0; p-- {
		s.free = append(s.free, int32(p))
	}
	return s, nil
}

// refuse reports why a request can never be served.
func (s *scheduler) refuse(r Request) error {
	need := len(r.Prompt) + r.MaxTokens
	switch {
	case len(r.Prompt) == 0:
		return fmt.Errorf("serve: the prompt is empty")
	case len(r.Labels) == 0 && r.MaxTokens < 1:
		return fmt.Errorf("serve: neither labels nor tokens are asked for")
	case need > s.model.MaxPositions:
		return fmt.Errorf("serve: %d prompt and %d new tokens, the model has %d positions", len(r.Prompt), r.MaxTokens, s.model.MaxPositions)
	case s.pagesFor(need) > s.options.Pages:
		return fmt.Errorf("serve: %d prompt and %d new tokens need %d pages of %d, the cache has %d", len(r.Prompt), r.MaxTokens, s.pagesFor(need), s.options.PageSize, s.options.Pages)
	}
	for i, t := range r.Prompt {
		if t < 0 || int(t) >= s.model.Vocab {
			return fmt.Errorf("serve: token %d at position %d, the vocabulary has %d", t, i, s.model.Vocab)
		}
	}
	for _, t := range r.Labels {
		if t < 0 || int(t) >= s.model.Vocab {
			return fmt.Errorf("serve: label token %d, the vocabulary has %d", t, s.model.Vocab)
		}
	}
	return nil
}

func (s *scheduler) pagesFor(tokens int) int {
	return (tokens + s.options.PageSize - 1) / s.options.PageSize
}

func (s *scheduler) submit(q *sequence) {
	q.tokens = append([]int32(nil), q.Prompt...)
	q.result.Prompt = len(q.Prompt)
	s.waiting = append(s.waiting, q)
}

// idle reports whether there is nothing to do.
func (s *scheduler) idle() bool { return len(s.waiting)+len(s.running) == 0 }

// step drops aborted requests, admits waiting ones, runs one batch through the model and finishes
// what is complete.
func (s *scheduler) step() {
	s.abort()
	batch, segments := s.plan()
	if len(batch) == 0 {
		return
	}
	s.stats.Steps++
	now := s.now()
	for _, q := range batch {
		if q.result.Scheduled.IsZero() {
			q.result.Scheduled = now
		}
	}
	hidden := s.scratch.Extend(s.model, s.pool, segments)
	width := s.model.Hidden
	for i, q := range batch {
		q.computed += len(segments[i].Tokens)
		s.stats.ComputedTokens += len(segments[i].Tokens)
		s.commit(q)
		if q.computed == len(q.tokens) {
			s.answer(q, hidden[i*width:(i+1)*width])
		}
	}
	s.running = keep(s.running, func(q *sequence) bool { return q.result.Finish == "" })
}

// plan chooses the segments of the next batch within the token budget: decoding requests first,
// then prefill chunks in order of arrival, then newly admitted requests.
func (s *scheduler) plan() (batch []*sequence, segments []model.Segment) {
	budget := s.options.BatchTokens
	add := func(q *sequence) {
		n := min(len(q.tokens)-q.computed, budget, s.options.Chunk)
		if n == 0 {
			return
		}
		budget -= n
		batch = append(batch, q)
		segments = append(segments, model.Segment{Tokens: q.tokens[q.computed : q.computed+n], Start: q.computed, Pages: q.pages})
	}
	for _, q := range s.running {
		if len(q.tokens) > len(q.Prompt) {
			add(q)
		}
	}
	for _, q := range s.running {
		if len(q.tokens) == len(q.Prompt) {
			add(q)
		}
	}
	var left []*sequence
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
	s.waiting = left
	return batch, segments
}

// follows reports whether a running request is computing a longer prefix of q than the tree holds:
// then q waits for it.
func (s *scheduler) follows(q *sequence) bool {
	if s.tree == nil {
		return false
	}
	usable := q.Prompt[:len(q.Prompt)-1]
	best := 0
	for _, r := range s.running {
		if r.computed < len(r.Prompt) {
			best = max(best, s.tree.commonPages(usable, r.Prompt))
		}
	}
	if best == 0 {
		return false
	}
	held, _ := s.tree.match(usable)
	return best > len(held)
}

// admit locks q's cached prefix and reserves pages for the rest. It reports false, with nothing
// held, when there is no room now.
func (s *scheduler) admit(q *sequence) bool {
	var pages []int32
	if s.tree != nil {
		// At least one token is computed, or there would be no logits to answer with.
		pages, q.node = s.tree.match(q.Prompt[:len(q.Prompt)-1])
		s.tree.lock(q.node)
	}
	need := s.pagesFor(q.reserve()) - len(pages)
	if s.tree != nil && need > len(s.free) && need <= len(s.free)+s.tree.evictable {
		freed := s.tree.evict(need - len(s.free))
		s.stats.EvictedPages += len(freed)
		s.free = append(s.free, freed...)
	}
	if need > len(s.free) {
		if s.tree != nil {
			s.tree.unlock(q.node)
			q.node = nil
		}
		return false
	}
	q.shared = len(pages)
	q.computed = len(pages) * s.options.PageSize
	q.result.Cached = q.computed
	cut := len(s.free) - need
	q.pages = append(append(q.pages[:0], pages...), s.free[cut:]...)
	s.free = s.free[:cut]
	s.running = append(s.running, q)
	s.stats.PromptTokens += len(q.Prompt)
	s.stats.CachedTokens += q.computed
	return true
}

// commit hands the full pages that q has computed to the tree, so that others can use them at once.
// Where another request was faster, q gives up its duplicates and goes on with the tree's pages.
func (s *scheduler) commit(q *sequence) {
	full := q.computed / s.options.PageSize
	if s.tree == nil || full <= q.shared {
		return
	}
	at, held := s.tree.insert(q.tokens[:full*s.options.PageSize], q.pages[:full])
	if held > q.shared {
		s.free = append(s.free, q.pages[q.shared:held]...)
		own, _ := s.tree.match(q.tokens[:full*s.options.PageSize])
		copy(q.pages, own)
	}
	s.tree.lock(at)
	s.tree.unlock(q.node)
	q.node, q.shared = at, full
}

// answer turns the hidden state of q's last token into label logits or the next token.
func (s *scheduler) answer(q *sequence, hidden []float32) {
	now := s.now()
	if q.result.FirstToken.IsZero() {
		q.result.FirstToken = now
	}
	if len(q.Labels) > 0 {
		q.result.LabelLogits = make([]float32, len(q.Labels))
		s.model.LabelLogits(q.result.LabelLogits, hidden, 1, q.Labels)
		s.finish(q, FinishScore)
		return
	}
	if s.logits == nil {
		s.logits = make([]float32, s.model.Vocab)
	}
	s.model.Logits(s.logits, hidden, 1)
	token := q.Sampling.next(s.logits, len(q.tokens))
	for _, stop := range q.Stop {
		if token == stop {
			s.finish(q, FinishStop)
			return
		}
	}
	s.stats.GeneratedTokens++
	q.tokens = append(q.tokens, token)
	q.result.Tokens = append(q.result.Tokens, token)
	if q.OnToken != nil {
		q.OnToken(token)
	}
	if len(q.result.Tokens) == q.MaxTokens {
		s.finish(q, FinishLength)
	}
}

// abort ends the requests whose callers are gone.
func (s *scheduler) abort() {
	gone := func(q *sequence) bool {
		if q.ctx.Err() == nil {
			return false
		}
		s.finish(q, FinishAbort)
		return true
	}
	s.waiting = keep(s.waiting, func(q *sequence) bool { return !gone(q) })
	s.running = keep(s.running, func(q *sequence) bool { return !gone(q) })
}

// finish releases what q holds and delivers its result. What it computed stays in the tree.
func (s *scheduler) finish(q *sequence, why Finish) {
	s.free = append(s.free, q.pages[q.shared:]...)
	if q.node != nil {
		s.tree.unlock(q.node)
	}
	q.pages, q.node, q.shared = nil, nil, 0
	q.result.Finish, q.result.End = why, s.now()
	s.stats.Requests++
	q.done <- outcome{q.result, q.ctx.Err()}
}

// check returns the first broken invariant: the tree's own, and that every page is in exactly one
// place.
func (s *scheduler) check() error {
	owner := make([]string, s.options.Pages)
	claim := func(page int32, who string) error {
		if owner[page] != "" {
			return fmt.Errorf("serve: page %d belongs to %s and to %s", page, owner[page], who)
		}
		owner[page] = who
		return nil
	}
	for _, p := range s.free {
		if err := claim(p, "the free list"); err != nil {
			return err
		}
	}
	for i, q := range s.running {
		for _, p := range q.pages[q.shared:] {
			if err := claim(p, fmt.Sprintf("request %d", i)); err != nil {
				return err
			}
		}
	}
	if s.tree != nil {
		if err := s.tree.check(); err != nil {
			return err
		}
		var err error
		s.tree.walk(func(n *node) {
			for _, p := range n.pages {
				if e := claim(p, "the tree"); e != nil && err == nil {
					err = e
				}
			}
		})
		if err != nil {
			return err
		}
	}
	for p, who := range owner {
		if who == "" {
			return fmt.Errorf("serve: page %d is lost", p)
		}
	}
	return nil
}

// flush empties the prefix cache of all that no running request holds.
func (s *scheduler) flush() {
	if s.tree != nil {
		s.free = append(s.free, s.tree.evict(s.tree.evictable)...)
	}
}

// keep filters in place.
func keep(list []*sequence, wanted func(*sequence) bool) []*sequence {
	out := list[:0]
	for _, q := range list {
		if wanted(q) {
			out = append(out, q)
		}
	}
	clear(list[len(out):])
	return out
}
