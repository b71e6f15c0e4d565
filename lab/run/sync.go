package run

import (
	"sync"
	"time"
)

// keyed makes each value once, however many ask for it at once.
type keyed[V any] struct {
	mu      sync.Mutex
	entries map[string]func() (V, error)
}

func (k *keyed[V]) get(key string, produce func() (V, error)) (V, error) {
	k.mu.Lock()
	if k.entries == nil {
		k.entries = map[string]func() (V, error){}
	}
	once, ok := k.entries[key]
	if !ok {
		once = sync.OnceValues(produce)
		k.entries[key] = once
	}
	k.mu.Unlock()
	return once()
}

// keyedLocks keeps two cells from building one artifact at the same time.
type keyedLocks struct {
	locks sync.Map
}

func (k *keyedLocks) lock(key string) (unlock func()) {
	m, _ := k.locks.LoadOrStore(key, &sync.Mutex{})
	m.(*sync.Mutex).Lock()
	return m.(*sync.Mutex).Unlock
}

// compute runs f while no timing is taken.
func (r *Run) compute(f func() error) error {
	r.timing.RLock()
	defer r.timing.RUnlock()
	r.computing.Add(1)
	defer r.computing.Add(-1)
	return f()
}

// pause, called within compute, lets a waiting timing be taken. It returns how long that took.
func (r *Run) pause() time.Duration {
	start := time.Now()
	r.computing.Add(-1)
	r.timing.RUnlock()
	r.timing.RLock()
	r.computing.Add(1)
	return time.Since(start)
}

// alone takes a timing while nothing else of the run computes.
func (r *Run) alone(measure func() error) error {
	r.timing.Lock()
	defer r.timing.Unlock()
	return measure()
}
