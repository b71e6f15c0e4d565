package load

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// made makes the requests of a workload whose arrivals are one request each.
func made(t *testing.T, w Workload, err error) (all []Request) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.Arrivals() {
		all = append(all, w.Arrival(i).Make(0, Reply{}))
	}
	return all
}

func TestLengthsAreEven(t *testing.T) {
	const n = 40_000
	w, err := Random{Number: n, Input: Lengths{10, 0.5}, Output: Lengths{4, 1}, Vocabulary: 30, Seed: 3}.Workload()
	in, out := map[int]float64{}, map[int]float64{}
	for _, r := range made(t, w, err) {
		in[len(r.Prompt)]++
		out[r.MaxTokens]++
		if slices.Min(r.Prompt) < 0 || slices.Max(r.Prompt) >= 30 || !r.IgnoreEnd {
			t.Fatalf("%+v", r)
		}
	}
	for _, test := range []struct {
		name      string
		got       map[int]float64
		low, high int
		bound     float64 // of χ², a false alarm in 10⁴
	}{{"prompts", in, 5, 15, 35.6}, {"answers", out, 1, 8, 29.9}} {
		want, chi := n/float64(test.high-test.low+1), 0.0
		for l := test.low; l <= test.high; l++ {
			chi += (test.got[l] - want) * (test.got[l] - want) / want
		}
		if len(test.got) != test.high-test.low+1 || chi > test.bound {
			t.Errorf("%s: χ² %.1f of lengths %v", test.name, chi, test.got)
		}
	}
}

// Tokens are even below the vocabulary, and neighbours and sequences of neighbouring names have
// nothing to do with each other: χ² of pairs, a false alarm in 10⁴.
func TestTokensAreEven(t *testing.T) {
	const v, n = 20, 200_000
	a, b := DrawTokens(nil, 1, 5, n, v), DrawTokens([]int32{7}, 1, 6, n, v)
	if len(a) != n || len(b) != n+1 || b[0] != 7 {
		t.Fatalf("%d and %d tokens", len(a), len(b))
	}
	for name, pair := range map[string]func(i int) (int32, int32){
		"neighbours":    func(i int) (int32, int32) { return a[i], a[(i+1)%n] },
		"next but one":  func(i int) (int32, int32) { return a[i], a[(i+2)%n] },
		"two sequences": func(i int) (int32, int32) { return a[i], b[i+1] },
		"their heads": func(i int) (int32, int32) {
			heads := DrawTokens(nil, 1, uint64(i), 1, v)
			return heads[0], DrawTokens(nil, 2, uint64(i), 1, v)[0]
		},
	} {
		count := [v][v]float64{}
		for i := range n {
			x, y := pair(i)
			count[x][y]++
		}
		chi := 0.0
		for _, row := range count {
			for _, got := range row {
				chi += (got - n/v/v) * (got - n/v/v) / (n / v / v)
			}
		}
		if chi > 510 { // 399 degrees of freedom
			t.Errorf("%s: χ² %.1f", name, chi)
		}
	}
	if tokens := DrawTokens(nil, 3, 3, 1_000, math.MaxInt32); slices.Min(tokens) < 0 || slices.Max(tokens) < 1<<30 {
		t.Errorf("of the largest vocabulary: %d to %d", slices.Min(tokens), slices.Max(tokens))
	}
}

func TestOrdersOfGroups(t *testing.T) {
	s := SharedPrefix{Groups: 5, Each: 40, System: 9, Question: 3, Output: 2, Vocabulary: 1000, Seed: 3}
	sequence := func(kind Order) (groups []int) {
		s.Order = kind
		w, err := s.Workload()
		names := map[string]int{}
		questions := map[string]bool{}
		for _, r := range made(t, w, err) {
			name := string(byteOf(r.Prompt[:9]))
			if _, known := names[name]; !known {
				names[name] = len(names)
			}
			groups = append(groups, names[name])
			questions[string(byteOf(r.Prompt[9:]))] = true
		}
		if len(questions) != 200 || len(names) != 5 {
			t.Errorf("order %d: %d questions and %d groups", kind, len(questions), len(names))
		}
		return groups
	}
	count := func(groups []int) []int {
		of := make([]int, 5)
		for _, g := range groups {
			of[g]++
		}
		return of
	}
	even := []int{40, 40, 40, 40, 40}
	if got := sequence(InTurn); !slices.Equal(got[:7], []int{0, 1, 2, 3, 4, 0, 1}) || !slices.Equal(count(got), even) {
		t.Errorf("in turn: %v", got)
	}
	if got := sequence(Grouped); !slices.IsSorted(got) || !slices.Equal(count(got), even) {
		t.Errorf("grouped: %v", got)
	}
	if got := sequence(Shuffled); slices.IsSorted(got) || slices.Equal(got, sequence(InTurn)) || !slices.Equal(count(got), even) {
		t.Errorf("shuffled: %v", got)
	}
	s.Skew = 1.5
	if got := count(sequence(Zipf)); slices.Max(got) < 80 || slices.Min(got) > 20 {
		t.Errorf("by Zipf: %v of each group", got)
	}
}

func byteOf(tokens []int32) (b []byte) {
	for _, t := range tokens {
		b = append(b, byte(t), byte(t>>8), byte(t>>16))
	}
	return b
}

func TestWorkloadsReplayBySeed(t *testing.T) {
	for name, make := range map[string]func(seed uint64) (Workload, error){
		"random": func(seed uint64) (Workload, error) {
			return Random{20, Lengths{9, 0.5}, Lengths{9, 0.5}, 50, seed}.Workload()
		},
		"shared": func(seed uint64) (Workload, error) {
			return SharedPrefix{4, 5, 6, 3, 2, Shuffled, 0, 50, seed}.Workload()
		},
		"visits": func(seed uint64) (Workload, error) {
			v := someVisits
			v.Seed = seed
			return v.Workload()
		},
		"sessions": func(seed uint64) (Workload, error) {
			return Sessions{Number: 9, Turns: 2, Question: Lengths{9, 0.5}, Output: Lengths{9, 0.5}, Vocabulary: 50, Seed: seed}.Workload()
		},
	} {
		draw := func(seed uint64) []Request {
			w, err := make(seed)
			all := made(t, w, err)
			slices.Reverse(all) // nothing depends on what was made before
			for i := range all {
				if again := w.Arrival(len(all)-1-i).Make(0, Reply{}); !reflect.DeepEqual(again, all[i]) {
					t.Fatalf("%s: an arrival is not the same each time", name)
				}
			}
			return all
		}
		if !reflect.DeepEqual(draw(1), draw(1)) {
			t.Errorf("%s: the same seed draws others", name)
		}
		if reflect.DeepEqual(draw(1), draw(2)) {
			t.Errorf("%s: another seed draws the same", name)
		}
	}
}

func TestWorkloadErrors(t *testing.T) {
	random := Random{Number: 1, Input: Lengths{4, 0}, Output: Lengths{4, 0}, Vocabulary: 9}
	shared := SharedPrefix{Groups: 1, Each: 1, System: 1, Question: 1, Output: 1, Vocabulary: 9}
	sessions := Sessions{Number: 1, Turns: 1, Question: Lengths{4, 0}, Output: Lengths{4, 0}, Vocabulary: 9}
	for _, test := range []struct {
		says string
		of   func() (Workload, error)
	}{
		{"0 requests", func() (Workload, error) { r := random; r.Number = 0; return r.Workload() }},
		{"prompts of 0 tokens", func() (Workload, error) { r := random; r.Input.Mean = 0; return r.Workload() }},
		{"range ratio of NaN of answers", func() (Workload, error) { r := random; r.Output.Range = math.NaN(); return r.Workload() }},
		{"vocabulary of 0", func() (Workload, error) { r := random; r.Vocabulary = 0; return r.Workload() }},
		{"0 groups", func() (Workload, error) { s := shared; s.Groups = 0; return s.Workload() }},
		{"more than 2147483648 groups", func() (Workload, error) { s := shared; s.Groups, s.Each = 1<<20, 1<<20; return s.Workload() }},
		{"answers of 0", func() (Workload, error) { s := shared; s.Output = 0; return s.Workload() }},
		{"order 9", func() (Workload, error) { s := shared; s.Order = 9; return s.Workload() }},
		{"skew of -1", func() (Workload, error) { s := shared; s.Skew = -1; return s.Workload() }},
		{"vocabulary of -1", func() (Workload, error) { s := shared; s.Vocabulary = -1; return s.Workload() }},
		{"0 sessions", func() (Workload, error) { s := sessions; s.Turns = 0; return s.Workload() }},
		{"questions of -1", func() (Workload, error) { s := sessions; s.Question.Mean = -1; return s.Workload() }},
		{"range ratio of 2 of answers", func() (Workload, error) { s := sessions; s.Output.Range = 2; return s.Workload() }},
		{"system prompt of -1", func() (Workload, error) { s := sessions; s.System = -1; return s.Workload() }},
		{"think time of -1s", func() (Workload, error) { s := sessions; s.Think = -time.Second; return s.Workload() }},
		{"vocabulary of 0", func() (Workload, error) { s := sessions; s.Vocabulary = 0; return s.Workload() }},
		{"9 candidates of a visit", func() (Workload, error) { v := someVisits; v.Each = 9; return v.Workload() }},
		{"no labels", func() (Workload, error) { v := someVisits; v.Packed, v.Labels = true, nil; return v.Workload() }},
		{"member of 0 tokens", func() (Workload, error) { v := someVisits; v.Packed, v.Prefix = true, 0; return v.Workload() }},
		{"label token 100", func() (Workload, error) { v := someVisits; v.Labels = []int32{100}; return v.Workload() }},
		{"order -1", func() (Workload, error) { v := someVisits; v.Order = -1; return v.Workload() }},
		{"0 requests", func() (Workload, error) { v := someVisits; v.Visits = 0; return v.Workload() }},
		{"more than 2147483648 requests", func() (Workload, error) { v := someVisits; v.Visits = 1 << 30; return v.Workload() }},
	} {
		if _, err := test.of(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v, expected an error with %q", err, test.says)
		}
	}
}
