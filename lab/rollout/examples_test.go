package rollout

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

// given are examples of unlike prompts, many of which begin alike, with answers of three tokens.
func given(n int) []kd.Example {
	rng := rand.New(rand.NewPCG(3, 3))
	stem := make([]int32, 17)
	for i := range stem {
		stem[i] = int32(rng.IntN(vocab))
	}
	examples := make([]kd.Example, n)
	for i := range examples {
		tokens := slices.Clone(stem[:i%2*17])
		for range 1 + rng.IntN(5) {
			tokens = append(tokens, int32(rng.IntN(vocab)))
		}
		answer := make([]bool, len(tokens)+3)
		for range 3 {
			tokens = append(tokens, int32(rng.IntN(vocab)))
			answer[len(tokens)-1] = true
		}
		examples[i] = kd.Example{Tokens: tokens, Answer: answer}
	}
	return examples
}

// always gives the same examples at each step.
func always(examples []kd.Example) kd.Batches {
	return func(context.Context, int) ([]kd.Example, error) { return examples, nil }
}

// TestSamplesStandAlone: a sample depends on seed, step, index and weights, not on the examples
// beside it, on the steps before or on the threads.
func TestSamplesStandAlone(t *testing.T) {
	student := tiny(t, 8, 1)
	examples := given(40)
	want := slices.Clone(next(t, sampler(t, always(examples), student, nil, sampledAt), 3))
	for _, size := range []int{1, 2, 17} {
		if got := next(t, sampler(t, always(examples[:size]), student, nil, sampledAt), 3); !reflect.DeepEqual(got, want[:size]) {
			t.Errorf("the first %d examples alone have other samples", size)
		}
	}
	defer parallel.SetThreads(3)()
	s := sampler(t, always(examples), student, nil, sampledAt)
	before := slices.Clone(next(t, s, 2))
	if got := next(t, s, 3); !reflect.DeepEqual(got, want) || reflect.DeepEqual(got, before) {
		t.Error("after another step there are other samples, or those of that step")
	}
}

// TestCachedPromptsOfOldWeights: after a step of training the samples are those of the weights that
// it made, although pages of the prompts were cached before it; with the teacher's replacements
// too.
func TestCachedPromptsOfOldWeights(t *testing.T) {
	examples := given(24) // whose common beginning fills a page
	for name, speculative := range map[string]*Speculative{"student": nil, "speculative": {TopK: 3}} {
		student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
		o := sampledAt
		o.Speculative = speculative
		s := sampler(t, always(examples), student, teacher, o)
		before := student.Clone()
		trainer, err := kd.NewTrainer(kd.TrainConfig{
			Student: student, Teacher: kd.NewModelTeacher(teacher, kernels.Float32), Objective: kd.Objective{Divergence: kd.ReverseKL},
			Next: s.Next, Steps: 2, LearningRate: 0.05, Schedule: kd.Constant,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trainer.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := next(t, s, 2)
		if want := next(t, sampler(t, always(examples), student.Clone(), teacher, o), 2); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the samples are not those of the student's weights", name)
		}
		if reflect.DeepEqual(got, next(t, sampler(t, always(examples), before, teacher, o), 2)) {
			t.Errorf("%s: the samples are those of the weights before the step", name)
		}
	}
}

// TestWeightsOfSamples: the prompt keeps its tokens' weights, the sampled answer has the weight of
// the given one where that is not masked, and the example its task.
func TestWeightsOfSamples(t *testing.T) {
	e := kd.Example{
		Tokens: []int32{1, 2, 3, 4, 6, 7}, Answer: []bool{false, false, true, true, false, true},
		Weights: []float32{0.5, 9, 0, 3, 9, 2}, Task: 3,
	}
	got := next(t, sampler(t, always([]kd.Example{e}), tiny(t, 8, 1), nil, sampledAt), 1)[0]
	want := []float32{0.5, 9}
	for range len(got.Tokens) - 2 {
		want = append(want, 3)
	}
	if !slices.Equal(got.Weights, want) || got.Task != e.Task {
		t.Errorf("weights %v, want %v; of task %d, want %d", got.Weights, want, got.Task, e.Task)
	}
}

// TestAnswersOfWeightZeroAreRead: an earlier answer all of weight 0 is a part of the prompt, and
// the student writes the answer after it.
func TestAnswersOfWeightZeroAreRead(t *testing.T) {
	e := kd.Example{
		Tokens: []int32{1, 2, 3, 4, 6, 7}, Answer: []bool{false, true, true, false, true, true},
		Weights: []float32{1, 0, 0, 1, 2, 2},
	}
	got := next(t, sampler(t, always([]kd.Example{e}), tiny(t, 8, 1), nil, sampledAt), 1)[0]
	if !slices.Equal(got.Tokens[:4], e.Tokens[:4]) || !slices.Equal(got.Weights[:5], e.Weights[:5]) || slices.Index(got.Answer, true) != 4 {
		t.Errorf("tokens %v, answers %v, weights %v, expected a sample after the first 4 tokens", got.Tokens, got.Answer, got.Weights)
	}
}

// TestReadableByBoth: padding of a head, or what the other model does not know, is never drawn, and
// an answer has no more tokens than both models can read.
func TestReadableByBoth(t *testing.T) {
	config := func(vocab, positions int) model.Config {
		c := tiny(t, 8, 1).Config
		c.Vocab, c.MaxPositions = vocab, positions
		return c
	}
	fresh := func(c model.Config) *model.Model {
		m, err := model.New(c)
		if err != nil {
			t.Fatal(err)
		}
		m.Init(rand.New(rand.NewPCG(4, 4)))
		return m
	}
	for _, c := range [][2]*model.Model{
		{fresh(config(40, 64)), fresh(config(vocab, 26))}, {fresh(config(vocab, 26)), fresh(config(40, 64))},
	} {
		o := sampledAt
		o.Teacher, o.Temperature, o.End = 0.5, 9, nil
		s := sampler(t, always(given(40)), c[0], c[1], o)
		by := map[kd.Origin]bool{}
		for _, e := range next(t, s, 1) {
			by[e.Origin] = true
			if most := slices.Max(e.Tokens); most >= vocab || len(e.Tokens) > 26 {
				t.Errorf("token %d and %d tokens, both models have %d and 26", most, len(e.Tokens), vocab)
			}
		}
		if w := s.StepStats(); len(by) != 2 || w.CutByPositions == 0 || w.CutByPositions == w.Samples || w.Longest != 8 {
			t.Errorf("%+v", w)
		}
	}
}

// TestStatsOfSteps: the counts of a step, of the last 64 samples and of all are those of what the
// examples hold.
func TestStatsOfSteps(t *testing.T) {
	o := sampledAt
	o.MaxTokens, o.Temperature = 3, 0.5
	examples := given(20)
	examples = append(examples, examples[:10]...) // so that there are duplicates
	s := sampler(t, always(examples), tiny(t, 8, 1), nil, o)
	type sample struct {
		e         kd.Example
		duplicate bool
	}
	var all []sample
	seen := map[string]bool{}
	for step := 1; step <= 4; step++ {
		for i, e := range next(t, s, step) {
			key := ""
			for _, token := range e.Tokens {
				key += string(rune('a' + token))
			}
			all = append(all, sample{e, seen[key]})
			seen[key] = true
			if k := s.Last(); i >= 14 && (k[i-14].Step != step || !slices.Equal(slices.Concat(k[i-14].Prompt, k[i-14].Answer), e.Tokens)) {
				t.Errorf("step %d: sample %d is kept as %+v", step, i, k[i-14])
			}
		}
		for of, c := range map[string]struct {
			got     Stats
			samples []sample
		}{"step": {s.StepStats(), all[len(all)-30:]}, "late": {s.Late(), all[max(0, len(all)-64):]}, "all": {s.Stats(), all}} {
			want := Stats{Samples: len(c.samples), Shortest: math.MaxInt, Seconds: c.got.Seconds}
			for _, one := range c.samples {
				n := len(one.e.Tokens) - slices.Index(one.e.Answer, true)
				want.Tokens += n
				want.Shortest, want.Longest = min(want.Shortest, n), max(want.Longest, n)
				if slices.Contains(o.End, one.e.Tokens[len(one.e.Tokens)-1]) {
					want.Ended++
				}
				if one.duplicate {
					want.Duplicates++
				}
			}
			if c.got != want {
				t.Errorf("step %d, %s: %+v, want %+v", step, of, c.got, want)
			}
		}
	}
	if w := s.Stats(); w.Duplicates == 0 || w.Ended == 0 || w.Seconds <= 0 {
		t.Errorf("%+v; the test shows little", w)
	}
}

// TestObjectivesThatNeedOwnSamples: of samples that say something else than a loss takes them for,
// the refusal says why.
func TestObjectivesThatNeedOwnSamples(t *testing.T) {
	weighted, sampled := kd.Objective{Divergence: kd.WeightedReverseKL, Parameter: 2}, kd.Objective{Divergence: kd.SampledReverseKL}
	for _, c := range []struct {
		o      kd.Objective
		change func(*Options)
		want   string
	}{
		{weighted, func(o *Options) {}, ""},
		{sampled, func(o *Options) { o.Temperature = 1 }, ""},
		{kd.Objective{Divergence: kd.ForwardKL}, func(o *Options) { o.TopK, o.Fraction = 5, 0.5 }, ""},
		{weighted, func(o *Options) { o.TopK = 5 }, "a token that is cut off is never drawn"},
		{weighted, func(o *Options) { o.TopP = 0.9 }, "top-p 0.9, expected neither"},
		{weighted, func(o *Options) { o.Temperature = 0 }, "at temperature 0"},
		{weighted, func(o *Options) { o.Fraction = 0.5 }, "than the student's own"},
		{weighted, func(o *Options) { o.Teacher = 0.5 }, "than the student's own"},
		{weighted, func(o *Options) { o.Fraction, o.Replay = 0, &Replay{Steps: 4} }, "than the student's own"},
		{sampled, func(o *Options) { o.Temperature = 1; o.Speculative = &Speculative{TopK: 4} }, "than the student's own"},
		{sampled, func(o *Options) {}, "expected temperature 1 alone"},
	} {
		o := sampledAt
		c.change(&o)
		if err := o.CheckFor(c.o); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s with %+v: error %v, expected %q", c.o, o, err, c.want)
		}
	}
}
