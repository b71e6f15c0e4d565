package serve

import (
	"time"

	"slimlab/kernels"
)

// Executor computes batches for an engine, which calls it from one goroutine.
type Executor interface {
	// Shape is what it can hold. It never changes, and any goroutine may ask.
	Shape() Shape
	// Now is the time by the executor's clock, which stamps all results. It never goes back. A
	// simulated executor's clock moves in Extend.
	Now() time.Time
	// Extend computes the new tokens of all segments in one batch and keeps their keys and values
	// in their pages. It returns, for each segment, the logits that it asks for, or nil. They are
	// valid until the next call; until then the caller may write to them. After an error the engine
	// ends.
	Extend(batch []Segment) (logits [][]float32, err error)
	// CopyPages copies pages, one after another, before the next Extend.
	CopyPages(copies []kernels.PageCopy)
}

// Shape is what an executor can hold.
type Shape struct {
	Vocabulary int // tokens are ids below it
	Positions  int // tokens of a sequence, at most
	Pages      int // of the KV cache
	PageSize   int // tokens of a page
	Hidden     int // elements of a hidden state; 0 where the executor gives none
}

// Segment is a run of new tokens of one sequence in a batch.
type Segment struct {
	Tokens []int32
	// absolute position of the first token; what is before it is in the pages already
	Start int
	Pages []int32 // the sequence's page table: position p is in page Pages[p/PageSize]
	// The page table of a sequence with the same tokens before Start, of which this one is a fork,
	// or nil. Where Start is inside a page, that page begins as a copy of the other's. What it
	// holds before Start may be computed in the same call, by a segment that is no fork.
	Fork   []int32
	Logits bool    // return the logits of the whole vocabulary after the last token
	Rows   int     // with Logits: after each of so many last tokens, [rows, vocabulary]; 0 is 1
	Labels []int32 // or, unless it is empty, return those of these tokens after the last token

	// Each, unless it is nil, is given the logits of the whole vocabulary after each token from
	// number From on, in order, before Extend returns: a few rows [rows, vocabulary] at a time, so
	// that however many are asked for, few exist at once. The first of them is that after token
	// number first. It may write to them, and must not keep them.
	From int
	Each func(first int, rows []float32)
	// States gives Each the hidden states after the final norm [rows, Shape.Hidden] in the place of
	// the logits. It must not write to them.
	States bool
}
