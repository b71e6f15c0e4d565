package teachercache

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
)

// trained returns a student's weights after some steps.
func trained(t *testing.T, teacher kd.Teacher, examples []kd.Example, o kd.Objective) ([]float32, error) {
	t.Helper()
	student := kdtest.Model(t, kdtest.Vocab, 16, 1)
	_, err := kd.Train(context.Background(), kd.TrainConfig{
		Student: student, Teacher: teacher, Objective: o, Next: kd.Shuffle(examples, 12, 1), Steps: 4, LearningRate: 1e-3,
	}, nil)
	return student.Flat(), err
}

func sameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// TestExactTrainsWithTheSameBits: as the teacher itself, with every divergence, at a temperature
// and over whole sequences.
func TestExactTrainsWithTheSameBits(t *testing.T) {
	j := tinyJob(t, Spec{Whole: true})
	answers := j
	answers.Name += "2"
	answers.Spec.Whole = false
	caches := map[bool]*Cache{true: built(t, j), false: built(t, answers)}
	for _, o := range []kd.Objective{
		{Divergence: kd.ForwardKL, CE: 0.1, Sequence: 0.05}, {Divergence: kd.ReverseKL}, {Divergence: kd.JSD, Parameter: 0.5, Temperature: 2, TimesT2: true},
		{Divergence: kd.SkewPair, Parameter: 0.1}, {Divergence: kd.TotalVariation}, {Divergence: kd.ForwardKL, Sequence: 0.3, SequenceLoss: kd.SequenceMixture},
	} {
		want, err := trained(t, j.Teacher, j.Examples, o)
		if err != nil {
			t.Fatal(err)
		}
		for whole, c := range caches {
			got, err := trained(t, c.Teacher(), j.Examples, o)
			if o.SequenceLoss == kd.SequenceMixture && !whole {
				if err == nil || !strings.Contains(err.Error(), "every token") {
					t.Errorf("%s over whole sequences, cache of answers: %v", o, err)
				}
				continue
			}
			if err != nil || !sameBits(got, want) {
				t.Errorf("%s, every token %v: other bits than with the teacher; %v", o, whole, err)
			}
		}
	}
}

// TestAllTokensListedIsExact: top-k of the whole vocabulary, to the step of its log-probabilities.
func TestAllTokensListedIsExact(t *testing.T) {
	j := tinyJob(t, Spec{Codec: TopK, K: kdtest.Vocab + 5})
	c := built(t, j)
	for _, o := range []kd.Objective{{Divergence: kd.ForwardKL}, {Divergence: kd.ReverseKL}, {Divergence: kd.JSD, Parameter: 0.3}} {
		var last [2]float64
		for i, teacher := range []kd.Teacher{j.Teacher, c.Teacher()} {
			_, err := kd.Train(context.Background(), kd.TrainConfig{
				Student: kdtest.Model(t, kdtest.Vocab, 16, 1), Teacher: teacher, Objective: o, Next: kd.Shuffle(j.Examples, 12, 1), Steps: 1, LearningRate: 1e-9,
			}, func(s kd.StepReport) { last[i] = s.Divergence })
			if err != nil {
				t.Fatal(err)
			}
		}
		if math.Abs(last[0]-last[1]) > 3*logStep {
			t.Errorf("%s: %v with the teacher, %v with every token listed", o, last[0], last[1])
		}
	}
}

// TestCacheServesItsLosses: others are refused before the first step, with the reason.
func TestCacheServesItsLosses(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		o    kd.Objective
		want string // "" is served
	}{
		"sampled, fkl":                 {Spec{Codec: Sampled, Draws: 8}, kd.Objective{Divergence: kd.ForwardKL}, ""},
		"sampled, rkl":                 {Spec{Codec: Sampled, Draws: 8}, kd.Objective{Divergence: kd.ReverseKL}, "unbiased in fkl alone"},
		"top-k, rkl":                   {Spec{Codec: TopK, K: 8}, kd.Objective{Divergence: kd.ReverseKL}, ""},
		"top-k, another temperature":   {Spec{Codec: TopK, K: 8}, kd.Objective{Divergence: kd.ForwardKL, Temperature: 2}, "another temperature"},
		"top-k at the temperature":     {Spec{Codec: TopK, K: 8, Temperature: 2}, kd.Objective{Divergence: kd.ForwardKL, Temperature: 2}, ""},
		"exact at another temperature": {Spec{}, kd.Objective{Divergence: kd.ForwardKL, Temperature: 2}, ""},
		"the student's own answers":    {Spec{}, kd.Objective{Divergence: kd.SampledReverseKL}, "draws as it learns"},
	} {
		j := tinyJob(t, c.spec)
		_, err := trained(t, built(t, j).Teacher(), j.Examples, c.o)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}

// TestMissingExampleIsNamed: also one whose answer marks differ; one that is cut after its last
// answer is the same.
func TestMissingExampleIsNamed(t *testing.T) {
	j := tinyJob(t, Spec{})
	c := built(t, j)
	e := j.Examples[4]
	last := lastTarget(&e, false)
	cut := kd.Example{Tokens: append(append([]int32{}, e.Tokens[:last+1]...), 7, 7), Answer: append(append([]bool{}, e.Answer[:last+1]...), false, false)}
	if err := c.Teacher().Prepare(context.Background(), []kd.Example{e, cut}); err != nil {
		t.Errorf("other tokens after the last answer: %v", err)
	}
	other := kd.Example{Tokens: e.Tokens, Answer: append([]bool{}, e.Answer...)}
	other.Answer[last] = false
	other.Answer[1] = !other.Answer[1]
	err := c.Teacher().Prepare(context.Background(), []kd.Example{e, other})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "example 1") || !strings.Contains(err.Error(), keyOf(&other, Spec{}).String()) {
		t.Errorf("another answer: %v", err)
	}
	_, err = trained(t, c.Teacher(), kdtest.Examples(12, kdtest.Vocab, 99), kd.Objective{Divergence: kd.ForwardKL})
	if !errors.Is(err, ErrMissing) {
		t.Errorf("training with other examples: %v", err)
	}
}

// TestVocabularyOfTheStudent: exact rows serve a smaller one as the teacher does.
func TestVocabularyOfTheStudent(t *testing.T) {
	for name, spec := range specs() {
		j := tinyJob(t, spec)
		teacher := built(t, j).Teacher()
		if err := teacher.Read(context.Background(), kd.Reading{Examples: j.Examples[:1]}); err != nil {
			t.Fatal(err)
		}
		last := lastTarget(&j.Examples[0], spec.Whole)
		_, err := teacher.Rows([]kd.Target{{Token: last}}, kdtest.Vocab-1)
		if (err == nil) != (spec.Codec == Exact) {
			t.Errorf("%s: %v", name, err)
		}
		if rows, err := teacher.Rows([]kd.Target{{Token: last}}, kdtest.Vocab); err != nil || (rows.Logits != nil) != (spec.Codec == Exact) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
