package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"slimlab/kernels/memory"
)

// spinFor bounds busy waiting. A worker waits that long for the next region, because a forward pass
// opens regions back to back and waking a parked goroutine costs as much; then it parks and its
// core is idle. With an eighth of this time a training step took a tenth longer: workers parked
// between one region's last task and the next region.
const spinFor = 50 * time.Microsecond

// spin waits until ready reports true, at most spinFor, and reports whether it did.
func spin(ready func() bool) bool {
	for start := time.Now(); ; {
		for range 64 { // a pause takes 10 to 40 ns on today's CPUs
			if ready() {
				return true
			}
			pause()
		}
		if time.Since(start) > spinFor {
			return false
		}
	}
}

// region is one call of For or Range.
type region struct {
	each  func(i int)
	span  func(lo, hi int)
	n     int // rows, for span
	grain int // rows of one item, for span
	items int
	runs  int // into which the items are divided, one for each thread that is wanted

	next    [mostRuns]counter
	inside  atomic.Int64 // workers inside, plus closed once the caller takes no more of them
	waiting atomic.Bool  // the caller has parked or is about to
	done    chan struct{}

	panicked atomic.Bool
	failure  any
}

const closed = 1 << 32

// mostRuns bounds the runs of a region: with more threads, several share one.
const mostRuns = 16

// counter is the next item of a run, on a cache line of its own.
type counter struct {
	atomic.Int64
	_ [56]byte
}

var freeRegions = memory.NewFreeList(64, func() *region { return &region{done: make(chan struct{}, 1)} })

// worker is one helper. It is idle while mail is nil, and as good as idle while the region there is
// over: it is on its way to a region that ended before it woke.
type worker struct {
	run    int // of a region that it begins with
	mail   atomic.Pointer[region]
	parked atomic.Bool
	wake   chan struct{}
}

var pool struct {
	sync.Mutex
	threads atomic.Int64 // 0 until it is first needed
	workers atomic.Pointer[[]*worker]
}

// Threads returns the number of threads that a region uses: the calling one and its helpers.
func Threads() int {
	if n := pool.threads.Load(); n > 0 {
		return int(n)
	}
	return runtime.GOMAXPROCS(0)
}

// SetThreads sets the number of threads and returns a func that restores the earlier number. n < 1
// means GOMAXPROCS. Results do not depend on it.
func SetThreads(n int) (restore func()) {
	old := pool.threads.Swap(int64(max(n, 0)))
	return func() { pool.threads.Store(old) }
}

// helpers returns n workers and starts those that do not run yet.
func helpers(n int) []*worker {
	if list := pool.workers.Load(); list != nil && len(*list) >= n {
		return (*list)[:n]
	}
	pool.Lock()
	defer pool.Unlock()
	var list []*worker
	if old := pool.workers.Load(); old != nil {
		list = append(list, *old...)
	}
	for len(list) < n {
		w := &worker{run: len(list) + 1, wake: make(chan struct{}, 1)}
		list = append(list, w)
		go w.loop()
	}
	pool.workers.Store(&list)
	return list[:n]
}

// For calls f(i) for i in 0…n-1, each once, on all idle threads, and returns when all are
// done. Calls may nest and may come from many goroutines: a caller that finds no idle thread does
// its own work alone. A panic in f surfaces in the caller; items not yet begun are then left
// undone. f must not call runtime.Goexit.
func For(n int, f func(i int)) {
	if n < 2 || Threads() < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	r := freeRegions.Get()
	r.each = f
	r.share(n)
}

// Range splits rows 0…n-1 into consecutive ranges of at most grain rows and calls f(lo, hi) for
// each, like For. Where the boundaries fall depends on grain alone.
func Range(n, grain int, f func(lo, hi int)) {
	grain = max(grain, 1)
	if n <= grain || Threads() < 2 {
		for lo := 0; lo < n; lo += grain {
			f(lo, min(lo+grain, n))
		}
		return
	}
	r := freeRegions.Get()
	r.span, r.n, r.grain = f, n, grain
	r.share((n + grain - 1) / grain)
}

// share runs the region with whatever workers are idle and returns it to the free list.
func (r *region) share(items int) {
	wanted := min(Threads(), items) - 1
	r.divide(items, min(wanted+1, mostRuns))
	r.inside.Store(0)
	for _, w := range helpers(Threads() - 1) {
		if wanted == 0 {
			break
		}
		old := w.mail.Load()
		if (old == nil || old.inside.Load() == closed) && w.mail.CompareAndSwap(old, r) {
			if w.parked.CompareAndSwap(true, false) {
				w.wake <- struct{}{}
			}
			wanted--
		}
	}
	r.work(0)
	r.join()
	failure := r.failure
	panicked := r.panicked.Load()
	r.each, r.span, r.failure = nil, nil, nil
	r.panicked.Store(false)
	freeRegions.Put(r)
	if panicked {
		panic(failure)
	}
}

// divide sets the counters of the runs.
func (r *region) divide(items, runs int) {
	r.items, r.runs = items, runs
	for k := range runs {
		r.next[k].Store(int64(k * items / runs))
	}
}

// work takes the items of the run first, then those of the runs after it, until none is left. The
// first panic is kept for the caller, and no more items are handed out after it.
func (r *region) work(first int) {
	defer func() {
		if e := recover(); e != nil {
			for k := range r.runs {
				r.next[k].Store(int64(r.items))
			}
			if r.panicked.CompareAndSwap(false, true) {
				r.failure = e
			}
		}
	}()
	for k := range r.runs {
		run := (first + k) % r.runs
		end := (run + 1) * r.items / r.runs
		next := &r.next[run]
		for i := int(next.Add(1) - 1); i < end; i = int(next.Add(1) - 1) {
			if r.each != nil {
				r.each(i)
			} else {
				r.span(i*r.grain, min((i+1)*r.grain, r.n))
			}
		}
	}
}

// join closes the region and waits for the workers inside.
func (r *region) join() {
	if r.inside.Add(closed) == closed {
		return
	}
	if spin(func() bool { return r.inside.Load() == closed }) {
		return
	}
	for r.inside.Load() != closed {
		r.waiting.Store(true)
		if r.inside.Load() == closed && r.waiting.CompareAndSwap(true, false) {
			return
		}
		// The signal may come from a worker of an earlier use of this region that was delayed
		// before it read waiting: hence the loop.
		<-r.done
	}
}

// help enters the region if it is still open. A worker that comes so late that the region already
// serves another call helps that one: entering and reading the fields are ordered by inside. The
// worker counts as idle again before it leaves, so that the caller's next region finds it.
func (w *worker) help(r *region) {
	for {
		v := r.inside.Load()
		if v >= closed {
			w.mail.CompareAndSwap(r, nil)
			return
		}
		if r.inside.CompareAndSwap(v, v+1) {
			break
		}
	}
	r.work(w.run)
	w.mail.CompareAndSwap(r, nil)
	if r.inside.Add(-1) == closed && r.waiting.CompareAndSwap(true, false) {
		r.done <- struct{}{}
	}
}

func (w *worker) loop() {
	for {
		w.help(w.await())
	}
}

// await returns the next region: it spins first and then parks. It may be woken for nothing: a
// caller that put a region into the mail and was held up before it looked at parked wakes the
// worker that has worked on the region since.
func (w *worker) await() *region {
	for {
		if spin(func() bool { return w.mail.Load() != nil }) {
			return w.mail.Load()
		}
		w.parked.Store(true)
		if w.mail.Load() == nil || !w.parked.CompareAndSwap(true, false) {
			<-w.wake
		}
		if r := w.mail.Load(); r != nil {
			return r
		}
	}
}
