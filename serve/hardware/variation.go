package hardware

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Variation is how much longer or shorter measured steps took than a Linear says. A machine's steps
// vary more than their batches do: it pauses, and it is slow after it was idle. A simulated step
// takes what is predicted times what one of the measured steps most like it took, drawn at random.
type Variation struct {
	steps []variedStep
}

// variedStep is a measured step: two logarithms, of what is predicted and of the time without work
// before it, and what it took as a multiple of the prediction.
type variedStep struct{ predicted, idle, ratio float64 }

// One of alike steps is drawn, or of all that differ by less than the share equal; shortIdle is the
// seconds without work up to which times differ little.
const (
	alike     = 24
	equal     = 0.02
	shortIdle = 0.02
)

// Share returns the multiple that a share of the measured steps stays below, 1 without any.
func (v *Variation) Share(of float64) float64 {
	if len(v.steps) == 0 {
		return 1
	}
	ratios := make([]float64, len(v.steps))
	for i := range ratios {
		ratios[i] = v.steps[i].ratio
	}
	slices.Sort(ratios)
	return ratios[int(of*float64(len(ratios)-1)+0.5)]
}

// NewVariation compares measured steps with what a Linear says of them.
func NewVariation(l *Linear, samples []Sample) *Variation {
	v := &Variation{}
	for i := range samples {
		s := &samples[i]
		if predicted := l.step(&s.Batch).Total(); predicted > 0 {
			v.steps = append(v.steps, variedStep{math.Log(predicted), math.Log(s.Idle + shortIdle), s.Seconds / predicted})
		}
	}
	return v
}

// draw returns the multiple of a step of the predicted seconds after idle ones, 1 without measured
// steps.
func (v *Variation) draw(predicted, idle float64, from *rand.Rand) float64 {
	if len(v.steps) == 0 || !(predicted > 0) {
		return 1
	}
	predicted, idle = math.Log(predicted), math.Log(idle+shortIdle)
	distance := func(s *variedStep) float64 {
		return math.Abs(s.predicted-predicted) + math.Abs(s.idle-idle)
	}
	var nearest [alike]float64 // distances in ascending order
	n := 0
	for i := range v.steps {
		d := distance(&v.steps[i])
		if n == alike && d >= nearest[n-1] {
			continue
		}
		n = min(n+1, alike)
		at := n - 1
		for ; at > 0 && nearest[at-1] > d; at-- {
			nearest[at] = nearest[at-1]
		}
		nearest[at] = d
	}
	within, seen, ratio := max(nearest[n-1], equal), 0, 1.0
	for i := range v.steps {
		if s := &v.steps[i]; distance(s) <= within {
			if seen++; from.IntN(seen) == 0 { // each of those within is drawn as often
				ratio = s.ratio
			}
		}
	}
	return ratio
}
