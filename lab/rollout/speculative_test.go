package rollout

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/serve/sample"
)

func speculative(k, draft int, greedy bool) Options {
	o := sampledAt
	o.Speculative = &Speculative{TopK: k, Draft: draft, Greedy: greedy}
	return o
}

// TestSpeculativeOfAllTokens: where every token stands the samples are the student's own, bit for
// bit.
func TestSpeculativeOfAllTokens(t *testing.T) {
	student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
	for _, settings := range []sample.Settings{{}, {Temperature: 0.8}, {Temperature: 2, TopK: 6}, {Temperature: 1.5, TopP: 0.8}} {
		own, o := sampledAt, speculative(vocab, 3, false)
		own.Temperature, own.TopK, own.TopP = settings.Temperature, settings.TopK, settings.TopP
		o.Temperature, o.TopK, o.TopP = settings.Temperature, settings.TopK, settings.TopP
		want := slices.Clone(next(t, sampler(t, always(given(30)), student, nil, own), 3))
		for i := range want {
			// they are of no use where a teacher has a part in the answers
			want[i].SampledLogP = nil
		}
		s := sampler(t, always(given(30)), student, teacher, o)
		if got := next(t, s, 3); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: the samples are not the student's own", settings)
		}
		if w := s.StepStats(); w.Judged != w.Tokens || w.Accepted != w.Tokens {
			t.Errorf("of %d tokens %d were proposed and %d stand", w.Tokens, w.Judged, w.Accepted)
		}
	}
}

// TestSpeculativeOfOneToken: where only the teacher's likeliest token stands, and it replaces all
// others, the samples are those of the teacher without chance.
func TestSpeculativeOfOneToken(t *testing.T) {
	student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
	likeliest := sampledAt
	likeliest.Teacher, likeliest.Temperature = 1, 0
	want := next(t, sampler(t, always(given(30)), student, teacher, likeliest), 1)
	s := sampler(t, always(given(30)), student, teacher, speculative(1, 4, true))
	got := next(t, s, 1)
	for i := range got {
		if !slices.Equal(got[i].Tokens, want[i].Tokens) || got[i].Origin != kd.OfStudent {
			t.Errorf("example %d is %v by %d, the teacher's likeliest tokens are %v", i, got[i].Tokens, got[i].Origin, want[i].Tokens)
		}
	}
	if w := s.Stats(); w.Accepted == 0 || w.Accepted >= w.Tokens {
		t.Errorf("%d of %d tokens stand; the test shows little", w.Accepted, w.Tokens)
	}
}

// TestSpeculativeOfAnyDraft: how many tokens are proposed at once, the batch and the memory change
// no sample; each of its tokens is among the teacher's likeliest or in the place of one that is
// not.
func TestSpeculativeOfAnyDraft(t *testing.T) {
	student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
	examples := given(30)
	var want []kd.Example
	var stats Stats
	for _, draft := range []int{1, 2, 3, 7, 50, 0} {
		o := speculative(3, draft, false)
		s := sampler(t, always(examples), student, teacher, o)
		if draft == 7 { // room for one or two at once
			s.given = always(examples[1:2])
			next(t, s, 4)
			s.given = always(examples)
		}
		got := slices.Clone(next(t, s, 5))
		w := s.StepStats()
		w.Duplicates, w.Seconds = 0, 0 // one sampler has a step before
		if want == nil {
			want, stats = got, w
		}
		if !reflect.DeepEqual(got, want) || w != stats {
			t.Errorf("drafts of %d: other samples than with drafts of 1, or other stats: %+v, %+v", draft, w, stats)
		}
		if first := next(t, sampler(t, always(examples[:3]), student, teacher, o), 5); !reflect.DeepEqual(first, want[:3]) {
			t.Errorf("drafts of %d: the first three examples alone have other samples", draft)
		}
	}
	if stats.Accepted == 0 || stats.Accepted == stats.Judged || stats.Ended == 0 || stats.Ended == stats.Samples {
		t.Errorf("stats %+v; the test shows little", stats)
	}
}

// TestSpeculativeReplacements: the teacher's tokens in the place of others are drawn from its
// distribution: at a state of a chain whose tokens never stand, as often as it says.
func TestSpeculativeReplacements(t *testing.T) {
	q, p := chain{{1e-6, 1e-6, 1 - 2e-6}, {1e-6, 1e-6, 1 - 2e-6}}, chain{{0.6, 0.3, 0.1}, {0.25, 0.55, 0.2}}
	prompt := make([]kd.Example, 1000)
	for i := range prompt {
		prompt[i] = kd.Example{Tokens: []int32{1}, Answer: []bool{false}}
	}
	o := Options{Fraction: 1, Temperature: 1, MaxTokens: 1, End: []int32{2}, Speculative: &Speculative{TopK: 2}}
	s := sampler(t, always(prompt), markov(t, q), markov(t, p), o)
	var drawn [3]moments
	for step := 1; step <= 4; step++ {
		for _, e := range next(t, s, step) {
			for token := range drawn {
				x := 0.0
				if e.Tokens[1] == int32(token) {
					x = 1
				}
				drawn[token].add(x)
			}
		}
	}
	for token, m := range drawn {
		m.within(t, "share of a token", p[1][token])
	}
}

// TestSpeculativeErrors: a context that ends ends the step, and logits that are no numbers name the
// example and the model.
func TestSpeculativeErrors(t *testing.T) {
	student, teacher := tiny(t, 8, 1), tiny(t, 12, 2)
	s := sampler(t, always(given(30)), student, teacher, speculative(3, 4, false))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	next(t, s, 1)
	beyond := []kd.Example{{Tokens: []int32{3, vocab, 2}, Answer: []bool{false, false, true}}}
	for name, o := range map[string]Options{"speculative": speculative(3, 4, false), "student": sampledAt} {
		if _, err := sampler(t, always(beyond), student, teacher, o).Next(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "token 11 at position 1") {
			t.Errorf("%s: error %v of a prompt with a token that is none", name, err)
		}
	}
	teacher.FinalNorm[3] = float32(math.NaN())
	if _, err := s.Next(context.Background(), 2); err == nil || !strings.Contains(err.Error(), "the teacher's logit of token 0 at position") {
		t.Errorf("error %v, want one that names the teacher", err)
	}
	if _, err := New(always(nil), student, nil, speculative(3, 4, false)); err == nil || !strings.Contains(err.Error(), "there is no teacher") {
		t.Errorf("error %v without a teacher", err)
	}
	for want, change := range map[string]func(*Options){
		"among the teacher's 0 likeliest":       func(o *Options) { o.Speculative.TopK = 0 },
		"-1 tokens proposed at once":            func(o *Options) { o.Speculative.Draft = -1 },
		"teacher's share of 1 with speculation": func(o *Options) { o.Teacher = 1 },
	} {
		o := speculative(3, 4, false)
		change(&o)
		if _, err := New(always(nil), student, teacher, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
