package serve

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// Sampling chooses the next token. The zero value is greedy. The order is temperature, then top-k,
// then top-p over what top-k left, renormalised.
type Sampling struct {
	Temperature float64 // 0 is greedy
	TopK        int     // 0 keeps all
	TopP        float64 // 0 or 1 keeps all
	Seed        uint64
}

// next draws the token at an absolute position from logits [vocab]. The random number depends on
// seed and position alone, so batching never changes an answer.
func (s Sampling) next(logits []float32, position int) int32 {
	if s.Temperature <= 0 || s.TopK == 1 {
		return argmax(logits)
	}
	p := s.distribution(logits)
	u := rand.New(rand.NewPCG(s.Seed, uint64(position))).Float64()
	for _, c := range p {
		if u -= c.p; u < 0 {
			return c.token
		}
	}
	return p[len(p)-1].token
}

type candidate struct {
	token int32
	p     float64
}

// distribution returns the tokens that may be drawn, most probable first, with probabilities that
// add up to 1.
func (s Sampling) distribution(logits []float32) []candidate {
	top := float64(logits[argmax(logits)])
	all := make([]candidate, len(logits))
	for i, z := range logits {
		all[i] = candidate{int32(i), math.Exp((float64(z) - top) / s.Temperature)}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.token, b.token))
	})
	if s.TopK > 0 && s.TopK < len(all) {
		all = all[:s.TopK]
	}
	normalise(all)
	if s.TopP > 0 && s.TopP < 1 {
		sum := 0.0
		for i, c := range all {
			if sum += c.p; sum >= s.TopP {
				all = all[:i+1]
				break
			}
		}
		normalise(all)
	}
	return all
}

func normalise(p []candidate) {
	sum := 0.0
	for _, c := range p {
		sum += c.p
	}
	for i := range p {
		p[i].p /= sum
	}
}

// argmax returns the lowest index of the largest value.
func argmax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}
