// Package load puts a workload on an engine and measures it.
//
// The ranking workload is the paper's (section 5.3): members, each with candidates that share the
// member's prompt as prefix, one answer token each. Cold and hot prefill are measured apart and one
// at a time, so that a latency is the engine's own and not a queue's; throughput is measured with
// everything submitted at once. All times are by the clock of the engine's executor. The package
// reports samples, not percentiles; statistics are the lab's. It leaves out arrival processes and
// HTTP targets.
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

// Report is what a run measured.
type Report struct {
	Cold     []time.Duration // TTFT of each member's first candidate, its prefix not cached
	Hot      []time.Duration // TTFT of each further candidate, the member's prefix cached
	Tokens   int             // prompt tokens of the whole workload, cached ones included
	Cached   int             // of which came from the cache, in the throughput pass
	Wall     time.Duration   // of the throughput pass, all requests submitted together
	Requests int
}

// Run measures the workload on e, which must be otherwise idle. The first member is served once
// before as a warm-up; the cache is flushed before each pass.
func (r Ranking) Run(ctx context.Context, e *serve.Engine) (Report, error) {
	if len(r.Members) == 0 {
		return Report{}, fmt.Errorf("load: the workload has no members")
	}
	var report Report
	var all []serve.Request
	for i, candidates := range r.Members {
		if len(candidates) == 0 {
			return Report{}, fmt.Errorf("load: member %d has no candidates", i)
		}
		for _, prompt := range candidates {
			all = append(all, serve.Request{Prompt: prompt, Labels: r.Labels})
			report.Tokens += len(prompt)
		}
	}
	report.Requests = len(all)
	if _, err := e.DoAll(ctx, all[:len(r.Members[0])]); err != nil {
		return Report{}, fmt.Errorf("load: warm-up: %w", err)
	}
	if err := e.Flush(); err != nil {
		return Report{}, err
	}
	if err := r.latency(ctx, e, &report); err != nil {
		return Report{}, err
	}
	if err := e.Flush(); err != nil {
		return Report{}, err
	}
	results, err := e.DoAll(ctx, all)
	if err != nil {
		return Report{}, fmt.Errorf("load: throughput: %w", err)
	}
	start, end := results[0].Submitted, results[0].End
	for _, res := range results {
		report.Cached += res.Cached
		if res.End.After(end) {
			end = res.End
		}
	}
	report.Wall = end.Sub(start)
	return report, nil
}

// latency serves one prompt at a time: each member's first candidate cold, the others hot.
func (r Ranking) latency(ctx context.Context, e *serve.Engine, report *Report) error {
	for _, candidates := range r.Members {
		for i, prompt := range candidates {
			result, err := e.Do(ctx, serve.Request{Prompt: prompt, Labels: r.Labels})
			if err != nil {
				return fmt.Errorf("load: latency: %w", err)
			}
			if i == 0 {
				report.Cold = append(report.Cold, result.TTFT())
			} else {
				report.Hot = append(report.Hot, result.TTFT())
			}
		}
	}
	return nil
}
