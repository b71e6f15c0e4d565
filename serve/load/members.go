package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
)

// Members are ranking prompts: the candidates of a member share the member's tokens as a prefix.
// Members come back as people do, some often and most rarely. All is drawn from Seed.
type Members struct {
	Members, Candidates int     // Candidates are those of each member
	Prefix, Suffix      int     // tokens of a member and of a candidate
	Skew                float64 // the exponent s of Zipf: member r of 1, 2, … comes in proportion to r^−s; 0 is uniform
	Vocabulary          int     // tokens are drawn below it
	Seed                uint64
}

// Pick names a prompt of Members.
type Pick struct{ Member, Candidate int }

func (m Members) check(n int) error {
	switch {
	case n < 1:
		return fmt.Errorf("load: found %d requests, expected at least 1", n)
	case m.Members < 1 || m.Candidates < 1:
		return fmt.Errorf("load: found %d members with %d candidates, expected at least 1 of each", m.Members, m.Candidates)
	case m.Prefix < 0 || m.Suffix < 0 || m.Prefix+m.Suffix < 1:
		return fmt.Errorf("load: found prompts of %d and %d tokens, expected at least 1 token", m.Prefix, m.Suffix)
	case !(m.Skew >= 0) || math.IsInf(m.Skew, 1):
		return fmt.Errorf("load: found a skew of %v, expected a number of at least 0", m.Skew)
	case m.Vocabulary < 1 || m.Vocabulary > math.MaxInt32:
		return fmt.Errorf("load: found a vocabulary of %d tokens, expected 1 to %d", m.Vocabulary, math.MaxInt32)
	}
	return nil
}

// Picks draws n prompts: a member by Zipf, and one of its candidates, each as likely.
func (m Members) Picks(n int) ([]Pick, error) {
	if err := m.check(n); err != nil {
		return nil, err
	}
	sums := make([]float64, m.Members) // of the weights of the members up to each
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -m.Skew)
		sums[i] = sum
	}
	rng := rand.New(rand.NewPCG(m.Seed, pickStream))
	picks := make([]Pick, n)
	for i := range picks {
		at := rng.Float64() * sum
		// the sum can be rounded up to, so that no member is above
		picks[i] = Pick{min(sort.Search(m.Members, func(i int) bool { return sums[i] > at }), m.Members-1), rng.IntN(m.Candidates)}
	}
	return picks, nil
}

// Prompt makes the prompt of a pick. It is the same each time, so that none needs to be kept.
func (m Members) Prompt(p Pick) []int32 {
	prompt := make([]int32, 0, m.Prefix+m.Suffix)
	prompt = m.draw(prompt, m.Prefix, prefixStream, p.Member)
	return m.draw(prompt, m.Suffix, suffixStream, p.Member*m.Candidates+p.Candidate)
}

// draw appends n tokens: those of a part of the stream, a member or a candidate.
func (m Members) draw(to []int32, n int, stream uint64, part int) []int32 {
	rng := rand.New(rand.NewPCG(m.Seed, stream<<56|uint64(part)))
	for range n {
		to = append(to, rng.Int32N(int32(m.Vocabulary)))
	}
	return to
}
