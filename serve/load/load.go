// Package load puts workloads on engines and servers, and keeps what became of each request.
//
// A Workload is a finite list of arrivals, all drawn from a seed and made when they come: members
// with candidates that are ranked (Visits), prompts of random lengths (Random), groups that share a
// prefix (SharedPrefix), conversations (Sessions), or requests of one's own (Singles); package
// trace reads others from files. Arrivals say when they come: by a Process, a Schedule, AtOnce, or
// from users who wait (Closed). A Plan is both, without a clock: it says what is sent when, also
// where that depends on the ends of other requests, and is the same for the same ends. A Driver
// follows a plan by the clock of this machine and sends its requests to a Target, a Simulation by
// that of simulated devices. Package openai is a target behind HTTP.
//
// A Record has all times of a request. Latencies count from the time for which it was scheduled, so
// that a server that stalls cannot hide it. Summaries are lab/loadreport's.
//
// Ranking and Prompts measure an engine by itself, for a lab: latencies of one request at a time,
// cold and hot prefill apart, so that they are the engine's own and not a queue's; throughput with
// everything submitted at once. The ranking workload is the paper's (section 5.3): members, each
// with candidates that share the member's prompt as prefix, one answer token each. Their times are
// by the clock of the engine's executor. They are samples, not percentiles; statistics are the
// lab's.
package load

import (
	"context"
	"fmt"
	"time"

	"slimlab/serve"
)

// Ranking is the paper's predictive use case.
type Ranking struct {
	// Members holds each member's candidate prompts; all prompts of a member share a prefix.
	Members [][][]int32
	// Labels are the tokens of the answers, whose logits rank the candidates.
	Labels []int32
}

// Samples are what a run measured.
type Samples struct {
	Cold     []time.Duration // TTFT of each member's first candidate, its prefix not cached
	Hot      []time.Duration // TTFT of each further candidate, the member's prefix cached
	TPOT     []time.Duration // of each answer of several tokens
	Tokens   int             // prompt tokens of the whole workload, cached ones included
	Cached   int             // of which came from the cache, in the throughput pass
	Answered int             // tokens of the answers, in the throughput pass; 0 of labels
	Wall     time.Duration   // of the throughput pass, all requests submitted together
	Requests int
}

// Run measures the workload on e, which must be otherwise idle. The first member is served once
// before as a warm-up; the cache is flushed before each pass.
func (r Ranking) Run(ctx context.Context, e *serve.Engine) (Samples, error) {
	if len(r.Members) == 0 {
		return Samples{}, fmt.Errorf("load: the workload has no members")
	}
	var samples Samples
	var all []serve.Request
	for i, candidates := range r.Members {
		if len(candidates) == 0 {
			return Samples{}, fmt.Errorf("load: member %d has no candidates", i)
		}
		for _, prompt := range candidates {
			all = append(all, serve.Request{Prompt: prompt, Labels: r.Labels})
			samples.Tokens += len(prompt)
		}
	}
	if _, err := e.DoAll(ctx, all[:len(r.Members[0])]); err != nil {
		return Samples{}, fmt.Errorf("load: warm-up: %w", err)
	}
	if err := e.Flush(); err != nil {
		return Samples{}, err
	}
	if err := r.latency(ctx, e, &samples); err != nil {
		return Samples{}, err
	}
	if err := samples.throughput(ctx, e, all); err != nil {
		return Samples{}, err
	}
	return samples, nil
}

// throughput serves all requests at once, with nothing cached before.
func (s *Samples) throughput(ctx context.Context, e *serve.Engine, all []serve.Request) error {
	if err := e.Flush(); err != nil {
		return err
	}
	results, err := e.DoAll(ctx, all)
	if err != nil {
		return fmt.Errorf("load: throughput: %w", err)
	}
	start, end := results[0].Submitted, results[0].End
	for _, r := range results {
		s.Cached += r.Cached
		s.Answered += len(r.Tokens)
		if r.End.After(end) {
			end = r.End
		}
	}
	s.Wall, s.Requests = end.Sub(start), len(all)
	return nil
}

// latency serves one prompt at a time: each member's first candidate cold, the others hot.
func (r Ranking) latency(ctx context.Context, e *serve.Engine, samples *Samples) error {
	for _, candidates := range r.Members {
		for i, prompt := range candidates {
			result, err := e.Do(ctx, serve.Request{Prompt: prompt, Labels: r.Labels})
			if err != nil {
				return fmt.Errorf("load: latency: %w", err)
			}
			if i == 0 {
				samples.Cold = append(samples.Cold, result.TTFT())
			} else {
				samples.Hot = append(samples.Hot, result.TTFT())
			}
		}
	}
	return nil
}
