package parallel

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestForCallsEachItemOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		restore := SetThreads(threads)
		for _, n := range []int{0, 1, 2, 3, 17, 1000} {
			counts := make([]atomic.Int32, n)
			For(n, func(i int) { counts[i].Add(1) })
			for i := range counts {
				if c := counts[i].Load(); c != 1 {
					t.Fatalf("%d threads: item %d of %d was called %d times", threads, i, n, c)
				}
			}
		}
		restore()
	}
}

func TestRangeCoversEachRowOnce(t *testing.T) {
	for _, threads := range []int{1, 4} {
		restore := SetThreads(threads)
		for _, n := range []int{0, 1, 7, 64, 1001} {
			for _, grain := range []int{0, 1, 3, 64, 5000} {
				counts := make([]atomic.Int32, n)
				Range(n, grain, func(lo, hi int) {
					if lo%max(grain, 1) != 0 || hi != min(lo+max(grain, 1), n) {
						t.Errorf("range %d…%d of %d by %d", lo, hi, n, grain)
					}
					for i := lo; i < hi; i++ {
						counts[i].Add(1)
					}
				})
				for i := range counts {
					if c := counts[i].Load(); c != 1 {
						t.Fatalf("row %d of %d by %d was covered %d times", i, n, grain, c)
					}
				}
			}
		}
		restore()
	}
}

// TestNestsAndShares: regions inside regions, from many goroutines at once, with fewer
// helpers than callers.
func TestNestsAndShares(t *testing.T) {
	defer SetThreads(3)()
	var wait sync.WaitGroup
	var total atomic.Int64
	for range 16 {
		wait.Go(func() {
			for range 50 {
				For(5, func(int) {
					Range(40, 7, func(lo, hi int) {
						For(hi-lo, func(int) { total.Add(1) })
					})
				})
			}
		})
	}
	wait.Wait()
	if got := total.Load(); got != 16*50*5*40 {
		t.Fatalf("%d items were done, want %d", got, 16*50*5*40)
	}
}

// TestPanicSurfaces: the caller gets the panic, and the pool goes on working.
func TestPanicSurfaces(t *testing.T) {
	for _, threads := range []int{1, 2, 4} {
		restore := SetThreads(threads)
		for item := range 20 {
			func() {
				defer func() {
					if e := recover(); fmt.Sprint(e) != fmt.Sprint("item ", item) {
						t.Errorf("%d threads: recovered %v from item %d", threads, e, item)
					}
				}()
				For(20, func(i int) {
					if i == item {
						panic(fmt.Sprint("item ", item))
					}
				})
			}()
			var sum atomic.Int64
			For(100, func(i int) { sum.Add(int64(i)) })
			if sum.Load() != 4950 {
				t.Fatalf("after a panic the items sum to %d", sum.Load())
			}
		}
		restore()
	}
}

// TestUsesHelpers: in some region two items run at once. None in particular need: a helper
// may be late.
func TestUsesHelpers(t *testing.T) {
	defer SetThreads(2)()
	for range 10000 {
		var inside atomic.Int32
		var met atomic.Bool
		For(2, func(int) {
			inside.Add(1)
			for range 100 {
				if inside.Load() == 2 {
					met.Store(true)
				}
				runtime.Gosched()
			}
			inside.Add(-1)
		})
		if met.Load() {
			return
		}
	}
	t.Error("two items never ran at once on two threads")
}

func TestSetThreads(t *testing.T) {
	before := Threads()
	restore := SetThreads(3)
	if Threads() != 3 {
		t.Errorf("Threads is %d, want 3", Threads())
	}
	SetThreads(0)
	if Threads() < 1 {
		t.Errorf("Threads is %d", Threads())
	}
	restore()
	if Threads() != before {
		t.Errorf("Threads is %d after restoring, want %d", Threads(), before)
	}
}

func TestAllocatesNothing(t *testing.T) {
	defer SetThreads(2)()
	f := func(int) {}
	For(2, f)
	if n := testing.AllocsPerRun(100, func() { For(2, f) }); n > 0.5 {
		t.Errorf("a region allocates %v times", n)
	}
}

// A short region ends before its worker has woken. The next region must not find that worker busy:
// all of it would run on one thread, however long it is.
func TestRegionClaimsWakingWorker(t *testing.T) {
	defer SetThreads(2)()
	workers := pool.workers.Load()
	defer pool.workers.Store(workers)
	over, open := &region{}, &region{}
	over.inside.Store(closed)
	for _, c := range []struct {
		name    string
		mail    *region
		claimed bool
	}{
		{"idle", nil, true},
		{"waking for a region that is over", over, true},
		{"called to a region that is open", open, false},
	} {
		w := &worker{run: 1, wake: make(chan struct{}, 1)}
		w.mail.Store(c.mail)
		pool.workers.Store(&[]*worker{w})
		For(2, func(int) {
			if claimed := w.mail.Load() != c.mail; claimed != c.claimed {
				t.Errorf("a worker that is %s was claimed: %t, expected %t", c.name, claimed, c.claimed)
			}
		})
	}
}

// idleWorkers replaces the pool's workers, until the test ends, by n idle ones that no goroutine
// runs: the test is what helps.
func idleWorkers(t *testing.T, n int) []*worker {
	t.Helper()
	workers := pool.workers.Load()
	t.Cleanup(func() { pool.workers.Store(workers) })
	list := make([]*worker, n)
	for i := range list {
		list[i] = &worker{run: i + 1, wake: make(chan struct{}, 1)}
	}
	pool.workers.Store(&list)
	return list
}

// A region calls no more workers than it has items for: the others stay idle for other callers.
func TestRegionClaimsNoMoreThanItsItems(t *testing.T) {
	defer SetThreads(5)()
	for _, items := range []int{2, 3, 4, 5, 9} {
		workers, first := idleWorkers(t, 4), true
		For(items, func(int) {
			if !first {
				return // the caller does all items, one after another
			}
			first = false
			claimed := 0
			for _, w := range workers {
				if w.mail.Load() != nil {
					claimed++
				}
			}
			if claimed != min(4, items-1) {
				t.Errorf("%d items claimed %d workers, expected %d", items, claimed, min(4, items-1))
			}
		})
	}
}

// A worker that comes after a region's end is idle again, and parks instead of coming back to it.
func TestWorkerForgetsARegionThatIsOver(t *testing.T) {
	w, over := &worker{run: 1}, &region{each: func(i int) { t.Errorf("item %d was called after the end", i) }}
	over.divide(2, 2)
	over.inside.Store(closed)
	w.mail.Store(over)
	w.help(over)
	if w.mail.Load() != nil {
		t.Error("a worker that came too late still has the region")
	}
}

// A panic in a worker surfaces in the caller. One in the caller surfaces only when the worker has
// left: what an item uses is not in use any more when For has returned, and the worker is idle.
func TestPanicWaitsForTheOtherThreads(t *testing.T) {
	defer SetThreads(2)()
	for _, panics := range []int{0, 1} {
		w := idleWorkers(t, 1)[0]
		var surfaced, left atomic.Bool
		begun, r := make(chan struct{}), (*region)(nil)
		item := func(i int) {
			if i == 0 {
				r = w.mail.Load()
				go w.help(r)
				<-begun
			} else {
				defer left.Store(true)
				close(begun)
				for r.inside.Load() < closed && !surfaced.Load() { // the caller does not wait yet
					runtime.Gosched()
				}
			}
			if i == panics {
				panic(i)
			}
		}
		func() {
			defer func() {
				surfaced.Store(true)
				if e := recover(); e != panics || !left.Load() {
					t.Errorf("recovered %v of item %d, the worker had left: %t", e, panics, left.Load())
				}
			}()
			For(2, item)
		}()
		if w.mail.Load() != nil { // as after a region without a panic
			t.Errorf("item %d: the worker that left is not idle", panics)
		}
	}
}

// A caller that was held up wakes a worker that has worked on its region since: the worker waits
// on.
func TestWorkerIsWokenForNothing(t *testing.T) {
	w := &worker{wake: make(chan struct{}, 1)}
	got := make(chan *region)
	go func() { got <- w.await() }()
	wake := func() {
		for !w.parked.CompareAndSwap(true, false) {
			runtime.Gosched()
		}
		w.wake <- struct{}{}
	}
	wake() // the mail is empty
	for !w.parked.Load() {
		select {
		case r := <-got:
			t.Fatalf("await returned the region %p of an empty mail", r)
		default:
			runtime.Gosched()
		}
	}
	r := &region{}
	w.mail.Store(r)
	wake()
	if found := <-got; found != r {
		t.Errorf("await returned %p, expected %p", found, r)
	}
}
