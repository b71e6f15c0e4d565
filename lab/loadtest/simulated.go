package loadtest

import (
	"context"
	"fmt"
	"time"

	"slimlab/lab"
	"slimlab/lab/stat"
	"slimlab/serve/hardware"
	"slimlab/serve/load"
)

// Simulated is a load test on simulated devices.
type Simulated struct {
	Devices
	Engine
	Workload
	Arrivals
	Deployment *hardware.Deployment // of the devices
	Slowness   float64              // as in hardware.FleetOptions
	Chunks     bool                 // keep when each token came
	Seed       uint64
	// Progress is called now and then with the requests that have ended, and how many there are.
	Progress func(done, of int)
	// Ended is called for each request that has ended, with the simulated time in its record.
	Ended func(number int, r load.Record)
}

// Result is what a simulated load test came to.
type Result struct {
	Deployment *hardware.Deployment
	Records    []load.Record
	Left       load.Left
	Duration   time.Duration // simulated, until the last request has ended
	Spent      hardware.Times
	Replicas   int
	Longest    time.Duration // that a request waited for its first step
	Host       float64       // mean seconds of a request outside the steps
	Wall       time.Duration // that the simulation took
}

// Run simulates all requests.
func (s Simulated) Run(ctx context.Context) (*Result, error) {
	begun := time.Now()
	workload, err := s.Workload.Workload(s.Deployment.Model.Vocab, s.Seed)
	if err != nil {
		return nil, err
	}
	arrivals, err := s.Arrivals.Arrivals(s.Seed)
	if err != nil {
		return nil, err
	}
	plan, err := load.NewPlan(workload, arrivals)
	if err != nil {
		return nil, err
	}
	return s.Plan(ctx, plan, begun)
}

// Plan simulates the requests of a plan.
func (s Simulated) Plan(ctx context.Context, plan *load.Plan, begun time.Time) (*Result, error) {
	fleet, err := s.Fleet(s.Deployment, s.Engine, hardware.FleetOptions{Chunks: s.Chunks, Slowness: s.Slowness, Seed: s.Seed})
	if err != nil {
		return nil, err
	}
	done, host := 0, 0.0
	of := load.Simulation{Plan: plan, Fleet: fleet, Ended: func(number int, r load.Record) {
		done++
		host += s.Deployment.Host(r.Prompt)
		if s.Progress != nil && done%256 == 0 {
			s.Progress(done, plan.Requests())
		}
		if s.Ended != nil {
			s.Ended(number, r)
		}
	}}
	records, err := of.Run(ctx)
	if err != nil {
		return nil, err
	}
	r := &Result{
		Deployment: s.Deployment, Records: records, Left: plan.Left(), Spent: fleet.Spent(),
		Replicas: max(1, s.Replicas), Host: host / float64(max(1, done)), Wall: time.Since(begun),
	}
	for i := range records {
		r.Duration = max(r.Duration, records[i].End)
	}
	for _, one := range fleet.Stats() {
		r.Longest = max(r.Longest, one.LongestWait)
	}
	return r, nil
}

// Measures are the figures of a row.
func (r *Result) Measures() map[string]lab.Measure {
	values := map[string]lab.Measure{}
	var ttft, tpot, e2e []float64
	answered, prompt, cached, tokens := 0, 0, 0, 0
	for i := range r.Records {
		one := &r.Records[i]
		if one.Err != nil {
			continue
		}
		answered++
		prompt, cached, tokens = prompt+one.Prompt, cached+one.Cached, tokens+one.Tokens
		ttft = append(ttft, (one.First - one.Scheduled).Seconds())
		e2e = append(e2e, (one.End - one.Scheduled).Seconds())
		if one.Tokens > 1 {
			tpot = append(tpot, (one.End-one.First).Seconds()/float64(one.Tokens-1))
		}
	}
	warning := ""
	if failed := len(r.Records) - answered; failed > 0 {
		warning = fmt.Sprintf("%d of %d requests were refused", failed, len(r.Records))
	}
	latency := func(key string, samples []float64) {
		if len(samples) == 0 {
			return
		}
		p99 := warning
		if len(samples) < 100 {
			p99 = join(warning, fmt.Sprintf("P99 of %d samples", len(samples)))
		}
		values[key+"_p50"] = lab.Measure{Value: stat.Percentile(samples, 50), N: len(samples), Warning: warning}
		values[key+"_p99"] = lab.Measure{Value: stat.Percentile(samples, 99), N: len(samples), Warning: p99}
	}
	latency("sim_ttft", ttft)
	latency("sim_tpot", tpot)
	latency("sim_e2e", e2e)
	if answered == 0 {
		return values
	}
	set := func(key string, value float64) { values[key] = lab.Measure{Value: value, Warning: warning} }
	seconds, n := r.Duration.Seconds(), float64(answered)
	set("sim_wait_max", r.Longest.Seconds())
	set("sim_requests_per_s", n/seconds)
	set("sim_tokens_per_s", float64(prompt+tokens)/seconds)
	set("sim_cached", float64(cached)/float64(prompt))
	set("sim_busy", min(1, r.Spent.Total()/seconds/float64(r.Replicas)))
	set("sim_host", r.Host)
	set("sim_gemm", r.Spent.GEMM/n)
	set("sim_attention", r.Spent.Attention/n)
	set("sim_all_reduce", r.Spent.AllReduce/n)
	set("sim_elementwise", r.Spent.Elementwise/n)
	set("sim_other", (r.Spent.Head+r.Spent.Overhead)/n)
	if watts := r.Deployment.Watts(); watts > 0 {
		set("sim_joules", watts*r.Spent.Total()/n)
	}
	if price := r.Deployment.Device.Price * float64(r.Deployment.Count*r.Replicas); price > 0 {
		set("sim_cost_per_mtok", price*seconds/3600/float64(prompt+tokens)*1e6)
		set("sim_cost_per_1000", price*seconds/3600/n*1000)
	}
	return values
}

// join adds a reason to a warning.
func join(warning, reason string) string {
	if warning == "" {
		return reason
	}
	return warning + "; " + reason
}
