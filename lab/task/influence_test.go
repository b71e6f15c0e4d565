package task

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab/stat"
)

// kernelOf is DeLong's ψ: 1 where a positive has the higher score, ½ where the scores are equal.
func kernelOf(positive, negative float64) float64 {
	switch {
	case positive > negative:
		return 1
	case positive == negative:
		return 0.5
	}
	return 0
}

// placements are DeLong's structural components of an AUC, pair by pair: of the positives and of
// the negatives, in their order.
func placements(scores []float64, labels []bool) (v10, v01 []float64) {
	var yes, no []float64
	for i, s := range scores {
		if labels[i] {
			yes = append(yes, s)
		} else {
			no = append(no, s)
		}
	}
	v10, v01 = make([]float64, len(yes)), make([]float64, len(no))
	for i, x := range yes {
		for j, y := range no {
			v10[i] += kernelOf(x, y) / float64(len(no))
			v01[j] += kernelOf(x, y) / float64(len(yes))
		}
	}
	return v10, v01
}

// covariance of two samples (n − 1).
func covariance(a, b []float64) float64 {
	var ma, mb, sum float64
	for i := range a {
		ma, mb = ma+a[i]/float64(len(a)), mb+b[i]/float64(len(b))
	}
	for i := range a {
		sum += (a[i] - ma) * (b[i] - mb)
	}
	return sum / float64(len(a)-1)
}

// TestInfluenceIsDeLong: the products of two models' numbers sum to DeLong's covariance of their
// AUCs (1988, equations 4 to 6), but for the divisors n₊ − 1 and n₋ − 1.
func TestInfluenceIsDeLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 40).Draw(t, "n")
		var of [2][]float64
		labels := make([]bool, n)
		for i := range n {
			labels[i] = i < 2 || i > 3 && rapid.Bool().Draw(t, "label")
			for k := range of {
				of[k] = append(of[k], float64(rapid.IntRange(-4, 4).Draw(t, "score")))
			}
		}
		var v10, v01, influence [2][]float64
		for k := range of {
			v10[k], v01[k] = placements(of[k], labels)
			r, err := newRanking(of[k], indicator(labels))
			if err != nil {
				t.Fatal(err)
			}
			influence[k] = r.influence()
		}
		m, l := float64(len(v10[0])), float64(len(v01[0]))
		want := covariance(v10[0], v10[1])/m + covariance(v01[0], v01[1])/l
		var got float64
		for i, yes := range labels {
			size := l
			if yes {
				size = m
			}
			got += influence[0][i] * influence[1][i] * size / (size - 1)
		}
		if math.Abs(got-want) > 1e-12 {
			t.Fatalf("the covariance is %v, expected DeLong's %v", got, want)
		}
	})
}

// TestInfluenceIsADerivative: with labels known as probabilities the numbers are what leaving a
// case out a little changes, and sum to 0.
func TestInfluenceIsADerivative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scores, _, p := drawScores(t)
		r, err := newRanking(scores, p)
		if err != nil {
			t.Fatal(err)
		}
		// the pairs of two different cases, with the weight of one of them changed by h
		auc := func(at int, h float64) float64 {
			var won, all float64
			for i := range scores {
				for j := range scores {
					w := p[i] * (1 - p[j])
					if i == at || j == at {
						w *= 1 + h
					}
					if i != j {
						won, all = won+w*kernelOf(scores[i], scores[j]), all+w
					}
				}
			}
			return won / all
		}
		const h = 1e-5
		sum := 0.0
		for i, got := range r.influence() {
			sum += got
			if want := (auc(i, h) - auc(i, -h)) / (2 * h); math.Abs(got-want) > 1e-7 {
				t.Fatalf("case %d: %v, expected %v", i, got, want)
			}
		}
		if math.Abs(sum) > 1e-12 {
			t.Fatalf("the numbers sum to %v, expected 0", sum)
		}
	})
}

// noisy are scores of a model that predicts the ceiling with an error of its own and one that it
// shares with others of the same seed.
func noisy(r *Recsys, shared uint64, own, size float64) *Scores {
	common, rng := rand.New(rand.NewPCG(shared, 1)), rand.New(rand.NewPCG(shared, math.Float64bits(own)))
	s, err := r.NewScores(r.scoresBy(func(c Case) float64 {
		return math.Log(c.Ceiling/(1-c.Ceiling)) + size*common.NormFloat64() + own*rng.NormFloat64()
	}))
	if err != nil {
		panic(err)
	}
	return s
}

// TestInfluencesAgreeWithTheBootstrap: the width that the members' numbers give to the difference
// of two correlated models is that of the bootstrap over members, which keeps each member's cases
// together; for drawn and expected labels, in-domain and held-out, and relative to a baseline.
func TestInfluencesAgreeWithTheBootstrap(t *testing.T) {
	cfg := DefaultRecsys()
	cfg.Members = 300
	r, err := NewRecsys(cfg, newWordEncoder())
	if err != nil {
		t.Fatal(err)
	}
	a, b := noisy(r, 7, 0.3, 0.8), noisy(r, 7, 0.9, 0.8)
	boot, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	ia, errA := a.Influences()
	ib, errB := b.Influences()
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	sa, err := a.Summary()
	if err != nil {
		t.Fatal(err)
	}
	sb, err := b.Summary()
	if err != nil {
		t.Fatal(err)
	}
	width := func(x, y []float64) float64 {
		sum := 0.0
		for i := range x {
			sum += (x[i] - y[i]) * (x[i] - y[i])
		}
		return 2 * 1.96 * math.Sqrt(sum)
	}
	none := make([]float64, cfg.Members)
	for name, c := range map[string][2]float64{
		"AUC":                  {width(ia.Hard, ib.Hard), boot.Hard.High - boot.Hard.Low},
		"expected":             {width(ia.Soft, ib.Soft), boot.Soft.High - boot.Soft.Low},
		"held-out":             {width(ia.HeldOutSoft, ib.HeldOutSoft), boot.HeldOutSoft.High - boot.HeldOutSoft.Low},
		"relative":             {width(Relative(sa.Hard.Value, ia.Hard, sb.Hard.Value, ib.Hard), none), boot.HardRelative.High - boot.HardRelative.Low},
		"relative exp.":        {width(Relative(sa.Soft.Value, ia.Soft, sb.Soft.Value, ib.Soft), none), boot.SoftRelative.High - boot.SoftRelative.Low},
		"one AUC":              {width(ia.Hard, none), sa.Hard.High - sa.Hard.Low},
		"to the ceiling":       {width(ia.CeilingDelta, none), sa.CeilingDelta.High - sa.CeilingDelta.Low},
		"other to the ceiling": {width(ib.CeilingDelta, none), sb.CeilingDelta.High - sb.CeilingDelta.Low},
	} {
		t.Logf("%s: width %.4f, bootstrap %.4f", name, c[0], c[1])
		if ratio := c[0] / c[1]; ratio < 0.83 || ratio > 1.2 { // of 400 resamples
			t.Errorf("%s: a width of %v, that of the bootstrap is %v", name, c[0], c[1])
		}
	}
}

// TestIntervalsOfDifferencesCover: two models score the same cases, whose true AUCs are known: a
// score is normal with variance 1 and a mean that a click raises by d, which gives Φ(d/√2). Cases
// come in groups with an effect of their own, and the models share what they find hard. The paired
// interval over groups covers the true difference in about 95% of test sets; that of cases, as if
// they were independent, does not where groups count.
func TestIntervalsOfDifferencesCover(t *testing.T) {
	const experiments = 1500
	for _, c := range []struct {
		groups, size  int
		first, second float64 // d of each model
		ofGroup       float64 // share of the variance
	}{
		{60, 1, 1, 1, 0}, {60, 1, 1, 0.6, 0}, {200, 1, 0.2, 0.2, 0}, {200, 1, 2, 1.2, 0}, {50, 4, 1, 1, 0.5}, {50, 4, 1, 0.7, 0.5},
	} {
		rng := rand.New(rand.NewPCG(5, uint64(c.groups)))
		truth := normalCDF(c.second/math.Sqrt2) - normalCDF(c.first/math.Sqrt2)
		covered, asCases := 0, 0
		for range experiments {
			var scores [2][]float64
			var p []float64
			for range c.groups {
				own := [2]float64{rng.NormFloat64(), rng.NormFloat64()}
				group := rng.IntN(2) // answers go with the group where it has an effect
				for range c.size {
					yes := rng.IntN(2)
					if c.ofGroup > 0 && rng.Float64() < 0.6 {
						yes = group
					}
					p = append(p, float64(yes))
					shared := rng.NormFloat64()
					for k, d := range [2]float64{c.first, c.second} {
						noise := math.Sqrt(c.ofGroup)*own[k] + math.Sqrt(1-c.ofGroup)*(0.8*shared+0.6*rng.NormFloat64())
						scores[k] = append(scores[k], d*float64(yes)+noise)
					}
				}
			}
			byCase, byGroup, difference := differenceOf(t, scores, p, c.groups, c.size)
			for influence, hit := range map[*[]float64]*int{&byCase: &asCases, &byGroup: &covered} {
				i := stat.Estimate{Value: difference, Errors: []stat.Error{stat.SumError(*influence)}}.Interval()
				if i.Low <= truth && truth <= i.High {
					*hit++
				}
			}
		}
		share, naive := float64(covered)/experiments, float64(asCases)/experiments
		t.Logf("%d groups of %d, true difference %+.3f: %.3f, over cases %.3f", c.groups, c.size, truth, share, naive)
		if share < 0.93 {
			t.Errorf("%d groups of %d: %.3f of the intervals cover the true difference %.3f, expected at least 0.93", c.groups, c.size, share, truth)
		}
		if c.ofGroup > 0 && naive >= share-0.02 {
			t.Errorf("%d groups of %d: intervals over cases cover %.3f, those over groups %.3f", c.groups, c.size, naive, share)
		}
	}
}

// differenceOf returns the influence of cases and of groups of neighbours on the difference of two
// AUCs, second less first, and the difference.
func differenceOf(t *testing.T, scores [2][]float64, p []float64, groups, size int) (byCase, byGroup []float64, difference float64) {
	t.Helper()
	byCase, byGroup = make([]float64, len(p)), make([]float64, groups)
	for k, sign := range []float64{-1, 1} {
		r, err := newRanking(scores[k], p)
		if err != nil {
			t.Fatal(err)
		}
		difference += sign * r.auc(func(int) float64 { return 1 })
		for i, x := range r.influence() {
			byCase[i] += sign * x
			byGroup[i/size] += sign * x
		}
	}
	return byCase, byGroup, difference
}

func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
