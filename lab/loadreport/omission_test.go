package loadreport

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"slimlab/serve/load"
)

// A server that answers each request in service, but does nothing for the first stall of each
// period.
const (
	service = 50 * time.Millisecond
	stall   = 2 * time.Second
	period  = 20 * time.Second
)

// answered is when a request that comes at a time is answered.
func answered(at time.Duration) time.Duration {
	for left := service; ; {
		within := at % period
		if within < stall {
			at += stall - within
			within = stall
		}
		if within+left <= period {
			return at + left
		}
		left -= period - within
		at += period - within
	}
}

// stalling is that server, on the clock of a test.
type stalling struct{ start time.Time }

func (s stalling) Send(context.Context, load.Request) (load.Answer, error) {
	now := time.Since(s.start)
	time.Sleep(answered(now) - now)
	return load.Answer{First: time.Now()}, nil
}

// TestCoordinatedOmission: a server stalls for 2 s every 20 s. The truth is what those wait who
// come at any time as likely as at another. The open loop finds it; a closed loop, whose users wait
// for the server and do not ask meanwhile, sees a stall once in hundreds of requests, and its P99
// knows nothing of it.
func TestCoordinatedOmission(t *testing.T) {
	var waits []float64
	for at := time.Duration(0); at < period; at += 100 * time.Microsecond {
		waits = append(waits, (answered(at) - at).Seconds())
	}
	truth := interpolate(slices.Sorted(slices.Values(waits)), 99)

	const requests = 20_000
	measure := func(arrivals load.Arrivals) (s *Summary) {
		synctest.Test(t, func(t *testing.T) {
			plan, err := load.NewPlan(load.Singles{Number: requests, Make: func(int) load.Request { return load.Request{} }}, arrivals)
			if err != nil {
				t.Fatal(err)
			}
			records, err := load.Driver{Plan: plan, InFlight: requests}.Run(t.Context(), stalling{time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			s = Summarize(Run{Records: records, Closed: plan.Closed()})
		})
		return s
	}
	open := measure(load.Process{Rate: 50, Burstiness: 1, Seed: 1})
	closed := measure(load.Closed{Users: 4})
	ours, theirs := open.Latency(E2E).At(99), closed.Latency(E2E).At(99)
	t.Logf("E2E at P99 of a server that stalls %v every %v: truth %.3f s, open loop %.3f s, closed loop of 4 users %.3f s", stall, period, truth, ours, theirs)
	if math.Abs(ours/truth-1) > 0.03 {
		t.Errorf("the open loop has a P99 of %.3f s, the truth is %.3f s", ours, truth)
	}
	if theirs > truth/10 || !closed.Has(ClosedLoop) {
		t.Errorf("the closed loop has a P99 of %.3f s, expected far less than %.3f s, and a warning: %v", theirs, truth, closed.Warnings)
	}
	if open.Answered != requests || open.Has(OverSaturated) || open.Has(LateGenerator) {
		t.Errorf("%d answered, %v", open.Answered, open.Warnings)
	}
}
