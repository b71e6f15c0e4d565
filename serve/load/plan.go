package load

import (
	"container/heap"
	"fmt"
	"time"
)

// Plan says what is sent when: the requests of a workload, by their arrivals and by the ends of
// those that they wait for. It has no clock: a driver asks Due, waits until then or until a request
// ends, takes with Next what is due, and says with Ended what has ended. Given the same ends it is
// the same plan, on the clock of a machine or on a simulated one. It is not safe for concurrent
// use.
type Plan struct {
	// Until, unless 0, is when the plan ends: what would be sent then or later is left. Set it
	// before the first request is taken.
	Until time.Duration

	workload Workload
	times    Schedule // nil of a closed loop
	users    int
	arrivals int
	next     int // arrival
	queue    queue
	running  map[int]*begun // by the number of the request
	number   int
	left     Left
}

// Left is what of a workload was never sent.
type Left struct {
	Arrivals int // that would have come after Until, whole
	Turns    int // of sessions of which a turn before failed, or that were not over by Until
}

// begun is an arrival that has come.
type begun struct {
	Arrival
	index  int
	made   int           // requests
	waits  int           // requests that were taken and have not ended
	end    time.Duration // of the last that has ended
	before Reply
}

// due is what is to be sent at a time: all further requests of an arrival, or the next turn of a
// session.
type due struct {
	at      time.Duration
	of      *begun
	request *Request // nil until it is made
}

// queue has the earliest first, of one time the first to arrive.
type queue []*due

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].of.index < q[j].of.index
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*due)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}

// NewPlan plans a workload.
func NewPlan(w Workload, a Arrivals) (*Plan, error) {
	n := w.Arrivals()
	if n < 1 {
		return nil, fmt.Errorf("load: the workload has no requests")
	}
	times, users, err := begins(a, n)
	if err != nil {
		return nil, err
	}
	p := &Plan{workload: w, times: times, users: users, arrivals: n, running: map[int]*begun{}}
	for range min(users, n) {
		p.arrive(0)
	}
	return p, nil
}

// Closed reports whether users bring the arrivals in turn.
func (p *Plan) Closed() bool { return p.users > 0 }

// Requests is how many requests the workload has.
func (p *Plan) Requests() int { return p.workload.Requests() }

// Left is what of the workload will not be sent, as far as that is known.
func (p *Plan) Left() Left { return p.left }

// arrive has the next arrival come.
func (p *Plan) arrive(at time.Duration) {
	if p.Until > 0 && at >= p.Until {
		p.left.Arrivals += p.arrivals - p.next
		p.next = p.arrivals
		return
	}
	b := &begun{Arrival: p.workload.Arrival(p.next), index: p.next}
	p.next++
	heap.Push(&p.queue, &due{at: at, of: b})
}

// Due is when the next request is to be sent, as far as that is known; ends of other requests may
// bring an earlier one. That request is made by now. Where there is none, some are waited for that
// run, or the plan is at its end.
func (p *Plan) Due() (at time.Duration, ok bool) {
	// on a tie the turn of a session comes first: its arrival was earlier
	for p.times != nil && p.next < p.arrivals && (len(p.queue) == 0 || p.times[p.next] < p.queue[0].at) {
		p.arrive(p.times[p.next])
	}
	if len(p.queue) == 0 {
		return 0, false
	}
	head := p.queue[0]
	p.make(head)
	return head.at, true
}

func (p *Plan) make(d *due) {
	if d.request != nil {
		return
	}
	r := d.of.Make(d.of.made, d.of.before)
	r.Arrival, r.Turn = d.of.index, d.of.made
	d.of.made++
	d.of.before = Reply{}
	d.request = &r
}

// Next takes the request that Due has told of, with its number: they are counted from 0 in the
// order in which they are taken.
func (p *Plan) Next() (number int, at time.Duration, r Request, ok bool) {
	if at, ok = p.Due(); !ok {
		return 0, 0, Request{}, false
	}
	head := p.queue[0]
	of := head.of
	number, r = p.number, *head.request
	p.number++
	p.running[number] = of
	of.waits++
	head.request = nil
	if of.Session || of.made >= of.Requests {
		heap.Pop(&p.queue)
	}
	return number, at, r, true
}

// Ended says that a request has ended at a time, and how.
func (p *Plan) Ended(number int, at time.Duration, reply Reply) {
	of, ok := p.running[number]
	if !ok {
		return
	}
	delete(p.running, number)
	of.waits--
	of.end = max(of.end, at)
	if of.Session && of.made < of.Requests {
		next := at
		if of.Think != nil {
			next += max(0, of.Think(of.made))
		}
		if !reply.Failed && (p.Until == 0 || next < p.Until) {
			of.before = reply
			heap.Push(&p.queue, &due{at: next, of: of})
			return
		}
		p.left.Turns += of.Requests - of.made
		of.made = of.Requests
	}
	if p.users > 0 && of.waits == 0 && of.made >= of.Requests && p.next < p.arrivals {
		p.arrive(of.end)
	}
}
