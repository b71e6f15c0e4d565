package task

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pairAUC counts pairs one by one.
func pairAUC(scores, p []float64) float64 {
	won, all := 0.0, 0.0
	for i := range scores {
		for j := range scores {
			if i == j {
				continue
			}
			w := p[i] * (1 - p[j])
			all += w
			switch {
			case scores[i] > scores[j]:
				won += w
			case scores[i] == scores[j]:
				won += w / 2
			}
		}
	}
	return won / all
}

// drawScores draws scores with many ties, labels with both classes, and probabilities.
func drawScores(t *rapid.T) (scores []float64, labels []bool, p []float64) {
	n := rapid.IntRange(2, 40).Draw(t, "n")
	for i := range n {
		scores = append(scores, float64(rapid.IntRange(-5, 5).Draw(t, "score")))
		labels = append(labels, i == 0 || i > 1 && rapid.Bool().Draw(t, "label"))
		p = append(p, rapid.Float64Range(0.05, 0.95).Draw(t, "p"))
	}
	return scores, labels, p
}

func indicator(labels []bool) []float64 {
	p := make([]float64, len(labels))
	for i, yes := range labels {
		if yes {
			p[i] = 1
		}
	}
	return p
}

func TestAUCProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scores, labels, p := drawScores(t)
		must := func(auc float64, err error) float64 {
			if err != nil {
				t.Fatal(err)
			}
			return auc
		}
		near := func(what string, got, want float64) {
			if math.Abs(got-want) > 1e-12 {
				t.Fatalf("%s: %v, expected %v", what, got, want)
			}
		}
		negated, mapped, same := make([]float64, len(scores)), make([]float64, len(scores)), make([]float64, len(scores))
		for i, s := range scores {
			negated[i], mapped[i] = -s, math.Exp(s/3)+7
		}
		for _, kind := range []struct {
			name string
			p    []float64
		}{{"hard", indicator(labels)}, {"soft", p}} {
			auc := must(softAUC(scores, kind.p))
			near(kind.name+" pair count", auc, pairAUC(scores, kind.p))
			near(kind.name+" of negated scores", must(softAUC(negated, kind.p)), 1-auc)
			near(kind.name+" under a monotone map", must(softAUC(mapped, kind.p)), auc)
			near(kind.name+" of equal scores", must(softAUC(same, kind.p)), 0.5)
		}
		near("labels", must(plainAUC(scores, labels)), pairAUC(scores, indicator(labels)))
	})
}

// A case with a weight of n counts as n cases.
func TestWeightedAUCIsRepetition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scores, _, p := drawScores(t)
		weight := make([]float64, len(scores))
		var manyScores, manyP []float64
		for i := range scores {
			weight[i] = float64(rapid.IntRange(0, 3).Draw(t, "weight"))
			for range int(weight[i]) {
				manyScores, manyP = append(manyScores, scores[i]), append(manyP, p[i])
			}
		}
		r, err := newRanking(scores, p)
		if err != nil {
			t.Fatal(err)
		}
		got, want := r.auc(func(i int) float64 { return weight[i] }), pairAUC(manyScores, manyP)
		if math.IsNaN(got) != math.IsNaN(want) || math.Abs(got-want) > 1e-12 {
			t.Fatalf("weighted %v, repeated %v", got, want)
		}
	})
}

func TestAUCRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		scores []float64
		labels []bool
		want   string
	}{
		{"one class", []float64{1, 2, 3}, []bool{true, true, true}, "3 labels, 3 of them positive"},
		{"no positive", []float64{1, 2}, []bool{false, false}, "2 labels, 0 of them positive"},
		{"nothing", nil, nil, "0 labels"},
		{"NaN", []float64{1, math.NaN()}, []bool{true, false}, "score 1 is NaN"},
		{"lengths", []float64{1}, []bool{true, false}, "1 scores for 2 labels"},
	} {
		if _, err := plainAUC(c.scores, c.labels); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected %q", c.name, err, c.want)
		}
	}
	if _, err := softAUC([]float64{1, 2}, []float64{0.5, 1.5}); err == nil {
		t.Error("a probability of 1.5 was taken")
	}
	if auc, err := plainAUC([]float64{math.Inf(1), math.Inf(-1), 0}, []bool{true, false, false}); err != nil || auc != 1 {
		t.Errorf("infinite scores: %v, %v", auc, err)
	}
}

// plainAUC is the area under the ROC curve of scores against labels: the Mann-Whitney statistic
// U/(n₊n₋), the probability that a positive stands above a negative, ties counted half. It takes
// O(n log n). Lengths must agree, no score may be NaN, and both labels must occur.
func plainAUC(scores []float64, labels []bool) (float64, error) {
	p := make([]float64, len(labels))
	for i, yes := range labels {
		if yes {
			p[i] = 1
		}
	}
	return softAUC(scores, p)
}

// softAUC is the AUC over labels that are known as probabilities p of a positive:
//
//	Σ_{i≠j} p_i (1−p_j) ([s_i > s_j] + ½[s_i = s_j]) / Σ_{i≠j} p_i (1−p_j).
//
// With p of 0 and 1 it is the AUC. It ranks models as the AUC on drawn labels does, without the
// noise of the draws.
func softAUC(scores, p []float64) (float64, error) {
	r, err := newRanking(scores, p)
	if err != nil {
		return 0, err
	}
	auc := r.auc(func(int) float64 { return 1 })
	if math.IsNaN(auc) {
		positive := 0.0
		for _, x := range p {
			positive += x
		}
		return 0, fmt.Errorf("auc: %d labels, %v of them positive: both labels are needed", len(p), positive)
	}
	return auc, nil
}
