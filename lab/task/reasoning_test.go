package task

import (
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/lab/stat"
)

func newReasoning(t *testing.T, cfg ReasoningConfig) *Reasoning {
	t.Helper()
	r, err := NewReasoning(cfg, byteEncoder{}, endOfText)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// smallChains has few enough answers that all can be written.
func smallChains() ReasoningConfig {
	cfg := DefaultReasoning()
	cfg.Least, cfg.Most, cfg.Problems = 1, 3, 40
	return cfg
}

// everyAnswer calls yield with each answer to a problem and its probability, by going through all
// sequences of choices.
func everyAnswer(c *Chains, p problem, yield func(words []string, probability, nats float64)) {
	var script, widths []int
	for {
		at, probability := 0, 1.0
		widths = widths[:0]
		words, nats := c.write(p, func(p []float64) int {
			if at == len(script) {
				script = append(script, 0)
			}
			i := script[at]
			widths = append(widths, len(p))
			probability *= p[i]
			at++
			return i
		})
		yield(words, probability, nats)
		for at--; at >= 0 && script[at] == widths[at]-1; at-- {
		}
		if at < 0 {
			return
		}
		script[at]++
		script = script[:at+1]
	}
}

// The entropy and the mean length of answers are those of all answers written out: their
// probabilities sum to 1, no two are the same text, and none begins as another whole one does.
func TestEntropyOfAnswersIsThatOfAll(t *testing.T) {
	c, err := NewChains(smallChains())
	if err != nil {
		t.Fatal(err)
	}
	orders := 0
	for i := range 12 {
		_, p := c.answered(splitTest, uint64(i))
		sum, entropy, length := 0.0, 0.0, 0.0
		seen := map[string]bool{}
		everyAnswer(c, p, func(words []string, probability, nats float64) {
			if math.Abs(math.Log(probability)+nats) > 1e-9 {
				t.Fatalf("problem %d: an answer of probability %v has %v nats", i, probability, nats)
			}
			text := join(words)
			if seen[text] {
				t.Fatalf("problem %d: %q is written in two ways", i, text)
			}
			seen[text] = true
			sum += probability
			entropy += probability * nats
			length += probability * float64(len(words))
		})
		nats, words := c.entropy(p)
		if math.Abs(sum-1) > 1e-9 || math.Abs(entropy-nats) > 1e-9 || math.Abs(length-words) > 1e-9 {
			t.Errorf("problem %d: %d answers of probability %v, entropy %v and %v words, expected 1, %v and %v", i, len(seen), sum, entropy, length, nats, words)
		}
		if len(p.steps) == 3 && len(p.ready(0)) == 2 {
			orders++
		}
	}
	if orders == 0 {
		t.Error("no problem has steps in more than one order")
	}
}

// Floor, of drawn answers, is within three standard errors of the exact entropies of their
// problems, at every length of chains.
func TestFloorIsTheEntropy(t *testing.T) {
	r := newReasoning(t, DefaultReasoning())
	var excess []float64
	var nats, exact float64
	for i := range usualValidation {
		a, p := r.answered(splitValidation, uint64(i))
		entropy, _ := r.entropy(p)
		nats, exact = nats+a.floor, exact+entropy
		excess = append(excess, a.floor-entropy)
	}
	if off, se := stat.Mean(excess), stat.Deviation(excess)/math.Sqrt(float64(len(excess))); math.Abs(off) > 3*se || se == 0 {
		t.Errorf("drawn answers have %v nats more than their entropy, expected at most 3 × %v", off, se)
	}
	loss, tokens := r.Floor(0)
	answers := 0
	for _, e := range r.Validation(0) {
		for _, is := range e.Answer {
			if is {
				answers++
			}
		}
	}
	if tokens != answers || math.Abs(loss-nats/float64(answers)) > 1e-12 {
		t.Errorf("the floor is %v over %d tokens, expected %v over %d", loss, tokens, nats/float64(answers), answers)
	}
}

// Drawn answers have the probabilities that they are said to have: each choice of an opening, a
// result word and an order comes up as often as it should.
func TestAnswersAreDrawnAsSaid(t *testing.T) {
	c, err := NewChains(smallChains())
	if err != nil {
		t.Fatal(err)
	}
	var p problem
	for i := 0; len(p.steps) != 3 || len(p.ready(0)) != 2; i++ {
		_, p = c.answered(splitTest, uint64(i))
	}
	rng := stream(5)
	const n = 20000
	count := map[string]int{}
	for range n {
		words, _ := c.write(p, draws(rng))
		count[words[0]]++
		count[words[1]]++
	}
	check := func(word string, share float64) {
		if got, se := float64(count[word])/n, math.Sqrt(share*(1-share)/n); math.Abs(got-share) > 4*se {
			t.Errorf("%q begins a share of %v, expected %v", word, got, share)
		}
	}
	for i, word := range openings {
		check(word, c.opening[i])
	}
	check(nameWords[p.steps[p.ready(0)[0]].name], 2./3)
	check(nameWords[p.steps[p.ready(0)[1]].name], 1./3)
}

// No prompt is in two splits, whatever the seed of training.
func TestReasoningSplitsAreDisjoint(t *testing.T) {
	cfg := DefaultReasoning()
	// few prompts: they come again and again
	cfg.Least, cfg.Most, cfg.Values, cfg.Operations = 1, 1, 2, 1
	c, err := NewChains(cfg)
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]uint64{}
	for _, split := range []uint64{splitTrain, splitValidation, splitTest, splitCalibration, splitCorpus} {
		for i := range 300 {
			a, _ := c.answered(split, uint64(i%3), uint64(i))
			text := join(a.prompt)
			if was, ok := in[text]; ok && was != split {
				t.Fatalf("%q is in the splits %d and %d", text, was, split)
			}
			in[text] = split
		}
	}
}

// An example is its prompt's tokens, then the answer's and the end, which alone are learnt; the
// same place has the same example, another has another.
func TestReasoningExamples(t *testing.T) {
	r := newReasoning(t, DefaultReasoning())
	longest, longestAnswer := 0, 0
	for i := range 300 {
		e := r.Train(7, i)
		a, p := r.answered(splitTrain, 7, uint64(i))
		prompt := len(join(a.prompt))
		if text := join(a.prompt) + " " + join(a.answer); len(e.Tokens) != len(text)+1 || e.Tokens[len(text)] != endOfText || e.Tokens[3] != int32(text[3]) {
			t.Fatalf("example %d is %v, expected the bytes of %q and the end", i, e.Tokens, text)
		}
		if slices.Index(e.Answer, true) != prompt || slices.Contains(e.Answer[prompt:], false) {
			t.Fatalf("example %d learns %v, expected all after %d", i, e.Answer, prompt)
		}
		longest, longestAnswer = max(longest, len(e.Tokens)), max(longestAnswer, len(e.Tokens)-prompt)
		if n := len(p.steps); n < 2 || n > 6 || len(a.prompt) > 80 || len(a.answer)+1 > 60 {
			t.Fatalf("example %d has %d steps, %d words of prompt and %d of answer", i, n, len(a.prompt), len(a.answer))
		}
	}
	if longest > r.MostTokens() || longestAnswer > r.LongestAnswer() {
		t.Errorf("examples have up to %d tokens, answers %d, expected at most %d and %d", longest, longestAnswer, r.MostTokens(), r.LongestAnswer())
	}
	again := newReasoning(t, DefaultReasoning())
	for i := range 20 {
		if !slices.Equal(r.Train(7, i).Tokens, again.Train(7, i).Tokens) || slices.Equal(r.Train(7, i).Tokens, r.Train(8, i).Tokens) {
			t.Fatalf("example %d is not a function of the seed and its place", i)
		}
	}
	other := DefaultReasoning()
	other.WorldSeed = 2
	if slices.Equal(newReasoning(t, other).Train(7, 0).Tokens, r.Train(7, 0).Tokens) {
		t.Error("another world has the same example")
	}
}

// The longest answer is reached: every word of it can be the longest of its kind.
func TestLongestAnswer(t *testing.T) {
	c, err := NewChains(DefaultReasoning())
	if err != nil {
		t.Fatal(err)
	}
	longest := 0
	for i := range 4000 {
		a, p := c.answered(splitTrain, 1, uint64(i))
		if len(p.steps) == 6 {
			longest = max(longest, len(a.answer))
		}
	}
	if want := 6*stepWords + closingWords; longest > want || longest < want-1 {
		t.Errorf("the longest of many answers has %d words, expected about %d", longest, want)
	}
}

// Every answer that the world writes is judged right with all steps held; changed, cut or endless
// ones are not.
func TestJudge(t *testing.T) {
	r := newReasoning(t, smallChains())
	for i := range r.cfg.Problems {
		a, p := r.answered(splitTest, uint64(i))
		text := join(a.answer)
		n := len(p.steps)
		value := valueWords[p.answer()]
		wrong := valueWords[(p.answer()+1)%r.cfg.Values]
		ending := a.answer[len(a.answer)-closingWords:]
		for _, c := range []struct {
			about, text string
			ended       bool
			want        Verdict
		}{
			{"the world's own", text, true, Verdict{true, true, n, n}},
			{"spaced otherwise", "  " + strings.ReplaceAll(text, " ", " \n") + " ", true, Verdict{true, true, n, n}},
			{"without end", text, false, Verdict{false, false, n, n}},
			{"another value", strings.TrimSuffix(text, value) + wrong, true, Verdict{false, true, n, n}},
			{"no steps", join(ending), true, Verdict{true, true, n, 0}},
			{"nothing", "", true, Verdict{false, true, n, 0}},
			{"a step twice", join(a.answer[:len(a.answer)-closingWords]) + " " + text, true, Verdict{true, true, n, n}},
			{"two conclusions", text + " " + join(ending), true, Verdict{false, true, n, n}},
			{"more after it", text + " .", true, Verdict{false, true, n, n}},
			{"an opening lost", strings.TrimPrefix(text, a.answer[0]+" "), true, Verdict{true, true, n, -1}},
			{"other words", "what is this " + text, true, Verdict{true, true, n, n}},
		} {
			got := r.Judge(i, c.text, c.ended)
			if c.want.Held < 0 { // what depends on the lost step is lost too
				c.want.Held = got.Held
				if got.Held >= n {
					t.Errorf("problem %d, %s: %d of %d steps hold", i, c.about, got.Held, n)
				}
			}
			if got != c.want {
				t.Errorf("problem %d, %s: %+v, expected %+v\n%s\n%s", i, c.about, got, c.want, join(a.prompt), c.text)
			}
		}
	}
}

// Any change of one word of a step makes it not hold, but for another opening or result word.
func TestJudgeFindsEachWrongWord(t *testing.T) {
	r := newReasoning(t, smallChains())
	for i := range r.cfg.Problems {
		a, p := r.answered(splitTest, uint64(i))
		for at := range len(a.answer) - closingWords {
			words := slices.Clone(a.answer)
			if slices.Contains(openings, words[at]) {
				continue
			}
			words[at] = "the"
			if v := p.judge(join(words), true); v.Held >= len(p.steps) {
				t.Errorf("problem %d: %d of %d steps hold in %q", i, v.Held, len(p.steps), join(words))
			}
		}
	}
}

func FuzzJudge(f *testing.F) {
	c, err := NewChains(smallChains())
	if err != nil {
		f.Fatal(err)
	}
	for i := range 5 {
		a, _ := c.answered(splitTest, uint64(i))
		f.Add(i, join(a.answer), true)
	}
	f.Fuzz(func(t *testing.T, i int, text string, ended bool) {
		_, p := c.answered(splitTest, uint64(i))
		if v := p.judge(text, ended); v.Held > v.Steps || v.Right && !v.Ended || v.Right && !strings.HasSuffix(strings.TrimSpace(text), valueWords[p.answer()]) {
			t.Errorf("%q: %+v", text, v)
		}
	})
}

// Figures are shares with their intervals, by length too.
func TestReasoningSummary(t *testing.T) {
	r := newReasoning(t, smallChains())
	verdicts := make([]Verdict, r.cfg.Problems)
	for i := range verdicts {
		verdicts[i] = Verdict{Right: i < 10, Ended: i < 30, Steps: 1 + i%2, Held: 1}
	}
	s, err := r.Summary(verdicts)
	if err != nil {
		t.Fatal(err)
	}
	if s.Exact.Value != 0.25 || s.Exact.N != 40 || !(s.Exact.Low > 0.1 && s.Exact.High < 0.45) || s.Ended.Value != 0.75 || math.Abs(s.Held.Value-40./60) > 1e-12 {
		t.Errorf("%+v", s)
	}
	if len(s.ByLength) != 3 || s.ByLength[0].N != 20 || s.ByLength[1].Value != 0.25 || s.ByLength[2].N != 0 {
		t.Errorf("by length: %+v", s.ByLength)
	}
	if _, err := r.Summary(verdicts[1:]); err == nil {
		t.Error("a verdict is missing, and there is no error")
	}
	verdicts[3].Steps = 9
	if _, err := r.Summary(verdicts); err == nil {
		t.Error("a verdict is of a problem that cannot be, and there is no error")
	}
}

// Settings that cannot be are errors that name them.
func TestReasoningSettings(t *testing.T) {
	for key, change := range map[string]func(*ReasoningConfig){
		"values":     func(c *ReasoningConfig) { c.Values = 11 },
		"operations": func(c *ReasoningConfig) { c.Operations = 0 },
		"rarity":     func(c *ReasoningConfig) { c.Rarity = math.NaN() },
		"most":       func(c *ReasoningConfig) { c.Most = 9 },
		"least":      func(c *ReasoningConfig) { c.Least = 7 },
		"problems":   func(c *ReasoningConfig) { c.Problems = 0 },
	} {
		cfg := DefaultReasoning()
		change(&cfg)
		if _, err := NewChains(cfg); err == nil || !strings.HasPrefix(err.Error(), "reasoning: "+key+" is") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := NewReasoning(DefaultReasoning(), byteEncoder{}, -1); err == nil || !strings.Contains(err.Error(), "end-of-sequence") {
		t.Errorf("no end token: %v", err)
	}
}

// Both sources of calibration give as many texts as are asked for; only those of the task have
// answers. Another source is an error.
func TestReasoningCalibration(t *testing.T) {
	r := newReasoning(t, smallChains())
	for source, answers := range map[string]bool{InDomain: true, Generic: false} {
		examples, err := r.Calibration(source, 5)
		if err != nil || len(examples) != 5 {
			t.Fatalf("%s: %d examples, %v", source, len(examples), err)
		}
		for _, e := range examples {
			if len(e.Tokens) != len(e.Answer) || slices.Contains(e.Answer, true) != answers {
				t.Errorf("%s: %v", source, e)
			}
		}
	}
	if _, err := r.Calibration("none", 5); err == nil {
		t.Error("no error of a source that there is not")
	}
}
