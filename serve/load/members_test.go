package load

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var people = Members{Members: 50, Candidates: 4, Prefix: 30, Suffix: 5, Skew: 1.1, Vocabulary: 200, Seed: 9}

// Members come as often as Zipf says, and each of their candidates alike: χ² at a false alarm in
// 10⁴.
func TestPicksAreZipf(t *testing.T) {
	for _, skew := range []float64{0, 0.7, 1.1} {
		m := people
		m.Skew = skew
		const n = 100_000
		picks, err := m.Picks(n)
		if err != nil {
			t.Fatal(err)
		}
		members, candidates := make([]float64, m.Members), make([]float64, m.Candidates)
		for _, p := range picks {
			members[p.Member]++
			candidates[p.Candidate]++
		}
		sum := 0.0
		for r := range members {
			sum += math.Pow(float64(r+1), -skew)
		}
		chi := 0.0
		for r, got := range members {
			want := n * math.Pow(float64(r+1), -skew) / sum
			chi += (got - want) * (got - want) / want
		}
		if chi > 93 { // 49 degrees of freedom
			t.Errorf("skew %v: χ² of the members is %.1f", skew, chi)
		}
		chi = 0
		for _, got := range candidates {
			chi += (got - n/4) * (got - n/4) / (n / 4)
		}
		if chi > 21.1 { // 3 degrees of freedom
			t.Errorf("skew %v: χ² of the candidates is %.1f", skew, chi)
		}
	}
}

func TestCandidatesShareTheirMember(t *testing.T) {
	first, second, other := people.Prompt(Pick{3, 0}), people.Prompt(Pick{3, 1}), people.Prompt(Pick{4, 0})
	if len(first) != 35 || slices.Min(first) < 0 || slices.Max(first) >= 200 {
		t.Fatalf("a prompt %v", first)
	}
	if !slices.Equal(first[:30], second[:30]) || slices.Equal(first[30:], second[30:]) {
		t.Errorf("two candidates of a member have the prompts %v and %v", first, second)
	}
	if slices.Equal(first[:30], other[:30]) || slices.Equal(first[30:], other[30:]) {
		t.Errorf("two members have the prompts %v and %v", first, other)
	}
}

func TestMembersReplayBySeed(t *testing.T) {
	again, other := people, people
	other.Seed++
	picks := func(m Members) []Pick {
		p, err := m.Picks(100)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if !reflect.DeepEqual(picks(people), picks(again)) || !slices.Equal(people.Prompt(Pick{1, 2}), again.Prompt(Pick{1, 2})) {
		t.Error("the same seed draws other prompts")
	}
	if reflect.DeepEqual(picks(people), picks(other)) || slices.Equal(people.Prompt(Pick{1, 2}), other.Prompt(Pick{1, 2})) {
		t.Error("another seed draws the same prompts")
	}
}

func TestMembersErrors(t *testing.T) {
	if _, err := people.Picks(0); err == nil || !strings.Contains(err.Error(), "0 requests") {
		t.Errorf("no requests: %v", err)
	}
	for says, change := range map[string]func(*Members){
		"0 members": func(m *Members) { m.Members = 0 }, "with -1 candidates": func(m *Members) { m.Candidates = -1 },
		"of 0 and 0 tokens": func(m *Members) { m.Prefix, m.Suffix = 0, 0 }, "of -1 and 5": func(m *Members) { m.Prefix = -1 },
		"skew of NaN": func(m *Members) { m.Skew = math.NaN() }, "vocabulary of 0": func(m *Members) { m.Vocabulary = 0 },
	} {
		m := people
		change(&m)
		if _, err := m.Picks(1); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, expected an error with %q", m, err, says)
		}
	}
}
