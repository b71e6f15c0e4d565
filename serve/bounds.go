package serve

import (
	"fmt"
	"slices"
	"time"
)

// QueueFullError is the error of requests that a bound of the queue refuses.
type QueueFullError struct {
	Bound string // the name of the option: WaitingRequests or WaitingTokens
	Found int    // with these requests
	Limit int
	// RetryAfter estimates when the queue is empty, by the pace of the last steps; 0 where there
	// were none.
	RetryAfter time.Duration
}

func (e *QueueFullError) Error() string {
	what := "requests"
	if e.Bound == "WaitingTokens" {
		what = "prompt tokens"
	}
	return fmt.Sprintf("the queue is full: %d %s would wait, at most %d may; send the request again later", e.Found, what, e.Limit)
}

// QueueTimeoutError is the error of a request that waited too long to begin.
type QueueTimeoutError struct {
	Waited, Limit time.Duration
}

func (e *QueueTimeoutError) Error() string {
	return fmt.Sprintf("the request waited for %v and was not begun, at most %v are allowed", e.Waited.Round(time.Millisecond), e.Limit)
}

// submit has requests wait, all or none of them.
func (c *core) submit(all ...*sequence) error {
	if err := c.overfull(all); err != nil {
		c.stats.Refused += len(all)
		return err
	}
	now, group := c.executor.Now(), new(together)
	for _, q := range all {
		q.result.Submitted, q.together = now, group
		if q.goesAside(c.executor.Shape()) {
			c.aside.waiting = append(c.aside.waiting, q)
			q.number = c.scheduler.waiting.number()
			continue
		}
		c.recall.begin(q)
		c.scheduler.waiting.put(q)
	}
	return nil
}

// overfull compares the queue with its bounds, as it would be with these requests. Where no other
// waits they are taken, however many they are: else those that are together beyond a bound would be
// told to come again for ever.
func (c *core) overfull(all []*sequence) error {
	o, w := &c.scheduler.options, &c.scheduler.waiting
	aside, tokens := c.aside.queued()
	waiting := len(w.list) + len(aside)
	if waiting == 0 {
		return nil
	}
	tokens += w.tokens
	after := func() time.Duration { return c.pace.of(tokens) }
	if found := waiting + len(all); o.WaitingRequests > 0 && found > o.WaitingRequests {
		return &QueueFullError{"WaitingRequests", found, o.WaitingRequests, after()}
	}
	found := tokens
	for _, q := range all {
		found += len(q.tokens)
	}
	if o.WaitingTokens > 0 && found > o.WaitingTokens {
		return &QueueFullError{"WaitingTokens", found, o.WaitingTokens, after()}
	}
	return nil
}

// expire ends the requests that have waited too long to begin. One that came with others waits as
// long as it takes when any of them has begun: it waits for those, and their answers would be lost
// with it.
func (c *core) expire() {
	limit := c.scheduler.options.WaitingTime
	if limit == 0 {
		return
	}
	now, w := c.executor.Now(), &c.scheduler.waiting
	overdue := func(q *sequence) bool {
		return !q.together.begun && now.Sub(q.result.Submitted) > limit
	}
	end := func(q *sequence) bool {
		out := overdue(q)
		if out {
			c.stats.TimedOut++
			c.finish(q, FinishError, &QueueTimeoutError{now.Sub(q.result.Submitted), limit})
		}
		return out
	}
	c.aside.remove(end)
	if slices.ContainsFunc(w.list, overdue) {
		w.remove(end)
	}
}

// pace is how fast tokens were computed in the last steps, each of which counts for a tenth of what
// is left by those after it.
type pace struct{ tokens, seconds float64 }

func (p *pace) add(tokens int, took time.Duration) {
	p.tokens = 0.9*p.tokens + float64(tokens)
	p.seconds = 0.9*p.seconds + took.Seconds()
}

// of is the time that so many tokens take; 0 before the first step.
func (p *pace) of(tokens int) time.Duration {
	if p.tokens == 0 {
		return 0
	}
	return time.Duration(float64(tokens) * p.seconds / p.tokens * float64(time.Second))
}
