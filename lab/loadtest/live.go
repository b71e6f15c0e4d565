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

// columns are the heads of the table, and the widths.
var columns = []struct {
	head  string
	width int
}{{"time", 8}, {"ended", 15}, {"at once", 8}, {"failed", 7}, {"req/s", 8}, {"tok/s", 8}, {"TTFT P50", 9}, {"P99", 9}, {"TPOT P50", 9}, {"lag P99", 8}}

// Head is the first line of the table.
func (l *Live) Head() string {
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "%*s", c.width, c.head)
	}
	return b.String()
}

// Line is what has come since the last one: rates and latencies are of those requests alone.
func (l *Live) Line(now time.Time) string {
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
	var b strings.Builder
	for i, c := range columns {
		fmt.Fprintf(&b, "%*s", c.width, cells[i])
	}
	return b.String()
}
