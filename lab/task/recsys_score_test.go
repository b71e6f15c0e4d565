package task

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"slimlab/lab"
)

// scorerFunc is a Scorer made of a function of a prompt's number.
type scorerFunc func(i int) []float32

func (f scorerFunc) Score(_ context.Context, prompts [][]int32, _ []int32) ([][]float32, error) {
	rows := make([][]float32, len(prompts))
	for i := range prompts {
		rows[i] = f(i)
	}
	return rows, nil
}

func logOdds(p float64) float64 { return math.Log(p / (1 - p)) }

// evaluate scores the cases with log-odds.
func evaluate(t *testing.T, r *Recsys, score func(i int, c Case) float64) *Scores {
	t.Helper()
	s, err := r.Evaluate(context.Background(), scorerFunc(func(i int) []float32 {
		return []float32{float32(score(i, r.cases[i])), 0}
	}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func summary(t *testing.T, s *Scores) *RankingSummary {
	t.Helper()
	sum, err := s.Summary()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %v, expected %v ± %v", what, got, want, tolerance)
	}
}

func TestSummaryOfTheCeiling(t *testing.T) {
	r := newRecsys(t, nil)
	s := summary(t, evaluate(t, r, func(_ int, c Case) float64 { return logOdds(c.Ceiling) }))
	near(t, "soft", s.Soft.Value, s.CeilingSoft.Value, 1e-5) // scores are float32
	near(t, "hard", s.Hard.Value, s.CeilingHard.Value, 1e-5)
	near(t, "held out", s.HeldOutSoft.Value, s.HeldOutCeiling.Value, 1e-5)
	near(t, "delta to itself", s.CeilingDelta.Value, 0, 1e-5)
	near(t, "headroom", headroomOf(t, r).Ceiling, s.CeilingSoft.Value, 1e-12)
	if len(s.Tasks) != tasks || s.Tasks[0].Cases != r.cfg.Members*r.cfg.Candidates || !s.Tasks[5].HeldOut || s.Tasks[3].HeldOut {
		t.Errorf("tasks %+v", s.Tasks)
	}
	mean := 0.0
	for _, task := range s.Tasks[:inDomainTasks] {
		mean += task.Hard.Value / inDomainTasks
	}
	near(t, "mean of the tasks", s.Hard.Value, mean, 1e-12)
	for name, m := range map[string]lab.Measure{"hard": s.Hard, "soft": s.Soft, "held out": s.HeldOutHard} {
		if !(m.Low < m.Value && m.Value < m.High) || m.N != r.cfg.Members || m.Warning != "" {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if soft, hard := s.Soft.High-s.Soft.Low, s.Hard.High-s.Hard.Low; soft > 0.8*hard {
		t.Errorf("the soft interval is %v wide, the hard one %v: expected less noise", soft, hard)
	}
	t.Logf("hard %+v\nsoft %+v\nheld out %+v", s.Hard, s.Soft, s.HeldOutSoft)
}

// Task AUCs must be those of the plain definitions.
func TestSummaryAgainstPlainAUC(t *testing.T) {
	r := newRecsys(t, small)
	p := priorsOf(r)
	s := evaluate(t, r, func(i int, c Case) float64 { return math.Round(3*logOdds(p.profileOf(c)) + float64(i%5)) })
	sum := summary(t, s)
	for task := range tasks {
		var score, truth []float64
		var click []bool
		for i, c := range r.cases {
			if c.Task == task {
				score, truth, click = append(score, s.Score[i]), append(truth, c.Truth), append(click, c.Click)
			}
		}
		near(t, "hard", sum.Tasks[task].Hard.Value, pairAUC(score, indicator(click)), 1e-12)
		near(t, "soft", sum.Tasks[task].Soft.Value, pairAUC(score, truth), 1e-12)
	}
	d := sum.CeilingDelta
	near(t, "delta to the ceiling", d.Value, (sum.Soft.Value-sum.CeilingSoft.Value)/(sum.CeilingSoft.Value-0.5), 1e-12)
	if !(d.Low < d.Value && d.Value < d.High && d.High < 0) {
		t.Errorf("delta to the ceiling %+v, expected to be below 0 with an interval", d)
	}
	// both move with the members that are drawn: the paired interval is the narrower one
	if paired, alone := d.High-d.Low, (sum.Soft.High-sum.Soft.Low)/(sum.CeilingSoft.Value-0.5); paired >= alone {
		t.Errorf("the interval to the ceiling is %v wide, that of the AUC alone %v", paired, alone)
	}
}

// The expected AUC is what AUCs on many draws of the same clicks have as their mean.
func TestSoftIsTheMeanOfHard(t *testing.T) {
	r := newRecsys(t, func(c *RecsysConfig) { c.Members = 200 })
	rng := stream(99)
	p := priorsOf(r)
	sum := summary(t, evaluate(t, r, func(_ int, c Case) float64 { return p.profileOf(c) }))
	mean := 0.0
	const draws = 200
	for range draws {
		again := *r
		again.cases = append([]Case(nil), r.cases...)
		for i := range again.cases {
			again.cases[i].Click = rng.Float64() < again.cases[i].Truth
		}
		s, err := again.newSample(again.scoresBy(p.profileOf))
		if err != nil {
			t.Fatal(err)
		}
		mean += s.table(nil).mean(hard, false) / draws
	}
	near(t, "mean of hard AUCs", mean, sum.Soft.Value, 0.002)
}

func TestCompare(t *testing.T) {
	r := newRecsys(t, nil)
	best := evaluate(t, r, func(_ int, c Case) float64 { return c.Ceiling })
	rng := stream(5)
	noisy := evaluate(t, r, func(_ int, c Case) float64 { return logOdds(c.Ceiling) + 0.3*rng.NormFloat64() })

	same, err := Compare(best, best)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []lab.Measure{same.Hard, same.Soft, same.HeldOutSoft, same.HardRelative, same.SoftRelative} {
		if m.Value != 0 || m.Low != 0 || m.High != 0 {
			t.Errorf("a model against itself: %+v", m)
		}
	}
	c, err := Compare(noisy, best)
	if err != nil {
		t.Fatal(err)
	}
	a, b := summary(t, noisy), summary(t, best)
	near(t, "delta", c.Soft.Value, a.Soft.Value-b.Soft.Value, 1e-12)
	near(t, "relative", c.HardRelative.Value, a.Hard.Value/b.Hard.Value-1, 1e-12)
	if !(c.Soft.Value < 0 && c.Soft.High < 0) {
		t.Errorf("noise is not seen to lose: %+v", c.Soft)
	}
	if paired, alone := c.Soft.High-c.Soft.Low, b.Soft.High-b.Soft.Low; paired > alone/2 {
		t.Errorf("the paired interval is %v wide, one model's %v", paired, alone)
	}
	back, err := Compare(best, noisy)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "reversed", back.Hard.Value, -c.Hard.Value, 1e-15)
	near(t, "reversed interval", back.Hard.Low, -c.Hard.High, 1e-12)
	if _, err := Compare(best, evaluate(t, newRecsys(t, small), func(int, Case) float64 { return 0 })); err == nil {
		t.Error("scores of different test sets were compared")
	}
	t.Logf("%+v", c.Soft)
}

// Twice the same prompts say no more about members: the interval is by member.
func TestBootstrapIsByMember(t *testing.T) {
	r := newRecsys(t, func(c *RecsysConfig) { c.Members = 200 })
	twice := *r
	twice.cases = nil
	for _, c := range r.cases {
		twice.cases = append(twice.cases, c, c)
	}
	score := func(_ int, c Case) float64 { return c.Ceiling }
	a, b := summary(t, evaluate(t, r, score)), summary(t, evaluate(t, &twice, score))
	near(t, "low", b.Hard.Low, a.Hard.Low, 1e-4)
	near(t, "high", b.Hard.High, a.Hard.High, 1e-4)
	if again := summary(t, evaluate(t, r, score)); !reflect.DeepEqual(a, again) {
		t.Error("two summaries of the same scores differ")
	}
}

// The long-run AUC must be inside the intervals of about 95 in 100 test sets.
func TestIntervalsCover(t *testing.T) {
	r := newRecsys(t, func(c *RecsysConfig) { c.Members = 3000 })
	long := headroomOf(t, r).Profile
	p := priorsOf(r)
	score := func(_ int, c Case) float64 { return p.profileOf(c) }
	covered := 0
	const sets = 60
	for set := range sets {
		part, world := *r, *r.World
		part.World = &world
		part.cfg.Members = r.cfg.Members / sets
		part.cases = nil
		for _, c := range r.cases {
			if c.Group/part.cfg.Members == set {
				c.Group %= part.cfg.Members
				part.cases = append(part.cases, c)
			}
		}
		if m := summary(t, evaluate(t, &part, score)).Soft; m.Low <= long && long <= m.High {
			covered++
		}
	}
	t.Logf("%d of %d intervals cover", covered, sets)
	if covered < 51 { // P(binomial(60, 0.95) < 51) is 0.001
		t.Errorf("%d of %d intervals cover the long-run value", covered, sets)
	}
}

func TestSummaryWithoutHeldOutTasks(t *testing.T) {
	r := newRecsys(t, func(c *RecsysConfig) { small(c); c.HeldOut, c.Members = 0, 30 })
	s := summary(t, evaluate(t, r, func(_ int, c Case) float64 { return c.Ceiling }))
	if s.HeldOutSoft != (lab.Measure{}) || len(s.Tasks) != inDomainTasks {
		t.Errorf("held out %+v, %d tasks", s.HeldOutSoft, len(s.Tasks))
	}
	if s.Hard.Warning != "30 test members" {
		t.Errorf("warning %q", s.Hard.Warning)
	}
}

type failing struct{ err error }

func (f failing) Score(context.Context, [][]int32, []int32) ([][]float32, error) { return nil, f.err }

func TestEvaluateRefuses(t *testing.T) {
	r := newRecsys(t, small)
	nan := float32(math.NaN())
	for _, c := range []struct {
		scorer Scorer
		want   string
	}{
		{failing{}, "0 rows for 1200 prompts"},
		{scorerFunc(func(int) []float32 { return []float32{1} }), "test prompt 0 has 1 scores, expected 2"},
		{scorerFunc(func(i int) []float32 {
			if i == 7 {
				return []float32{nan, 0}
			}
			return []float32{1, 0}
		}), `test prompt 7 (task "like mail", member 0) is NaN`},
	} {
		if _, err := r.Evaluate(context.Background(), c.scorer); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
	if _, err := r.Evaluate(context.Background(), failing{context.Canceled}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, expected the scorer's", err)
	}
}
