// Package memorypeak tells the most memory that this process has had of its own.
//
// It samples Linux's RssAnon, which counts neither the pages of mapped files, that the system takes
// back when it needs them, nor the program's text. What is held for less than a period of the
// sampling may be missed: the system keeps a peak only of all resident memory. Other systems do not
// say, and everything is 0 there.
package memorypeak

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"
)

// Period is the usual time between two samples.
const Period = 20 * time.Millisecond

// Now is how many bytes of memory are this process's own; 0 where the system does not say.
func Now() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), "RssAnon:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// Watch samples the memory until it is stopped.
type Watch struct {
	ticker *time.Ticker // nil where the ticks are the caller's
	quit   chan struct{}
	peak   chan int64
}

// Begin samples at once and every period.
func Begin() *Watch {
	ticker := time.NewTicker(Period)
	w := begin(ticker.C)
	w.ticker = ticker
	return w
}

// begin samples at once and at every tick.
func begin(ticks <-chan time.Time) *Watch {
	w := &Watch{quit: make(chan struct{}), peak: make(chan int64, 1)}
	go func() {
		peak := Now()
		for {
			select {
			case <-ticks:
			case <-w.quit:
				w.peak <- max(peak, Now())
				return
			}
			peak = max(peak, Now())
		}
	}()
	return w
}

// End samples once more and returns the largest sample; 0 where the system does not say. It is
// called once.
func (w *Watch) End() int64 {
	if w.ticker != nil {
		w.ticker.Stop()
	}
	close(w.quit)
	return <-w.peak
}
