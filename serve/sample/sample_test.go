package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// reference is the distribution by a full sort in float64: the tokens that may be chosen, first
// ranked first, with probabilities that add up to 1. edge is the smallest distance of top-p from a
// sum of probabilities, and of min-p from a share: where it is tiny, rounding may take one token
// more or less.
func reference(r Row) (tokens []int32, p []float64, edge float64) {
	type candidate struct {
		token  int32
		weight float64
	}
	s := r.Settings
	logits := make([]float64, len(r.Logits))
	largest := math.Inf(-1)
	for i, z := range r.Logits {
		logits[i] = adjusted(r, int32(i), float64(z))
		if logits[i] == logits[i] {
			largest = max(largest, logits[i])
		}
	}
	var all []candidate
	for i, z := range logits {
		if w := math.Exp((z - largest) / s.Temperature); w > 0 {
			all = append(all, candidate{int32(i), w})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.token, b.token))
	})
	if s.TopK > 0 && s.TopK < len(all) {
		all = all[:s.TopK]
	}
	total := func() (sum float64) {
		for _, c := range all {
			sum += c.weight
		}
		return sum
	}
	edge = 1
	if s.TopP > 0 && s.TopP < 1 {
		sum, whole := 0.0, total()
		keep := 0
		for i, c := range all {
			sum += c.weight
			edge = min(edge, math.Abs(sum/whole-s.TopP))
			if keep == 0 && sum >= s.TopP*whole {
				keep = i + 1
			}
		}
		all = all[:keep]
	}
	if s.MinP > 0 {
		all = slices.DeleteFunc(all, func(c candidate) bool {
			edge = min(edge, math.Abs(c.weight-s.MinP))
			return c.weight < s.MinP
		})
	}
	sum := total()
	for _, c := range all {
		tokens, p = append(tokens, c.token), append(p, c.weight/sum)
	}
	return tokens, p, edge
}

// adjusted is a token's logit after its bias, the mask and the penalties.
func adjusted(r Row, token int32, z float64) float64 {
	s := r.Settings
	z += float64(s.Bias[token])
	if r.Allowed != nil && r.Allowed[token/64]>>(token%64)&1 == 0 || slices.Contains(r.Banned, token) {
		return math.Inf(-1)
	}
	if r.History == nil {
		return z
	}
	at, seen := r.History.at[token]
	if !seen {
		return z
	}
	h := r.History.seen[at]
	if s.Repetition > 0 && (h.prompt || h.answers > 0) {
		if z > 0 {
			z /= s.Repetition
		} else {
			z *= s.Repetition
		}
	}
	if h.answers > 0 {
		z -= s.Presence
	}
	return z - s.Frequency*float64(h.answers)
}

// draw has kinds of logits: spread, peaked, with many equals, and with ones that must not be
// chosen.
func draw(rng *rand.Rand, kind, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch kind {
		case 0:
			x[i] = float32(1.2 * rng.NormFloat64())
		case 1:
			x[i] = float32(6 * rng.NormFloat64())
		case 2:
			x[i] = float32(rng.IntN(4))
		case 3:
			if x[i] = float32(rng.NormFloat64()); rng.IntN(2) == 0 {
				x[i] = float32(math.Inf(-1))
			} else if rng.IntN(20) == 0 {
				x[i] = float32(math.NaN())
			}
		}
	}
	return x
}

// random has a mask, tokens that are banned, and tokens that were seen.
func random(rng *rand.Rand, kind, n int) Row {
	r := Row{Logits: draw(rng, kind, n), Allowed: make([]uint64, (n+63)/64), Banned: []int32{int32(rng.IntN(n)), -1, int32(n)}}
	for i := range r.Allowed {
		switch rng.IntN(3) {
		case 0:
			r.Allowed[i] = rng.Uint64()
		case 1:
			r.Allowed[i] = math.MaxUint64
		}
	}
	r.Allowed[0] |= 6
	prompt := make([]int32, rng.IntN(n))
	for i := range prompt {
		prompt[i] = int32(rng.IntN(n))
	}
	r.History = NewHistory(prompt)
	for range n / 2 {
		token := int32(rng.IntN(n / 2))
		r.History.Add(token)
		if rng.IntN(3) == 0 {
			r.History.Remove(token)
		}
	}
	return r
}

// TestDistribution draws 1e5 tokens for each setting and compares their frequencies with the exact
// distribution (χ², at the level of 1e-4), on vocabularies of one block and of several.
func TestDistribution(t *testing.T) {
	const n = 100_000
	for _, settings := range []Settings{
		{Temperature: 0.8}, {Temperature: 1.7}, {Temperature: 1, TopK: 7}, {Temperature: 0.8, TopK: 50}, {Temperature: 0.8, TopP: 0.95},
		{Temperature: 1.2, TopP: 0.3}, {Temperature: 1, TopP: 0.02}, {Temperature: 0.9, TopK: 40, TopP: 0.9}, {Temperature: 1.1, TopK: 300, TopP: 0.5},
		{Temperature: 1, MinP: 0.3}, {Temperature: 1.5, MinP: 0.02}, {Temperature: 1, MinP: 1}, {Temperature: 2, TopP: 0.9, MinP: 0.1}, {Temperature: 2, TopP: 0.5, MinP: 0.01},
		{Temperature: 1, TopK: 9, TopP: 0.9, MinP: 0.05}, {Temperature: 0.9, Repetition: 1.3}, {Temperature: 0.9, Presence: 0.7}, {Temperature: 0.9, Frequency: -0.4},
		{Temperature: 1.2, TopK: 30, TopP: 0.95, MinP: 0.02, Repetition: 0.8, Presence: -0.5, Frequency: 0.3, Bias: map[int32]float32{1: 1.5, 2: -1, 3: 2}},
	} {
		for _, c := range []struct {
			kind, vocabulary int
			adjust           bool // by a mask, tokens that are banned, and a history
		}{{0, 20, false}, {3, 200, false}, {0, 150, true}} {
			t.Run(fmt.Sprintf("%+v/%d of %d, %t", settings, c.kind, c.vocabulary, c.adjust), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(c.kind), 9))
				row := random(rng, c.kind, c.vocabulary)
				if !c.adjust {
					row = Row{Logits: row.Logits}
				}
				row.Settings, row.Position = settings, 17
				logits := row.Logits
				tokens, p, _ := reference(row)
				count := make(map[int32]float64)
				rows, got, memory := make([]Row, 100), make([]int32, 100), make([]float32, 100*len(logits))
				var s Sampler
				for at := 0; at < n; at += len(rows) {
					for i := range rows {
						rows[i] = row
						rows[i].Settings.Seed, rows[i].Logits = uint64(at+i), memory[i*len(logits):][:len(logits)]
						copy(rows[i].Logits, logits)
					}
					s.Choose(got, rows)
					for _, token := range got {
						count[token]++
					}
				}
				// Tokens of fewer than 10 expected draws are counted together.
				chi, freedom, rest, restExpected, drawn := 0.0, -1.0, 0.0, 0.0, 0.0
				add := func(got, expected float64) {
					chi += (got - expected) * (got - expected) / expected
					freedom++
				}
				for i, token := range tokens {
					drawn += count[token]
					if expected := n * p[i]; expected >= 10 {
						add(count[token], expected)
					} else {
						rest, restExpected = rest+count[token], restExpected+expected
					}
				}
				if restExpected >= 10 {
					add(rest, restExpected)
				}
				if drawn != n {
					t.Errorf("%v of %v draws are tokens outside the distribution", n-drawn, float64(n))
				}
				if freedom == 0 {
					return
				}
				// Wilson and Hilferty (1931): the cube root of χ²/freedom is nearly normal.
				d := 2 / (9 * freedom)
				if z := (math.Cbrt(chi/freedom) - (1 - d)) / math.Sqrt(d); z > 3.72 {
					t.Errorf("χ² is %.1f with %v degrees of freedom, %.1f deviations too much", chi, freedom, z)
				}
			})
		}
	}
}

// TestSelectionEqualsSort compares what top-k keeps and what top-p admits with a full sort, token
// by token, on logits with and without equals.
func TestSelectionEqualsSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	compared := 0
	for range 400 {
		logits := draw(rng, rng.IntN(4), 1+rng.IntN(1000))
		best := kernels.Argmax(logits)
		if best < 0 {
			continue
		}
		s := Settings{Temperature: 0.5 + rng.Float64(), TopK: rng.IntN(2) * (1 + rng.IntN(len(logits)+5)), TopP: rng.Float64()}
		if rng.IntN(2) == 0 {
			s.MinP = rng.Float64() * rng.Float64()
		}
		if rng.IntN(4) == 0 {
			s.TopP = 0
		}
		want, _, edge := reference(Row{Logits: logits, Settings: s})
		if edge < 1e-5 {
			continue
		}
		compared++
		slices.Sort(want)
		var c candidates
		c.weigh(slices.Clone(logits), logits[best], s.Temperature)
		if s.TopK > 0 {
			c.keepTop(s.TopK)
		}
		outside := c.total - s.TopP*c.total
		if s.TopP == 0 {
			outside = 0
		}
		var got []int32
		for i := range c.weights {
			if c.weights[i] > 0 && c.weights[i] >= float32(s.MinP) && c.within(i, outside) {
				got = append(got, c.token(i))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v of %v keeps %v, a sort %v", s, logits, got, want)
		}
		// What is left after a token was refused admits the same.
		for range 3 {
			i := rng.IntN(len(c.weights))
			if c.weights[i] == 0 || slices.Contains(got, c.token(i)) {
				continue
			}
			outside -= c.keepBefore(i)
			var again []int32
			for i := range c.weights {
				if c.weights[i] >= float32(s.MinP) && c.within(i, outside) {
					again = append(again, c.token(i))
				}
			}
			if !slices.Equal(again, want) {
				t.Fatalf("%+v of %v then keeps %v, a sort %v", s, logits, again, want)
			}
		}
	}
	if compared < 200 {
		t.Errorf("only %d of 400 were compared", compared)
	}
}

// TestGreedy: the lowest of the largest, whatever makes a choice greedy.
func TestGreedy(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, s := range []Settings{{}, {Temperature: -1}, {Temperature: math.NaN()}, {Temperature: 2, TopK: 1}, {Temperature: 1e-30}, {Temperature: 1, TopP: 1e-12}, {Temperature: 1, TopP: 1e-300}, {Temperature: 5e-324}} {
		for _, c := range []struct {
			logits []float32
			want   int32
		}{{[]float32{1, 4, 3}, 1}, {[]float32{nan, 4, nan, 3}, 1}, {[]float32{-inf, -inf, -7}, 2}, {[]float32{-inf, nan}, None}, {[]float32{1, inf, nan, inf}, 1}, {nil, None}} {
			if got := one(Row{Logits: c.logits, Settings: s, Position: 3}); got != c.want {
				t.Errorf("%+v of %v is %d, want %d", s, c.logits, got, c.want)
			}
		}
		if s.TopP > 0 || s.Temperature == 0 || s.TopK == 1 {
			if got := one(Row{Logits: []float32{1, 3, 3}, Settings: s, Position: 3}); got != 1 {
				t.Errorf("%+v of equals is %d, want the lowest", s, got)
			}
		}
	}
}

// one is the choice of a row, whose logits stay as they are.
func one(r Row) int32 {
	var sampler Sampler
	token := []int32{-2}
	r.Logits = slices.Clone(r.Logits)
	sampler.Choose(token, []Row{r})
	return token[0]
}

// TestLogP: log-probabilities are those of the whole softmax of the logits as they were given, or
// where that is asked for at the temperature, whatever bias, mask, penalties, top-k, top-p and
// min-p change; and asking for them changes no choice.
func TestLogP(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, s := range []Settings{
		{}, {TopK: 1, Temperature: 3}, {Temperature: 1}, {Temperature: 0.3}, {Temperature: 7}, {Temperature: 1, TopK: 5},
		{Temperature: 2, TopP: 0.2}, {Temperature: 1.5, TopK: 40, TopP: 0.7}, {Temperature: 1, TopP: 1e-9}, {Temperature: 2, MinP: 0.1},
		{Temperature: 1, Repetition: 3, Presence: 1}, {Bias: map[int32]float32{7: 200}},
	} {
		for s.Seed = range 60 {
			r := random(rng, int(s.Seed%4), 700)
			r.Settings = s
			want := one(r)
			for _, scaled := range []bool{false, true} {
				l := LogP{Top: int(s.Seed % 9), Scaled: scaled}
				asked := r
				asked.LogP = &l
				if token := one(asked); token != want {
					t.Fatalf("%+v chooses %d with its log-probability, %d without", s, token, want)
				}
				temperature := 1.0
				if scaled && !s.greedy() {
					temperature = s.Temperature
				}
				most, sum := float64(r.Logits[kernels.Argmax(r.Logits)]), 0.0
				for _, z := range r.Logits {
					if e := math.Exp((float64(z) - most) / temperature); e == e {
						sum += e
					}
				}
				check := func(token int32, got float32) {
					want := (float64(r.Logits[token])-most)/temperature - math.Log(sum)
					if math.Abs(float64(got)-want) > 1e-5*max(1, -want) {
						t.Errorf("%+v: log-probability %v of token %d, want %v", s, got, token, want)
					}
				}
				check(want, l.Token)
				likeliest, _, _ := reference(Row{Logits: r.Logits, Settings: Settings{Temperature: 1, TopK: l.Top}})
				if l.Top == 0 {
					likeliest = nil
				}
				var got []int32
				for _, a := range l.Likeliest {
					got = append(got, a.ID)
					check(a.ID, a.LogP)
				}
				if !slices.Equal(got, likeliest) {
					t.Fatalf("the likeliest are %v, a sort has %v", got, likeliest)
				}
			}
		}
	}
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		logits []float32
		want   float32
	}{{[]float32{1, inf, 2}, 0}, {[]float32{-inf, -inf}, 5}, {nil, 5}} {
		l := LogP{Token: 5, Top: 1}
		if one(Row{Logits: c.logits, LogP: &l}); l.Token != c.want {
			t.Errorf("of %v: log-probability %v, want %v", c.logits, l.Token, c.want)
		}
	}
}

// TestLogSums: the sum of each row in float64, on any number of threads, and the likeliest tokens
// by it, whatever k.
func TestLogSums(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 9))
	const rows, vocabulary = 7, 300
	var logits []float32
	for i := range rows {
		logits = append(logits, draw(rng, i%3, vocabulary)...)
	}
	sums := make([]float64, rows)
	for _, threads := range []int{1, 3} {
		clear(sums)
		restore := parallel.SetThreads(threads)
		LogSums(sums, logits)
		restore()
		for i, got := range sums {
			row, sum := logits[i*vocabulary:(i+1)*vocabulary], 0.0
			for _, z := range row {
				sum += math.Exp(float64(z))
			}
			if math.Abs(got-math.Log(sum)) > 1e-6*max(1, math.Abs(got)) {
				t.Errorf("row %d: %v, want %v", i, got, math.Log(sum))
			}
			for _, k := range []int{0, 1, 5, 299, 300, 1000} {
				want, _, _ := reference(Row{Logits: row, Settings: Settings{Temperature: 1}})
				var ids []int32
				for _, a := range Likeliest(row, k, got) {
					ids = append(ids, a.ID)
					if a.LogP != float32(float64(row[a.ID])-got) {
						t.Errorf("log-probability %v of logit %v with the sum %v", a.LogP, row[a.ID], got)
					}
				}
				if !slices.Equal(ids, want[:min(k, len(want))]) {
					t.Errorf("the %d likeliest are %v, want %v", k, ids, want[:min(k, len(want))])
				}
			}
		}
	}
}

// TestDrawEnds: the ends of the unit interval fall on candidates that have a weight, whatever
// blocks without one are beside theirs, and however sums were rounded.
func TestDrawEnds(t *testing.T) {
	const first, last = kernels.ExpBlock + 3, 2*kernels.ExpBlock - 2
	c := candidates{weights: make([]float32, 4*kernels.ExpBlock-5), sums: []float32{0, 1.5, 0, 0}, total: 1.5}
	c.weights[first], c.weights[last] = 1, 0.5
	for _, total := range []float64{1.5, 1.5 + 1e-6, 1.5 - 1e-6} {
		c.total = total
		if got := c.draw(0); got != first {
			t.Errorf("of a total of %v, 0 draws %d, want %d", total, got, first)
		}
		if got := c.draw(1 - 1.0/(1<<53)); got != last {
			t.Errorf("of a total of %v, the largest number below 1 draws %d, want %d", total, got, last)
		}
	}
}

// TestNeverChosen: what is NaN or -Inf is not drawn, even where it leaves fewer than top-k.
func TestNeverChosen(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, s := range []Settings{{Temperature: 9}, {Temperature: 9, TopK: 290}, {Temperature: 9, TopK: 250}, {Temperature: 9, TopK: 250, TopP: 0.9999}, {Temperature: 9, TopP: 0.999}, {Temperature: 9, TopK: 299, TopP: 0.9999}} {
		logits := draw(rng, 3, 300)
		for s.Seed = range 2000 {
			if token := one(Row{Logits: logits, Settings: s}); !(logits[token] > float32(math.Inf(-1))) {
				t.Fatalf("%+v drew token %d, whose logit is %v", s, token, logits[token])
			}
		}
	}
}

// TestChoiceStandsAlone: the same token in any batch, on any number of threads.
func TestChoiceStandsAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	var rows []Row
	for i := range 40 {
		r := random(rng, i%4, 500)
		if r.Position = i; i%3 == 0 {
			r.Allowed = nil
		}
		r.Settings = Settings{Temperature: 0.8, Seed: rng.Uint64(), TopK: i % 2 * 30, TopP: float64(i%3) * 0.45, MinP: float64(i%5) * 0.01, Frequency: float64(i%7) * 0.1}
		rows = append(rows, r)
	}
	want := make([]int32, len(rows))
	for i, r := range rows {
		want[i] = one(r)
	}
	for _, threads := range []int{1, 4} {
		restore := parallel.SetThreads(threads)
		batch, got := slices.Clone(rows), make([]int32, len(rows))
		for i := range batch {
			batch[i].Logits = slices.Clone(batch[i].Logits)
		}
		new(Sampler).Choose(got, batch)
		restore()
		if !slices.Equal(got, want) {
			t.Errorf("on %d threads: %v, alone %v", threads, got, want)
		}
	}
}

// TestWhatKeepsAll: settings and masks that keep all change no choice and no log-probability.
func TestWhatKeepsAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 2))
	for i := range 600 {
		n := 1 + rng.IntN(400)
		plain := Row{Logits: draw(rng, i%4, n), Position: i, LogP: &LogP{Top: 3}}
		plain.Settings = Settings{Temperature: float64(i%5) * 0.4, TopK: i % 3 * 20, TopP: float64(i%2) * 0.8, Seed: rng.Uint64()}
		all := random(rng, 0, n+1)
		all.Logits, all.Position, all.Settings, all.LogP, all.Banned = plain.Logits, i, plain.Settings, &LogP{Top: 3}, nil
		for w := range all.Allowed {
			all.Allowed[w] = math.MaxUint64
		}
		all.Settings.MinP, all.Settings.Repetition, all.Settings.Bias = 1e-30, 1, map[int32]float32{0: 0}
		if all.Settings.TopK == 0 {
			all.Settings.TopK = n
		}
		if all.Settings.TopP == 0 {
			all.Settings.TopP = 1
		}
		want, got := one(plain), one(all)
		if got != want || math.Float32bits(all.LogP.Token) != math.Float32bits(plain.LogP.Token) || !slices.Equal(all.LogP.Likeliest, plain.LogP.Likeliest) {
			t.Fatalf("row %d: %d with %+v, plainly %d with %+v", i, got, *all.LogP, want, *plain.LogP)
		}
	}
}

// TestMinPKeepsEquals: a share of 1 leaves the likeliest tokens, all of them.
func TestMinPKeepsEquals(t *testing.T) {
	count := map[int32]int{}
	for seed := range uint64(300) {
		count[one(Row{Logits: []float32{1, 3, 2.99, 3}, Settings: Settings{Temperature: 1, MinP: 1, Seed: seed}})]++
	}
	if len(count) != 2 || count[1] < 100 || count[3] < 100 {
		t.Errorf("of two equals and two others, tokens and how often they were chosen: %v", count)
	}
}

// TestMask: a token whose bit is not set, or that is banned, is never chosen, whatever its bias;
// where none is left there is no token.
func TestMask(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 3))
	for i := range 2000 {
		n := 3 + rng.IntN(200)
		r := random(rng, i%3, n)
		at := int32(rng.IntN(n))
		r.Settings = Settings{Temperature: float64(i % 3), Seed: uint64(i), Bias: map[int32]float32{at: 1000, r.Banned[0]: 2000}}
		got := one(r)
		if got == None || r.Allowed[got/64]>>(got%64)&1 == 0 || got == r.Banned[0] {
			t.Fatalf("token %d of %d by the mask %x without %d", got, n, r.Allowed, r.Banned)
		}
		if r.Allowed[at/64]>>(at%64)&1 == 1 && at != r.Banned[0] && got != at {
			t.Fatalf("token %d is chosen, %d has a bias of 1000", got, at)
		}
		clear(r.Allowed)
		if n%64 > 0 {
			r.Allowed[n/64] |= math.MaxUint64 << (n % 64) // beyond the vocabulary
		}
		if got := one(r); got != None {
			t.Fatalf("token %d of none", got)
		}
	}
}

// TestChoicesOfPositions: choices at other positions, and by other seeds, are independent of each
// other, in each way to choose: of two rows of the same logits as many tokens are equal as chance
// makes equal. The same seed and position give the same token.
func TestChoicesOfPositions(t *testing.T) {
	const n = 4000
	logits := make([]float32, 20) // all alike
	for _, settings := range []Settings{{Temperature: 1}, {Temperature: 1, TopK: 10}, {Temperature: 1, TopP: 0.5}} {
		chosen := 20.0
		if settings.TopK > 0 || settings.TopP > 0 {
			chosen = 10
		}
		choose := func(position, seed int) int32 {
			s := settings
			s.Seed = uint64(seed)
			return one(Row{Logits: logits, Settings: s, Position: position})
		}
		for name, other := range map[string]func(i int) int32{
			"the next position":   func(i int) int32 { return choose(i+1, 7) },
			"a position far away": func(i int) int32 { return choose(i+1<<20, 7) },
			"the next seed":       func(i int) int32 { return choose(i, 8) },
			"both exchanged":      func(i int) int32 { return choose(7, i) },
		} {
			same := 0
			for i := range n {
				if choose(i, 7) == other(i) {
					same++
				}
			}
			p := 1 / chosen
			if z := (float64(same) - n*p) / math.Sqrt(n*p*(1-p)); math.Abs(z) > 5 {
				t.Errorf("%+v, %s: %d of %d tokens are the same, expected about %.0f", settings, name, same, n, n*p)
			}
		}
		if a, b := choose(3, 7), choose(3, 7); a != b {
			t.Errorf("%+v: %d and %d of the same seed and position", settings, a, b)
		}
	}
}

func TestChooseDoesNotAllocate(t *testing.T) {
	defer parallel.SetThreads(1)()
	logits := draw(rand.New(rand.NewPCG(7, 7)), 0, 1000)
	memory := slices.Clone(logits)
	var s Sampler
	token := make([]int32, 1)
	of := random(rand.New(rand.NewPCG(7, 7)), 0, 1000)
	for _, settings := range []Settings{{}, {Temperature: 1}, {Temperature: 1, TopK: 50}, {Temperature: 1, TopP: 0.1}, {Temperature: 1, MinP: 0.1, Repetition: 1.2, Presence: 1, Bias: map[int32]float32{4: 1}}} {
		rows := []Row{{Logits: memory, Settings: settings, Allowed: of.Allowed, Banned: of.Banned, History: of.History, LogP: &LogP{}}}
		choose := func() {
			copy(memory, logits)
			rows[0].Position++
			s.Choose(token, rows)
		}
		for range 20 {
			choose()
		}
		if n := testing.AllocsPerRun(100, choose); n != 0 {
			t.Errorf("%+v allocates %v times a token", settings, n)
		}
	}
}

// TestCheck: settings that no choice can be made by are refused by name.
func TestCheck(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for want, s := range map[string]Settings{
		"temperature -1, expected a finite number, 0 or more": {Temperature: -1},
		"temperature NaN":  {Temperature: nan},
		"temperature +Inf": {Temperature: inf},
		"top-k -1, expected a finite number, 0 or more":   {TopK: -1},
		"top-p 1.5, expected 0 to 1":                      {TopP: 1.5},
		"min-p -0.1, expected 0 to 1":                     {MinP: -0.1},
		"repetition penalty -1":                           {Repetition: -1},
		"presence penalty -Inf, expected a finite number": {Presence: -inf},
		"frequency penalty NaN, expected a finite number": {Frequency: nan},
		"bias of token 50, the vocabulary has 50":         {Bias: map[int32]float32{50: 1}},
		"bias of token -1, the vocabulary has 50":         {Bias: map[int32]float32{-1: 1}},
		"bias -Inf of token 7, expected a finite number":  {Bias: map[int32]float32{7: float32(-inf)}},
	} {
		if err := s.Check(50); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, expected %q", s, err, want)
		}
	}
	for _, s := range []Settings{{}, {Temperature: 2, TopK: 1 << 40, TopP: 1, MinP: 1, Repetition: 0.5, Presence: -2, Frequency: 2, Bias: map[int32]float32{49: -100}}} {
		if err := s.Check(50); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// BenchmarkChoose compares ways to choose with the plain one, temperature alone.
func BenchmarkChoose(b *testing.B) {
	for _, vocabulary := range []int{32000, 151936} {
		rng := rand.New(rand.NewPCG(3, 3))
		seen := make([]int32, 4096)
		for i := range seen {
			seen[i] = int32(rng.IntN(vocabulary))
		}
		history := NewHistory(seen)
		half, few := make([]uint64, (vocabulary+63)/64), make([]uint64, (vocabulary+63)/64)
		for i := range half {
			half[i] = rng.Uint64()
		}
		few[len(few)/2] = 7
		bias := map[int32]float32{}
		for i := range int32(300) {
			bias[i*100] = 1
		}
		for _, c := range []struct {
			name string
			row  Row
		}{
			{"greedy", Row{}},
			{"temperature", Row{Settings: Settings{Temperature: 0.8}}},
			{"top-p", Row{Settings: Settings{Temperature: 0.8, TopP: 0.95}}},
			{"small-top-p", Row{Settings: Settings{Temperature: 0.8, TopP: 0.1}}},
			{"top-k", Row{Settings: Settings{Temperature: 0.8, TopK: 40}}},
			{"min-p", Row{Settings: Settings{Temperature: 0.8, MinP: 0.05}}},
			{"all-penalties-of-4096", Row{Settings: Settings{Temperature: 0.8, Repetition: 1.1, Presence: 0.1, Frequency: 0.1}, History: history}},
			{"300-biases", Row{Settings: Settings{Temperature: 0.8, Bias: bias}}},
			{"mask-of-half", Row{Settings: Settings{Temperature: 0.8}, Allowed: half}},
			{"mask-of-3", Row{Settings: Settings{Temperature: 0.8}, Allowed: few}},
			{"log-probability", Row{Settings: Settings{Temperature: 0.8}, LogP: &LogP{}}},
			{"20-log-probabilities", Row{Settings: Settings{Temperature: 0.8}, LogP: &LogP{Top: 20}}},
		} {
			for kind, spread := range []string{"flat", "peaked"} {
				b.Run(fmt.Sprintf("%s/%s/%d", c.name, spread, vocabulary), func(b *testing.B) {
					defer parallel.SetThreads(1)()
					logits := draw(rand.New(rand.NewPCG(1, 1)), kind, vocabulary)
					c.row.Logits = make([]float32, vocabulary)
					var sampler Sampler
					token, rows := make([]int32, 1), []Row{c.row}
					for b.Loop() {
						copy(rows[0].Logits, logits)
						rows[0].Position++
						sampler.Choose(token, rows)
					}
				})
			}
		}
	}
}
