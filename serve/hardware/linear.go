package hardware

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Linear is the time of a step as a sum of what it does, fitted to measured steps of one model on
// one machine. It needs no peaks: where a machine's kernels are unknown, its own steps are the
// calibration.
type Linear struct {
	Step    float64 // seconds of every step
	Token   float64 // of each new token
	Pair    float64 // of each new token and one that it attends to, in prefills
	Context float64 // of each token that a decode attends to
	Row     float64 // of each row of logits
	Error   float64 // relative error to expect: that of nine of ten fitted steps
}

// step is the time of one batch.
func (l *Linear) step(b *Batch) Times {
	return Times{
		GEMM: l.Token * float64(b.tokens), Attention: l.Pair*b.pairs + l.Context*float64(b.context),
		Head: l.Row * float64(b.rows), Overhead: l.Step, Relative: l.Error,
	}
}

// Sample is a measured step.
type Sample struct {
	Batch   Batch
	Seconds float64
	Idle    float64 // seconds without work before it
}

// rounds is how often FitHost weighs its samples anew; a sample counts as at most so many times as
// long as is predicted, since nothing in a step explains a pause of the machine.
const rounds, longest = 6, 3

// FitHost fits a Linear to measured steps of one model on one machine by non-negative least squares
// of the errors relative to what is predicted, and returns it with the root mean square of those
// relative to what was measured. No step is dropped: one that took no time is an error.
func FitHost(samples []Sample) (Calibration, float64, error) {
	const unknowns = 5
	if err := checkSamples("steps", len(samples), unknowns, func(i int) float64 { return samples[i].Seconds }); err != nil {
		return Calibration{}, 0, err
	}
	a, b := mat.NewDense(len(samples), unknowns, nil), mat.NewVecDense(len(samples), nil)
	for i, s := range samples {
		if s.Batch.tokens == 0 {
			return Calibration{}, 0, fmt.Errorf("fit steps: sample %d has no tokens", i)
		}
		for j, v := range []float64{1, float64(s.Batch.tokens), s.Batch.pairs, float64(s.Batch.context), float64(s.Batch.rows)} {
			a.Set(i, j, v/s.Seconds)
		}
		b.SetVec(i, 1)
	}
	l := &Linear{}
	for round := range rounds {
		x, err := nonNegative(a, b)
		if err != nil {
			return Calibration{}, 0, err
		}
		*l = Linear{Step: x[0], Token: x[1], Pair: x[2], Context: x[3], Row: x[4]}
		if round == rounds-1 {
			break
		}
		// Errors relative to what was measured draw the fit to the short times. Relative to what is
		// predicted they do not.
		for i, s := range samples {
			predicted := l.step(&samples[i].Batch).Total()
			for j, v := range []float64{1, float64(s.Batch.tokens), s.Batch.pairs, float64(s.Batch.context), float64(s.Batch.rows)} {
				a.Set(i, j, v/predicted)
			}
			b.SetVec(i, min(s.Seconds/predicted, longest))
		}
	}
	squares := 0.0
	predict := func(i int) float64 { return l.step(&samples[i].Batch).Total() }
	for i, s := range samples {
		squares += (predict(i)/s.Seconds - 1) * (predict(i)/s.Seconds - 1)
	}
	rms := math.Sqrt(squares / float64(len(samples)))
	l.Error = spread(len(samples), predict, func(i int) float64 { return samples[i].Seconds }).P90
	return Calibration{
		Name: "measured", Stack: "slimlab on this machine", Source: fmt.Sprintf("%d measured steps", len(samples)), RMS: rms, Linear: l,
	}, rms, nil
}

// Observed is a model on a machine of which steps were measured, and nothing else is known: its
// calibration is a Linear with what the host takes of a request, and with how its steps vary, which
// may be nil. Its cache holds so many tokens.
func Observed(m Model, tokens int, l Linear, v *Variation, h Host) *Deployment {
	return &Deployment{Model: m, Count: 1, Calibration: Calibration{Name: "observed", Linear: &l, Host: h}, kvTokens: tokens, variation: v}
}
