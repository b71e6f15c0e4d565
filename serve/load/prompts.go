package load

import (
	"context"
	"fmt"

	"slimlab/serve"
)

// Prompts is the use case of prompts that are answered with text.
type Prompts struct {
	Prompts [][]int32
	Answer  int // tokens of each answer
}

// Run measures the workload on e, which must be otherwise idle. Each answer has as many tokens as
// it may, whatever they are, so that models of which one would end sooner do the same work. The
// first prompt is served once before as a warm-up. A latency is of one request, with nothing
// cached; in the throughput pass prompts find the prefixes that they share.
func (p Prompts) Run(ctx context.Context, e *serve.Engine) (Samples, error) {
	if len(p.Prompts) == 0 {
		return Samples{}, fmt.Errorf("load: the workload has no prompts")
	}
	var samples Samples
	all := make([]serve.Request, len(p.Prompts))
	for i, prompt := range p.Prompts {
		all[i] = serve.Request{Prompt: prompt, MaxTokens: p.Answer}
		samples.Tokens += len(prompt)
	}
	for i := -1; i < len(all); i++ {
		alone := all[max(i, 0)]
		alone.NoReuse = true
		result, err := e.Do(ctx, alone)
		switch {
		case err != nil:
			return Samples{}, fmt.Errorf("load: latency: %w", err)
		case i < 0: // the warm-up
			continue
		}
		samples.Cold = append(samples.Cold, result.TTFT())
		if p.Answer > 1 {
			samples.TPOT = append(samples.TPOT, result.TPOT())
		}
	}
	if err := samples.throughput(ctx, e, all); err != nil {
		return Samples{}, err
	}
	return samples, nil
}
