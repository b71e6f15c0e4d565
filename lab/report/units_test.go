package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"slimlab/lab"
)

// onUnits is a run of rows r0, r1 … with an AUC on the same 40 members each. Outcome gives the
// AUC's value and what each member does to it.
func onUnits(id, test string, rows int, seeds []int, machine string, outcome func(row, seed int) (float64, []float64)) *lab.View {
	begin := &lab.Begin{Run: id, Scenario: "units", Hash: "h", Version: "v1", Columns: []string{"auc"}}
	for _, seed := range seeds {
		begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprintf("seed=%d", seed), Seed: seed})
	}
	for row := range rows {
		begin.Rows = append(begin.Rows, fmt.Sprintf("r%d", row))
	}
	b := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: begin}})
	for _, c := range begin.Cells {
		for row, name := range begin.Rows {
			value, influence := outcome(row, c.Seed)
			e := lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: name, Machine: machine, Key: "model on " + machine, Test: "t",
				Values: map[string]lab.Measure{"auc": {Value: value, Low: value - 0.08, High: value + 0.08, N: 40}}}
			if influence != nil {
				e.Influence = map[string]lab.Influence{"auc": lab.NewInfluence(test, "members", influence)}
			}
			b.Apply(e)
		}
	}
	return b.Snapshot()
}

// spread are 40 numbers that sum to 0 and whose sum has a standard error of size.
func spread(size float64) []float64 {
	x := make([]float64, 40)
	for i := range x {
		x[i] = size * math.Sqrt(39.0) / 40 * float64(1-2*(i%2))
	}
	return x
}

// plus adds influences.
func plus(a, b []float64) []float64 {
	sum := make([]float64, len(a))
	for i := range a {
		sum[i] = a[i] + b[i]
	}
	return sum
}

// hard is what all models find hard: 40 numbers with a standard error of about 0.04.
func hard() []float64 {
	rng := rand.New(rand.NewPCG(1, 9))
	x, mean := make([]float64, 40), 0.0
	for i := range x {
		x[i] = 0.04 / math.Sqrt(40) * rng.NormFloat64()
		mean += x[i] / 40
	}
	for i := range x {
		x[i] -= mean
	}
	return x
}

// TestComparedOverUnits: runs of one seed are judged by the interval over the units that both were
// measured on, which says what it covers; runs of more by seeds and units; where units cannot be
// paired, by both intervals, and the comparison says why.
func TestComparedOverUnits(t *testing.T) {
	type run struct {
		test    string
		seeds   []int
		machine string
		value   float64
		size    float64 // of what the members do to the difference; NaN: an older log
		noise   float64 // over seeds
	}
	one, three := []int{1}, []int{1, 2, 3}
	base := run{"t", one, "a", 0.8, 0, 0}
	for name, c := range map[string]struct {
		base, next run
		want       Judgement
		words      string
	}{
		"a loss beyond what members leave open":     {base, run{"t", one, "b", 0.78, 0.005, 0}, Worse, "paired over the test's 40 members; one seed: what other seeds would give is not known"},
		"a gain":                                    {base, run{"t", one, "b", 0.82, 0.005, 0}, Better, "40 members; one seed"},
		"a loss within what members leave open":     {base, run{"t", one, "b", 0.79, 0.005, 0}, Within, "paired over the test's 40 members"},
		"the same loss on every member":             {base, run{"t", one, "b", 0.79, 0, 0}, Worse, "paired over the test's 40 members"},
		"a loss below the floor on every member":    {base, run{"t", one, "b", 0.7993, 0, 0}, Within, "paired over the test's 40 members"},
		"equal values":                              {base, run{"t", one, "b", 0.8, 0.005, 0}, Same, ""},
		"another test set":                          {base, run{"u", one, "b", 0.78, 0.005, 0}, Within, "the test sets differ; one seed: judged by the intervals of the test samples"},
		"a log without influence":                   {base, run{"t", one, "b", 0.78, math.NaN(), 0}, Within, "does not hold what to pair over the test set; one seed: judged by the intervals"},
		"two logs without influence":                {run{"t", one, "a", 0.8, math.NaN(), 0}, run{"t", one, "b", 0.78, math.NaN(), 0}, Within, "does not hold what to pair over the test set; one seed: judged by the intervals"},
		"another seed":                              {base, run{"t", []int{2}, "b", 0.78, 0.005, 0}, Within, "one seed: judged by the intervals"},
		"three seeds that agree, members do not":    {run{"t", three, "a", 0.8, 0, 0}, run{"t", three, "b", 0.79, 0.01, 1e-5}, Within, "paired over 3 seeds and the test's 40 members"},
		"three seeds and members that agree":        {run{"t", three, "a", 0.8, 0, 0}, run{"t", three, "b", 0.78, 0.001, 1e-4}, Worse, "paired over 3 seeds and the test's 40 members"},
		"three seeds that differ, members agree":    {run{"t", three, "a", 0.8, 0, 0}, run{"t", three, "b", 0.78, 0.001, 0.02}, Within, "paired over 3 seeds and the test's 40 members"},
		"three seeds, one log without influence":    {run{"t", three, "a", 0.8, math.NaN(), 0}, run{"t", three, "b", 0.78, 0.001, 1e-4}, Worse, "paired over 3 seeds; a log of an earlier version does not hold"},
		"the same model, measured by other kernels": {base, run{"t", one, "a", 0.78, 0.005, 0}, Worse, "paired over the test's 40 members"},
	} {
		view := func(id string, r run) *lab.View {
			v := onUnits(id, r.test, 1, r.seeds, r.machine, func(_, seed int) (float64, []float64) {
				value := r.value + r.noise*float64(seed-2)
				if math.IsNaN(r.size) {
					return value, nil
				}
				return value, plus(hard(), spread(r.size))
			})
			return v
		}
		a, b := view("a", c.base), view("b", c.next)
		if c.base.machine == c.next.machine { // of one version they would be of one recipe
			b.Begin.Version = "v2"
		}
		got := Compare(a, b).Changes[0]
		words := strings.Join(got.Warnings, "; ")
		if got.Judgement != c.want || !strings.Contains(words, c.words) || c.base.machine == c.next.machine && strings.Contains(words, "seed") {
			t.Errorf("%s: %s [%v, %v] p %v, %q, expected %s %q", name, got.Judgement, got.Low, got.High, got.P, words, c.want, c.words)
		}
	}
}

// TestManyFigures: what is worse by an interval of its own, as one figure in twenty is by chance,
// is within among 40 figures, unless many of them are worse; the interval stays.
func TestManyFigures(t *testing.T) {
	const rows = 40
	next := func(worse int) *lab.View {
		return onUnits("b", "t", rows, []int{1}, "b", func(row, _ int) (float64, []float64) {
			if row < worse { // p is about 0.02
				return 0.8 - 0.012, plus(hard(), spread(0.005))
			}
			return 0.8 + 0.001, plus(hard(), spread(0.005))
		})
	}
	base := onUnits("a", "t", rows, []int{1}, "a", func(int, int) (float64, []float64) { return 0.8, hard() })
	for worse, want := range map[int]int{1: 0, 5: 0, 30: 30, 40: 40} {
		c := Compare(base, next(worse))
		one := c.Changes[0]
		if got := len(c.Worse()); got != want || !(one.High < 0) || !(one.P < 0.05 && one.P > 0.01) || one.Adjusted < one.P {
			t.Errorf("%d of %d figures are worse by themselves: %d are judged so, expected %d; %+v", worse, rows, got, want, one)
		}
		if said := strings.Contains(strings.Join(one.Warnings, "; "), "some of 40 figures"); said != (want == 0) {
			t.Errorf("%d of %d figures: %q", worse, rows, one.Warnings)
		}
	}
}

// TestFalseAlarms: two runs whose models do not differ but by noise are seldom told apart, however
// many figures are compared; without the correction most comparisons would raise an alarm.
func TestFalseAlarms(t *testing.T) {
	const rows, trials = 24, 300
	rng := rand.New(rand.NewPCG(2, 6))
	alarms, without := 0, 0
	base := onUnits("a", "t", rows, []int{1}, "a", func(int, int) (float64, []float64) { return 0.8, hard() })
	for range trials {
		next := onUnits("b", "t", rows, []int{1}, "b", func(int, int) (float64, []float64) {
			x, sum := make([]float64, 40), 0.0
			for i := range x {
				x[i] = 0.01 / math.Sqrt(40) * rng.NormFloat64()
				sum += x[i]
			}
			for i := range x {
				x[i] -= sum / 40
			}
			return 0.8 + sum, plus(hard(), x)
		})
		c := Compare(base, next)
		alone := false
		for _, one := range c.Changes {
			alone = alone || one.P < alpha
		}
		if alone {
			without++
		}
		if len(c.Worse()) > 0 {
			alarms++
		}
	}
	t.Logf("%d of %d comparisons raise an alarm, %d have a figure with p < 0.05", alarms, trials, without)
	if alarms > trials*6/100 || without < trials/2 {
		t.Errorf("%d of %d comparisons raise an alarm, expected at most 6%%; %d have a figure with p < 0.05", alarms, trials, without)
	}
}

// TestUnitsOfSeveralSeeds: what a unit does to the difference is its mean over the seeds, so that
// equal seeds leave the interval of one.
func TestUnitsOfSeveralSeeds(t *testing.T) {
	width := func(seeds ...int) float64 {
		base := onUnits("a", "t", 1, seeds, "a", func(int, int) (float64, []float64) { return 0.8, hard() })
		next := onUnits("b", "t", 1, seeds, "b", func(int, int) (float64, []float64) { return 0.78, plus(hard(), spread(0.005)) })
		one := Compare(base, next).Changes[0]
		return one.High - one.Low
	}
	one := width(1)
	for _, seeds := range [][]int{{1, 2}, {1, 2, 3}, {1, 2, 3, 4, 5}} {
		if got := width(seeds...); math.Abs(got-one) > 1e-6 {
			t.Errorf("%d equal seeds: %v wide, one %v", len(seeds), got, one)
		}
	}
}

// TestSmallDivergencesKeepDigits: nats have four decimals, and as many more as the smallest of a
// column needs for three digits.
func TestSmallDivergencesKeepDigits(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   string
	}{
		{[]float64{0.4933, 0.5}, "0.4933"},
		{[]float64{0.000161, 0.5}, "0.000161"},
		{[]float64{0, 2.5}, "0.0000"},
		{[]float64{1e-12, 2.5}, "0.00000000"},
		{[]float64{0.0012, 2.5}, "0.0012"},
	} {
		if got := ScaleOf(lab.Nats, c.values...).Format(c.values[0]); got != c.want {
			t.Errorf("%v: the first is written %s, expected %s", c.values, got, c.want)
		}
	}
}
