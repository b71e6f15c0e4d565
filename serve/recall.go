package serve

import (
	"slices"

	"slimlab/serve/pages"
)

// recall keeps the logits after whole prompts. Where a prompt comes again and the prefix cache
// holds all of its keys and values, its next token is chosen by them, and nothing is computed: they
// are the bits that would be. The prompts that were not asked for longest leave first.
type recall struct {
	most    int   // prompts whose logits are kept
	bytes   int64 // that they and their tokens take, at most
	width   int   // of the vocabulary
	held    int64 // that they take
	prompts map[uint64]*recalled
	uses    int
}

// recalled is the logits after a prompt.
type recalled struct {
	namespace string
	tokens    []int32
	logits    []float32 // [vocabulary]
	used      int       // the use of all that was the last
}

// mostRecalled bounds the prompts whose logits are kept, where those of a small vocabulary take few
// bytes.
const mostRecalled = 256

// newRecall keeps logits of so many bytes; where nothing is shared it keeps none.
func newRecall(o Options, s Shape) recall {
	r := recall{prompts: map[uint64]*recalled{}}
	if o.PrefixCache {
		r.bytes, r.width = o.RecallBytes, s.Vocabulary
		r.most, _ = RecalledPrompts(o.RecallBytes, s.Vocabulary)
	}
	return r
}

// RecalledPrompts is how many prompts of a model with that vocabulary have the logits after them
// kept in so many bytes, at most, and how many tokens one of them may have; 0 and 0 where nothing
// can be kept. Each takes 4 bytes for a token of the vocabulary and for one of its own.
func RecalledPrompts(bytes int64, vocabulary int) (prompts int, longest int64) {
	return int(min(mostRecalled, bytes/(4*int64(vocabulary+1)))), max(0, bytes/4-int64(vocabulary))
}

// recallable reports whether the logits after a sequence's prompt are what chooses its next token.
func (q *sequence) recallable() bool {
	return q.MaxTokens > 0 && len(q.Labels) == 0 && !q.NoReuse && q.generated() == 0
}

// begin notes by which hash a sequence's prompt is found, if there is room for what is kept of it.
func (r *recall) begin(q *sequence) {
	if r.most > 0 && q.recallable() && 4*int64(len(q.Prompt)+r.width) <= r.bytes {
		q.promptHash = pages.Hashes(q.Namespace, q.Prompt, len(q.Prompt))[0]
	}
}

// find returns what is kept of a sequence's prompt, or nil.
func (r *recall) find(q *sequence) *recalled {
	if q.promptHash == 0 || !q.recallable() {
		return nil
	}
	k := r.prompts[q.promptHash]
	if k != nil && (k == q.recalled || k.namespace == q.Namespace && slices.Equal(k.tokens, q.Prompt)) {
		return k
	}
	return nil
}

// use notes that a prompt is asked for.
func (r *recall) use(k *recalled) {
	r.uses++
	k.used = r.uses
}

// keep keeps the logits after a sequence's prompt.
func (r *recall) keep(q *sequence, logits []float32) {
	if q.promptHash == 0 || !q.recallable() {
		return
	}
	k := r.find(q)
	if k == nil {
		k = &recalled{namespace: q.Namespace, tokens: slices.Clone(q.Prompt), logits: slices.Clone(logits)}
		r.forget(q.promptHash) // another prompt of that hash
		for len(r.prompts) == r.most || r.held+k.size() > r.bytes {
			r.forget(r.oldest())
		}
		r.prompts[q.promptHash] = k
		r.held += k.size()
	}
	r.use(k)
	q.leavesLogits = true
}

// size is the bytes of what is kept.
func (k *recalled) size() int64 { return 4 * int64(len(k.tokens)+len(k.logits)) }

// oldest is the hash of the prompt that was not asked for longest; there is one.
func (r *recall) oldest() (hash uint64) {
	least := r.uses + 1
	for h, k := range r.prompts {
		if k.used < least {
			hash, least = h, k.used
		}
	}
	return hash
}

// forget drops what is kept of a prompt, if there is any.
func (r *recall) forget(hash uint64) {
	if k := r.prompts[hash]; k != nil {
		r.held -= k.size()
		delete(r.prompts, hash)
	}
}

// forgetAll drops everything.
func (r *recall) forgetAll() {
	clear(r.prompts)
	r.held = 0
}

// remind has the requests of the queue's window know what is kept of their prompts, before one of
// them is admitted.
func (c *core) remind() {
	for _, q := range c.scheduler.waiting.list[:min(window, len(c.scheduler.waiting.list))] {
		q.recalled = c.recall.find(q)
	}
}

// known takes the sequences out of a batch whose next tokens are chosen by logits that are kept.
func (c *core) known(batch []part) []part {
	c.recalled = c.recalled[:0]
	return slices.DeleteFunc(batch, func(p part) bool {
		q := p.sequence
		if p.fork != nil || p.tokens > 0 {
			return false
		}
		if q.result.Scheduled.IsZero() {
			c.begun(q, c.executor.Now())
		}
		c.recall.use(q.recalled)
		c.stats.Recalled++
		c.recalled = append(c.recalled, q)
		return true
	})
}

// chooseKnown begins the choices of a step with those sequences. Their logits are copies: choosing
// writes to them.
func (c *core) chooseKnown() {
	width := c.executor.Shape().Vocabulary
	c.copied = slices.Grow(c.copied[:0], len(c.recalled)*width)
	for _, q := range c.recalled {
		from := len(c.copied)
		c.copied = append(c.copied, q.recalled.logits...)
		c.choices = append(c.choices, choice{q, c.copied[from:], nil, 0})
		q.recalled = nil
	}
	clear(c.recalled)
}
