package serve

import (
	"fmt"
	"slices"

	"slimlab/serve/sample"
)

// PromptLogP asks what the model expects in the places of a prompt's tokens, after the tokens
// before each. Of the prefix cache a request can then use no more than what is before the first
// place: the model has to see the tokens from there on.
type PromptLogP struct {
	// Asked says of each place of the prompt whether it is asked about; nil asks about all. Nothing
	// is expected in the first.
	Asked []bool
	// Each is given the places that are asked about, in order, on the engine's goroutine while the
	// prompt is computed; it must not block. A place is given once.
	Each func(PromptRow)
}

// PromptRow is what the model expects in one place of a prompt.
type PromptRow struct {
	Place  int   // of the token in the prompt
	Token  int32 // that stands there
	Logits []float32
	sum    float64
}

// LogP is the log-probability of a token in this place: the logit less log Σ e^logit, exactly as
// float64 subtracts.
func (r *PromptRow) LogP(token int32) float64 { return float64(r.Logits[token]) - r.sum }

// LogSum is log Σ e^logit.
func (r *PromptRow) LogSum() float64 { return r.sum }

// Top lists the k likeliest tokens in this place, the likeliest first, of equals the lower id.
func (r *PromptRow) Top(k int) []Alternative { return sample.Likeliest(r.Logits, k, r.sum) }

// check reports why nothing can be said of a prompt of so many tokens.
func (p *PromptLogP) check(prompt int) error {
	switch {
	case p == nil:
		return nil
	case p.Each == nil:
		return fmt.Errorf("serve: log-probabilities of the prompt are asked for, and nothing receives them")
	case p.Asked != nil && len(p.Asked) != prompt:
		return fmt.Errorf("serve: %d places are asked about or not, the prompt has %d tokens", len(p.Asked), prompt)
	}
	return nil
}

// nextPlace is the first place from one on that is asked about; len(Prompt) where there is none.
func (q *sequence) nextPlace(from int) int {
	end := len(q.Prompt)
	if q.PromptLogP == nil {
		return end
	}
	from = max(from, 1)
	if q.PromptLogP.Asked == nil || from >= end {
		return min(from, end)
	}
	if i := slices.Index(q.PromptLogP.Asked[from:], true); i >= 0 {
		return from + i
	}
	return end
}

// reusable is how many leading tokens may come from the cache. The last one is computed where its
// logits are to answer something, and so is all from before the next place that is asked about.
func (q *sequence) reusable() int {
	if q.Pool == PoolMean {
		return min(q.pooled, len(q.tokens)-1)
	}
	if place := q.nextPlace(q.told); place < len(q.Prompt) {
		return place - 1
	}
	if !q.endAnswers() || q.recalled != nil {
		return len(q.tokens)
	}
	return len(q.tokens) - 1
}

// ask has a segment of q's next tokens give the rows of the places that are asked about.
func (c *core) ask(q *sequence, s *Segment) {
	if q.Pool != "" {
		c.askStates(q, s)
		return
	}
	place := q.nextPlace(q.told)
	if row := place - 1; place < len(q.Prompt) && row < s.Start+len(s.Tokens) {
		s.From = row - s.Start
		start := s.Start
		s.Each = func(first int, rows []float32) { c.tell(q, start+first+1, rows) }
	}
}

// tell gives the rows of q's places from one on to whom they are for.
func (c *core) tell(q *sequence, place int, rows []float32) {
	width := c.executor.Shape().Vocabulary
	c.sums = slices.Grow(c.sums[:0], len(rows)/width)[:len(rows)/width]
	sample.LogSums(c.sums, rows)
	for i := range c.sums {
		at := place + i
		if at >= len(q.Prompt) || q.unfit != nil {
			return
		}
		if at != q.nextPlace(at) {
			continue
		}
		row := rows[i*width : (i+1)*width]
		if bad := notFinite(row); bad >= 0 {
			q.unfit = logitError(q.Prompt[at-1], at-1, int32(bad), row[bad])
			return
		}
		q.told = at + 1
		q.PromptLogP.Each(PromptRow{Place: at, Token: q.Prompt[at], Logits: row, sum: c.sums[i]})
	}
}
