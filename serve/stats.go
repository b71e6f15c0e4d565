package serve

import "time"

// Stats are an engine's counters since its start, and what there is now.
type Stats struct {
	Requests, Steps                                             int // Requests are those that ended
	PromptTokens, CachedTokens, ComputedTokens, GeneratedTokens int

	// of requests
	Hits        int // began with tokens of the prefix cache
	Recalled    int // began with the logits after the whole prompt
	Aborted     int // ended with their callers
	Refused     int // by a bound of the queue
	TimedOut    int // waited too long
	Retractions int
	Passes      int // a later request was admitted before an earlier one

	Begun       int           // requests that were scheduled
	Waited      time.Duration // what these waited together
	LongestWait time.Duration

	DraftTokens int           // foretold at a time, at most; 0 without a draft
	Drafts      int           // how often a sequence's draft was checked
	Drafted     int           // tokens of drafts
	Accepted    [MaxDraft]int // those that were right, by their place in the draft
	Constraint  time.Duration // that constraints took, of requests that have ended

	EvictedPages int

	Batch, BatchTokens int // parts and computed tokens of the last step's batch

	// now
	Paused                             bool
	Policy                             Policy
	Waiting, Following, Running        int // Following are those of Waiting that wait for a prefix
	WaitingTokens                      int
	FreePages, TreePages, PrivatePages int
	LockedPages                        int // of TreePages, those that running requests share
}

// begun notes that a request's first tokens are about to be computed.
func (c *core) begun(q *sequence, now time.Time) {
	q.result.Scheduled, q.result.Cached = now, q.computed
	q.together.begun = true
	s := &c.stats
	s.PromptTokens += q.result.Prompt
	s.CachedTokens += q.computed
	if q.computed > 0 {
		s.Hits++
	}
	waited := now.Sub(q.result.Submitted)
	s.Begun++
	s.Waited += waited
	s.LongestWait = max(s.LongestWait, waited)
}

// now completes the counters.
func (c *core) now() Stats {
	s, scheduler := c.stats, c.scheduler
	s.Paused, s.Policy = c.paused, scheduler.options.Policy
	s.Waiting, s.WaitingTokens, s.Running = len(scheduler.waiting.list), scheduler.waiting.tokens, len(scheduler.running)
	aside, tokens := c.aside.queued()
	s.Waiting, s.WaitingTokens, s.Running = s.Waiting+len(aside), s.WaitingTokens+tokens, s.Running+len(c.aside.waiting)-len(aside)
	for _, q := range scheduler.waiting.list {
		if scheduler.stillFollows(q) {
			s.Following++
		}
	}
	s.Passes, s.Retractions = scheduler.passes, scheduler.retractions
	n := scheduler.pages.Counts()
	s.FreePages, s.TreePages, s.PrivatePages, s.LockedPages, s.EvictedPages = n.Free, n.Tree, n.Private, n.Locked, n.Evicted
	return s
}
