package loadtest

import (
	"context"
	"fmt"
	"os"
	"time"

	"slimlab/internal/plural"
	"slimlab/lab/loadreport"
	"slimlab/serve/load"
	"slimlab/serve/load/trace"
)

// Workloads from files, which scenarios do not have.
const (
	JSONL    = "jsonl"
	Mooncake = "mooncake"
	Azure    = "azure"
)

// Kinds lists the workloads of a Test.
func Kinds() []string {
	return []string{Ranking, Random, SharedPrefix, Chat, JSONL, Mooncake, Azure}
}

// Processes lists the arrivals of a Test; a trace brings its own.
func Processes() []string { return []string{Fixed, Poisson, Gamma, Ramp, Closed, AtOnce} }

// Test is a load test of a target.
type Test struct {
	Workload
	Arrivals
	File     string        // of a workload from a file
	Speed    float64       // of a trace: 2 sends in half the time; 0 is 1
	From, To time.Duration // the window of a trace; 0 of To is its end
	Length   time.Duration // after which nothing more is sent; 0 is none
	InFlight int           // requests at once, at most
	WarmUp   int           // requests before the first that counts
	Seed     uint64
	Labels   []int32 // that ranking scores; without them a token is generated
	// IgnoreEnd has answers to prompts of a file go on to as many tokens as are asked for, as those
	// of other workloads do.
	IgnoreEnd bool
}

// Ready is a test for a target of a vocabulary: what is sent, and when.
type Ready struct {
	Test
	Plan     *load.Plan
	Workload load.Workload
	Notes    []string // what is left out
	vocab    int
}

// Ready makes the workload for a target with tokens below a vocabulary, and requests of at most so
// many tokens; 0 positions is no bound that is known.
func (t Test) Ready(vocabulary, positions int) (*Ready, error) {
	r := &Ready{Test: t, vocab: vocabulary}
	times, err := r.make(vocabulary, positions)
	if err != nil {
		return nil, err
	}
	var arrivals load.Arrivals = times
	if times == nil {
		if arrivals, err = t.Arrivals.Arrivals(t.Seed); err != nil {
			return nil, err
		}
	}
	if r.Plan, err = load.NewPlan(r.Workload, arrivals); err != nil {
		return nil, err
	}
	r.Plan.Until = t.Length
	return r, nil
}

// make makes the workload, and of a trace its times.
func (r *Ready) make(vocabulary, positions int) (times load.Schedule, err error) {
	switch r.Kind {
	case JSONL, Mooncake, Azure:
	default:
		w := r.Test.Workload
		if r.Workload, err = w.Workload(vocabulary, r.Seed); err != nil {
			return nil, err
		}
		return nil, w.Fits(positions)
	}
	f, err := os.Open(r.File)
	if err != nil {
		return nil, fmt.Errorf("workload %s: %w", r.Kind, err)
	}
	defer f.Close()
	var left []trace.LeftOut
	switch r.Kind {
	case JSONL:
		p, err := trace.ReadPrompts(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.File, err)
		}
		if r.Workload, left, err = p.Workload(trace.Chosen{Number: r.Requests, MaxTokens: r.OutputTokens, IgnoreEnd: r.IgnoreEnd, Vocabulary: vocabulary, Positions: positions}); err != nil {
			return nil, fmt.Errorf("%s: %w", r.File, err)
		}
	default:
		read := trace.ReadMooncake
		if r.Kind == Azure {
			read = trace.ReadAzure
		}
		t, err := read(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.File, err)
		}
		replay := trace.Replay{Speed: r.Speed, From: r.From, To: r.To, Number: r.Requests, Positions: positions, Vocabulary: vocabulary, Seed: r.Seed}
		if r.Workload, times, left, err = t.Workload(replay); err != nil {
			return nil, fmt.Errorf("%s: %w", r.File, err)
		}
		if share := t.Reuse(); share > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("of the whole trace's prompt tokens %.1f%% are in blocks that came before: what a cache without bound would hold", 100*share))
		}
	}
	for _, l := range left {
		r.Notes = append(r.Notes, fmt.Sprintf("%s of %s left out: %s", plural.Of(l.Number, "record"), r.File, l.Reason))
	}
	return times, nil
}

// Fits is an error where a request has more tokens than a target takes; 0 is a bound that is
// unknown.
func (w Workload) Fits(positions int) error {
	if longest := w.longest(); positions > 0 && longest > positions {
		return fmt.Errorf("requests have up to %d tokens, the target takes %d: expected fewer input, prefix or output tokens", longest, positions)
	}
	return nil
}

// longest is how many tokens a request has at most, its answer among them.
func (w Workload) longest() int {
	most := func(n int) int { return n + int(float64(n)*w.Range+0.5) }
	switch w.Kind {
	case Random:
		return most(w.InputTokens) + most(w.OutputTokens)
	case Chat:
		return w.PrefixTokens + w.Turns*(most(w.InputTokens)+most(w.OutputTokens))
	}
	return w.PrefixTokens + w.InputTokens + w.OutputTokens
}

// Describe says in words what is sent and when.
func (r *Ready) Describe() (workload, arrivals string) {
	w := r.Test.Workload
	tokens := func(n int) string { return plural.Of(n, "token") }
	switch r.Kind {
	case Ranking:
		workload = fmt.Sprintf("ranking: %s with %s of %s after %s", plural.Of(w.Requests, "visit"), plural.Of(w.Candidates, "candidate"), tokens(w.InputTokens), tokens(w.PrefixTokens))
		if w.Groups > 0 {
			workload += fmt.Sprintf(" of %s, %s, skew %g", plural.Of(w.Groups, "member"), w.Order, w.Skew)
		}
		if w.Packed {
			workload += ", candidates as items of one request"
		}
	case Random:
		workload = fmt.Sprintf("random: %s of %s, %s generated", plural.Of(w.Requests, "prompt"), tokens(w.InputTokens), tokens(w.OutputTokens))
	case SharedPrefix:
		workload = fmt.Sprintf("shared prefixes: %s, %s of %d+%s, %s generated, %s", plural.Of(max(w.Groups, 1), "group"), plural.Of(w.Requests, "prompt"), w.PrefixTokens, tokens(w.InputTokens), tokens(w.OutputTokens), w.Order)
	case Chat:
		workload = fmt.Sprintf("chat: %s of %s, system %s, questions %s, answers %s", plural.Of(w.Requests, "session"), plural.Of(w.Turns, "turn"), tokens(w.PrefixTokens), tokens(w.InputTokens), tokens(w.OutputTokens))
	default:
		workload = fmt.Sprintf("%s: %s of %s", r.Kind, plural.Of(r.Plan.Requests(), "request"), r.File)
	}
	if w.Range > 0 {
		workload += fmt.Sprintf(", lengths ±%g%%", 100*w.Range)
	}
	a := r.Test.Arrivals
	switch {
	case r.Kind == Mooncake || r.Kind == Azure:
		arrivals = "as in the trace"
		if r.Speed != 0 && r.Speed != 1 {
			arrivals += fmt.Sprintf(", %g times as fast", r.Speed)
		}
	case a.Process == Closed:
		arrivals = fmt.Sprintf("closed loop of %s", plural.Of(a.Users, "user"))
	case a.Process == AtOnce:
		arrivals = "all at once"
	case a.Process == Ramp:
		arrivals = fmt.Sprintf("ramp from %g to %g a second", a.Rate, a.RateTo)
	case a.Process == Gamma:
		arrivals = fmt.Sprintf("gamma, %g a second, burstiness %g", a.Rate, a.Burstiness)
	default:
		arrivals = fmt.Sprintf("%s, %g a second", a.Process, a.Rate)
	}
	return workload, arrivals
}

// Run puts the test on a target of this machine's clock: it warms the target up, has flush forget
// what the cache holds (nil: it is left), and sends all. Ended is called for each request that has
// ended.
func (r *Ready) Run(ctx context.Context, target load.Target, flush func(context.Context) error, sent, ended func(number int, one load.Record)) (loadreport.Run, error) {
	if r.WarmUp > 0 {
		if err := load.WarmUp(ctx, target, r.Workload, r.WarmUp, r.vocab, r.Seed); err != nil {
			return loadreport.Run{}, err
		}
		if flush != nil {
			if err := flush(ctx); err != nil {
				return loadreport.Run{}, fmt.Errorf("flush the cache after the warm-up: %w", err)
			}
		}
	}
	driver := load.Driver{Plan: r.Plan, InFlight: r.InFlight, Precise: true, Sent: sent, Ended: ended}
	records, err := driver.Run(ctx, target)
	return r.report(records), err
}

// report begins the report of records.
func (r *Ready) report(records []load.Record) loadreport.Run {
	run := loadreport.Run{Records: records, Left: r.Plan.Left(), Closed: r.Plan.Closed(), Notes: r.Notes, Seed: r.Seed}
	run.Workload, run.Arrivals = r.Describe()
	if p := r.Process; p == Fixed || p == Poisson || p == Gamma {
		run.Rate = r.Rate
	}
	return run
}

// Simulate puts the test on simulated devices.
func (r *Ready) Simulate(ctx context.Context, s Simulated) (loadreport.Run, *Result, error) {
	result, err := s.Plan(ctx, r.Plan, time.Now())
	if err != nil {
		return loadreport.Run{}, nil, err
	}
	run := r.report(result.Records)
	run.Simulated = true
	return run, result, nil
}
