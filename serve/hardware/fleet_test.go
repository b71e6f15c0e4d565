package hardware

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"slimlab/serve"
)

// listed is a source whose requests come at given times.
type listed struct {
	times  []time.Duration
	make   func(i int) serve.Request
	next   int
	ends   []time.Duration
	result []serve.Result
	errs   []error
}

func (l *listed) Due() (time.Duration, bool) {
	if l.next == len(l.times) {
		return 0, false
	}
	return l.times[l.next], true
}

func (l *listed) Take() (int, serve.Request, bool) {
	l.next++
	return l.next - 1, l.make(l.next - 1), true
}

func (l *listed) Ended(i int, e End) {
	if len(l.ends) == 0 {
		l.ends, l.result, l.errs = make([]time.Duration, len(l.times)), make([]serve.Result, len(l.times)), make([]error, len(l.times))
	}
	e.Result.Tokens = nil // of which the array has the prompt too
	l.ends[i], l.result[i], l.errs[i] = e.At, e.Result, e.Err
}

// latencies are in seconds, from the time for which each request was due.
func (l *listed) latencies() (all []float64) {
	for i, at := range l.ends {
		all = append(all, (at - l.times[i]).Seconds())
	}
	return all
}

// linear is a deployment whose steps take so many seconds each and for each token.
func linear(t *testing.T, step, token float64) *Deployment {
	t.Helper()
	m, err := FindModel("8b")
	if err != nil {
		t.Fatal(err)
	}
	d, err := FindDevice("h100")
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewDeployment(m, d, 1, Calibration{Name: "test", Linear: &Linear{Step: step, Token: token}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func drawn(rng *rand.Rand, n int) []int32 {
	prompt := make([]int32, n)
	for i := range prompt {
		prompt[i] = rng.Int32N(100000)
	}
	return prompt
}

// TestFleetIsAQueue: requests that run one at a time and come by a Poisson process wait as the
// formula of Pollaczek and Khinchine says for a constant time of service.
func TestFleetIsAQueue(t *testing.T) {
	const service, load, n = 0.1, 0.7, 60_000
	rng := rand.New(rand.NewPCG(1, 2))
	source := &listed{make: func(int) serve.Request { return serve.Request{Prompt: drawn(rng, 10), MaxTokens: 1} }}
	at := 0.0
	for range n {
		source.times = append(source.times, time.Duration(at*1e9))
		at += rng.ExpFloat64() * service / load
	}
	f, err := NewFleet(linear(t, 0, service/10), FleetOptions{Engine: serve.Options{Running: 1, Policy: serve.FCFS}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(context.Background(), source); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, l := range source.latencies() {
		sum += l
	}
	want := service + load*service/(2*(1-load))
	if got := sum / n; math.Abs(got/want-1) > 0.02 {
		t.Errorf("a mean latency of %.4f s, expected %.4f", got, want)
	}
}

// TestHostTimeIsNoServiceTime: what the host does before a request's steps delays it, and holds up
// no other.
func TestHostTimeIsNoServiceTime(t *testing.T) {
	p := linear(t, 0.01, 0)
	p.Calibration.Host = Host{Fixed: 0.5, Token: 0.001}
	rng := rand.New(rand.NewPCG(1, 2))
	source := &listed{make: func(int) serve.Request { return serve.Request{Prompt: drawn(rng, 100), MaxTokens: 1} }}
	for i := range 50 {
		source.times = append(source.times, time.Duration(i)*20*time.Millisecond)
	}
	f, err := NewFleet(p, FleetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(context.Background(), source); err != nil {
		t.Fatal(err)
	}
	for i, l := range source.latencies() {
		if want := 0.5 + 0.1 + 0.01; math.Abs(l-want) > 1e-6 {
			t.Errorf("request %d took %.4f s, expected %.4f", i, l, want)
		}
	}
}

// TestRouters: with prompts of few members, replicas that are chosen by what they hold compute
// least, and of a burst each gets its share.
func TestRouters(t *testing.T) {
	computed := map[Router]int{}
	for _, router := range []Router{RoundRobin, LeastLoaded, CacheAware} {
		rng := rand.New(rand.NewPCG(7, 7))
		var stems [][]int32
		for range 12 {
			stems = append(stems, drawn(rng, 2048))
		}
		source := &listed{make: func(i int) serve.Request {
			return serve.Request{Prompt: slices.Concat(stems[rng.IntN(len(stems))], drawn(rng, 32)), MaxTokens: 4}
		}}
		for i := range 400 {
			source.times = append(source.times, time.Duration(i)*10*time.Millisecond)
		}
		f, err := NewFleet(linear(t, 0.002, 1e-5), FleetOptions{Replicas: 4, Router: router, Engine: serve.Defaults(), Tokens: 4 * 2200})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Run(context.Background(), source); err != nil {
			t.Fatal(err)
		}
		requests := 0
		for _, s := range f.Stats() {
			requests += s.Requests
			computed[router] += s.ComputedTokens
		}
		for i, err := range source.errs {
			if err != nil {
				t.Errorf("%s: request %d: %v", router, i, err)
			}
		}
		if requests != 400 {
			t.Errorf("%s: %d requests were answered, expected 400", router, requests)
		}
	}
	if computed[CacheAware]*2 > computed[RoundRobin] || computed[CacheAware] > computed[LeastLoaded] {
		t.Errorf("computed tokens by router %v, expected fewest by %s", computed, CacheAware)
	}
}

func TestFleetsAreTheSameEachTime(t *testing.T) {
	run := func() []time.Duration {
		rng := rand.New(rand.NewPCG(3, 3))
		source := &listed{make: func(int) serve.Request {
			return serve.Request{Prompt: drawn(rng, 1+rng.IntN(500)), MaxTokens: 1 + rng.IntN(30)}
		}}
		at := 0.0
		for range 500 {
			source.times = append(source.times, time.Duration(at*1e9))
			at += rng.ExpFloat64() * 0.01
		}
		f, err := NewFleet(linear(t, 0.002, 1e-5), FleetOptions{Replicas: 3, Router: LeastLoaded, Engine: serve.Defaults()})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Run(context.Background(), source); err != nil {
			t.Fatal(err)
		}
		return source.ends
	}
	if a, b := run(), run(); !slices.Equal(a, b) {
		t.Error("two runs of the same requests ended at other times")
	}
}

func TestFleetErrors(t *testing.T) {
	p := linear(t, 0.01, 0)
	if _, err := NewFleet(p, FleetOptions{Router: "nearest"}); err == nil {
		t.Error("an unknown router is taken")
	}
	if _, err := NewFleet(p, FleetOptions{Replicas: -1}); err == nil {
		t.Error("-1 replicas are taken")
	}
	f, err := NewFleet(p, FleetOptions{Tokens: 128})
	if err != nil {
		t.Fatal(err)
	}
	source := &listed{times: []time.Duration{0, 0}, make: func(i int) serve.Request {
		return serve.Request{Prompt: make([]int32, 100*(i+1)), MaxTokens: 1}
	}}
	if err := f.Run(context.Background(), source); err != nil {
		t.Fatal(err)
	}
	if source.errs[0] != nil || source.errs[1] == nil {
		t.Errorf("errors %v, expected one of the prompt that does not fit", source.errs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	source.next = 0
	if err := f.Run(ctx, source); err == nil {
		t.Error("a simulation whose context has ended goes on")
	}
}
