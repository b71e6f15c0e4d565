package remote

import (
	"cmp"
	"context"
	"slices"

	"slimlab/kd"
	"slimlab/model"
)

// MostLikely chooses the k tokens that a model, the student as it is at that step, finds most
// likely in the place of each answer token, and with whole of each token but the first. Reverse KL
// and JSD weigh tokens by the student's probabilities, so that these are the ones that matter.
func MostLikely(m *model.Model, k int, whole bool) Choice {
	return func(ctx context.Context, examples []kd.Example) ([][][]int32, error) {
		chosen := make([][][]int32, len(examples))
		logits, order := make([]float32, m.Vocab), make([]int32, m.Vocab)
		for i := range examples {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			e := &examples[i]
			chosen[i] = make([][]int32, len(e.Tokens))
			hidden := m.Forward(model.Batch{Tokens: e.Tokens, Starts: []int{0, len(e.Tokens)}}, nil)
			for t := range e.Tokens {
				if t == 0 || !whole && !e.Answer[t] {
					continue
				}
				m.Logits(logits, hidden[(t-1)*m.Hidden:t*m.Hidden], 1)
				for id := range order {
					order[id] = int32(id)
				}
				slices.SortFunc(order, func(a, b int32) int {
					return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b))
				})
				chosen[i][t] = slices.Clone(order[:min(k, len(order))])
			}
		}
		return chosen, nil
	}
}
