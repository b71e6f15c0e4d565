package abtest

import (
	"fmt"
	"strings"
	"sync"
)

// Live is what a running experiment has come to. It is safe for concurrent use; a nil one tells
// nothing.
type Live struct {
	mu sync.Mutex
	of *Experiment
}

func (l *Live) begin(e *Experiment) {
	l.lock()
	defer l.unlock()
	if l != nil {
		l.of = e
	}
}

func (l *Live) lock() {
	if l != nil {
		l.mu.Lock()
	}
}

func (l *Live) unlock() {
	if l != nil {
		l.mu.Unlock()
	}
}

// Line is the present state: prompts asked, failures, and the change of each metric with its
// interval. It is empty before the experiment has begun.
func (l *Live) Line() string {
	l.lock()
	defer l.unlock()
	if l == nil || l.of == nil {
		return ""
	}
	r := &l.of.report
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%d", r.Asked, r.Prompts)
	if failed := r.Arms[0].Failed + r.Arms[1].Failed; failed > 0 {
		fmt.Fprintf(&b, ", %d failed", failed)
	}
	for _, s := range l.of.series {
		row := s.row()
		if row.N == 0 {
			continue
		}
		fmt.Fprintf(&b, "  %s %s", row.Label, row.change(row.Change))
		if finite(float64(row.Low)) {
			fmt.Fprintf(&b, " [%s, %s]", row.change(row.Low), row.change(row.High))
		}
		if s.verdict != "" {
			fmt.Fprintf(&b, " %s at %d", s.verdict, s.decided)
		}
	}
	return b.String()
}
