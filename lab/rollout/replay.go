package rollout

import (
	"fmt"
	"math"
	"slices"

	"slimlab/kd"
)

// Replay draws as many fresh samples as the validation loss asks for, and uses earlier ones again
// (adaptive off-policy distillation: DistiLLM, Ko et al., 2024). With a threshold φ and a random
// number u from 0 to 1, an example's answer is a fresh sample where u < φ·(1 − step/Steps), or
// u < φ as long as the buffer is not full; an earlier sample from the buffer where u < φ; else it
// is as given. Earlier samples come with their own prompts. DistiLLM draws u for a whole batch;
// here it is drawn for each example.
//
// φ rises by Rise, up to 1, at a validation loss of at least Tolerance above the one before its
// last rise, the first one at first (Validated).
type Replay struct {
	Steps     int     // of the training
	Capacity  int     // samples of the buffer, of which the oldest go first; 0 is 1000
	Threshold float64 // φ as it begins, 0 to 1
	Rise      float64 // 0 is 0.1
	Tolerance float64 // in nats; 0 is 0.1
}

func (r Replay) complete() Replay {
	if r.Capacity == 0 {
		r.Capacity = 1000
	}
	if r.Rise == 0 {
		r.Rise = 0.1
	}
	if r.Tolerance == 0 {
		r.Tolerance = 0.1
	}
	return r
}

func (o Options) checkReplay() error {
	r := o.Replay
	switch {
	case r == nil:
		return nil
	case o.Fraction != 0:
		return fmt.Errorf("a fraction of %v with replay, expected 0: its threshold says how many are sampled", o.Fraction)
	case o.Teacher != 0:
		return fmt.Errorf("a teacher's share of %v with replay, expected 0: what is used again is the student's", o.Teacher)
	case r.Steps < 1 || r.Capacity < 0:
		return fmt.Errorf("replay over %d steps with a buffer of %d, expected at least 1 step and 0 samples or more", r.Steps, r.Capacity)
	case !(r.Threshold >= 0 && r.Threshold <= 1) || !(r.Rise >= 0 && r.Rise <= 1) || !(r.Tolerance >= 0):
		return fmt.Errorf("replay with threshold %v, rise %v and tolerance %v, expected 0 to 1, 0 to 1, and 0 or more", r.Threshold, r.Rise, r.Tolerance)
	}
	return nil
}

// replay is the state of a Replay.
type replay struct {
	Replay
	phi       float64
	validated bool
	loss      float64 // that a later one is compared with
	buffer    []kd.Example
	// samples of the last step, which are no part of the buffer until another step is asked for
	pending []kd.Example
	step    int // of the pending
}

func (r *replay) begin(o *Replay) {
	r.Replay = o.complete()
	r.phi = r.Threshold
}

// settle gives the buffer the samples of the step before, or drops those of this step, which will
// be drawn again.
func (r *replay) settle(step int) {
	if step != r.step {
		all := append(r.buffer, r.pending...)
		r.buffer = slices.Delete(all, 0, max(0, len(all)-r.Capacity))
	}
	r.pending, r.step = nil, step
}

// what says what becomes of an example.
type what int

const (
	asGiven what = iota
	fresh        // its answer is sampled
	earlier      // an earlier sample is used in its place
)

// of is what becomes of an example whose random number is u.
func (r *replay) of(u float64, step int) what {
	switch {
	case u >= r.phi:
		return asGiven
	case u < r.phi*(1-float64(step)/float64(r.Steps)) || len(r.buffer) < r.Capacity:
		return fresh
	}
	return earlier
}

// pick returns the sample of the buffer, which has some, at u of 0 to 1.
func (r *replay) pick(u float64) kd.Example { return r.buffer[int(u*float64(len(r.buffer)))] }

func (r *replay) keep(e kd.Example) { r.pending = append(r.pending, e) }

// Validated tells Replay a validation loss, in nats: the student's before the first step, then each
// one as it comes, before the state is saved. Without Replay, or of NaN, it does nothing.
func (s *Sampler) Validated(loss float64) {
	r := &s.replay
	switch {
	case s.options.Replay == nil || math.IsNaN(loss):
	case !r.validated:
		r.validated, r.loss = true, loss
	case loss >= r.loss+r.Tolerance:
		r.phi, r.loss = min(1, r.phi+r.Rise), loss
	}
}

// Threshold is φ of Replay.
func (s *Sampler) Threshold() float64 { return s.replay.phi }

// Buffered is the number of samples in the buffer of Replay.
func (s *Sampler) Buffered() int {
	return min(s.replay.Capacity, len(s.replay.buffer)+len(s.replay.pending))
}
