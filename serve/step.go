package serve

import (
	"fmt"
	"math"
	"slices"
	"time"

	"slimlab/kernels"
	"slimlab/serve/sample"
)

// core is the engine without its goroutine: submit and step, one caller at a time.
type core struct {
	executor  Executor
	scheduler *scheduler
	sampler   sample.Sampler
	drafter   *drafter // nil where nothing is drafted
	recall    recall
	stats     Stats
	pace      pace
	aside     aside
	recent    []Ended
	paused    bool
	broken    error     // why no further step can be computed
	simulated Simulated // the executor, where it is one: then tokens are given and not chosen
	ended     time.Time // when the last step did, where another follows it and OnStep is told

	// of one step
	segments []Segment
	choices  []choice
	rows     []sample.Row
	tokens   []int32
	sums     []float64   // of the rows of a prompt
	recalled []*sequence // whose next tokens are chosen by logits that are kept
	copied   []float32   // those logits
}

func newCore(e Executor, o Options) *core {
	simulated, _ := e.(Simulated)
	c := &core{executor: e, simulated: simulated, scheduler: newScheduler(o, e.Shape()), drafter: newDrafter(o), recall: newRecall(o, e.Shape())}
	if c.drafter != nil {
		c.stats.DraftTokens = o.Draft.Tokens
	}
	return c
}

// idle reports whether there is nothing to do.
func (c *core) idle() bool { return c.scheduler.idle() && len(c.aside.waiting) == 0 }

// step drops aborted requests and those that waited too long, computes one batch and finishes what
// is complete. An error is the executor's.
func (c *core) step() error {
	watch, begun := c.scheduler.options.OnStep, c.ended
	if watch != nil && begun.IsZero() {
		begun = c.executor.Now()
	}
	c.abort()
	c.expire()
	if err := c.stepAside(); err != nil {
		return err
	}
	c.remind()
	batch := c.scheduler.plan()
	if copies := c.scheduler.copies; len(copies) > 0 {
		c.executor.CopyPages(copies)
	}
	var logits [][]float32
	if batch = c.known(batch); len(batch) == 0 && len(c.recalled) > 0 {
		c.stats.Steps++
		c.stats.Batch, c.stats.BatchTokens = len(c.recalled), 0
	}
	if len(batch) > 0 {
		if err := c.foretell(batch); err != nil {
			return fmt.Errorf("serve: draft: %w", err)
		}
		var err error
		if logits, err = c.extend(batch); err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		c.scheduler.computed(batch)
	}
	c.answer(batch, logits)
	if watch != nil && len(batch) > 0 {
		watch(c.segments[:len(batch)], c.executor.Now().Sub(begun))
	}
	clear(c.segments)
	c.scheduler.drop(func(q *sequence) bool { return q.result.Finish != "" })
	if c.ended = (time.Time{}); watch != nil && !c.idle() {
		c.ended = c.executor.Now()
	}
	return nil
}

// extend has the executor compute a batch.
func (c *core) extend(batch []part) (logits [][]float32, err error) {
	c.stats.Steps++
	now, tokens, pageSize := c.executor.Now(), 0, c.executor.Shape().PageSize
	c.segments = c.segments[:0]
	for _, p := range batch {
		q := p.sequence
		if q.result.Scheduled.IsZero() {
			c.begun(q, now)
		}
		tokens += p.tokens
		c.segments = append(c.segments, p.segment(pageSize))
		if p.fork == nil {
			c.ask(q, &c.segments[len(c.segments)-1])
		}
	}
	c.stats.ComputedTokens += tokens
	c.stats.Batch, c.stats.BatchTokens = len(batch)+len(c.recalled), tokens
	logits, err = c.executor.Extend(c.segments)
	c.pace.add(tokens, c.executor.Now().Sub(now))
	return logits, err
}

// segment is what the executor computes of a part.
func (p part) segment(pageSize int) (s Segment) {
	q := p.sequence
	if p.fork != nil {
		s = p.fork.segment(q, pageSize)
	} else {
		end := q.computed + p.tokens
		s = Segment{Tokens: q.tokens[q.computed:end], Start: q.computed, Pages: q.lease.Table}
		if end < len(q.tokens) || !q.endAnswers() {
			return s
		}
	}
	switch {
	case q.LabelLogP:
		s.Logits = true
	case len(q.Labels) > 0:
		s.Labels = q.Labels
	case q.MaxTokens > 0:
		s.Logits, s.Rows = true, 1+len(q.draft.tokens)
		s.Tokens = append(s.Tokens, q.draft.tokens...) // into the room of the answer
	}
	return s
}

// choice is a sequence whose next token is chosen.
type choice struct {
	*sequence
	logits   []float32 // of the next token, then after each token that is foretold
	foretold []int32   // from the next token on
	at       int       // place of the next token in the whole draft
}

// answer gives each sequence that has come to its end its label logits, or its next token and those
// that follow it as far as its draft has foretold them.
func (c *core) answer(batch []part, logits [][]float32) {
	c.choices = c.choices[:0]
	c.chooseKnown()
	for i, p := range batch {
		q, s := p.sequence, &c.segments[i]
		switch {
		case q.result.Finish != "": // by another part of it
		case q.unfit != nil:
			c.finish(q, FinishError, q.unfit)
		case len(q.Labels) > 0:
			if logits[i] != nil {
				c.score(q, p.fork, s, logits[i])
			}
		case s.Logits && c.simulated != nil:
			c.scheduler.leaves(q)
			c.next(q, c.simulated.Token(q.number, len(q.tokens)))
		case s.Logits:
			c.recall.keep(q, logits[i][:c.executor.Shape().Vocabulary])
			c.scheduler.leaves(q)
			c.choices = append(c.choices, choice{q, logits[i], q.draft.tokens, 0})
		case q.computed == len(q.tokens):
			q.result.FirstToken = c.executor.Now()
			c.finish(q, FinishLength, nil)
		}
	}
	for len(c.choices) > 0 {
		c.choose()
	}
}

// score answers a request, or some of its items, by the logits of its labels, and ends it with the
// last of them.
func (c *core) score(q *sequence, f *fork, s *Segment, logits []float32) {
	if err := q.checkLabels(s, logits); err != nil {
		c.finish(q, FinishError, err)
		return
	}
	if q.result.FirstToken.IsZero() {
		q.result.FirstToken = c.executor.Now()
	}
	if q.scored(f, logits) {
		c.finish(q, FinishScore, nil)
	}
}

// checkLabels reports logits of labels, or of the whole vocabulary, that are no numbers.
func (q *sequence) checkLabels(s *Segment, logits []float32) error {
	at := notFinite(logits)
	if at < 0 {
		return nil
	}
	token, last := int32(at), len(s.Tokens)-1
	if !s.Logits {
		token = q.Labels[at]
	}
	return logitError(s.Tokens[last], s.Start+last, token, logits[at])
}

// choose chooses one token of each sequence that is to have one, and keeps the choices whose draft
// has foretold it.
func (c *core) choose() {
	width := c.executor.Shape().Vocabulary
	c.rows = c.rows[:0]
	c.choices = slices.DeleteFunc(c.choices, func(a choice) bool {
		logits := a.logits[:width]
		if at := notFinite(logits); at >= 0 {
			c.finish(a.sequence, FinishError, logitError(a.tokens[len(a.tokens)-1], len(a.tokens)-1, int32(at), logits[at]))
			return true
		}
		row := a.row(logits, 0)
		row.Allowed = a.rule.allowed(width, c.executor)
		if a.asksLogP() {
			a.sequence.logP = sample.LogP{Top: a.TopLogP, Scaled: a.ScaledLogP}
			row.LogP = &a.sequence.logP
		}
		c.rows = append(c.rows, row)
		return false
	})
	c.tokens = slices.Grow(c.tokens[:0], len(c.rows))[:len(c.rows)]
	c.sampler.Choose(c.tokens, c.rows)
	right := c.choices[:0]
	for i, a := range c.choices {
		c.next(a.sequence, c.tokens[i])
		if len(a.foretold) == 0 || a.foretold[0] != c.tokens[i] {
			continue
		}
		c.stats.Accepted[a.at]++
		if a.result.Finish == "" {
			c.scheduler.advance(a.sequence, 1) // the keys and values of the token are there
			right = append(right, choice{a.sequence, a.logits[width:], a.foretold[1:], a.at + 1})
		}
	}
	clear(c.choices[len(right):])
	c.choices = right
	clear(c.rows)
}

// row is the choice of a sequence's next token, or of one further ahead.
func (q *sequence) row(logits []float32, ahead int) sample.Row {
	row := sample.Row{Logits: logits, Settings: q.Sampling, Position: len(q.tokens) + ahead, History: q.history}
	if q.generated()+ahead < q.MinTokens {
		row.Banned = q.Stop
	}
	return row
}

// notFinite returns the index of the first logit that is NaN or infinite, or -1.
func notFinite(logits []float32) int {
	if sum := kernels.SumSquares(logits); !math.IsNaN(sum) && !math.IsInf(sum, 0) {
		return -1
	}
	return slices.IndexFunc(logits, func(v float32) bool { return v-v != 0 })
}

// logitError is the error of a request whose logits after a token are no numbers: no answer can
// be made of them, and a token that was chosen all the same would look like one.
func logitError(after int32, position int, token int32, value float32) error {
	return fmt.Errorf("serve: after token %d at position %d the logit of token %d is %v, expected a finite number: the model's weights or activations are not finite", after, position, token, value)
}

// next adds a chosen token to a sequence.
func (c *core) next(q *sequence, token int32) {
	if token == sample.None {
		c.finish(q, FinishError, q.rule.nothing())
		return
	}
	if q.result.FirstToken.IsZero() {
		q.result.FirstToken = c.executor.Now()
	}
	chosen := Token{ID: token, LogP: q.logP.Token, Top: q.logP.Likeliest}
	if q.asksLogP() {
		q.result.LogP = append(q.result.LogP, chosen.LogP)
	}
	if q.TopLogP > 0 {
		q.result.Top = append(q.result.Top, chosen.Top)
	}
	if slices.Contains(q.Stop, token) {
		q.result.Stopped = token
		c.finish(q, FinishStop, nil)
		return
	}
	c.stats.GeneratedTokens++
	q.tokens = append(q.tokens, token)
	q.rule.accept(token, c.executor)
	if q.history != nil {
		q.history.Add(token)
	}
	if q.OnToken != nil {
		q.OnToken(chosen)
	}
	if q.generated() == q.MaxTokens {
		c.finish(q, FinishLength, nil)
	}
}

// abort ends the requests whose callers are gone.
func (c *core) abort() {
	gone := func(q *sequence) bool {
		err := q.ctx.Err()
		if err != nil {
			c.stats.Aborted++
			c.finish(q, FinishAbort, err)
		}
		return err != nil
	}
	c.scheduler.waiting.remove(gone)
	c.scheduler.drop(gone)
	c.aside.remove(gone)
}

// flush empties the prefix caches of all that no running request holds.
func (c *core) flush() {
	c.scheduler.pages.Flush()
	c.recall.forgetAll()
	if c.drafter != nil {
		c.drafter.pages.Flush()
	}
}

// finish releases what q holds and delivers its result.
func (c *core) finish(q *sequence, why Finish, err error) {
	c.stats.Constraint += q.rule.spent + q.draft.rule.spent
	c.scheduler.release(q)
	c.drafter.release(q)
	if generated := q.tokens[len(q.Prompt):]; q.generated() > 0 {
		q.result.Tokens = generated
	}
	q.result.Finish, q.result.End = why, c.executor.Now()
	c.stats.Requests++
	c.remember(q)
	q.done(outcome{q.result, err})
}
