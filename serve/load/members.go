package load

import (
	"fmt"
	"math/rand/v2"
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
	}
	if err := checkOrder(Zipf, m.Skew); err != nil {
		return err
	}
	if err := checkCount("members and candidates", m.Members, m.Candidates); err != nil {
		return err
	}
	return checkVocabulary(m.Vocabulary)
}

// Picks draws n prompts: a member by Zipf, and one of its candidates, each as likely.
func (m Members) Picks(n int) ([]Pick, error) {
	if err := m.check(n); err != nil {
		return nil, err
	}
	members := newZipf(m.Members, m.Skew)
	rng := rand.New(rand.NewPCG(m.Seed, pickStream))
	picks := make([]Pick, n)
	for i := range picks {
		picks[i] = Pick{members.draw(rng), rng.IntN(m.Candidates)}
	}
	return picks, nil
}

// Prompt makes the prompt of a pick. It is the same each time, so that none needs to be kept.
func (m Members) Prompt(p Pick) []int32 {
	prompt := make([]int32, 0, m.Prefix+m.Suffix)
	prompt = append(prompt, m.prefix(p.Member)...)
	return append(prompt, m.suffix(p)...)
}

func (m Members) prefix(member int) []int32 {
	return drawTokens(make([]int32, 0, m.Prefix), m.Seed, prefixStream, member, m.Prefix, m.Vocabulary)
}

func (m Members) suffix(p Pick) []int32 {
	return drawTokens(make([]int32, 0, m.Suffix), m.Seed, suffixStream, p.Member*m.Candidates+p.Candidate, m.Suffix, m.Vocabulary)
}
