package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"slimlab/lab/stat"
	"slimlab/serve/hardware"
	"slimlab/serve/load"
)

// Calibrated is what a simulation says of a target after it was fitted to half of its requests.
type Calibrated struct {
	Linear    hardware.Linear
	Variation *hardware.Variation
	Host      hardware.Host
	Fitted    int // requests of the parts that were fitted to
	Steps     int // of these
	Runs      int // real ones, whose parts took turns
	Errors    []ReplayError
}

// ReplayError compares a latency of the requests that were not fitted to. Times are in seconds,
// shares are relative to the first real run.
type ReplayError struct {
	Metric string  `json:"metric"` // TTFT, TPOT or E2E
	N      int     `json:"n"`
	Bias   float64 `json:"bias"` // mean of simulated − real, of each request, as a share of it
	MAPE   float64 `json:"mape"` // mean of the absolute value of the same
	// Of the medians and the 99th percentiles; the simulated ones are medians of the replays':
	Real50   float64 `json:"real_p50"`
	Again50  float64 `json:"again_p50"` // of the second real run; 0 of none
	Sim50    float64 `json:"simulated_p50"`
	Real99   float64 `json:"real_p99"`
	Again99  float64 `json:"again_p99"`
	Sim99    float64 `json:"simulated_p99"`
	Within50 bool    `json:"p50_within"` // 5% of a real run, or between the two
	Within99 bool    `json:"p99_within"` // 10% of a real run, or between the two
}

// parts is how many parts the requests have. Real runs take turns in them, so that a machine that
// becomes slower does so for both, and every second one is fitted to. Steps vary at random, and a
// simulation is replayed several times.
const parts, replays = 8, 16

// replay has the records of all parts.
type replay [parts][]load.Record

// Calibrate observes a target under a test, once or, where its cache can be emptied, twice in
// turns, fits the constants of a simulated machine to the steps of half of the requests, and
// replays all of them there. The engine is that of the target, with the same settings.
func (p *Place) Calibrate(ctx context.Context, t Test, e Engine, live *Live) (*Calibrated, error) {
	if p.simulated != nil {
		return nil, errors.New("found simulated devices, expected a target that takes real time")
	}
	if p.steps == nil {
		return nil, errors.New("the steps of the target are unknown, expected an engine in this process")
	}
	r, err := t.Ready(p.Vocabulary, p.Positions)
	if err != nil {
		return nil, err
	}
	if r.Plan.Closed() || t.Kind == Chat {
		return nil, errors.New("requests that wait for others come at other times in a simulation, expected arrivals by a process, and no chat")
	}
	live.begin(2 * r.Plan.Requests())
	o := &observation{place: p, test: t, engine: e, workload: r.Workload, arrivals: r.Workload.Arrivals()}
	if o.arrivals < 4*parts {
		return nil, fmt.Errorf("found %d arrivals, expected %d or more", o.arrivals, 4*parts)
	}
	if err := o.observe(ctx, live); err != nil {
		return nil, err
	}
	return o.fit(ctx)
}

// observation is what a target did.
type observation struct {
	place    *Place
	test     Test
	engine   Engine
	workload load.Workload
	arrivals int
	real     [2]replay // of the runs; the second may be none
	steps    [parts][]hardware.Sample
}

// section is a part of a workload.
type section struct {
	load.Workload
	from, to int
}

func (s section) Arrivals() int              { return s.to - s.from }
func (s section) Arrival(i int) load.Arrival { return s.Workload.Arrival(s.from + i) }

func (s section) Requests() (n int) {
	for i := range s.Arrivals() {
		n += s.Arrival(i).Requests
	}
	return n
}

// plan is that of a part: its gaps are drawn by its own seed.
func (o *observation) plan(part int) (*load.Plan, error) {
	arrivals, err := o.test.Arrivals.Arrivals(o.test.Seed + uint64(part)<<32)
	if err != nil {
		return nil, err
	}
	return load.NewPlan(section{o.workload, part * o.arrivals / parts, (part + 1) * o.arrivals / parts}, arrivals)
}

// observe runs the parts on the target.
func (o *observation) observe(ctx context.Context, live *Live) error {
	runs := 1
	if o.place.flush != nil {
		runs = 2
	}
	if err := load.WarmUp(ctx, o.place.target, o.workload, max(1, o.test.WarmUp), o.place.Vocabulary, o.test.Seed); err != nil {
		return err
	}
	for part := range parts {
		for run := range runs {
			if o.place.flush != nil {
				if err := o.place.flush(ctx); err != nil {
					return fmt.Errorf("flush the cache: %w", err)
				}
			}
			plan, err := o.plan(part)
			if err != nil {
				return err
			}
			o.place.steps.take() // of what came before
			live.again()
			records, err := load.Driver{Plan: plan, InFlight: o.test.InFlight, Precise: true, Sent: live.sent, Ended: live.ended}.Run(ctx, o.place.target)
			if err != nil {
				return err
			}
			for i := range records {
				if r := &records[i]; r.Err != nil || r.Dropped {
					return fmt.Errorf("request %d of part %d was not answered: %w", i, part, errors.Join(r.Err))
				}
			}
			o.real[run][part] = records
			o.steps[part] = append(o.steps[part], o.place.steps.take()...)
		}
	}
	return nil
}

// replay simulates all parts on a machine, several times.
func (o *observation) replay(ctx context.Context, l hardware.Linear, v *hardware.Variation, h hardware.Host) (all [replays]replay, err error) {
	deployment := hardware.Observed(*o.place.Shape, o.place.Tokens, l, v, h)
	for i := range replays * parts {
		part := i % parts
		plan, err := o.plan(part)
		if err != nil {
			return all, err
		}
		one := Simulated{Devices: Devices{Replicas: 1, Router: "round-robin", CacheTokens: o.place.Tokens}, Engine: o.engine, Deployment: deployment, Seed: o.test.Seed + uint64(i)<<32}
		result, err := one.Plan(ctx, plan, time.Now())
		if err != nil {
			return all, err
		}
		all[i/parts][part] = result.Records
	}
	return all, nil
}

// fit takes the constants of a step from the steps of every second part, and what a request takes
// outside the steps from its requests, and reports the error of the other parts.
func (o *observation) fit(ctx context.Context) (*Calibrated, error) {
	var steps []hardware.Sample
	for part := 0; part < parts; part += 2 {
		steps = append(steps, o.steps[part]...)
	}
	fitted, _, err := hardware.FitHost(steps)
	if err != nil {
		return nil, err
	}
	c := &Calibrated{Linear: *fitted.Linear, Variation: hardware.NewVariation(fitted.Linear, steps), Runs: 1, Steps: len(steps)}
	if len(o.real[1][0]) > 0 {
		c.Runs = 2
	}
	replayed, err := o.replay(ctx, c.Linear, c.Variation, hardware.Host{})
	if err != nil {
		return nil, err
	}
	var outside []float64
	for part := 0; part < parts; part += 2 {
		for i := range o.real[0][part] {
			for run := range c.Runs {
				r := &o.real[run][part][i]
				for k := range replayed {
					s := &replayed[k][part][i]
					outside = append(outside, (r.First - r.Scheduled - s.First + s.Scheduled).Seconds())
				}
			}
		}
		c.Fitted += len(o.real[0][part])
	}
	c.Host.Fixed = max(0, stat.Median(outside))
	if replayed, err = o.replay(ctx, c.Linear, c.Variation, c.Host); err != nil {
		return nil, err
	}
	for _, m := range latencies {
		if e, ok := o.compare(m, replayed); ok {
			c.Errors = append(c.Errors, e)
		}
	}
	return c, nil
}

// latency is one that is compared.
type latency struct {
	name string
	of   func(r *load.Record) float64 // seconds; 0 of a record without it
}

var latencies = []latency{
	{"TTFT", func(r *load.Record) float64 { return (r.First - r.Scheduled).Seconds() }},
	{"TPOT", tpot},
	{"E2E", func(r *load.Record) float64 { return (r.End - r.Scheduled).Seconds() }},
}

func tpot(r *load.Record) float64 {
	if r.Tokens < 2 {
		return 0
	}
	return (r.End - r.First).Seconds() / float64(r.Tokens-1)
}

// compare is the error of the parts that were not fitted to; ok is false where no request has the
// latency.
func (o *observation) compare(m latency, simulated [replays]replay) (e ReplayError, ok bool) {
	var real, again []float64
	var replayed [replays][]float64
	for part := 1; part < parts; part += 2 {
		for i := range o.real[0][part] {
			was := m.of(&o.real[0][part][i])
			if was <= 0 {
				continue
			}
			real = append(real, was)
			for k := range simulated {
				is := m.of(&simulated[k][part][i])
				replayed[k] = append(replayed[k], is)
				e.Bias += is/was - 1
				e.MAPE += math.Abs(is/was - 1)
			}
			if len(o.real[1][part]) > 0 {
				again = append(again, m.of(&o.real[1][part][i]))
			}
		}
	}
	if len(real) == 0 {
		return e, false
	}
	n := float64(replays * len(real))
	e.Metric, e.N, e.Bias, e.MAPE = m.name, len(real), e.Bias/n, e.MAPE/n
	e.Real50, e.Real99 = stat.Percentile(real, 50), stat.Percentile(real, 99)
	var middle, top []float64
	for _, of := range replayed {
		middle, top = append(middle, stat.Percentile(of, 50)), append(top, stat.Percentile(of, 99))
	}
	e.Sim50, e.Sim99 = stat.Median(middle), stat.Median(top)
	if len(again) > 0 {
		e.Again50, e.Again99 = stat.Percentile(again, 50), stat.Percentile(again, 99)
	}
	e.Within50 = near(e.Sim50, e.Real50, e.Again50, 0.05)
	e.Within99 = near(e.Sim99, e.Real99, e.Again99, 0.1)
	return e, true
}

// near reports whether a value is within a share of one of two others, or between them; again is 0
// where there is none.
func near(x, real, again, share float64) bool {
	if math.Abs(x/real-1) <= share {
		return true
	}
	return again > 0 && (math.Abs(x/again-1) <= share || min(real, again) <= x && x <= max(real, again))
}
