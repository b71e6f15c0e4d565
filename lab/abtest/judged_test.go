package abtest

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// answers draws the qualities of two arms that are right with the probabilities, of which so many
// problems are right or wrong for both.
func answers(draw *rand.Rand, n int, a, b, together float64) (x, y []float64) {
	for range n {
		u, v := draw.Float64(), draw.Float64()
		if draw.Float64() < together {
			v = u
		}
		x, y = append(x, share(u < a)), append(y, share(v < b))
	}
	return x, y
}

// TestJudgeKeepsItsLevel: the true ratio is outside of the interval, and equal arms are told apart,
// in at most the share of experiments that the level says, though each looks after every prompt.
func TestJudgeKeepsItsLevel(t *testing.T) {
	for name, c := range map[string]struct {
		a, b, together, split float64
		n, times              int
	}{
		"equal":           {0.4, 0.4, 0.6, 0, 300, 120},
		"better":          {0.3, 0.5, 0.6, 0, 300, 120},
		"rare":            {0.05, 0.1, 0, 0, 300, 120},
		"split and equal": {0.4, 0.4, 0, 0.2, 800, 120},
		"split":           {0.3, 0.5, 0, 0.2, 800, 120},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			draw, missed, alarms := rand.New(rand.NewPCG(7, 1)), 0, 0
			for i := range c.times {
				a, b := answers(draw, c.n, c.a, c.b, c.together)
				j, err := Judge(Settings{Level: 0.1, Split: c.split, Seed: uint64(i)}, a, b)
				if err != nil {
					t.Fatal(err)
				}
				if truth := c.b/c.a - 1; j.Change.Low > truth || j.Change.High < truth {
					missed++
				}
				if j.Verdict == Worse || j.Verdict == Better && c.a == c.b {
					alarms++
				}
			}
			// 10% with the spread of so many experiments
			if most := int(0.1*float64(c.times) + 2.5*math.Sqrt(0.09*float64(c.times))); missed > most || alarms > most {
				t.Errorf("%d intervals miss, %d false decisions in %d experiments, expected at most %d", missed, alarms, c.times, most)
			}
		})
	}
}

// TestJudgeDecides: pairs tell a better arm from fewer prompts than a split in halves, and that
// from fewer than one that gives B a tenth. With swapped arms the verdict is the other one. The
// pairs of a ratio of 1 decide where those of an Experiment do.
func TestJudgeDecides(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 1))
	a, b := answers(draw, 6000, 0.3, 0.5, 0.7)
	before := 0
	for _, split := range []float64{0, 0.5, 0.1} {
		j, err := Judge(Settings{Level: 0.05, Split: split, Seed: 1}, a, b)
		if err != nil {
			t.Fatal(err)
		}
		if j.Verdict != Better || j.Decided <= before || !(j.Change.Low > 0 && j.Change.High < 1.5) {
			t.Errorf("split %v: %+v, expected better, after more than %d prompts", split, j, before)
		}
		before = j.Decided
	}
	paired, err := Judge(Settings{Level: 0.05}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSeries(metric{bounded: true, better: 1, of: func(o *outcome) float64 { return o.logP }}, 0.05, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a {
		s.pair(&outcome{logP: a[i]}, &outcome{logP: b[i]}, i+1)
	}
	if s.decided != paired.Decided || s.verdict != paired.Verdict || math.Abs(s.mean[1]/s.mean[0]-1-paired.Change.Value) > 1e-12 {
		t.Errorf("decided at %d, an experiment at %d: %+v", paired.Decided, s.decided, paired)
	}
	if j, err := Judge(Settings{Level: 0.05}, b, a); err != nil || j.Verdict != Worse || j.Change.High >= 0 {
		t.Errorf("swapped: %+v, %v", j, err)
	}
	if j, err := Judge(Settings{Level: 0.05, Margin: 0.2}, a, a); err != nil || j.Verdict != Equal || j.Change.Value != 0 {
		t.Errorf("the same answers: %+v, %v", j, err)
	}
}

// TestJudgeSays: what there is too little of for an interval is said.
func TestJudgeSays(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 1))
	a, b := answers(draw, 400, 0.3, 0.5, 0.7)
	none := make([]float64, len(a))
	for name, c := range map[string]struct {
		s       Settings
		a, b    []float64
		warning string
		bounded bool
	}{
		"few of B":        {Settings{Level: 0.05, Split: 0.01, Seed: 1}, a, b, "no interval before both arms have answered 100 prompts: A has answered", false},
		"A never right":   {Settings{Level: 0.05}, none, b, "no upper bound", false},
		"neither":         {Settings{Level: 0.05}, none, none, "no upper bound", false},
		"enough":          {Settings{Level: 0.05}, a, b, "", true},
		"halves, enough":  {Settings{Level: 0.05, Split: 0.5, Seed: 1}, a, b, "", true},
		"halves, neither": {Settings{Level: 0.05, Split: 0.5, Seed: 1}, none, none, "no upper bound", false},
	} {
		j, err := Judge(c.s, c.a, c.b)
		if err != nil {
			t.Fatal(name, err)
		}
		if j.Change.Bounded() != c.bounded || (j.Warning == "") != (c.warning == "") || !strings.Contains(j.Warning, c.warning) {
			t.Errorf("%s: %+v, expected the warning %q", name, j, c.warning)
		}
		if n := j.N[0] + j.N[1]; c.s.Split > 0 && n != len(a) || c.s.Split == 0 && n != 2*len(a) {
			t.Errorf("%s: %v answers of %d prompts", name, j.N, len(a))
		}
	}
	for says, c := range map[string]struct {
		s    Settings
		a, b []float64
	}{
		"0 answers of A":      {Settings{Level: 0.05}, nil, nil},
		"2 answers of A":      {Settings{Level: 0.05}, []float64{0, 1}, []float64{0}},
		"the qualities 2":     {Settings{Level: 0.05}, []float64{2}, []float64{0}},
		"qualities 0 and NaN": {Settings{Level: 0.05}, []float64{0}, []float64{math.NaN()}},
		"split of 1":          {Settings{Level: 0.05, Split: 1}, []float64{0}, []float64{0}},
		"margin of 1":         {Settings{Level: 0.05, Margin: 1}, []float64{0}, []float64{0}},
		"level 0":             {Settings{}, []float64{0}, []float64{0}},
	} {
		if _, err := Judge(c.s, c.a, c.b); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, expected an error with %q", err, says)
		}
	}
}
