package serve

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"slimlab/kernels"
	"slimlab/serve/pages"
)

// metronome is a simulated executor whose steps take a time for each and a time for each token.
type metronome struct {
	shape       Shape
	step, token time.Duration
	now         time.Time
	logits      [][]float32
}

func (m *metronome) Shape() Shape         { return m.shape }
func (m *metronome) Now() time.Time       { return m.now }
func (m *metronome) Wait(until time.Time) { m.now = later(m.now, until) }
func (m *metronome) Token(request, place int) int32 {
	return int32((request*31 + place*7) % m.shape.Vocabulary)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// TestSimulationKeepsTime: requests that come at the same times run through a simulation as they do
// through the engine with a model that takes as long, step by step.
func TestSimulationKeepsTime(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		o := Options{
			PrefixCache: seed%4 != 3, BatchTokens: 40, Chunk: 16, Policy: Policies()[seed%5], Passes: 1 + rng.IntN(20),
			Reserve: 0.3 + 0.7*rng.Float64(), Eviction: pages.Evictions()[rng.IntN(3)],
		}
		var all []Request
		var gaps []time.Duration
		for range 60 {
			all = append(all, timedRequest(rng))
			gaps = append(gaps, time.Duration(rng.ExpFloat64()*float64(120*time.Millisecond)))
		}
		f := newFake(40, 4)
		f.spoil = func(_ []int32, logits []float32) {
			for i := range logits[:generatedFrom] {
				logits[i] = -1000
			}
		}
		c, submit := start(t, f, o)
		results := make([]<-chan outcome, len(all))
		drive(t, gaps, f.Now, func(until time.Time) { f.clock = later(f.clock, until) }, c.idle, c.step, func(i int, came time.Time) {
			results[i] = submit(t.Context(), all[i])
			c.scheduler.waiting.list[len(c.scheduler.waiting.list)-1].result.Submitted = came
		})

		m := &metronome{shape: f.shape, step: stepTime, token: tokenTime, now: f.begun}
		simulated := make([]Result, len(all))
		s, err := NewSimulation(m, o, func(id int, r Result, err error) {
			if simulated[id] = r; err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		step := func() error {
			err := s.Step()
			if invariant := s.core.check(); invariant != nil {
				t.Fatal(invariant)
			}
			return err
		}
		drive(t, gaps, s.Now, s.Wait, s.Idle, step, func(i int, came time.Time) {
			if err := s.Submit(i, came, all[i]); err != nil {
				t.Fatal(err)
			}
		})
		for i := range all {
			got, want := simulated[i], (<-results[i]).result
			type times struct {
				Submitted, Scheduled, First, End time.Time
				Prompt, Cached, Tokens           int
				Finish                           Finish
			}
			of := func(r Result) times {
				return times{r.Submitted, r.Scheduled, r.FirstToken, r.End, r.Prompt, r.Cached, len(r.Tokens), r.Finish}
			}
			if of(got) != of(want) {
				t.Errorf("seed %d, request %d: simulated %+v, expected %+v", seed, i, of(got), of(want))
			}
		}
		if a, b := s.Stats(), c.now(); a.Steps != b.Steps || a.ComputedTokens != b.ComputedTokens || a.CachedTokens != b.CachedTokens || a.Retractions != b.Retractions {
			t.Errorf("seed %d: the simulation has %d steps, %d computed and %d cached tokens and %d retractions, expected %d, %d, %d and %d", seed, a.Steps, a.ComputedTokens, a.CachedTokens, a.Retractions, b.Steps, b.ComputedTokens, b.CachedTokens, b.Retractions)
		}
	}
}

// generatedFrom is the first token that answers have and prompts have not, so that no prompt
// continues an answer.
const generatedFrom = 50

// timedRequest draws a request whose prompt may share its beginning with others.
func timedRequest(rng *rand.Rand) Request {
	r := Request{MaxTokens: 1 + rng.IntN(20)}
	stem := rng.IntN(4)
	for i := range 8 + rng.IntN(24) {
		token := rng.Int32N(generatedFrom)
		if i < 6*stem {
			token = int32(stem*7 + i)
		}
		r.Prompt = append(r.Prompt, token)
	}
	if rng.IntN(3) == 0 {
		r.MaxTokens, r.Labels = 0, []int32{1, 2}
	}
	if rng.IntN(6) == 0 {
		r.NoReuse = true
	}
	return r
}

// drive submits requests when their time has come, between the steps of an engine.
func drive(t *testing.T, gaps []time.Duration, now func() time.Time, wait func(time.Time), idle func() bool, step func() error, submit func(i int, came time.Time)) {
	t.Helper()
	at := now()
	for i := 0; i < len(gaps) || !idle(); {
		for i < len(gaps) && !at.Add(gaps[i]).After(now()) {
			at = at.Add(gaps[i])
			submit(i, at)
			i++
		}
		if idle() {
			if i < len(gaps) {
				wait(at.Add(gaps[i]))
			}
			continue
		}
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSimulationRefuses(t *testing.T) {
	m := &metronome{shape: Shape{Vocabulary: 60, Positions: 100, Pages: 10, PageSize: 4}, now: time.Unix(0, 0)}
	s, err := NewSimulation(m, Options{WaitingRequests: 1}, func(int, Result, error) {})
	if err != nil {
		t.Fatal(err)
	}
	for says, r := range map[string]Request{
		"prompt is empty":            {MaxTokens: 1},
		"the cache has 10":           {Prompt: make([]int32, 50), MaxTokens: 1},
		"does not compute":           {Prompt: ids(0, 4), MaxTokens: 1, TopLogP: 2},
		"states or constrained":      {Prompt: ids(0, 4), MaxTokens: 1, Constraint: &everyThird{}},
		"log-probabilities, states ": {Prompt: ids(0, 4), Labels: []int32{1}, LabelLogP: true},
	} {
		if err := s.Submit(0, m.now, r); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, expected an error with %q", r, err, says)
		}
	}
	if !s.Idle() {
		t.Error("a refused request waits")
	}
	if _, err := NewSimulation(m, Options{Draft: Draft{Executor: m}}, nil); err == nil || !strings.Contains(err.Error(), "draft") {
		t.Errorf("a draft: %v", err)
	}
	ask := Request{Prompt: ids(0, 8), MaxTokens: 3}
	if err := s.Submit(0, m.now, ask); err != nil {
		t.Fatal(err)
	}
	var full *QueueFullError
	if err := s.Submit(1, m.now, ask); !errors.As(err, &full) {
		t.Errorf("beyond the bound of the queue: %v", err)
	}
	if n := s.Load(); n != len(ask.Prompt)+3 {
		t.Errorf("%d tokens are left to compute, expected %d", n, len(ask.Prompt)+3)
	}
	if s.Held("", ask.Prompt) != 0 {
		t.Error("the cache holds a prompt that was not computed")
	}
}

func BenchmarkSimulation(b *testing.B) {
	for _, c := range []struct {
		name        string
		prompt, out int
		gap         time.Duration
	}{{"500-100", 500, 100, 12 * time.Millisecond}, {"4000-1", 4000, 1, 90 * time.Millisecond}} {
		b.Run(c.name, func(b *testing.B) {
			m := &metronome{shape: Shape{Vocabulary: 128000, Positions: 131072, Pages: 3_000_000 / 64, PageSize: 64}, step: 6 * time.Millisecond, token: 20 * time.Microsecond, now: time.Unix(0, 0)}
			o := Defaults()
			o.BatchTokens = 8192
			ended := 0
			s, err := NewSimulation(m, o, func(id int, r Result, err error) { ended++ })
			if err != nil {
				b.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			next := m.now
			b.ReportAllocs()
			for i := 0; ended < b.N; {
				for i < b.N && !next.After(m.now) {
					prompt := make([]int32, c.prompt)
					for j := range prompt {
						prompt[j] = int32(rng.Uint32N(128000))
					}
					if err := s.Submit(i, next, Request{Prompt: prompt, MaxTokens: c.out}); err != nil {
						b.Fatal(err)
					}
					i++
					next = next.Add(time.Duration(rng.ExpFloat64() * float64(c.gap)))
				}
				if s.Idle() {
					s.Wait(next)
					continue
				}
				if err := s.Step(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
			b.ReportMetric(float64(s.Stats().Steps)/float64(b.N), "steps/request")
		})
	}
}

func (m *metronome) Extend(batch []Segment) ([][]float32, error) {
	m.logits = m.logits[:0]
	tokens := 0
	for i := range batch {
		tokens += len(batch[i].Tokens)
		var zeros []float32
		if n := len(batch[i].Labels); n > 0 {
			zeros = make([]float32, n)
		}
		m.logits = append(m.logits, zeros)
	}
	m.now = m.now.Add(m.step + time.Duration(tokens)*m.token)
	return m.logits, nil
}

func (m *metronome) CopyPages([]kernels.PageCopy) {}
