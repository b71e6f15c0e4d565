package serve

import (
	"fmt"
	"slices"

	"slimlab/kernels"
	"slimlab/serve/pages"
	"slimlab/serve/sample"
)

// MaxDraft is the most tokens that may be foretold at a time.
const MaxDraft = 16

// Draft has a smaller model foretell the next tokens of each sequence that decodes. The engine's
// executor then computes them in one step, and the engine chooses each token as it does without a
// draft: by the logits, the seed and the position. As long as the token that it chooses is the one
// that was foretold, the logits of the next are there already. So the answers are the same, token
// for token, and the draft decides how many of them a step gives.
//
// The draft chooses by the same seed and position, so that it errs no more often than its
// probabilities differ; it follows constraints that can fork. Its executor has pages of its own,
// with the prefixes that it has computed. Where they have no room for a sequence, or a step has
// none for more tokens, the sequence decodes by single tokens.
type Draft struct {
	Executor Executor // of the same vocabulary; nil drafts nothing
	Tokens   int      // foretold at a time, at most; 4
}

func (d Draft) check(of Shape) error {
	if d.Executor == nil {
		return nil
	}
	if own := d.Executor.Shape().Vocabulary; own != of.Vocabulary {
		return fmt.Errorf("serve: the draft has a vocabulary of %d tokens, the model one of %d: expected the same", own, of.Vocabulary)
	}
	return nil
}

// drafter foretells tokens. A nil one foretells nothing.
type drafter struct {
	Draft
	shape   Shape
	pages   *pages.Pages
	full    bool // for a sequence that had no room; until one is released
	budget  int  // tokens that a step computes
	most    int  // rows of logits of a step with drafts
	sampler sample.Sampler

	// of one round
	open     []*sequence
	segments []Segment
	rows     []sample.Row
	tokens   []int32
}

// draft is what a sequence has of the drafter.
type draft struct {
	tokens   []int32 // foretold, from the sequence's end on
	most     int     // of them that are wanted
	from     int     // where that end was
	ahead    int     // leading foretold tokens whose keys and values are in the pages
	computed int     // tokens of the sequence of which they are
	lease    pages.Lease
	rule     constrained // a fork of the sequence's, or none
}

func newDrafter(o Options) *drafter {
	if o.Draft.Executor == nil {
		return nil
	}
	s := o.Draft.Executor.Shape()
	return &drafter{Draft: o.Draft, shape: s, pages: newPages(o, s), budget: o.BatchTokens, most: draftLogits / s.Vocabulary}
}

// draftLogits bounds the logits of a step whose sequences have drafts: 128 MB of them.
const draftLogits = 1 << 25

// foretell gives the sequences of a batch that decode drafts, as long as the step has room.
func (c *core) foretell(batch []part) error {
	d := c.drafter
	if d == nil {
		return nil
	}
	room := c.scheduler.options.BatchTokens
	for _, p := range batch {
		room -= p.tokens
	}
	room = min(room, d.most-len(batch))
	d.open = d.open[:0]
	for _, p := range batch {
		q := p.sequence
		d.settle(q)
		// The last token of the answer is none that is computed on.
		most := min(d.Tokens, room, q.MaxTokens-q.generated()-1, c.scheduler.room(q))
		if q.generated() > 0 && len(q.tokens)-q.computed == 1 && most > 0 && d.admit(q) {
			q.draft.most = most
			room -= most
			d.open = append(d.open, q)
		}
	}
	if err := d.draw(); err != nil {
		return err
	}
	for _, p := range batch {
		if n := len(p.draft.tokens); n > 0 {
			c.stats.Drafts++
			c.stats.Drafted += n
		}
	}
	return nil
}

// room is how many tokens after those that it has a sequence's pages can hold.
func (s *scheduler) room(q *sequence) int { return len(q.lease.Table)*s.pages.Size() - len(q.tokens) }

// settle keeps what the last draft computed of the tokens that came, and drops the draft.
func (d *drafter) settle(q *sequence) {
	r := &q.draft
	for i, token := range r.tokens[:r.ahead] {
		if at := r.from + i; at >= len(q.tokens) || q.tokens[at] != token {
			break
		}
		r.computed++
	}
	r.tokens, r.ahead = r.tokens[:0], 0
	if r.lease.Table != nil {
		d.pages.Commit(&r.lease, q.tokens[:r.computed])
	}
}

// admit leases pages for all that a sequence may come to need, unless it has them.
func (d *drafter) admit(q *sequence) bool {
	need := len(q.Prompt) + q.MaxTokens - 1
	switch {
	case q.draft.lease.Table != nil:
		return true
	case d.full || need > d.shape.Positions || d.pages.For(need) > d.shape.Pages:
		return false
	}
	lease, ok := q.admitted(d.pages, len(q.tokens)-1, need)
	d.full = !ok
	if !ok {
		return false
	}
	q.draft.lease = lease
	var copies []kernels.PageCopy
	if q.draft.computed, copies = q.cached(d.pages, &q.draft.lease, len(q.tokens)-1, nil); len(copies) > 0 {
		d.Executor.CopyPages(copies)
	}
	return true
}

// release frees what a sequence holds. What is computed of it stays in the cache of prefixes.
func (d *drafter) release(q *sequence) {
	if d == nil || q.draft.lease.Table == nil {
		return
	}
	d.settle(q)
	d.pages.Release(&q.draft.lease)
	d.full = false
}

// draw has the executor read what it has not yet read of the open sequences, and then foretell one
// token of each at a time. Where that is more than a step's budget, the rest is read in later
// steps, and the sequence has no draft until then.
func (d *drafter) draw() error {
	budget := d.budget
	for len(d.open) > 0 {
		d.segments = d.segments[:0]
		for _, q := range d.open {
			s := q.unread(budget)
			if len(q.draft.tokens) == 0 {
				budget -= len(s.Tokens)
			}
			if len(s.Tokens) > 0 {
				d.open[len(d.segments)] = q
				d.segments = append(d.segments, s)
			}
		}
		d.open = d.open[:len(d.segments)]
		if len(d.segments) == 0 {
			return nil
		}
		logits, err := d.Executor.Extend(d.segments)
		if err != nil {
			return err
		}
		d.choose(logits)
	}
	return nil
}

// unread is what the draft's executor is to read next of a sequence, at most so many of its tokens:
// those that it has not read, then the last one that it foretold.
func (q *sequence) unread(most int) Segment {
	r := &q.draft
	if n := len(r.tokens); n > 0 {
		r.ahead = n
		return Segment{Tokens: r.tokens[n-1:], Start: r.from + n - 1, Pages: r.lease.Table, Logits: true}
	}
	start := r.computed
	r.from, r.computed = len(q.tokens), min(len(q.tokens), start+most)
	return Segment{Tokens: q.tokens[start:r.computed], Start: start, Pages: r.lease.Table, Logits: r.computed == len(q.tokens)}
}

// choose adds a token to each draft whose logits are there, and closes those that want no more.
func (d *drafter) choose(logits [][]float32) {
	d.rows = d.rows[:0]
	for i, q := range d.open {
		if logits[i] == nil || notFinite(logits[i]) >= 0 {
			continue
		}
		r := &q.draft
		if len(r.tokens) == 0 {
			r.rule.follow(&q.rule, d.Executor)
		}
		row := q.row(logits[i], len(r.tokens))
		row.Allowed = r.rule.allowed(len(row.Logits), d.Executor)
		d.open[len(d.rows)] = q
		d.rows = append(d.rows, row)
	}
	d.open = d.open[:len(d.rows)]
	d.tokens = slices.Grow(d.tokens[:0], len(d.rows))[:len(d.rows)]
	d.count((*sample.History).Add)
	d.sampler.Choose(d.tokens, d.rows)
	d.count((*sample.History).Remove)
	clear(d.rows)
	more := d.open[:0]
	for i, q := range d.open {
		r, token := &q.draft, d.tokens[i]
		if token == sample.None {
			continue
		}
		r.tokens = append(r.tokens, token)
		if len(r.tokens) < r.most && !slices.Contains(q.Stop, token) {
			r.rule.accept(token, d.Executor)
			more = append(more, q)
		}
	}
	d.open = more
}

// count has what penalties count add or remove the drafts of the open sequences.
func (d *drafter) count(by func(h *sample.History, token int32)) {
	for _, q := range d.open {
		for _, token := range q.draft.tokens {
			if q.history != nil {
				by(q.history, token)
			}
		}
	}
}
