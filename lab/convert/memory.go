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
// program's text. It is 0 on other systems, which do not say.
func privateMemory() (bytes int64) {
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
		peak := privateMemory()
		for {
			select {
			case <-ticks:
			case <-m.quit:
				m.peak <- max(peak, privateMemory())
				return
			}
			peak = max(peak, privateMemory())
		}
	}()
	return m
}

// stop samples once more and returns the largest sample; 0 where the system does not say.
func (m *memoryPeak) stop() int64 {
	close(m.quit)
	return <-m.peak
}
