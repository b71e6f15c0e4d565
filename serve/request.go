package serve

import (
	"context"
	"fmt"
	"time"

	"slimlab/serve/pages"
	"slimlab/serve/sample"
)

// Request is one prompt and what is wanted of it: up to MaxTokens generated tokens, or with Labels
// the logits of those tokens as the next one and nothing generated. With Items too, the labels are
// scored after each item, as if it alone followed the prompt: bit for bit what as many requests
// would get, whose prompts are this one and an item. An empty item is scored after the prompt.
type Request struct {
	Prompt    []int32
	MaxTokens int
	Sampling  sample.Settings
	Stop      []int32 // token ids that end generation; they are not part of the answer
	MinTokens int     // before so many generated tokens no stop token comes
	Labels    []int32
	Items     [][]int32
	LabelLogP bool // asks for log-probabilities of the labels among the whole vocabulary
	// Scores labels without pages, by an executor that is a Passer: layer by layer, beside the
	// batches of other requests. The answer is the same. A prompt of labels that does not fit into
	// the pages is scored so in any case.
	NoCache bool
	// Namespace bounds what is shared: a request takes and leaves prefixes in its own only. "" is
	// one like any other.
	Namespace string
	NoReuse   bool // neither takes a cached prefix nor leaves one
	// LogP asks for the log-probabilities of the generated tokens, TopLogP for those of so many of
	// the likeliest beside each. They are those of softmax(logits) as the model gave them, whatever
	// chose the token; with ScaledLogP those of softmax(logits/temperature), where the choice is
	// not greedy.
	LogP, ScaledLogP bool
	TopLogP          int
	PromptLogP       *PromptLogP // asks for those of the prompt's tokens; MaxTokens may be 0 then
	Pool             Pool        // asks for a hidden state of the prompt, and nothing else
	Constraint       Constraint  // of the generated tokens; nil allows all
	// OnToken is called on the engine's goroutine for each generated token as it comes; it must not
	// block. May be nil.
	OnToken func(Token)
}

// Token is a generated token.
type Token struct {
	ID   int32
	LogP float32       // where the request asks for it
	Top  []Alternative // where it asks for them
}

// Alternative is a token that could have come, with its log-probability.
type Alternative = sample.Alternative

// need is the number of tokens for which the request needs positions.
func (r *Request) need() int { return len(r.Prompt) + max(r.MaxTokens, r.longestItem()) }

// pages is the number of pages that they take.
func (r *Request) pages(s Shape) int { return (r.need() + s.PageSize - 1) / s.PageSize }

// check reports why a request can never be served by an executor that is a Passer or not.
func (r *Request) check(s Shape, passer bool) error {
	need := r.need()
	switch {
	case len(r.Prompt) == 0:
		return fmt.Errorf("serve: the prompt is empty")
	case r.MaxTokens < 0 || len(r.Labels) == 0 && r.MaxTokens < 1 && r.PromptLogP == nil && r.Pool == "":
		return fmt.Errorf("serve: neither labels nor tokens are asked for")
	case r.MinTokens < 0 || r.MinTokens > r.MaxTokens:
		return fmt.Errorf("serve: at least %d new tokens, expected 0 to the %d that may come", r.MinTokens, r.MaxTokens)
	case r.TopLogP < 0 || r.TopLogP > s.Vocabulary:
		return fmt.Errorf("serve: log-probabilities of the %d likeliest tokens, expected 0 to %d", r.TopLogP, s.Vocabulary)
	case need > s.Positions:
		return fmt.Errorf("serve: %d prompt and %d new tokens, the model has %d positions", len(r.Prompt), need-len(r.Prompt), s.Positions)
	case r.NoCache && len(r.Labels) == 0:
		return fmt.Errorf("serve: tokens are to be generated without a cache, expected labels")
	case r.NoCache && r.PromptLogP != nil:
		return fmt.Errorf("serve: log-probabilities of the prompt are asked for without a cache, expected labels alone")
	case r.NoCache && !passer:
		return fmt.Errorf("serve: labels are to be scored without a cache, which this executor does not do")
	case r.pages(s) > s.Pages && !(passer && r.goesAside(s)):
		return fmt.Errorf("serve: %d prompt and %d new tokens need %d pages of %d, the cache has %d", len(r.Prompt), need-len(r.Prompt), r.pages(s), s.PageSize, s.Pages)
	}
	for i, t := range r.Prompt {
		if t < 0 || int(t) >= s.Vocabulary {
			return fmt.Errorf("serve: token %d at position %d, the vocabulary has %d", t, i, s.Vocabulary)
		}
	}
	for _, t := range r.Labels {
		if t < 0 || int(t) >= s.Vocabulary {
			return fmt.Errorf("serve: label token %d, the vocabulary has %d", t, s.Vocabulary)
		}
	}
	if err := r.Sampling.Check(s.Vocabulary); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	if err := r.checkItems(s); err != nil {
		return err
	}
	if err := r.checkPool(s); err != nil {
		return err
	}
	return r.PromptLogP.check(len(r.Prompt))
}

// Finish says why a request ended.
type Finish string

const (
	FinishLength Finish = "length" // MaxTokens were generated; none where none were asked for
	FinishStop   Finish = "stop"   // a stop token came
	FinishScore  Finish = "score"  // labels were scored
	FinishAbort  Finish = "abort"  // the caller's context ended
	FinishError  Finish = "error"  // a logit is not finite, or no token may come next
)

// Result is a request's answer and its times, by the executor's clock.
type Result struct {
	Tokens []int32
	// LogP and Top are the log-probabilities that the request asks for: those of Tokens, then with
	// FinishStop that of Stopped.
	LogP        []float32
	Top         [][]Alternative
	Stopped     int32     // the stop token that came, with FinishStop
	LabelLogits []float32 // [labels]; of a request with items in Items
	LabelLogP   []float32 // [labels], where the request asks for them
	Items       []Score   // of each item
	State       []float32 // [hidden], where the request has a Pool
	Finish      Finish
	Prompt      int // prompt tokens, and those of all items
	Cached      int // of which came from the prefix cache
	Submitted   time.Time
	Scheduled   time.Time // when its first token began to be computed
	FirstToken  time.Time // when the first token, the label logits or the prompt's last row were there
	End         time.Time
}

// TTFT is the time from submission to the first token.
func (r Result) TTFT() time.Duration { return r.FirstToken.Sub(r.Submitted) }

// TPOT is the mean time per output token after the first; 0 for fewer than two.
func (r Result) TPOT() time.Duration {
	if len(r.Tokens) < 2 {
		return 0
	}
	return r.End.Sub(r.FirstToken) / time.Duration(len(r.Tokens)-1)
}

// sequence is a request's state inside the engine.
type sequence struct {
	Request
	ctx      context.Context
	done     func(outcome)
	tokens   []int32     // prompt, then generated
	computed int         // tokens whose keys and values are in the pages
	prefill  int         // tokens that are there when it is admitted: its prompt, and after a retraction what it has generated
	lease    pages.Lease // while it runs: room for computed tokens and more
	result   Result
	itemWork
	pooling

	together    *together // those that came with it
	number      int       // of its arrival
	runs        bool      // or waits
	retractions int

	// While it waits, see queue:
	passes  int
	tried   bool
	rank    int
	told    int             // places of the prompt before it have been given to PromptLogP
	unfit   error           // why nothing can be said of a place
	history *sample.History // where penalties count
	rule    constrained     // the request's Constraint
	logP    sample.LogP     // of the next token
	draft   draft

	promptHash   uint64    // by which recall finds the prompt; 0 where nothing would be kept of it
	recalled     *recalled // what it keeps of it, until the first token is chosen
	leavesLogits bool      // the logits after its prompt are kept

	// With a prefix cache, see promises:
	hashes  []uint64 // of the prompt up to the end of each whole page
	kept    int      // leading pages that are not promised, or no longer; all while it waits
	awaited int      // while it waits: the leading pages that it waits for
	// Of the logits after the whole prompt:
	owesLogits   bool // it is to compute them, while it runs
	awaitsLogits bool // it waits for another that is
}

type outcome struct {
	result Result
	err    error
}

// together is what requests that came in one call have in common.
type together struct{ begun bool } // any of them

// newSequence makes the state of a request; hashes are those of the pages of its prompt, or none.
func newSequence(ctx context.Context, r Request, hashes []uint64, done func(outcome)) *sequence {
	q := &sequence{Request: r, ctx: ctx, done: done, hashes: hashes, kept: len(hashes), prefill: len(r.Prompt)}
	q.tokens = append(make([]int32, 0, len(r.Prompt)+r.MaxTokens), r.Prompt...)
	q.result.Prompt = len(r.Prompt)
	q.startItems()
	q.rule.Constraint = r.Constraint
	if r.Sampling.Penalizes() {
		q.history = sample.NewHistory(r.Prompt)
	}
	return q
}

// decodes reports whether all that it was admitted with has been computed, and tokens are
// generated.
func (q *sequence) decodes() bool { return q.computed >= q.prefill && len(q.Items) == 0 }

// asksLogP reports whether generated tokens come with log-probabilities.
func (q *sequence) asksLogP() bool { return q.LogP || q.ScaledLogP || q.TopLogP > 0 }

// generated counts its tokens after the prompt, those of an item aside.
func (q *sequence) generated() int {
	if len(q.Items) > 0 {
		return 0
	}
	return len(q.tokens) - len(q.Prompt)
}
