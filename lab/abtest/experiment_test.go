package abtest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"slimlab/lab/stat"
	"slimlab/lab/task"
	"slimlab/serve/load"
)

// world draws what arms make of a prompt: B is slower by a factor and right more often by a share.
type world struct {
	slower, better float64
}

// draw draws the outcomes of a prompt. Latencies have heavy tails and a part that is the prompt's;
// answers depend on how hard it is.
func (w world) draw(r *rand.Rand) (a, b outcome) {
	hard, long := r.Float64(), math.Exp(r.NormFloat64())
	one := func(slower, better float64) (o outcome) {
		noise := func() float64 {
			if r.Float64() < 0.02 {
				return math.Exp(0.1*r.NormFloat64()) + 5*r.ExpFloat64()
			}
			return math.Exp(0.1 * r.NormFloat64())
		}
		o.ttft, o.tpot, o.tokens, o.told = slower*long*noise(), slower*noise(), 10, true
		o.e2e = o.ttft + 9*o.tpot
		o.match.Exact = r.Float64() < (hard+better)/2
		o.match.F1 = min(1, hard*r.Float64()+share(o.match.Exact))
		o.logP = -hard - 0.2*r.ExpFloat64() + better
		return o
	}
	return one(1, 0), one(w.slower, w.better)
}

// started is an experiment that has begun, with all metrics.
func started(t *testing.T, s Settings) *Experiment {
	t.Helper()
	if s.Level == 0 {
		s.Level = 0.05
	}
	told := func(context.Context, *Prompt) (float64, error) { return 0, nil }
	e := &Experiment{Settings: s, A: &Arm{Name: "A", logP: told}, B: &Arm{Name: "B", logP: told}, Prompts: []Prompt{{Text: "x"}}}
	if err := e.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// decided reports whether any metric is.
func (e *Experiment) decided() bool {
	return slices.ContainsFunc(e.series, func(s *series) bool { return s.verdict != "" })
}

// TestEqualArms: of two equal arms, whose reports are read after each of 2000 pairs, at most 5%
// have a verdict in any metric at any time.
func TestEqualArms(t *testing.T) {
	if testing.Short() {
		t.Skip("it simulates many experiments")
	}
	const experiments = 1000
	pairs := 500
	if os.Getenv("SLIMLAB_STRESS") != "" {
		pairs = 2000
	}
	alarms := map[string]int{}
	any := 0
	for n := range experiments {
		e, rng := started(t, Settings{}), rand.New(rand.NewPCG(uint64(n), 3))
		for range pairs {
			a, b := world{slower: 1}.draw(rng)
			if e.pair(&a, &b); e.decided() {
				break
			}
		}
		if e.decided() {
			any++
		}
		for _, s := range e.series {
			if s.verdict != "" {
				alarms[s.key]++
			}
		}
	}
	t.Logf("%d of %d experiments of two equal arms have a verdict: %v", any, experiments, alarms)
	if any > experiments/20 {
		t.Errorf("%d of %d experiments of two equal arms have a verdict: %v, expected at most 5%%", any, experiments, alarms)
	}
}

// TestEqualArmsOfSplit: the same of traffic of which a share goes to B.
func TestEqualArmsOfSplit(t *testing.T) {
	if testing.Short() {
		t.Skip("it simulates many experiments")
	}
	const experiments = 100
	for _, split := range []float64{0.01, 0.1, 0.5} {
		any := 0
		alarms := map[string]int{}
		for n := range experiments {
			e, rng := started(t, Settings{Split: split}), rand.New(rand.NewPCG(uint64(n), 4))
			for range int(500 + 150/split) {
				a, b := world{slower: 1}.draw(rng)
				if rng.Float64() < split {
					e.single(1, &b)
				} else {
					e.single(0, &a)
				}
				if e.decided() {
					break
				}
			}
			if e.decided() {
				any++
			}
			for _, s := range e.series {
				if s.verdict != "" {
					alarms[s.key]++
				}
			}
		}
		t.Logf("split %g: %d of %d experiments of two equal arms have a verdict: %v", split, any, experiments, alarms)
		if any > experiments/20 {
			t.Errorf("split %g: %d of %d experiments of two equal arms have a verdict: %v, expected at most 5%%", split, any, experiments, alarms)
		}
	}
}

// TestWorseArmIsFound: how many prompts it takes.
func TestWorseArmIsFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		world world
		split float64
		key   string
		most  int
	}{
		{"30% slower", world{slower: 1.3}, 0, TPOT, 40},
		{"10% slower", world{slower: 1.1}, 0, TPOT, 250},
		{"5% slower", world{slower: 1.05}, 0, TPOT, 1000},
		{"right 20 points less often", world{slower: 1, better: -0.4}, 0, Exact, 250},
		{"right 10 points less often", world{slower: 1, better: -0.2}, 0, Exact, 900},
		{"10% slower, split in halves", world{slower: 1.1}, 0.5, TPOT, 600},
		{"10% slower, 5% of the traffic", world{slower: 1.1}, 0.05, TPOT, 3500},
	} {
		var took []float64
		for n := range 40 {
			e, rng, i := started(t, Settings{Split: test.split}), rand.New(rand.NewPCG(uint64(n), 5)), 0
			of := e.series[slices.IndexFunc(e.series, func(s *series) bool { return s.key == test.key })]
			for of.verdict == "" && i < 20_000 {
				i++
				a, b := test.world.draw(rng)
				switch {
				case test.split == 0:
					e.pair(&a, &b)
				case rng.Float64() < test.split:
					e.single(1, &b)
				default:
					e.single(0, &a)
				}
			}
			if of.verdict != Worse && i < 20_000 {
				t.Errorf("%s: %s is %q", test.name, test.key, of.verdict)
			}
			took = append(took, float64(i))
		}
		n := stat.Median(took)
		t.Logf("%s is found by %s after %.0f prompts (median)", test.name, test.key, n)
		if n > float64(test.most) {
			t.Errorf("%s is found by %s after %.0f prompts, expected at most %d", test.name, test.key, n, test.most)
		}
	}
}

// TestMargin: arms that differ by less than the margin are told to be equal, and one that is slower
// by more is worse.
func TestMargin(t *testing.T) {
	for slower, want := range map[float64]Verdict{1: Equal, 1.01: Equal, 1.3: Worse, 0.7: Better} {
		e, rng := started(t, Settings{Margin: 0.1, QualityMargin: 0.5}), rand.New(rand.NewPCG(1, 6))
		for range 3000 {
			a, b := world{slower: slower}.draw(rng)
			e.pair(&a, &b)
		}
		e.finish()
		for _, m := range e.report.Metrics[:3] {
			if m.Verdict != want {
				t.Errorf("%g times as slow: %s is %q, expected %q", slower, m.Label, m.Verdict, want)
			}
		}
		if exact := e.report.Metrics[3]; exact.Verdict != Equal || exact.Key != Exact {
			t.Errorf("%s is %q, expected %q", exact.Label, exact.Verdict, Equal)
		}
	}
}

// slow is a target that takes a while, gives an answer, and fails now and then.
type slow struct {
	first, each time.Duration
	answer      string
	fails       func(n int) bool
	asked       atomic.Int32
	log         func(name string)
	name        string
}

func (s *slow) Send(ctx context.Context, r load.Request) (load.Answer, error) {
	n := int(s.asked.Add(1))
	if s.log != nil {
		s.log(s.name)
	}
	if s.fails != nil && s.fails(n) {
		return load.Answer{}, errors.New("out of memory")
	}
	time.Sleep(s.first)
	at := time.Now()
	time.Sleep(s.each * time.Duration(r.MaxTokens-1))
	return load.Answer{Reply: load.Reply{Count: r.MaxTokens, Text: s.answer}, First: at, End: time.Now(), Prompt: 1}, nil
}

func texts(n int, reference string) (list []Prompt) {
	for range n {
		list = append(list, Prompt{Request: load.Request{Text: "q", MaxTokens: 5}, Text: reference})
	}
	return list
}

// TestExperiment: what is asked, in which order, and what the report says of it.
func TestExperiment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		log := func(name string) { order = append(order, name) }
		a := &slow{first: 100 * time.Millisecond, each: 10 * time.Millisecond, answer: "the Cat", name: "A", log: log}
		b := &slow{first: 150 * time.Millisecond, each: 10 * time.Millisecond, answer: "a dog", name: "B", log: log, fails: func(n int) bool { return n%5 == 0 }}
		e := Experiment{Settings: Settings{Seed: 1, Level: 0.05}, A: &Arm{Name: "one", target: a}, B: &Arm{Name: "two", target: b}, Prompts: texts(100, "cat"), Live: &Live{}}
		r, err := e.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		firstA := 0
		for i := 0; i < len(order); i += 2 {
			if order[i] == order[i+1] {
				t.Fatalf("prompt %d was asked of %s twice", i/2, order[i])
			}
			if order[i] == "A" {
				firstA++
			}
		}
		if firstA < 35 || firstA > 65 {
			t.Errorf("A was asked first %d times of 100, expected about half", firstA)
		}
		if r.Asked != 100 || r.Pairs != 80 || r.Arms[0].Failed != 0 || r.Arms[1].Failed != 20 || r.Arms[0].Tokens != 500 {
			t.Errorf("%+v", r)
		}
		rows := map[string]Row{}
		for _, m := range r.Metrics {
			rows[m.Key] = m
		}
		if m := rows[TTFT]; m.Verdict != Worse || math.Abs(float64(m.Change)-0.5) > 1e-9 || math.Abs(float64(m.A)-0.1) > 1e-9 || m.Decided != firstLook || m.N != 80 {
			t.Errorf("%+v", m)
		}
		if m := rows[TPOT]; m.Verdict != Undecided || m.Change != 0 || math.Abs(float64(m.B)-0.01) > 1e-9 {
			t.Errorf("%+v", m)
		}
		if m := rows[Exact]; m.Verdict != Worse || m.A != 1 || m.B != 0 || m.High >= 0 {
			t.Errorf("%+v", m)
		}
		if _, told := rows[LogP]; told || !strings.Contains(strings.Join(r.Notes, ";"), "log-probability") {
			t.Errorf("log-probabilities of targets that tell none: %v", r.Notes)
		}
		if got := r.Worse(); !slices.Equal(got, []string{"TTFT", "E2E", "exact match", "token F1"}) {
			t.Errorf("B is worse in %v", got)
		}
		text := r.Text()
		for _, want := range []string{"80 pairs of 100 prompts", "+50.00%", "worse", "share of traffic", "-100.00 pp", "20 requests of 100 of arm B (two) failed, whose prompts are no pairs; the first: out of memory"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if line := e.Live.Line(); !strings.Contains(line, "100/100, 20 failed") || !strings.Contains(line, "TTFT +50.00% [+50.00%, +50.00%] worse at 20") {
			t.Errorf("the live line: %s", line)
		}
	})
}

// TestExperimentEnds: by a decision, by arms that answer nothing, and by a context.
func TestExperimentEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, late := &slow{first: 1, each: 1, answer: "x"}, &slow{first: 1000, each: 1, answer: "x"}
		run := func(ctx context.Context, s Settings, b *slow) (*Report, error) {
			s.Level = 0.05
			e := Experiment{Settings: s, A: &Arm{Name: "one", target: fast}, B: &Arm{Name: "two", target: b}, Prompts: texts(3000, "")}
			return e.Run(ctx)
		}
		r, err := run(t.Context(), Settings{Stop: AtFirst}, late)
		if err != nil || r.Asked != firstLook || !r.Stopped {
			t.Errorf("%+v, %v: expected an end at the first look", r, err)
		}
		r, err = run(t.Context(), Settings{Stop: AtAll, Margin: 0.01}, late)
		if err != nil || r.Asked != firstLook || !r.Stopped || r.Metrics[1].Verdict != Equal {
			t.Errorf("%+v, %v: expected an end when all is decided", r, err)
		}
		if r, err = run(t.Context(), Settings{Together: true}, late); err != nil || r.Pairs != 3000 || r.Stopped {
			t.Errorf("%+v, %v", r, err)
		}
		if m := r.Metrics[3]; m.Key != Agree || m.Verdict != NoJudge || m.Change != 1 || m.Low < 0.98 {
			t.Errorf("%+v: equal answers of all", m)
		}
		r, err = run(t.Context(), Settings{}, &slow{fails: func(int) bool { return true }})
		if err == nil || !strings.Contains(err.Error(), "two has answered none of its first 10 requests: out of memory") || r.Asked != 10 {
			t.Errorf("%+v, %v", r, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r, err = run(ctx, Settings{}, &slow{answer: "x", fails: func(n int) bool {
			if n == 30 {
				cancel()
			}
			return false
		}})
		if !errors.Is(err, context.Canceled) || r.Pairs != 29 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestSplit: each prompt goes to one arm, and the report says what share of the traffic.
func TestSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &slow{first: 1000, each: 10, answer: "x"}, &slow{first: 2000, each: 10, answer: "x"}
		e := Experiment{Settings: Settings{Level: 0.05, Split: 0.1, Seed: 3}, A: &Arm{Name: "one", target: a}, B: &Arm{Name: "two", target: b}, Prompts: texts(1000, "x")}
		r, err := e.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := int(b.asked.Load()); n < 70 || n > 130 || n+int(a.asked.Load()) != 1000 || r.Arms[1].Requests != n || r.Pairs != 0 || r.Paired {
			t.Errorf("B was asked %d of 1000: %+v", n, r)
		}
		if m := r.Metrics[0]; m.Verdict != Worse || math.Abs(float64(m.Change)-1) > 0.05 || m.Low > 1.01 || m.High < 0.99 {
			t.Errorf("%+v, expected a change of 100%%", m)
		}
		if text := r.Text(); !strings.Contains(text, "10%") || !strings.Contains(text, "requests of 1000 prompts") && !strings.Contains(text, "1000 requests") {
			t.Error(text)
		}
	})
}

// TestBegin: experiments that cannot be.
func TestBegin(t *testing.T) {
	arm := func() *Arm { return &Arm{Name: "x", target: &slow{}} }
	mixed := append(texts(1, "x"), texts(1, "")...)
	for want, e := range map[string]Experiment{
		"found no prompts":                   {A: arm(), B: arm()},
		"found a split of 1":                 {A: arm(), B: arm(), Prompts: texts(1, ""), Settings: Settings{Split: 1}},
		"found references of 1 of 2 prompts": {A: arm(), B: arm(), Prompts: mixed, Settings: Settings{Level: 0.05}},
		"found the level 0":                  {A: arm(), B: arm(), Prompts: texts(1, "")},
	} {
		if _, err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

// TestOutcome: what is made of an answer's times and tokens.
func TestOutcome(t *testing.T) {
	at := time.Now()
	p := &Prompt{Request: load.Request{Prompt: []int32{1}}, Tokens: []int32{7, 8}}
	answer := load.Answer{Reply: load.Reply{Count: 2, Tokens: []int32{7, 9}}, First: at.Add(time.Second), End: at.Add(3 * time.Second)}
	o := newOutcome(p, at, answer, nil)
	if o.ttft != 1 || o.e2e != 3 || o.tpot != 2 || !o.told || o.match != (task.Match{F1: 0.5}) {
		t.Errorf("%+v", o)
	}
	answer.Tokens = nil // a server that does not tell ids
	if o = newOutcome(p, at, answer, nil); o.told || !math.IsNaN(o.quality(1)) {
		t.Errorf("%+v of an answer that is not told", o)
	}
	answer.Count = 1
	if o = newOutcome(p, at, answer, nil); !math.IsNaN(o.tpot) {
		t.Errorf("TPOT of one token is %v", o.tpot)
	}
	if o = newOutcome(p, at, answer, errors.New("x")); !math.IsNaN(o.e2e) {
		t.Errorf("%+v of a failure", o)
	}
}
