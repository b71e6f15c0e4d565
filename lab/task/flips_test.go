package task

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/lab/stat"
)

// alike reports values that are equal up to rounding.
func alike(x, y float64) bool { return math.Abs(x-y) < 1e-9 }

// TestFlipsOfRanking: each model says yes to as many prompts as the right answers are, by its own
// order, so a shift or a scale of all its scores flips nothing; the counts are those of a count by
// hand, and what is lost or won is all that flips, as a decision is one of two.
func TestFlipsOfRanking(t *testing.T) {
	a := &Answers{Yes: []bool{true, false, true, false, false, false}, Group: []int{0, 0, 1, 1, 2, 2}, Groups: 3, Unit: "users"}
	base := []float64{3, 2, 1, 0, -1, -2}  // yes to 0 and 1: right on 0, 3, 4, 5
	model := []float64{9, 5, 7, 8, -3, -4} // yes to 0 and 3: right on 0, 1, 4, 5
	f, err := a.Flips(model, base)
	if err != nil {
		t.Fatal(err)
	}
	if !alike(f.All.Value, 2.0/6) || !alike(f.Lost.Value, 1.0/6) || !alike(f.Won.Value, 1.0/6) || f.P != 1 || f.All.N != 6 {
		t.Errorf("%+v", f)
	}
	var scaled []float64
	for _, x := range model {
		scaled = append(scaled, 0.01*x-40)
	}
	if f, err = a.Flips(scaled, model); err != nil || f.All.Value != 0 {
		t.Errorf("a shift and a scale: %+v, %v", f, err)
	}
	if _, err = a.Flips(model[:5], base); err == nil {
		t.Error("scores of fewer prompts are taken")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		for i := range base {
			base[i], model[i], a.Yes[i] = rng.NormFloat64(), rng.NormFloat64(), rng.IntN(2) == 0
		}
		f, err := a.Flips(model, base)
		if err != nil || !alike(f.All.Value, f.Lost.Value+f.Won.Value) || !alike(f.Difference.Value, f.Won.Value-f.Lost.Value) {
			t.Fatalf("%+v, %v", f, err)
		}
		for _, one := range []Figure{f.All, f.Lost, f.Won} {
			var sum float64
			for _, x := range one.Influence {
				sum += x
			}
			if len(one.Influence) != 3 || math.Abs(sum) > 1e-12 || one.Low > one.Value || one.High < one.Value {
				t.Fatalf("%+v", one)
			}
		}
	}
}

// TestFlipsOfVerdicts: a decision is right or wrong, and p is McNemar's.
func TestFlipsOfVerdicts(t *testing.T) {
	verdicts := func(right string) (list []Verdict) {
		for _, c := range right {
			list = append(list, Verdict{Right: c == 'r'})
		}
		return list
	}
	f, err := RightToWrong(verdicts("rwwwwww--r"), verdicts("rrrrrrrww-"))
	if err != nil || !alike(f.All.Value, 0.7) || !alike(f.Lost.Value, 0.6) || !alike(f.Won.Value, 0.1) || !alike(f.P, 16.0/128) {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err = RightToWrong(verdicts("r"), verdicts("rr")); err == nil {
		t.Error("verdicts on fewer problems are taken")
	}
}

// TestFlipsOfRecsys: the decisions of in-domain tasks, each task with the base rate of its own; a
// model against itself flips nothing, and each member's influence is on the share.
func TestFlipsOfRecsys(t *testing.T) {
	cfg := DefaultRecsys()
	cfg.Members, cfg.Candidates = 30, 2
	r, err := NewRecsys(cfg, newWordEncoder())
	if err != nil {
		t.Fatal(err)
	}
	ceiling, err := r.NewScores(r.scoresBy(func(c Case) float64 { return c.Ceiling }))
	if err != nil {
		t.Fatal(err)
	}
	// a shift of each task's scores changes no order within a task
	shifted, err := r.NewScores(r.scoresBy(func(c Case) float64 { return c.Ceiling + 10*float64(c.Task) }))
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.NewScores(r.scoresBy(func(c Case) float64 { return -c.Ceiling }))
	if err != nil {
		t.Fatal(err)
	}
	inDomain := 0
	for _, c := range r.cases {
		if c.Task < inDomainTasks {
			inDomain++
		}
	}
	if f, err := Flips(shifted, ceiling); err != nil || f.All.Value != 0 || f.All.N != inDomain || f.P != 1 {
		t.Errorf("a shift by task: %+v, %v", f, err)
	}
	f, err := Flips(other, ceiling)
	if err != nil || f.All.Value < 0.3 || f.Lost.Value <= f.Won.Value || f.Difference.High >= 0 || f.P > 1e-3 || len(f.All.Influence) != cfg.Members {
		t.Errorf("the opposite order: %+v, %v", f, err)
	}
}

// TestDivergence: mean and 99th percentile are those of package stat, on resamples too, and the
// mean's influences sum to 0 and give its error.
func TestDivergence(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	for range 30 {
		units := 2 + rng.IntN(80)
		var values []float64
		var group []int
		for u := range units {
			for range 1 + rng.IntN(12) {
				values, group = append(values, math.Exp(rng.NormFloat64())), append(group, u)
			}
		}
		mean, p99 := Divergence(values, group, units, "examples")
		if want := stat.Mean(values); !alike(mean.Value, want) {
			t.Fatalf("mean %v, expected %v", mean.Value, want)
		}
		if want := stat.Percentile(values, 99); !alike(p99.Value, want) {
			t.Fatalf("P99 of %d: %v, expected %v", len(values), p99.Value, want)
		}
		if !(mean.Low <= mean.Value && mean.Value <= mean.High && p99.Low < p99.High) || mean.N != len(values) || p99.Influence != nil {
			t.Fatalf("%+v, %+v", mean, p99)
		}
		if (p99.Warning != "") != (len(values) < 100 || units < fewMembers) {
			t.Fatalf("P99 of %d tokens of %d units: warning %q", len(values), units, p99.Warning)
		}
		var sum float64
		for _, x := range mean.Influence {
			sum += x
		}
		ratio := (mean.High - mean.Low) / (2 * 1.96 * stat.SumError(mean.Influence).Size)
		if math.Abs(sum) > 1e-9 || units > 30 && !(ratio > 0.75 && ratio < 1.25) {
			t.Fatalf("%d units: the influences sum to %v, and the interval is %v times as wide as by them", units, sum, ratio)
		}
		// a resample by weights is the sample with its values repeated
		count, drawn := make([]float64, units), []float64{}
		for range units {
			count[rng.IntN(units)]++
		}
		order := make([]int, len(values))
		for i := range order {
			order[i] = i
			for range int(count[group[i]]) {
				drawn = append(drawn, values[i])
			}
		}
		slices.SortFunc(order, func(a, b int) int {
			if values[a] > values[b] {
				return -1
			}
			return 1
		})
		if got, want := percentileOf(values, order, func(i int) float64 { return count[group[i]] }, float64(len(drawn))), stat.Percentile(drawn, 99); !alike(got, want) {
			t.Fatalf("P99 of a resample: %v, expected %v", got, want)
		}
	}
}
