package run

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestAlone: while a timing is taken nothing computes, and training that goes on for ever does not
// keep it waiting.
func TestAlone(t *testing.T) {
	var r Run
	var computing atomic.Int64
	var started, training sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		started.Add(1)
		training.Go(func() {
			_ = r.compute(func() error {
				computing.Add(1)
				defer computing.Add(-1)
				started.Done()
				for {
					select {
					case <-stop:
						return nil
					default:
						computing.Add(-1)
						r.pause()
						computing.Add(1)
					}
				}
			})
		})
	}
	started.Wait()
	var timings sync.WaitGroup
	for range 20 {
		timings.Go(func() {
			_ = r.alone(func() error {
				if n := computing.Load(); n != 0 {
					t.Errorf("%d compute while a timing is taken", n)
				}
				return nil
			})
		})
	}
	timings.Wait()
	close(stop)
	training.Wait()
}
