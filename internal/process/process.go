// Package process observes the other processes of a program on this machine: whether they work
// while something is timed; and what this one has spent.
//
// Another process counts by the beginning of its name, whatever folders, user or version it has,
// and by the processor time that it takes: one that waits does not count. The package knows what
// Linux tells under /proc. On other systems, and where /proc hides processes, it finds none;
// processes of other containers and machines are not seen either. It leaves out what these
// processes do.
package process

import "time"

// usage is what the system tells of one process.
type usage struct {
	started uint64        // tells processes apart that have one id after the other
	spent   time.Duration // of processors, since the process began
}

// Watch is an observation that has begun.
type Watch struct {
	look  func() map[int]usage
	now   func() time.Time
	begun time.Time
	first map[int]usage
}

// Begin begins to observe the other processes whose names begin with a name.
func Begin(name string) *Watch {
	return begin(func() map[int]usage { return others(name) }, time.Now)
}

func begin(look func() map[int]usage, now func() time.Time) *Watch {
	return &Watch{look: look, now: now, begun: now(), first: look()}
}

// A process works when it takes at least workShare of one processor's time, and leastWork, which is
// the finest that Linux counts.
const (
	workShare = 0.05
	leastWork = 10 * time.Millisecond
)

// Worked returns how many of the processes have worked since Begin. One that has ended meanwhile
// counts: what it took is no longer known.
func (w *Watch) Worked() int {
	last := w.look()
	least := max(leastWork, time.Duration(workShare*float64(w.now().Sub(w.begun))))
	n := 0
	for id, at := range last {
		before, known := w.first[id]
		if !known || before.started != at.started {
			before.spent = 0 // it began meanwhile
		}
		if at.spent-before.spent >= least {
			n++
		}
	}
	for id, before := range w.first {
		if at, there := last[id]; !there || at.started != before.started {
			n++
		}
	}
	return n
}
