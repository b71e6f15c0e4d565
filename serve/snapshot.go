package serve

import (
	"slices"
	"time"

	"slimlab/serve/pages"
)

// Snapshot is what an engine is doing at one moment.
type Snapshot struct {
	Now      time.Time // by the executor's clock
	Stats    Stats
	Requests []RequestState // those that run, in order of admission, then those that wait, then those without pages, in order
	LeftOut  int            // requests beyond the number that was asked for
	Ended    []Ended        // the last that have ended, the newest first
	Tree     pages.Tree
}

// State says what a request is doing.
type State string

const (
	StateWaiting   State = "waiting"   // for its first admission
	StateFollowing State = "following" // waits for a prefix that another request is computing
	StatePrefill   State = "prefill"   // some of the tokens that it was admitted with are computed
	StateDecode    State = "decode"    // generates
	StateRetracted State = "retracted" // waits to go on
)

// RequestState is one request of a snapshot.
type RequestState struct {
	Number      int // of its arrival, from 0
	State       State
	Following   int // the number of the request that computes its prefix, with StateFollowing
	Namespace   string
	NoReuse     bool
	Prompt      int // tokens
	Cached      int // of the prompt, found in the cache when it was first scheduled
	Computed    int // of the tokens so far, keys and values that are there
	Prefill     int // tokens to compute before it generates: StatePrefill is at Computed of Prefill
	Generated   int
	MaxTokens   int
	Pages       int
	SharedPages int // of which are the tree's
	Passes      int // how often a later request was admitted before it
	Retractions int
	Submitted   time.Time
	TTFT, TPOT  time.Duration // so far; 0 where there is no first, or no second token
}

// Ended is a request of a snapshot that has ended.
type Ended struct {
	Number     int
	Namespace  string
	Finish     Finish
	Prompt     int // tokens
	Cached     int // of the prompt
	Generated  int
	TTFT, TPOT time.Duration // 0 where there was no first, or no second token
	At         time.Time
}

// remembered bounds how many requests that have ended a snapshot has.
const remembered = 64

// remember keeps what a snapshot has of a request that ends.
func (c *core) remember(q *sequence) {
	r := &q.result
	e := Ended{Number: q.number, Namespace: q.Namespace, Finish: r.Finish, Prompt: r.Prompt, Cached: r.Cached, Generated: len(r.Tokens), TPOT: r.TPOT(), At: r.End}
	if !r.FirstToken.IsZero() {
		e.TTFT = r.TTFT()
	}
	if len(c.recent) == remembered {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	c.recent = append(c.recent, e)
}

// snapshot describes at most so many requests and so many nodes of the tree.
func (c *core) snapshot(most int) Snapshot {
	s := c.scheduler
	most = max(0, most)
	out := Snapshot{Now: c.executor.Now(), Stats: c.now(), Tree: s.pages.Tree(most)}
	leaders := map[uint64]int{}                    // by promised page
	for _, q := range slices.Backward(s.running) { // of several the first that was admitted
		for _, h := range q.promised() {
			leaders[h] = q.number
		}
	}
	total := len(s.running) + len(s.waiting.list) + len(c.aside.waiting)
	for _, list := range [][]*sequence{s.running, s.waiting.list, c.aside.waiting} {
		for _, q := range list[:min(len(list), most-len(out.Requests))] {
			r := q.describe()
			r.TTFT, r.TPOT = q.times(out.Now)
			if !q.runs && s.stillFollows(q) {
				r.State, r.Following = StateFollowing, leaders[q.follows()]
			}
			out.Requests = append(out.Requests, r)
		}
	}
	out.LeftOut = total - len(out.Requests)
	for _, e := range slices.Backward(c.recent[max(0, len(c.recent)-most):]) {
		out.Ended = append(out.Ended, e)
	}
	return out
}

// times are the time to the first token and the mean time of those after it so far.
func (q *sequence) times(now time.Time) (first, later time.Duration) {
	r := &q.result
	if r.FirstToken.IsZero() {
		return 0, 0
	}
	if n := q.generated(); n > 1 {
		later = now.Sub(r.FirstToken) / time.Duration(n-1)
	}
	return r.TTFT(), later
}

// describe is the state of a request by itself.
func (q *sequence) describe() RequestState {
	r := RequestState{
		Number: q.number, State: StateWaiting, Namespace: q.Namespace, NoReuse: q.NoReuse,
		Prompt: len(q.Prompt), Cached: q.result.Cached, Computed: q.computed, Prefill: q.prefill,
		Generated: q.generated(), MaxTokens: q.MaxTokens,
		Pages: len(q.lease.Table), SharedPages: q.lease.Shared,
		Passes: q.passes, Retractions: q.retractions, Submitted: q.result.Submitted,
	}
	switch {
	case q.runs && q.decodes():
		r.State = StateDecode
	case q.runs:
		r.State = StatePrefill
	case q.retractions > 0:
		r.State = StateRetracted
	}
	return r
}
