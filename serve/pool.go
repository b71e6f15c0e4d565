package serve

import (
	"fmt"
	"slices"
)

// Pool says which hidden state of a prompt is asked for, as the model's head would read it.
type Pool string

const (
	PoolLast Pool = "last" // that of the last token
	PoolMean Pool = "mean" // the mean of all; nothing of the prompt can come from the prefix cache
)

// Pools lists them.
func Pools() []Pool { return []Pool{PoolLast, PoolMean} }

// pooling is the state of a request that has a Pool.
type pooling struct {
	sum    []float64
	pooled int // leading tokens whose states are in the sum
}

// checkPool reports a pool that an executor cannot give.
func (r *Request) checkPool(s Shape) error {
	switch {
	case r.Pool == "":
		return nil
	case !slices.Contains(Pools(), r.Pool):
		return fmt.Errorf("serve: pool %q, expected one of %q", r.Pool, Pools())
	case r.MaxTokens > 0 || len(r.Labels) > 0 || r.PromptLogP != nil:
		return fmt.Errorf("serve: a hidden state is asked for beside tokens, labels or log-probabilities, expected it alone")
	case s.Hidden == 0:
		return fmt.Errorf("serve: a hidden state is asked for, which this executor does not give")
	}
	return nil
}

// askStates has a segment of q's next tokens give the states that are pooled.
func (c *core) askStates(q *sequence, s *Segment) {
	if q.Pool == PoolLast {
		if s.Start+len(s.Tokens) < len(q.Prompt) {
			return
		}
		s.From = len(s.Tokens) - 1
	}
	s.States = true
	start := s.Start
	s.Each = func(first int, rows []float32) { q.pool(start+first, rows, c.executor.Shape().Hidden) }
}

// pool takes the states of tokens from one on. A sum has each once, in order, so that its bits do
// not depend on the chunks; of those that are computed again after a retraction it knows.
func (q *sequence) pool(token int, rows []float32, width int) {
	for row := range slices.Chunk(rows, width) {
		switch bad := notFinite(row); {
		case bad >= 0 && q.unfit == nil:
			q.unfit = fmt.Errorf("serve: after token %d at position %d element %d of the hidden state is %v, expected a finite number: the model's weights or activations are not finite", q.tokens[token], token, bad, row[bad])
		case q.Pool == PoolLast:
			q.result.State = slices.Clone(row)
		case token == q.pooled:
			q.add(row)
		}
		token++
	}
}

// add adds a token's state to the mean, which is there with the last.
func (q *sequence) add(row []float32) {
	if q.sum == nil {
		q.sum = make([]float64, len(row))
	}
	for i, x := range row {
		q.sum[i] += float64(x)
	}
	if q.pooled++; q.pooled < len(q.Prompt) {
		return
	}
	q.result.State = make([]float32, len(row))
	for i, x := range q.sum {
		q.result.State[i] = float32(x / float64(q.pooled))
	}
}
