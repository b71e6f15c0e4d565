package memory

import "math/bits"

// Scratch is reused memory for one piece of work: NewScratch, Take for each of its parts, Free.
type Scratch struct {
	data, rest []float32
	class      int
}

// freeScratch keeps scratch by its size, a power of two. With one list for all sizes, small pieces
// would be allocated again and again until each had grown to the largest.
var freeScratch = scratchLists()

func scratchLists() (lists [40]*FreeList[*Scratch]) {
	for class := range lists {
		lists[class] = NewFreeList(64, func() *Scratch { return &Scratch{data: make([]float32, 1<<class), class: class} })
	}
	return lists
}

// NewScratch returns scratch with room for n elements of any content.
func NewScratch(n int) *Scratch {
	s := freeScratch[bits.Len(uint(max(n, 1)-1))].Get()
	s.rest = s.data[:n]
	return s
}

// Take returns the next n elements.
func (s *Scratch) Take(n int) []float32 {
	x := s.rest[:n:n]
	s.rest = s.rest[n:]
	return x
}

// Free ends the use of the scratch and of all its parts.
func (s *Scratch) Free() { freeScratch[s.class].Put(s) }
