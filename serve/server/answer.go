package server

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"slimlab/serve"
)

// ask is one answer that is wanted.
type ask struct {
	prompt  int // its index
	request serve.Request
	transcript
	heard []heard // tokens whose piece is not said yet
	// What is expected in the places of the prompt, where that is asked. The engine has told it
	// when the answer's first event comes.
	places []place
	rows   []wholeRow // of the places whose whole rows are asked for
	enough bool       // its reader wants no more of it
	held   string     // the field that holds it to a form
}

// piece is what an answer says next.
type piece struct {
	choice int
	text   string
	tokens []heard // since the last piece, where log-probabilities are asked for
	finish string  // why it ended, on its last piece: stop or length
}

// asks makes the answers to prompts, n to each, with as many tokens as there is room for.
func (s *Server) asks(ctx context.Context, p *settings, prompts [][]int32, param string, most *int, usual int) ([]*ask, error) {
	n := p.choices()
	if total := len(prompts) * n; total > s.options.Limits.Choices {
		return nil, overLimit("n", "answers", total, s.options.Limits.Choices)
	}
	if err := s.checkTokens("stop_token_ids", p.StopTokenIDs); err != nil {
		return nil, err
	}
	stop := slices.Clone(p.StopTokenIDs)
	if !p.IgnoreEOS {
		stop = append(stop, s.model.Ends...)
	}
	constraint, err := s.constraint(ctx, p)
	if err != nil {
		return nil, err
	}
	sampling, err := s.sampling(p)
	if err != nil {
		return nil, err
	}
	var asks []*ask
	for at, prompt := range prompts {
		tokens, err := s.room(p.prompt, len(prompt), param, most, usual, p.leastTokens)
		if err != nil {
			return nil, err
		}
		least := 0
		if p.MinTokens != nil {
			least = *p.MinTokens
		}
		if least < 0 || least > tokens {
			return nil, refuse("min_tokens", "found %d, expected 0 to %d, the most that may come", least, tokens)
		}
		for i := range n {
			a := &ask{prompt: at, request: serve.Request{
				Prompt: prompt, MaxTokens: tokens, MinTokens: least, Sampling: sampling, Stop: stop, LogP: p.logprobs >= 0, TopLogP: max(0, p.logprobs),
				Namespace: namespace(p.CacheSalt), NoReuse: p.Reuse != nil && !*p.Reuse,
			}}
			a.request.Sampling.Seed += uint64(i)
			if constraint != nil {
				a.request.Constraint = constraint()
			}
			a.transcript, a.held = s.newTranscript(p), p.held()
			asks = append(asks, a)
		}
	}
	return asks, nil
}

func (s *Server) newTranscript(p *settings) transcript {
	decoder := s.model.Tokenizer.NewTextDecoder()
	if p.SpecialTokens != nil && !*p.SpecialTokens {
		decoder = s.model.Tokenizer.NewDecoder()
	}
	return transcript{decoder: decoder, stops: p.stops, include: p.IncludeStop}
}

// event is what the engine says of an answer: a token, or that it has ended.
type event struct {
	choice int
	token  serve.Token
	at     time.Time
	end    *ending
}

type ending struct {
	result serve.Result
	err    error
}

// queue hands events from the engine, which must not wait, to the endpoint. It is as long as
// answers are.
type queue struct {
	mutex  sync.Mutex
	events []event
	filled chan struct{} // has one element where events may have some
}

func newQueue() *queue { return &queue{filled: make(chan struct{}, 1)} }

func (q *queue) put(e event) {
	q.mutex.Lock()
	q.events = append(q.events, e)
	q.mutex.Unlock()
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// take waits for events and returns all that there are.
func (q *queue) take() []event {
	<-q.filled
	q.mutex.Lock()
	defer q.mutex.Unlock()
	events := q.events
	q.events = nil
	return events
}

// answer has the engine answer and gives say the pieces as they come. An error of say, as of a
// client that has gone, ends the answers. It returns when the engine has let go of all of them.
func (x *exchange) answer(asks []*ask, say func(piece) error) (usage, error) {
	s := x.server
	ctx, cancel := s.context(x.r.Context())
	var wait conc.WaitGroup
	defer wait.Wait()
	defer cancel()

	q := newQueue()
	stop := make([]context.CancelFunc, len(asks))
	contexts, requests := make([]context.Context, len(asks)), make([]serve.Request, len(asks))
	for i, a := range asks {
		contexts[i], stop[i] = context.WithCancel(ctx)
		requests[i] = a.request
		requests[i].OnToken = func(t serve.Token) { q.put(event{choice: i, token: t, at: time.Now()}) }
	}
	all, err := s.model.Engine.Submit(contexts, requests)
	if err != nil {
		return usage{}, s.causeIn(asks, err)
	}
	for i, one := range all {
		wait.Go(func() {
			result, err := one.Wait()
			q.put(event{choice: i, end: &ending{result, err}})
		})
	}
	c := course{x: x, asks: asks, stop: stop, say: say, ended: make([]bool, len(asks)), latest: make([]time.Time, len(asks)), cached: map[int]int{}}
	for left := len(asks); left > 0; {
		for _, e := range q.take() {
			if e.end != nil {
				left--
			}
			if err := c.take(e); err != nil {
				return usage{}, s.causeIn(asks, err)
			}
		}
	}
	total := c.usage()
	x.record(total, c.finish)
	return total, nil
}

// course is how the answers to one request go on.
type course struct {
	x      *exchange
	asks   []*ask
	stop   []context.CancelFunc
	say    func(piece) error
	ended  []bool // the last piece of the answer is said
	latest []time.Time
	tokens int
	cached map[int]int // by prompt: tokens that the cache had for all of its answers
	finish string
}

func (c *course) take(e event) error {
	a := c.asks[e.choice]
	if e.end != nil {
		return c.end(e.choice, a, e.end)
	}
	if c.ended[e.choice] {
		return nil // on its way when the text ended
	}
	c.x.server.metrics.token(c.x.begun, c.latest[e.choice], e.at)
	c.latest[e.choice] = e.at
	c.tokens++
	if a.request.LogP {
		a.heard = append(a.heard, heard{e.token, a.characters})
	}
	p := piece{choice: e.choice, text: a.push(e.token.ID)}
	if a.stopped {
		p.finish = finishStop
	}
	return c.speak(p)
}

// end counts what the engine says of an answer that has ended.
func (c *course) end(choice int, a *ask, e *ending) error {
	c.stop[choice]()
	if e.err != nil && !c.ended[choice] {
		return e.err
	}
	r := e.result
	c.x.server.metrics.ended(c.x.begun, &r)
	if cached, ok := c.cached[a.prompt]; !ok || r.Cached < cached {
		c.cached[a.prompt] = r.Cached
	}
	if c.ended[choice] {
		return nil
	}
	finish := finishLength
	if r.Finish == serve.FinishStop {
		finish = finishStop
	}
	p := piece{choice: choice, text: a.flush(), finish: finish}
	if a.stopped {
		p.finish = finishStop
	}
	return c.speak(p)
}

func (c *course) speak(p piece) error {
	if p.finish != "" {
		c.ended[p.choice], c.finish = true, p.finish
		c.stop[p.choice]()
	}
	if p.text == "" && p.finish == "" {
		return nil
	}
	a := c.asks[p.choice]
	p.tokens, a.heard = a.heard, nil
	if err := c.say(p); err != nil {
		return err
	}
	if p.finish == "" && a.enough {
		return c.speak(piece{choice: p.choice, finish: finishStop})
	}
	return nil
}

// usage counts a prompt once, however many answers it has: all but the first find it in the cache.
func (c *course) usage() (u usage) {
	counted := map[int]bool{}
	for _, a := range c.asks {
		if !counted[a.prompt] {
			counted[a.prompt] = true
			u.PromptTokens += len(a.request.Prompt)
			u.PromptTokensDetails.CachedTokens += c.cached[a.prompt]
		}
	}
	u.CompletionTokens = c.tokens
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
}

// Why an answer ended, in OpenAI's words.
const (
	finishStop   = "stop"
	finishLength = "length"
)

// cause is the problem that the engine's error is for a client.
func (s *Server) cause(err error) error {
	var full *serve.QueueFullError
	var late *serve.QueueTimeoutError
	switch {
	case s.base.Err() != nil:
		return fault(http.StatusServiceUnavailable, serverError, "shutting_down", "the server has ended, and this request was not finished in the time for that")
	case errors.As(err, &full):
		p := fault(http.StatusTooManyRequests, rateLimit, "queue_full", "%v", full)
		p.retryAfter = seconds(full.RetryAfter)
		return p
	case errors.As(err, &late):
		p := fault(http.StatusServiceUnavailable, serverError, "queue_timeout", "%v", late)
		p.retryAfter = 1
		return p
	case errors.Is(err, serve.ErrNothingAllowed):
		return fault(http.StatusBadRequest, invalidRequest, "nothing_allowed", "%s", strings.TrimPrefix(err.Error(), "serve: "))
	case errors.Is(err, serve.ErrClosed):
		return fault(http.StatusServiceUnavailable, serverError, "shutting_down", "the server is ending")
	}
	return err
}

// causeIn is cause for answers, whose form may be what allows nothing.
func (s *Server) causeIn(asks []*ask, err error) error {
	if errors.Is(err, serve.ErrNothingAllowed) && asks[0].held != "" {
		return refuse(asks[0].held, "%s", strings.TrimPrefix(err.Error(), "serve: ")).coded("nothing_allowed")
	}
	return s.cause(err)
}

// usage counts the tokens of a request.
type usage struct {
	PromptTokens        int `json:"prompt_tokens"`
	CompletionTokens    int `json:"completion_tokens"`
	TotalTokens         int `json:"total_tokens"`
	PromptTokensDetails struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// record notes a finished answer in the log line.
func (x *exchange) record(u usage, finish string) {
	x.note("prompt", u.PromptTokens)
	x.note("cached", u.PromptTokensDetails.CachedTokens)
	x.note("generated", u.CompletionTokens)
	x.note("finish", finish)
}

// seconds is a time in whole seconds for a client to wait, at least one.
func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }
