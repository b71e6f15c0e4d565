package remote

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"slimlab/kd"
	"slimlab/kd/kdtest"
	"slimlab/kernels"
)

// TestWholeVocabularyTrainsWithTheSameBits: as the model in memory, with every kind of divergence,
// at a temperature; on the student's own answers to rounding.
func TestWholeVocabularyTrainsWithTheSameBits(t *testing.T) {
	of := kdtest.Model(t, kdtest.Vocab, 24, 2)
	c, _ := configOf(t, &kdtest.Endpoint{Model: of, Given: true})
	c.Whole = true
	remote := dial(t, c)
	if remote.Form() != GivenTokens || !strings.Contains(remote.String(), "asked for all 61") {
		t.Fatal(remote)
	}
	for _, o := range []kd.Objective{
		{Divergence: kd.ForwardKL, CE: 0.1, Sequence: 0.05}, {Divergence: kd.ReverseKL}, {Divergence: kd.JSD, Parameter: 0.5, Temperature: 2, TimesT2: true},
		{Divergence: kd.TotalVariation}, {Divergence: kd.ForwardKL, Sequence: 0.3, SequenceLoss: kd.SequenceMixture}, {Divergence: kd.SampledReverseKL},
	} {
		examples := kdtest.Examples(30, kdtest.Vocab, 3)
		if o.Sampled() {
			for i := range examples {
				examples[i].Origin = kd.OfStudent
			}
		}
		want, _, err := trained(kd.NewModelTeacher(of, kernels.Float32), kdtest.Model(t, kdtest.Vocab, 16, 1), o, examples)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := trained(remote, kdtest.Model(t, kdtest.Vocab, 16, 1), o, examples)
		if err != nil {
			t.Fatal(err)
		}
		if !o.Sampled() && !sameBits(got, want) {
			t.Errorf("%s: other bits than with the model", o.Formula())
		}
		var most float64
		for i := range got {
			most = max(most, math.Abs(float64(got[i]-want[i])))
		}
		if most > 1e-5 {
			t.Errorf("%s: weights differ by %v", o.Formula(), most)
		}
	}
}

// TestWholeRowsTrainWithTheSameBits: also where an answer has room for few of them, so that an
// example is asked about in parts; an endpoint that answers for given tokens alone, or a teacher
// that asks for some, is asked so.
func TestWholeRowsTrainWithTheSameBits(t *testing.T) {
	of, examples := kdtest.Model(t, kdtest.Vocab, 24, 2), kdtest.Examples(12, kdtest.Vocab, 3)
	o := kd.Objective{Divergence: kd.JSD, Parameter: 0.5, Temperature: 2, TimesT2: true}
	want, _, err := trained(kd.NewModelTeacher(of, kernels.Float32), kdtest.Model(t, kdtest.Vocab, 16, 1), o, examples)
	if err != nil {
		t.Fatal(err)
	}
	var calls []int
	for _, bytes := range []int64{0, 2000} {
		server := &kdtest.Endpoint{Model: of, Given: true, Rows: true}
		c, _ := configOf(t, server)
		c.MaxAnswer = bytes
		var checked atomic.Int64
		c.Check = func(int64, string) error { checked.Add(1); return nil }
		teacher := dial(t, c)
		if teacher.Form() != WholeRows || !strings.Contains(teacher.String(), "the logits of all 61 tokens") || checked.Load() != kdtest.Vocab+2 {
			t.Fatalf("%v, %d tokens checked", teacher, checked.Load())
		}
		got, _, err := trained(teacher, kdtest.Model(t, kdtest.Vocab, 16, 1), o, examples)
		if err != nil {
			t.Fatal(err)
		}
		if !sameBits(got, want) {
			t.Errorf("answers of %d bytes: other bits than with the model", bytes)
		}
		n, _ := server.Calls()
		calls = append(calls, n)
	}
	if calls[1] < 2*calls[0]-2 {
		t.Errorf("%d calls where answers are large, %d where they are small: expected more", calls[0], calls[1])
	}
	for _, change := range []func(*Config, *kdtest.Endpoint){
		func(_ *Config, e *kdtest.Endpoint) { e.Rows = false },
		func(c *Config, _ *kdtest.Endpoint) { c.TopK = 3 },
		func(c *Config, _ *kdtest.Endpoint) {
			c.Tokens = MostLikely(kdtest.Model(t, kdtest.Vocab, 16, 1), 3, false)
		},
	} {
		server := &kdtest.Endpoint{Model: of, Given: true, Rows: true}
		c, _ := configOf(t, server)
		change(&c, server)
		if teacher := dial(t, c); teacher.Form() != GivenTokens {
			t.Errorf("%v", teacher)
		}
	}
}

// TestRowsAreChecked: what no row can be is an error that names the place.
func TestRowsAreChecked(t *testing.T) {
	row := func(place int, logSum string, logits ...float32) string {
		var data []byte
		for _, z := range logits {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(z))
		}
		return fmt.Sprintf(`{"place":%d,"log_sum":%s,"logits":"%s"}`, place, logSum, base64.StdEncoding.EncodeToString(data))
	}
	for _, c := range []struct{ rows, want string }{
		{row(1, "1.5", 1, 0.5), ""},
		{row(1, "1.5", 1, 0.5, 9), ""}, // a token that the student does not have
		{row(2, "1.5", 1, 0.5), "a row of token 2 of the prompt, expected one each of 1 to 1"},
		{row(0, "1.5", 1, 0.5), "a row of token 0"},
		{row(1, "1.5", 1, 0.5) + "," + row(1, "1.5", 1, 0.5), "a row of token 1"},
		{row(1, "1.5", 1), "4 bytes, expected 4 of each of the student's 2 tokens"},
		{row(1, "1.5", 2, 0), "token id 0: logit 2, expected a number of at most the row's log_sum 1.5"},
		{row(1, "1.5", float32(math.NaN()), 0), "token id 0: logit NaN"},
		{row(1, "1.5", 1, float32(math.Inf(-1))), "token id 1: logit -Inf"},
		{`{"place":"one"}`, "prompt_logits: "},
		{`{"place":1,"logits":"?"}`, "prompt_logits: "},
		{`7`, "prompt_logits: "},
	} {
		lists, err := parseAnswer(strings.NewReader(`{"choices":[{"prompt_logits":[`+c.rows+`]}]}`), 2, 2, nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.rows, err, c.want)
		}
		if err == nil && (len(lists) != 2 || lists[1].at(1) != -1 || len(lists[1].logits) != 2) {
			t.Errorf("%s: %+v", c.rows, lists)
		}
	}
}

// TestListsBoundTheLoss: with the student's tokens, and with the teacher's own, the divergence is
// at most that of whole rows, and near it with many tokens.
func TestListsBoundTheLoss(t *testing.T) {
	of, examples := kdtest.Model(t, kdtest.Vocab, 24, 2), kdtest.Examples(12, kdtest.Vocab, 3)
	whole := kd.NewModelTeacher(of, kernels.Float32)
	for _, o := range []kd.Objective{{Divergence: kd.ForwardKL}, {Divergence: kd.ReverseKL}, {Divergence: kd.JSD, Parameter: 0.5}} {
		_, want, err := trained(whole, kdtest.Model(t, kdtest.Vocab, 16, 1), o, examples)
		if err != nil {
			t.Fatal(err)
		}
		for _, given := range []bool{true, false} {
			last := 0.0
			for _, k := range []int{1, 8, 40, kdtest.Vocab} {
				student := kdtest.Model(t, kdtest.Vocab, 16, 1)
				c, _ := configOf(t, &kdtest.Endpoint{Model: of, Given: given})
				if given {
					c.Tokens = MostLikely(student, k, false)
				} else if c.TopK = k; o.Divergence != kd.ForwardKL {
					continue
				}
				_, got, err := trained(dial(t, c), student, o, examples)
				if err != nil {
					t.Fatal(err)
				}
				if got[0] > want[0]+1e-6 || got[0] < last-1e-6 {
					t.Errorf("%s, given tokens %v, %d of them: divergence %v, of whole rows %v, of fewer tokens %v", o, given, k, got[0], want[0], last)
				}
				last = got[0]
			}
			if last != 0 && math.Abs(last-want[0]) > 1e-5*want[0] {
				t.Errorf("%s, given tokens %v: divergence %v with all tokens, of whole rows %v", o, given, last, want[0])
			}
		}
	}
}

// TestLossesThatAFormCannotServe are refused before the first step, with the reason.
func TestLossesThatAFormCannotServe(t *testing.T) {
	of, examples := kdtest.Model(t, kdtest.Vocab, 24, 2), kdtest.Examples(12, kdtest.Vocab, 3)
	for name, c := range map[string]struct {
		given, lists bool
		o            kd.Objective
		want         string // "" is served
	}{
		"own tokens, fkl":                 {false, false, kd.Objective{Divergence: kd.ForwardKL}, ""},
		"own tokens, skl":                 {false, false, kd.Objective{Divergence: kd.SkewForwardKL, Parameter: 0.1}, ""},
		"own tokens, rkl":                 {false, false, kd.Objective{Divergence: kd.ReverseKL}, "loss rkl needs the teacher's probabilities of the student's likely tokens"},
		"own tokens, jsd":                 {false, false, kd.Objective{Divergence: kd.JSD, Parameter: 0.5}, "prompt_logprob_token_ids"},
		"own tokens, another temperature": {false, false, kd.Objective{Divergence: kd.ForwardKL, Temperature: 2}, "another temperature"},
		"the student's tokens, rkl":       {true, true, kd.Objective{Divergence: kd.ReverseKL}, ""},
		"the student's tokens, T":         {true, true, kd.Objective{Divergence: kd.ReverseKL, Temperature: 2}, "another temperature"},
		"all tokens, T":                   {true, false, kd.Objective{Divergence: kd.ReverseKL, Temperature: 2}, ""},
		"whole sequences":                 {true, false, kd.Objective{Divergence: kd.ForwardKL, Sequence: 0.5, SequenceLoss: kd.SequenceMixture}, "whole sequences"},
	} {
		student := kdtest.Model(t, kdtest.Vocab, 16, 1)
		config, _ := configOf(t, &kdtest.Endpoint{Model: of, Given: c.given})
		if c.lists {
			config.Tokens = MostLikely(student, 8, false)
		}
		teacher := dial(t, config)
		if _, _, err := trained(teacher, student, c.o, examples); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
		if (teacher.Form() == OwnTokens) == c.given {
			t.Errorf("%s: %v", name, teacher)
		}
	}
}

// TestStepIsAskedAtOnce: never more requests at a time than the bound, one of each example.
func TestStepIsAskedAtOnce(t *testing.T) {
	server := &kdtest.Endpoint{Model: kdtest.Model(t, kdtest.Vocab, 24, 2), Given: true}
	c, _ := configOf(t, server)
	c.Concurrent = 3
	teacher := dial(t, c)
	if err := teacher.Prepare(context.Background(), kdtest.Examples(20, kdtest.Vocab, 3)); err != nil {
		t.Fatal(err)
	}
	if calls, most := server.Calls(); calls != 21 || most > 3 {
		t.Errorf("%d calls, %d at a time, expected 21 and at most 3", calls, most)
	}
	if err := teacher.Prepare(context.Background(), nil); err != nil {
		t.Error(err)
	}
	if err := teacher.Read(context.Background(), kd.Reading{Examples: kdtest.Examples(1, kdtest.Vocab, 9)}); err == nil {
		t.Error("an example that was not asked about is read")
	}
}

// TestProbabilitiesOfNoDistribution: an endpoint whose probabilities sum to more than 1, or over
// the whole vocabulary to next to nothing, is refused, whichever form it has.
func TestProbabilitiesOfNoDistribution(t *testing.T) {
	of, examples := kdtest.Model(t, kdtest.Vocab, 24, 2), kdtest.Examples(12, kdtest.Vocab, 3)
	for _, c := range []struct {
		given bool
		shift float64
		want  string // "" is no error
	}{
		{true, 0.01, ""}, {true, -0.5, ""}, {true, 0.7, "sum to 2.014, expected at most 1"}, {true, -5, "sum to 0.006738"},
		{false, -5, ""}, {false, 0.9, "expected at most 1"},
	} {
		config, _ := configOf(t, &kdtest.Endpoint{Model: of, Given: c.given, Shift: c.shift})
		_, _, err := trained(dial(t, config), kdtest.Model(t, kdtest.Vocab, 16, 1), kd.Objective{Divergence: kd.ForwardKL}, examples)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("given %t, shift %v: error %v, expected %q", c.given, c.shift, err, c.want)
		}
	}
}
