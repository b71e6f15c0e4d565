package quant

import "cmp"

// Work is about how many multiply-adds in float64 rounding a linear layer takes, with the errors of
// its outputs, where there are statistics of its inputs.
func (s Scheme) Work(in, out int, clip bool) float64 {
	d, p := float64(in), float64(out)
	energy := d * d * p / 2
	work := 0.0
	switch r := s.Rounder.(type) {
	case nil:
		return 0
	case GPTQ:
		work = d*d*d/6 + energy + energy // its error is its loss
	case QuantEase:
		starts := 2.0
		if r.Start != "" {
			starts = 1
		}
		// most outputs settle before the last sweep
		work = d*d*d/6 + 2*energy + 2*energy*0.7*starts*float64(cmp.Or(r.Sweeps, defaultSweeps))
	default:
		work = 2 * energy
	}
	if clip {
		work += clipSteps * d * p * float64(cmp.Or(s.Format.Group, in))
	}
	return work
}
