package kernels

import "math/bits"

// scratch is reused memory for one piece of work: newScratch, take what was asked for, free.
type scratch struct {
	data, rest []float32
	class      int
}

// freeScratch keeps scratch by its size, a power of two: with one list for all sizes, small pieces
// would be made anew for a long time until each had grown to the largest.
var freeScratch = scratchLists()

func scratchLists() (lists [40]*freeList[*scratch]) {
	for class := range lists {
		lists[class] = newFreeList(64, func() *scratch { return &scratch{data: make([]float32, 1<<class), class: class} })
	}
	return lists
}

// newScratch returns scratch with room for n elements of any content.
func newScratch(n int) *scratch {
	s := freeScratch[bits.Len(uint(max(n, 1)-1))].get()
	s.rest = s.data[:n]
	return s
}

// take cuts the next n elements off.
func (s *scratch) take(n int) []float32 {
	x := s.rest[:n:n]
	s.rest = s.rest[n:]
	return x
}

func (s *scratch) free() { freeScratch[s.class].put(s) }
