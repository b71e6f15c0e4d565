package run

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// countedLog counts its flushes; from the one numbered broken on they fail.
type countedLog struct {
	logWriter
	flushes, broken int
}

func (l *countedLog) Flush() error {
	l.flushes++
	if l.broken > 0 && l.flushes >= l.broken {
		return errors.New("the disk is gone")
	}
	return nil
}

// TestBeat: the log of a run that reports nothing is flushed each second until the work ends. The
// first flush that fails is the run's error, stops it, and is the last.
func TestBeat(t *testing.T) {
	for _, c := range []struct{ broken, flushes, stops int }{{0, 10, 0}, {3, 3, 1}} {
		synctest.Test(t, func(t *testing.T) {
			log, stops := &countedLog{broken: c.broken}, 0
			r := &Run{log: log, stop: func() { stops++ }}
			rest := r.beat()
			time.Sleep(10*flushEvery + flushEvery/2)
			rest()
			time.Sleep(10 * flushEvery)
			if log.flushes != c.flushes || stops != c.stops || (r.logErr != nil) != (c.broken > 0) {
				t.Errorf("broken at %d: %d flushes, %d stops, error %v; expected %d and %d", c.broken, log.flushes, stops, r.logErr, c.flushes, c.stops)
			}
		})
	}
}
