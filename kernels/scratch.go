package kernels

// scratch is reused memory for one piece of work: newScratch, take what was asked for, free.
type scratch struct{ data, rest []float32 }

var freeScratch = newFreeList(64, func() *scratch { return new(scratch) })

// newScratch returns scratch with room for n elements of any content.
func newScratch(n int) *scratch {
	s := freeScratch.get()
	if cap(s.data) < n {
		s.data = make([]float32, n)
	}
	s.rest = s.data[:n]
	return s
}

// take cuts the next n elements off.
func (s *scratch) take(n int) []float32 {
	x := s.rest[:n:n]
	s.rest = s.rest[n:]
	return x
}

func (s *scratch) free() { freeScratch.put(s) }
