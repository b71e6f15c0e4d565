package loadtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/stat"
	"slimlab/serve/load"
)

// Live is what a running load test has come to since it was last asked. It is safe for concurrent
// use; a nil one keeps nothing.
type Live struct {
	mu                sync.Mutex
	requests          int // of the workload
	sentAll, endedAll int
	answered, failed  int // since the last line, as all below
	tokens            int
	ttft, tpot, lag   []float64
	asked             time.Time     // when the last line was
	before, latest    time.Duration // of the plans before this one, and of this one until its latest end
}

func (l *Live) begin(requests int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests, l.asked = requests, time.Now()
}

// again goes on with another plan, whose times begin anew.
func (l *Live) again() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before, l.latest = l.before+l.latest, 0
}

func (l *Live) sent(_ int, r load.Record) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sentAll++
	l.lag = append(l.lag, (r.Sent - r.Scheduled).Seconds())
}

func (l *Live) ended(_ int, r load.Record) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endedAll++
	l.latest = max(l.latest, r.End)
	if r.Err != nil || r.Dropped {
		l.failed++
		return
	}
	l.answered++
	l.tokens += r.Prompt + r.Tokens
	l.ttft = append(l.ttft, (r.First - r.Scheduled).Seconds())
	if r.Tokens > 1 {
		l.tpot = append(l.tpot, (r.End-r.First).Seconds()/float64(r.Tokens-1))
	}
}

// column is one of the table: its head, its least width, and its place among those that leave where
// there is no room; 0 never leaves.
type column struct {
	head         string
	width, leave int
}

var columns = []column{{"time", 8, 0}, {"ended", 9, 0}, {"at once", 8, 4}, {"failed", 7, 0}, {"req/s", 8, 0}, {"tok/s", 8, 1}, {"TTFT P50", 9, 0}, {"P99", 8, 0}, {"TPOT P50", 9, 3}, {"lag P99", 8, 2}}

// Head is the first line of a table of so many columns of characters, 0 for as wide as it is.
func (l *Live) Head(width int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.head
	}
	return l.row(cells, width)
}

// row writes cells at their widths, without those that have no room.
func (l *Live) row(cells []string, width int) string {
	widths, all := make([]int, len(columns)), 0
	for i, c := range columns {
		widths[i] = c.width
		if c.head == "ended" {
			widths[i] = max(c.width, 2*len(fmt.Sprint(l.requests))+2)
		}
		all += widths[i]
	}
	for next := 1; width > 0 && all > width; next++ {
		at := slices.IndexFunc(columns, func(c column) bool { return c.leave == next })
		if at < 0 {
			break
		}
		all, widths[at] = all-widths[at], 0
	}
	var b strings.Builder
	for i, w := range widths {
		if w > 0 {
			fmt.Fprintf(&b, "%*s", w, cells[i])
		}
	}
	return b.String()
}

// Line is what has come since the last one: rates and latencies are of those requests alone. Its
// width is as in Head.
func (l *Live) Line(now time.Time, width int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seconds := now.Sub(l.asked).Seconds()
	at := func(samples []float64, p float64) string {
		if len(samples) == 0 {
			return "–"
		}
		slices.Sort(samples)
		return report.Format(lab.Seconds, stat.Percentile(samples, p))
	}
	rate := func(n int) string { return report.Format(lab.Rate, float64(n)/max(seconds, 1e-9)) }
	inFlight := "–" // a simulation sends when it is due
	if l.sentAll > 0 {
		inFlight = fmt.Sprint(l.sentAll - l.endedAll)
	}
	cells := []string{
		(l.before + l.latest).Round(100 * time.Millisecond).String(), fmt.Sprintf("%d/%d", l.endedAll, l.requests), inFlight, fmt.Sprint(l.failed),
		rate(l.answered), rate(l.tokens), at(l.ttft, 50), at(l.ttft, 99), at(l.tpot, 50), at(l.lag, 99),
	}
	l.asked, l.answered, l.failed, l.tokens = now, 0, 0, 0
	l.ttft, l.tpot, l.lag = l.ttft[:0], l.tpot[:0], l.lag[:0]
	return l.row(cells, width)
}
