package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/lab"
)

// drawn is a run of one row whose AUC is off by effect, by the noise of training at each seed, and
// by what the sample of members does to the models of this run, at all seeds alike.
func drawn(rng *rand.Rand, id string, seeds int, effect, training, members float64) *lab.View {
	x, sum := make([]float64, 40), 0.0
	for i := range x {
		x[i] = members / math.Sqrt(40) * rng.NormFloat64()
		sum += x[i]
	}
	for i := range x {
		x[i] -= sum / 40
	}
	list := make([]int, seeds)
	for i := range list {
		list[i] = i + 1
	}
	return onUnits(id, "t", 1, list, id, func(int, int) (float64, []float64) {
		return 0.8 + effect + sum + training*rng.NormFloat64(), plus(hard(), x)
	})
}

// TestErrorsOfBothKinds: of pairs of runs that differ by nothing but noise at most 5% are worse and
// at most 5% better, however many seeds either run has and whichever noise is the larger (of 150
// pairs alone at most 8%, where 2.5% are expected). A loss or gain of 4 standard errors is found in
// at least 90% of the pairs where the noise of the members is the larger, and in 80% where 5 seeds
// tell of a larger noise of training: with 4 degrees of freedom a t test finds 84%. With
// fewer seeds the quantile is above 4.
func TestErrorsOfBothKinds(t *testing.T) {
	const trials, members = 150, 0.01
	pairs, allWorse, allBetter := 0, 0, 0
	seeds := []int{1, 2, 3, 5}
	for _, training := range []float64{0, 0.2 * members, members, 5 * members} {
		for _, a := range seeds {
			for _, b := range seeds {
				name := fmt.Sprintf("%d and %d seeds, training %v", a, b, training)
				common := float64(min(a, b))
				if common == 1 && training > 0 {
					continue // one seed says nothing of training, and the comparison says so
				}
				deviation := math.Sqrt(2*members*members + 2*training*training/common)
				found := func(effect float64) (worse, better int) {
					rng := rand.New(rand.NewPCG(uint64(a), uint64(b)))
					for range trials {
						c := Compare(drawn(rng, "a", a, 0, training, members), drawn(rng, "b", b, effect, training, members))
						switch c.Changes[0].Judgement {
						case Worse:
							worse++
						case Better:
							better++
						}
					}
					return worse, better
				}
				worse, better := found(0)
				if worse > trials*8/100 || better > trials*8/100 {
					t.Errorf("%s: no effect is worse in %d and better in %d of %d", name, worse, better, trials)
				}
				pairs, allWorse, allBetter = pairs+trials, allWorse+worse, allBetter+better
				if training > members/2 && common < 5 {
					continue
				}
				least := trials * 90 / 100
				if training > members/2 {
					least = trials * 80 / 100
				}
				if worse, better := found(-4 * deviation); worse < least || better > 0 {
					t.Errorf("%s: a loss of 4 standard errors is worse in %d and better in %d of %d", name, worse, better, trials)
				}
				if worse, better := found(4 * deviation); better < least || worse > 0 {
					t.Errorf("%s: a gain of 4 standard errors is better in %d and worse in %d of %d", name, better, worse, trials)
				}
			}
		}
	}
	t.Logf("no effect: %d pairs, %d worse, %d better", pairs, allWorse, allBetter)
	if allWorse > pairs*5/100 || allBetter > pairs*5/100 || allWorse == 0 {
		t.Errorf("no effect: of %d pairs %d are worse and %d better", pairs, allWorse, allBetter)
	}
}
