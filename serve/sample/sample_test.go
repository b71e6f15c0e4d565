package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// reference is the distribution by a full sort in float64: the tokens that may be chosen, first
// ranked first, with probabilities that add up to 1. edge is the smallest distance of top-p from a
// sum of probabilities: where it is tiny, rounding may take one token more or less.
func reference(logits []float32, s Settings) (tokens []int32, p []float64, edge float64) {
	type candidate struct {
		token  int32
		weight float64
	}
	largest := math.Inf(-1)
	for _, z := range logits {
		if z == z {
			largest = max(largest, float64(z))
		}
	}
	var all []candidate
	for i, z := range logits {
		if w := math.Exp((float64(z) - largest) / s.Temperature); w > 0 {
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
	sum := total()
	for _, c := range all {
		tokens, p = append(tokens, c.token), append(p, c.weight/sum)
	}
	return tokens, p, edge
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

// TestDistribution draws 1e5 tokens for each setting and compares their frequencies with the exact
// distribution (χ², at the level of 1e-4), on vocabularies of one block and of several.
func TestDistribution(t *testing.T) {
	const n = 100_000
	for _, settings := range []Settings{
		{Temperature: 0.8}, {Temperature: 1.7}, {Temperature: 1, TopK: 7}, {Temperature: 0.8, TopK: 50}, {Temperature: 0.8, TopP: 0.95},
		{Temperature: 1.2, TopP: 0.3}, {Temperature: 1, TopP: 0.02}, {Temperature: 0.9, TopK: 40, TopP: 0.9}, {Temperature: 1.1, TopK: 300, TopP: 0.5},
	} {
		for _, c := range []struct{ kind, vocabulary int }{{0, 20}, {3, 200}} {
			t.Run(fmt.Sprintf("%+v/%d of %d", settings, c.kind, c.vocabulary), func(t *testing.T) {
				logits := draw(rand.New(rand.NewPCG(uint64(c.kind), 9)), c.kind, c.vocabulary)
				tokens, p, _ := reference(logits, settings)
				count := make(map[int32]float64)
				rows, got, memory := make([]Row, 100), make([]int32, 100), make([]float32, 100*len(logits))
				var s Sampler
				for at := 0; at < n; at += len(rows) {
					for i := range rows {
						settings.Seed = uint64(at + i)
						rows[i] = Row{Logits: memory[i*len(logits):][:len(logits)], Settings: settings, Position: 17}
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
		if rng.IntN(4) == 0 {
			s.TopP = 0
		}
		want, _, edge := reference(logits, s)
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
			if c.weights[i] > 0 && c.within(i, outside) {
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
				if c.within(i, outside) {
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
			if got := one(c.logits, s, 3); got != c.want {
				t.Errorf("%+v of %v is %d, want %d", s, c.logits, got, c.want)
			}
		}
		if s.TopP > 0 || s.Temperature == 0 || s.TopK == 1 {
			if got := one([]float32{1, 3, 3}, s, 3); got != 1 {
				t.Errorf("%+v of equals is %d, want the lowest", s, got)
			}
		}
	}
}

func one(logits []float32, s Settings, position int) int32 {
	var sampler Sampler
	token := []int32{-2}
	sampler.Choose(token, []Row{{Logits: slices.Clone(logits), Settings: s, Position: position}})
	return token[0]
}

// TestLogP: the log-probability of a choice is that of the whole softmax, at temperature 1 where
// the choice is greedy, whatever top-k and top-p cut; and asking for it changes no choice.
func TestLogP(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, s := range []Settings{
		{}, {TopK: 1, Temperature: 3}, {Temperature: 1}, {Temperature: 0.3}, {Temperature: 7}, {Temperature: 1, TopK: 5},
		{Temperature: 2, TopP: 0.2}, {Temperature: 1.5, TopK: 40, TopP: 0.7}, {Temperature: 1, TopP: 1e-9},
	} {
		for s.Seed = range 60 {
			logits := draw(rng, int(s.Seed%3), 700)
			var logP float32
			token := []int32{0}
			new(Sampler).Choose(token, []Row{{Logits: slices.Clone(logits), Settings: s, LogP: &logP}})
			if want := one(logits, s, 0); token[0] != want {
				t.Fatalf("%+v chooses %d with its log-probability, %d without", s, token[0], want)
			}
			temperature := s.Temperature
			if s.greedy() {
				temperature = 1
			}
			chosen, sum := float64(logits[token[0]]), 0.0
			for _, z := range logits {
				if e := math.Exp((float64(z) - chosen) / temperature); e == e {
					sum += e
				}
			}
			if want := -math.Log(sum); math.Abs(float64(logP)-want) > 1e-5*max(1, -want) {
				t.Errorf("%+v: log-probability %v of token %d, want %v", s, logP, token[0], want)
			}
		}
	}
	certain := []float32{1, float32(math.Inf(1)), 2}
	logP := float32(-1)
	if new(Sampler).Choose([]int32{0}, []Row{{Logits: certain, LogP: &logP}}); logP != 0 {
		t.Errorf("log-probability %v of what is certain", logP)
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
	for _, s := range []Settings{{Temperature: 9}, {Temperature: 9, TopK: 290}, {Temperature: 9, TopP: 0.999}, {Temperature: 9, TopK: 299, TopP: 0.9999}} {
		logits := draw(rng, 3, 300)
		for s.Seed = range 2000 {
			if token := one(logits, s, 0); !(logits[token] > float32(math.Inf(-1))) {
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
		s := Settings{Temperature: 0.8, Seed: rng.Uint64()}
		s.TopK, s.TopP = i%2*30, float64(i%3)*0.45
		rows = append(rows, Row{Logits: draw(rng, i%4, 500), Settings: s, Position: i})
	}
	want := make([]int32, len(rows))
	for i, r := range rows {
		want[i] = one(r.Logits, r.Settings, r.Position)
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
			return one(logits, s, position)
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
	for _, settings := range []Settings{{}, {Temperature: 1}, {Temperature: 1, TopK: 50}, {Temperature: 1, TopP: 0.1}} {
		rows := []Row{{Logits: memory, Settings: settings}}
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

func BenchmarkChoose(b *testing.B) {
	for _, vocabulary := range []int{32000, 151936} {
		for name, s := range map[string]Settings{
			"greedy": {}, "temperature": {Temperature: 0.8}, "top-p": {Temperature: 0.8, TopP: 0.95}, "small-top-p": {Temperature: 0.8, TopP: 0.1}, "top-k": {Temperature: 0.8, TopK: 40},
		} {
			for kind, spread := range []string{"flat", "peaked"} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, spread, vocabulary), func(b *testing.B) {
					defer parallel.SetThreads(1)()
					logits := draw(rand.New(rand.NewPCG(1, 1)), kind, vocabulary)
					memory := make([]float32, vocabulary)
					var sampler Sampler
					token, rows := make([]int32, 1), []Row{{Logits: memory, Settings: s}}
					for b.Loop() {
						copy(memory, logits)
						rows[0].Position++
						sampler.Choose(token, rows)
					}
				})
			}
		}
	}
}
