package kd

import "math"

// Schedule says how the learning rate falls after its warm-up.
type Schedule int

const (
	Cosine Schedule = iota // half a cosine down to the floor
	Linear                 // a line down to the floor
	// the peak, then a line down to the floor over the last share of the steps
	WarmupStableDecay
	Constant // the peak
)

// Schedules are the names of the schedules, in their order.
func Schedules() []string { return []string{"cosine", "linear", "wsd", "constant"} }

// String is the schedule's name.
func (s Schedule) String() string { return Schedules()[s] }

// usualDecay is the share of the steps over which WarmupStableDecay decays ("Scaling Laws and
// Compute-Optimal Training Beyond Fixed Training Durations", Hägele et al., 2024, find that 10 to
// 20% match a cosine).
const usualDecay = 0.2

// rate is the learning rate of a step from 1: a linear warm-up to LearningRate at step WarmUp (at
// the first without one), then the schedule, which ends at Floor·LearningRate at the last step.
func (c *TrainConfig) rate(step int) float64 {
	if step <= c.WarmUp {
		return c.LearningRate * float64(step) / float64(c.WarmUp)
	}
	peak := max(1, c.WarmUp)
	progress := float64(step-peak) / float64(max(1, c.Steps-peak))
	var share float64 // of the way from the floor to the peak
	switch c.Schedule {
	case Cosine:
		share = 0.5 * (1 + math.Cos(math.Pi*progress))
	case Linear:
		share = 1 - progress
	case WarmupStableDecay:
		decay := c.Decay
		if decay == 0 {
			decay = usualDecay
		}
		// the steps of the decay, of which the last is at the floor
		steps := min(decay*float64(c.Steps), float64(c.Steps-peak))
		share = 1
		if left := float64(c.Steps - step); left < steps {
			share = left / steps
		}
	case Constant:
		share = 1
	}
	return c.LearningRate * (c.Floor + (1-c.Floor)*share)
}
