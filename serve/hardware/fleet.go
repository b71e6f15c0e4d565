package hardware

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"slimlab/internal/nearest"
	"slimlab/serve"
)

// Source says which requests come and when. Times count from the start of a simulation.
type Source interface {
	// Due is the time of the next request; ok is false where none is to come before another ends.
	Due() (at time.Duration, ok bool)
	// Take returns that request and its number; ok is false of one that has ended already.
	Take() (number int, r serve.Request, ok bool)
	// Ended tells what became of a request, which may let others come.
	Ended(number int, e End)
}

// End is what became of a request.
type End struct {
	Result serve.Result
	Err    error           // why it was not answered
	At     time.Duration   // when
	Chunks []time.Duration // when each of its tokens came, where FleetOptions ask for it
}

// Fleet is replicas of a deployment behind a router, each an engine of its own on simulated time.
type Fleet struct {
	deployment *Deployment
	router     Router
	chunks     bool
	slowness   float64
	replicas   []*replica
	begun      time.Time
	next       int // of round robin
	arrived    arrivals
	running    map[int]*[]time.Duration // when the tokens of each request came
	source     Source
}

type replica struct {
	*serve.Simulation
	executor *Executor
}

// FleetOptions shape a fleet. Zero values mean the defaults.
type FleetOptions struct {
	Replicas int // 1
	Router   Router
	Tokens   int  // of each replica's cache; as many as its devices have room for
	Chunks   bool // tell when each token came
	// Slowness is by how much everything takes longer than the calibration says, 0 is 1: with a
	// deployment's error up and down it gives the bounds of what a queue makes of it.
	Slowness float64
	Seed     uint64 // of how steps vary, where a deployment's do
	Engine   serve.Options
}

// Router names a way to choose the replica of a request.
type Router string

const (
	RoundRobin  Router = "round-robin"  // one after another
	LeastLoaded Router = "least-loaded" // the one with the fewest tokens to compute
	CacheAware  Router = "cache-aware"  // the one with the fewest tokens to compute, this prompt's that it does not hold among them
)

// Routers are all ways.
func Routers() []string { return []string{string(RoundRobin), string(LeastLoaded), string(CacheAware)} }

// NewFleet makes replicas whose clocks begin at 0.
func NewFleet(d *Deployment, o FleetOptions) (*Fleet, error) {
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Slowness == 0 {
		o.Slowness = 1
	}
	if !(o.Slowness > 0) || math.IsInf(o.Slowness, 1) {
		return nil, fmt.Errorf("fleet: found a slowness of %v, expected a number above 0", o.Slowness)
	}
	if o.Router == "" {
		o.Router = RoundRobin
	}
	if err := nearest.Check("router", string(o.Router), Routers()); err != nil {
		return nil, err
	}
	if o.Replicas < 1 || o.Replicas > maxDevices {
		return nil, fmt.Errorf("fleet: found %d replicas, expected 1 to %d", o.Replicas, maxDevices)
	}
	f := &Fleet{deployment: d, router: o.Router, chunks: o.Chunks, slowness: o.Slowness, begun: time.Unix(0, 0), running: map[int]*[]time.Duration{}}
	for i := range o.Replicas {
		e := NewExecutor(d, o.Tokens, f.begun)
		e.slowness, e.vary = o.Slowness, rand.New(rand.NewPCG(o.Seed, uint64(i)))
		s, err := serve.NewSimulation(e, o.Engine, f.ended)
		if err != nil {
			return nil, err
		}
		f.replicas = append(f.replicas, &replica{s, e})
	}
	return f, nil
}

// Run serves all requests of a source. It goes from event to event: a request comes, its text has
// become tokens on the host, a replica takes a step.
func (f *Fleet) Run(ctx context.Context, s Source) error {
	f.source = s
	for events := 0; ; events++ {
		if events%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r := f.busiest()
		comes, more := s.Due()
		switch {
		case more && f.before(comes, r):
			f.take(comes)
		case len(f.arrived) > 0 && (r == nil || !f.arrived[0].ready.After(r.Now())):
			f.submit(heap.Pop(&f.arrived).(arrival))
		case r != nil:
			if err := r.Step(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// busiest is the replica with work whose clock is behind those of the others, or nil.
func (f *Fleet) busiest() (first *replica) {
	for _, r := range f.replicas {
		if !r.Idle() && (first == nil || r.Now().Before(first.Now())) {
			first = r
		}
	}
	return first
}

// before reports whether a request comes before anything else happens.
func (f *Fleet) before(comes time.Duration, r *replica) bool {
	at := f.begun.Add(comes)
	return (r == nil || !at.After(r.Now())) && (len(f.arrived) == 0 || !at.After(f.arrived[0].ready))
}

// take begins the host's work on the next request. Requests are worked on beside each other.
func (f *Fleet) take(comes time.Duration) {
	number, request, ok := f.source.Take()
	if !ok {
		return
	}
	came := f.begun.Add(comes)
	host := time.Duration(f.slowness * f.deployment.Host(len(request.Prompt)) * float64(time.Second))
	heap.Push(&f.arrived, arrival{number, request, came, came.Add(host)})
}

// submit gives a request to a replica.
func (f *Fleet) submit(a arrival) {
	r := f.route(a)
	if r.Idle() {
		r.Wait(a.ready)
	}
	if f.chunks && a.request.MaxTokens > 0 {
		times := new([]time.Duration)
		f.running[a.number] = times
		a.request.OnToken = func(serve.Token) { *times = append(*times, r.Now().Sub(f.begun)) }
	}
	if err := r.Submit(a.number, a.came, a.request); err != nil {
		delete(f.running, a.number)
		f.source.Ended(a.number, End{Err: err, At: a.ready.Sub(f.begun)})
	}
}

func (f *Fleet) ended(number int, r serve.Result, err error) {
	e := End{Result: r, Err: err, At: r.End.Sub(f.begun)}
	if times := f.running[number]; times != nil {
		e.Chunks = *times
		delete(f.running, number)
	}
	f.source.Ended(number, e)
}

func (f *Fleet) route(a arrival) *replica {
	if len(f.replicas) == 1 {
		return f.replicas[0]
	}
	if f.router == RoundRobin {
		f.next++
		return f.replicas[(f.next-1)%len(f.replicas)]
	}
	var best *replica
	least := 0
	for _, r := range f.replicas {
		load := r.Load()
		if f.router == CacheAware {
			load += len(a.request.Prompt) - r.Held(a.request.Namespace, a.request.Prompt)
		}
		if best == nil || load < least {
			best, least = r, load
		}
	}
	return best
}

// Begun is the time at which the clocks began.
func (f *Fleet) Begun() time.Time { return f.begun }

// Stats are the counters of each replica.
func (f *Fleet) Stats() (all []serve.Stats) {
	for _, r := range f.replicas {
		all = append(all, r.Stats())
	}
	return all
}

// Spent is the seconds of all steps of all replicas by what they were spent on.
func (f *Fleet) Spent() (t Times) {
	for _, r := range f.replicas {
		t.add(r.executor.spent)
	}
	return t
}

// arrival is a request on its way through the host.
type arrival struct {
	number      int
	request     serve.Request
	came, ready time.Time
}

// arrivals is a heap by the time at which the host is done, then by number.
type arrivals []arrival

func (a arrivals) Len() int { return len(a) }
func (a arrivals) Less(i, j int) bool {
	if a[i].ready.Equal(a[j].ready) {
		return a[i].number < a[j].number
	}
	return a[i].ready.Before(a[j].ready)
}
func (a arrivals) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)   { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = arrival{}
	*a = (*a)[:last]
	return x
}
