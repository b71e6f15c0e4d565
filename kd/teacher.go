package kd

import (
	"context"

	"slimlab/model"
)

// teacherTokens is how many tokens the teacher reads at once: enough for the arithmetic to outweigh
// the reading of its weights, few enough for its activations to stay in the last cache. Its hidden
// states do not depend on it.
const teacherTokens = 1024

// teacherPass holds the buffers of a teacher's passes.
type teacherPass struct {
	hidden []float32 // [tokens, hidden]
	starts []int
}

// until ends a pass between two halves of a layer when ctx ends. The states are wrong then, and the
// caller looks at ctx.
func until(ctx context.Context) model.Tap {
	return func(int, model.Site, []float32, int, int) (more bool) { return ctx.Err() == nil }
}

// forward returns the hidden states of a batch, valid until the next call. It runs as many
// sequences at once as have teacherTokens tokens, at least one.
func (p *teacherPass) forward(ctx context.Context, m *model.Model, b model.Batch) []float32 {
	hidden := sized(&p.hidden, len(b.Tokens)*m.Hidden)
	for first := 0; first+1 < len(b.Starts); {
		from, next := b.Starts[first], first+1
		p.starts = append(p.starts[:0], 0, b.Starts[next]-from)
		for next+1 < len(b.Starts) && b.Starts[next+1]-from <= teacherTokens {
			next++
			p.starts = append(p.starts, b.Starts[next]-from)
		}
		to := b.Starts[next]
		m.ForwardInto(hidden[from*m.Hidden:to*m.Hidden], model.Batch{Tokens: b.Tokens[from:to], Starts: p.starts}, until(ctx))
		first = next
	}
	return hidden
}
