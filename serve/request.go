package serve

import (
	"context"
	"time"
)

// Request is one prompt and what is wanted of it: up to MaxTokens generated tokens, or with Labels
// the logits of those tokens as the next one and nothing generated.
type Request struct {
	Prompt    []int32
	MaxTokens int
	Sampling  Sampling
	Stop      []int32 // token ids that end generation; they are not part of the answer
	Labels    []int32
	// OnToken is called on the engine's goroutine for each generated token as it comes; it must not
	// block. May be nil.
	OnToken func(token int32)
}

// Finish says why a request ended.
type Finish string

const (
	FinishLength Finish = "length" // MaxTokens were generated
	FinishStop   Finish = "stop"   // a stop token came
	FinishScore  Finish = "score"  // labels were scored
	FinishAbort  Finish = "abort"  // the caller's context ended
)

// Result is a request's answer and its times, by the engine's clock.
type Result struct {
	Tokens      []int32
	LabelLogits []float32 // [labels]
	Finish      Finish
	Prompt      int // prompt tokens
	Cached      int // of which came from the prefix cache
	Submitted   time.Time
	Scheduled   time.Time // when the first token of it was computed on
	FirstToken  time.Time // when the first token, or the label logits, were there
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

// sequence is a request's state inside the engine. While it runs, node is locked and pages holds
// the whole page table: first the tree's pages up to shared, then private ones, enough for the
// prompt and all tokens that may be generated.
type sequence struct {
	Request
	ctx      context.Context
	done     chan<- outcome
	tokens   []int32 // prompt, then generated
	computed int     // tokens whose keys and values are in the pages
	pages    []int32
	shared   int // leading pages that belong to the tree
	node     *node
	result   Result
}

type outcome struct {
	result Result
	err    error
}

// reserve is the number of tokens for which the sequence needs room: the last generated token is
// never computed on.
func (s *sequence) reserve() int { return len(s.Prompt) + max(0, s.MaxTokens-1) }
