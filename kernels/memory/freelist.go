package memory

// FreeList keeps up to its capacity of values for reuse. The garbage collector does not empty it as
// it does a sync.Pool, so that a steady loop allocates nothing.
type FreeList[T any] struct {
	free  chan T
	fresh func() T
}

// NewFreeList returns an empty list; fresh makes a value where none is free.
func NewFreeList[T any](capacity int, fresh func() T) *FreeList[T] {
	return &FreeList[T]{make(chan T, capacity), fresh}
}

// Get returns a free value, or a new one.
func (l *FreeList[T]) Get() T {
	select {
	case v := <-l.free:
		return v
	default:
		return l.fresh()
	}
}

// Put gives a value back. The list drops it when it is full.
func (l *FreeList[T]) Put(v T) {
	select {
	case l.free <- v:
	default:
	}
}
