package kernels

import (
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// calls runs one kind of work over ranges of rows on all threads and allocates nothing: each
// closure would allocate, so a record from a free list holds the arguments, with its method value
// bound once.
type calls[A any] struct{ free *memory.FreeList[*call[A]] }

// call is one set of arguments and the work that reads them.
type call[A any] struct {
	arguments A
	body      func(a *A, lo, hi int)
	span      func(lo, hi int)
}

// newCalls makes the calls of body, which handles rows lo…hi−1 and must refer to nothing but its
// arguments and constants.
func newCalls[A any](body func(a *A, lo, hi int)) calls[A] {
	return calls[A]{memory.NewFreeList(64, func() *call[A] {
		c := &call[A]{body: body}
		c.span = func(lo, hi int) { c.body(&c.arguments, lo, hi) }
		return c
	})}
}

// run is parallel.Range(n, grain, body).
func (k calls[A]) run(n, grain int, arguments A) {
	c := k.free.Get()
	c.arguments = arguments
	parallel.Range(n, grain, c.span)
	var none A // drops the slices
	c.arguments = none
	k.free.Put(c)
}
