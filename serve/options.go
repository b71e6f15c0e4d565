package serve

import (
	"fmt"
	"time"

	"slimlab/serve/pages"
)

// Options shape an engine. Zero values mean the defaults.
type Options struct {
	BatchTokens int // tokens computed in one step, at most; 2048
	Chunk       int // tokens of one prompt in one step, at most; BatchTokens
	Running     int // requests that run at once, at most; 256

	PrefixCache bool           // share the KV of common prefixes; Defaults sets it
	Eviction    pages.Eviction // of prefixes that no request uses; pages.LRU
	// RecallBytes bounds the logits after whole prompts that are kept, with those prompts, so that
	// one that comes again while the cache holds it is answered at once; 0 keeps none, Defaults
	// sets 32 MiB. RecalledPrompts says how many that are.
	RecallBytes int64

	// Reserve is the share of a request's MaxTokens for which it has pages before it runs, above 0
	// and at most 1, the default. With less than 1 more requests run at once; where pages run out,
	// one is retracted: it gives its pages back and waits again, with all that it has generated.
	Reserve float64

	Policy Policy // who of the waiting requests is admitted next; AgedLPM
	Aging  int    // passes that make up for an uncached prompt, under AgedLPM and SRPF; 64
	Turn   int    // under KLPM, each so many admissions one is by arrival; 4
	// Passes bounds how often a request is passed: later ones are admitted before it so many times,
	// then none is until it runs; 128.
	Passes int

	// Of those that wait, at most, or no bound where it is 0. A request beyond the first two is
	// refused with a QueueFullError, unless no other waits; one that waits for longer ends with a
	// QueueTimeoutError, unless another that came with it has begun.
	WaitingRequests int
	WaitingTokens   int // of their prompts
	WaitingTime     time.Duration

	Draft Draft // foretells tokens

	// OnStep is called after each step that has computed a batch, on the engine's goroutine, with
	// what the step took from the end of the one before, where that left work, else from its own
	// begin: the plan, the batch and the choice of tokens. It must neither block nor keep the
	// batch. It may be nil.
	OnStep func(batch []Segment, took time.Duration)
}

// Defaults are the options of an engine that caches prefixes.
func Defaults() Options { return Options{PrefixCache: true, RecallBytes: 32 << 20} }

func (o Options) complete() (Options, error) {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&o.BatchTokens, 2048)
	set(&o.Chunk, o.BatchTokens)
	set(&o.Running, 256)
	set(&o.Aging, 64)
	set(&o.Turn, 4)
	set(&o.Passes, 128)
	set(&o.Draft.Tokens, 4)
	if o.Policy == "" {
		o.Policy = AgedLPM
	}
	if o.Eviction == "" {
		o.Eviction = pages.LRU
	}
	if o.Reserve == 0 {
		o.Reserve = 1
	}
	if o.BatchTokens < 1 || o.Chunk < 1 || o.Running < 1 {
		return o, fmt.Errorf("serve: batch tokens %d, chunk %d and running %d must be positive", o.BatchTokens, o.Chunk, o.Running)
	}
	if o.Aging < 1 || o.Turn < 1 || o.Passes < 1 {
		return o, fmt.Errorf("serve: aging %d, turn %d and passes %d must be positive", o.Aging, o.Turn, o.Passes)
	}
	if o.RecallBytes < 0 {
		return o, fmt.Errorf("serve: %d bytes of kept logits, expected 0 or more", o.RecallBytes)
	}
	if o.WaitingRequests < 0 || o.WaitingTokens < 0 || o.WaitingTime < 0 {
		return o, fmt.Errorf("serve: bounds of %d waiting requests, %d waiting tokens and %v must not be negative", o.WaitingRequests, o.WaitingTokens, o.WaitingTime)
	}
	if !(o.Reserve > 0 && o.Reserve <= 1) {
		return o, fmt.Errorf("serve: reserve %v, expected a share above 0 and at most 1", o.Reserve)
	}
	if o.Draft.Tokens < 1 || o.Draft.Tokens > MaxDraft {
		return o, fmt.Errorf("serve: a draft of %d tokens, expected 1 to %d", o.Draft.Tokens, MaxDraft)
	}
	if err := o.Policy.Check(); err != nil {
		return o, err
	}
	if err := o.Eviction.Check(); err != nil {
		return o, fmt.Errorf("serve: %w", err)
	}
	// Every running request decodes one token a step, so the budget must have room for all of them.
	o.Running = min(o.Running, o.BatchTokens)
	return o, nil
}
