package serve

import (
	"errors"
	"fmt"
	"time"
)

// Constraint says which tokens an answer may go on with. It is called on the engine's goroutine,
// once for each token, and all others wait for it: what it needs should be ready before the request
// is submitted. Its state belongs to one request. One with a method Err() error says by it why it
// allows nothing.
type Constraint interface {
	// Allowed sets bit t of each token t that may come next, a token that ends the text among them
	// where the text may end. No bit is set when it is called, and there is one for each token of
	// the vocabulary.
	Allowed(bits []uint64)
	// Accept goes on by a token of the answer, which Allowed has allowed. A token that ends the
	// answer is not told.
	Accept(token int32)
}

// Forker is a Constraint that a draft can follow. With another one a draft foretells what may not
// come, and is right less often.
type Forker interface {
	Constraint
	// Fork returns a constraint in the same state. Neither changes the other.
	Fork() Constraint
}

// ErrNothingAllowed is the error of a request that has no token to go on with: its constraint, its
// biases or MinTokens leave none.
var ErrNothingAllowed = errors.New("serve: no token is allowed to come next")

// constrained is a constraint at work: nil allows all.
type constrained struct {
	Constraint
	bits  []uint64
	spent time.Duration // by the clock
}

// nothing is the error of a request that has no token to go on with.
func (c *constrained) nothing() error {
	if of, ok := c.Constraint.(interface{ Err() error }); ok && of.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNothingAllowed, of.Err())
	}
	return ErrNothingAllowed
}

// allowed is the mask of the next token of a vocabulary, or nil.
func (c *constrained) allowed(vocabulary int, clock Executor) []uint64 {
	if c.Constraint == nil {
		return nil
	}
	begun := clock.Now()
	if c.bits == nil {
		c.bits = make([]uint64, (vocabulary+63)/64)
	}
	clear(c.bits)
	c.Allowed(c.bits)
	c.spent += clock.Now().Sub(begun)
	return c.bits
}

// accept goes on by a token.
func (c *constrained) accept(token int32, clock Executor) {
	if c.Constraint == nil {
		return
	}
	begun := clock.Now()
	c.Accept(token)
	c.spent += clock.Now().Sub(begun)
}

// follow is the constraint of a draft of what c allows.
func (c *constrained) follow(of *constrained, clock Executor) {
	c.Constraint = nil
	if f, ok := of.Constraint.(Forker); ok {
		begun := clock.Now()
		c.Constraint = f.Fork()
		c.spent += clock.Now().Sub(begun)
	}
}
