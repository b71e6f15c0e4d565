package convert

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"
)

// privateMemory reads how much memory of this process is its own, in bytes: Linux's RssAnon, which
// counts neither the pages of mapped files, that the system takes back when it needs them, nor the
// program's text. Other systems do not say.
func privateMemory() (bytes int64, ok bool) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), "RssAnon:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}

// samplePeriod is the time between two samples of the memory. The system keeps a peak only of all
// resident memory, so what is held for less than this may be missed.
const samplePeriod = 20 * time.Millisecond

// memoryPeak samples the private memory until it is stopped.
type memoryPeak struct {
	quit chan struct{}
	peak chan int64
}

// newMemoryPeak samples at once and at every tick.
func newMemoryPeak(ticks <-chan time.Time) *memoryPeak {
	m := &memoryPeak{quit: make(chan struct{}), peak: make(chan int64, 1)}
	go func() {
		peak, _ := privateMemory()
		for {
			select {
			case <-ticks:
			case <-m.quit:
				now, _ := privateMemory()
				m.peak <- max(peak, now)
				return
			}
			now, _ := privateMemory()
			peak = max(peak, now)
		}
	}()
	return m
}

// stop samples once more and returns the largest sample; 0 where the system does not say.
func (m *memoryPeak) stop() int64 {
	close(m.quit)
	return <-m.peak
}
