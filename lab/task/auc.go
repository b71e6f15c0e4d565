package task

import (
	"fmt"
	"math"
	"slices"
)

// AUC is the area under the ROC curve of scores against labels: the Mann-Whitney statistic
// U/(n₊n₋), the probability that a positive stands above a negative, ties counted half. It takes
// O(n log n). Lengths must agree, no score may be NaN, and both labels must occur.
func AUC(scores []float64, labels []bool) (float64, error) {
	p := make([]float64, len(labels))
	for i, yes := range labels {
		if yes {
			p[i] = 1
		}
	}
	return SoftAUC(scores, p)
}

// SoftAUC is the AUC over labels that are known as probabilities p of a positive:
//
//	Σ_{i≠j} p_i (1−p_j) ([s_i > s_j] + ½[s_i = s_j]) / Σ_{i≠j} p_i (1−p_j).
//
// With p of 0 and 1 it is the AUC. It ranks models as the AUC on drawn labels does, without the
// noise of the draws.
func SoftAUC(scores, p []float64) (float64, error) {
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

// ranking is cases in the order of their scores, ready for many weighted AUCs.
type ranking struct {
	order []int // ascending by score
	tied  []int // end of the run of equal scores that begins at this place of order; 0 inside a run
	p     []float64
}

func newRanking(scores, p []float64) (*ranking, error) {
	if len(scores) != len(p) {
		return nil, fmt.Errorf("auc: %d scores for %d labels", len(scores), len(p))
	}
	for i, s := range scores {
		if math.IsNaN(s) {
			return nil, fmt.Errorf("auc: score %d is NaN", i)
		}
		if !(p[i] >= 0 && p[i] <= 1) {
			return nil, fmt.Errorf("auc: probability %d is %v, expected 0 to 1", i, p[i])
		}
	}
	r := &ranking{order: make([]int, len(scores)), tied: make([]int, len(scores)), p: p}
	for i := range r.order {
		r.order[i] = i
	}
	slices.SortStableFunc(r.order, func(i, j int) int {
		switch {
		case scores[i] < scores[j]:
			return -1
		case scores[i] > scores[j]:
			return 1
		}
		return 0
	})
	for begin := 0; begin < len(r.order); {
		end := begin + 1
		for end < len(r.order) && scores[r.order[end]] == scores[r.order[begin]] {
			end++
		}
		r.tied[begin] = end
		begin = end
	}
	return r, nil
}

// auc is the AUC when case i stands weight(i) times in the sample; NaN when no pair remains.
func (r *ranking) auc(weight func(i int) float64) float64 {
	var positives, negatives, won, self float64 // negatives: those below the current run
	for begin := 0; begin < len(r.order); begin = r.tied[begin] {
		var p, q float64
		for _, i := range r.order[begin:r.tied[begin]] {
			w := weight(i)
			p += w * r.p[i]
			q += w * (1 - r.p[i])
			self += w * r.p[i] * (1 - r.p[i]) // a copy of a case makes no pair with itself
		}
		won += p * (negatives + q/2)
		positives += p
		negatives += q
	}
	pairs := positives*negatives - self
	if !(pairs > 1e-12) {
		return math.NaN()
	}
	return (won - self/2) / pairs
}
