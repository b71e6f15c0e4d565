package serve

import (
	"fmt"
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/serve/sample"
)

// core is the engine without its goroutine: submit and step, one caller at a time.
type core struct {
	executor  Executor
	scheduler *scheduler
	sampler   sample.Sampler
	stats     Stats
	pace      pace

	// of one step
	segments []Segment
	rows     []sample.Row
	tokens   []int32
	logP     []float32 // of the tokens, where it is asked for
}

func newCore(e Executor, o Options) *core {
	return &core{executor: e, scheduler: newScheduler(o, e.Shape())}
}

// step drops aborted requests and those that waited too long, computes one batch and finishes what
// is complete. An error is the executor's.
func (c *core) step() error {
	c.abort()
	c.expire()
	batch := c.scheduler.plan()
	if len(batch) == 0 {
		return nil
	}
	logits, err := c.extend(batch)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	c.scheduler.computed(batch)
	c.answer(batch, logits)
	c.scheduler.drop(func(q *sequence) bool { return q.result.Finish != "" })
	return nil
}

// extend has the executor compute a batch.
func (c *core) extend(batch []part) (logits [][]float32, err error) {
	c.stats.Steps++
	now, tokens := c.executor.Now(), 0
	c.segments = c.segments[:0]
	for _, p := range batch {
		q := p.sequence
		if q.result.Scheduled.IsZero() {
			c.begun(q, now)
		}
		tokens += p.tokens
		end := q.computed + p.tokens
		segment := Segment{Tokens: q.tokens[q.computed:end], Start: q.computed, Pages: q.lease.Table}
		if end == len(q.tokens) {
			segment.Logits, segment.Labels = len(q.Labels) == 0, q.Labels
		}
		c.segments = append(c.segments, segment)
	}
	c.stats.ComputedTokens += tokens
	logits, err = c.executor.Extend(c.segments)
	c.pace.add(tokens, c.executor.Now().Sub(now))
	return logits, err
}

// answer gives each sequence that has come to its end its label logits or its next token.
func (c *core) answer(batch []part, logits [][]float32) {
	c.rows = c.rows[:0]
	c.logP = slices.Grow(c.logP[:0], len(batch))[:len(batch)]
	for i, p := range batch {
		at := notFinite(logits[i])
		if at >= 0 {
			c.refuse(p.sequence, &c.segments[i], at, logits[i][at])
		}
		if c.segments[i].Logits && at < 0 {
			row := sample.Row{Logits: logits[i], Settings: p.Sampling, Position: len(p.sequence.tokens)}
			if p.LogP {
				row.LogP = &c.logP[len(c.rows)]
			}
			c.rows = append(c.rows, row)
		}
	}
	c.tokens = slices.Grow(c.tokens[:0], len(c.rows))[:len(c.rows)]
	c.sampler.Choose(c.tokens, c.rows)
	now, row := c.executor.Now(), 0
	for i, p := range batch {
		q := p.sequence
		if p := &c.segments[i]; !p.Logits && len(p.Labels) == 0 || q.result.Finish != "" {
			continue
		}
		if q.result.FirstToken.IsZero() {
			q.result.FirstToken = now
		}
		if !c.segments[i].Logits {
			q.result.LabelLogits = slices.Clone(logits[i])
			c.finish(q, FinishScore, nil)
			continue
		}
		if q.LogP {
			q.result.LogP = append(q.result.LogP, c.logP[row])
		}
		c.next(q, c.tokens[row])
		row++
	}
	clear(c.rows)
	clear(c.segments)
}

// notFinite returns the index of the first logit that is NaN or infinite, or -1.
func notFinite(logits []float32) int {
	if sum := kernels.SumSquares(logits); !math.IsNaN(sum) && !math.IsInf(sum, 0) {
		return -1
	}
	return slices.IndexFunc(logits, func(v float32) bool { return v-v != 0 })
}

// refuse ends a request whose logits after its last token are no numbers: no answer can be made of
// them, and a token that was chosen all the same would look like one.
func (c *core) refuse(q *sequence, s *Segment, at int, value float32) {
	label := int32(at)
	if !s.Logits {
		label = s.Labels[at]
	}
	last := len(q.tokens) - 1
	c.finish(q, FinishError, fmt.Errorf("serve: after token %d at position %d the logit of token %d is %v, expected a finite number: the model's weights or activations are not finite", q.tokens[last], last, label, value))
}

// next adds a chosen token to a sequence.
func (c *core) next(q *sequence, token int32) {
	if slices.Contains(q.Stop, token) {
		q.result.Stopped = token
		c.finish(q, FinishStop, nil)
		return
	}
	c.stats.GeneratedTokens++
	q.tokens = append(q.tokens, token)
	if q.OnToken != nil {
		q.OnToken(token)
	}
	if len(q.tokens) == len(q.Prompt)+q.MaxTokens {
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
}

// finish releases what q holds and delivers its result.
func (c *core) finish(q *sequence, why Finish, err error) {
	c.scheduler.release(q)
	if generated := q.tokens[len(q.Prompt):]; len(generated) > 0 {
		q.result.Tokens = generated
	}
	q.result.Finish, q.result.End = why, c.executor.Now()
	c.stats.Requests++
	q.done <- outcome{q.result, err}
}
