package task

import (
	"fmt"
	"math"
	"slices"
)

// ranking is cases in order of their scores, prepared for many weighted AUCs: the area under the
// ROC curve of scores against labels that are known as probabilities p of a positive,
//
//	Σ_{i≠j} p_i (1−p_j) ([s_i > s_j] + ½[s_i = s_j]) / Σ_{i≠j} p_i (1−p_j).
//
// With p of 0 and 1 it is the AUC of drawn labels, the Mann-Whitney statistic U/(n₊n₋); else the
// expected AUC, which ranks models alike without the noise of the draws.
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

// auc is the AUC of a sample in which case i occurs weight(i) times; NaN where it has no pair.
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

// influence is what each case does to the AUC, to first order: the derivative by its weight. The
// numbers sum to 0. With drawn labels they are DeLong's placement values: of a positive, the share
// of negatives that it beats less the AUC, ÷ n₊; of a negative, the share of positives that beat it
// less the AUC, ÷ n₋ (DeLong et al. 1988). It takes one pass over the order (Sun and Xu 2014).
func (r *ranking) influence() []float64 {
	var positives, negatives, self float64
	for _, p := range r.p {
		positives, negatives, self = positives+p, negatives+1-p, self+p*(1-p)
	}
	auc, pairs := r.auc(func(int) float64 { return 1 }), positives*negatives-self
	influence := make([]float64, len(r.p))
	var below, lower float64 // positives and negatives below the current run
	for begin := 0; begin < len(r.order); begin = r.tied[begin] {
		run := r.order[begin:r.tied[begin]]
		var p, q float64
		for _, i := range run {
			p, q = p+r.p[i], q+1-r.p[i]
		}
		above := positives - below - p
		for _, i := range run {
			yes, no := r.p[i], 1-r.p[i]
			won := yes*(lower+(q-no)/2) + no*(above+(p-yes)/2)
			all := yes*(negatives-no) + no*(positives-yes)
			influence[i] = (won - auc*all) / pairs
		}
		below, lower = below+p, lower+q
	}
	return influence
}
