package model

import (
	"fmt"
	"math"

	"slimlab/kernels"
)

// RopeScaling stretches the rotary positions of a model beyond those that it was first trained on.
// The zero value is none.
type RopeScaling struct {
	Kind                 string // "", RopeLinear, RopeLlama3 or RopeYarn
	Factor               float64
	LowFrequencyFactor   float64 // llama3
	HighFrequencyFactor  float64 // llama3
	OriginalMaxPositions int     // llama3; yarn, where 0 is MaxPositions
	BetaFast, BetaSlow   float64 // yarn; 0 is 32 and 1
	AttentionFactor      float64 // yarn; 0 is 0.1·ln(Factor)+1
}

// The kinds of RopeScaling by Hugging Face's names.
const (
	RopeLinear = "linear" // every frequency divided by Factor (Chen et al., 2023)
	// low frequencies divided, high ones kept, a slope over wavelengths between (Llama 3.1)
	RopeLlama3 = "llama3"
	// as llama3, but with a slope over dimensions, and attention is scaled (Peng et al., 2023)
	RopeYarn = "yarn"
)

func (r RopeScaling) validate(theta float64) error {
	positive := func(name string, v float64) error {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("rope scaling %s: %s is %v, expected a positive number", r.Kind, name, v)
		}
		return nil
	}
	switch r.Kind {
	case "":
		if r != (RopeScaling{}) {
			return fmt.Errorf("rope scaling: found %+v without a kind", r)
		}
		return nil
	case RopeLinear, RopeLlama3, RopeYarn:
	default:
		return fmt.Errorf("rope scaling: %q is not supported, expected %s, %s or %s", r.Kind, RopeLinear, RopeLlama3, RopeYarn)
	}
	if !(r.Factor >= 1) || math.IsInf(r.Factor, 0) {
		return fmt.Errorf("rope scaling %s: factor is %v, expected at least 1", r.Kind, r.Factor)
	}
	least := 1
	switch r.Kind {
	case RopeLinear:
		return nil
	case RopeLlama3:
		if err := positive("low frequency factor", r.LowFrequencyFactor); err != nil {
			return err
		}
		if err := positive("high frequency factor", r.HighFrequencyFactor); err != nil {
			return err
		}
		if r.HighFrequencyFactor <= r.LowFrequencyFactor {
			return fmt.Errorf("rope scaling %s: high frequency factor is %v, expected above the low one, %v", r.Kind, r.HighFrequencyFactor, r.LowFrequencyFactor)
		}
	case RopeYarn:
		least = 0
		fast, slow := r.betas()
		if err := positive("beta fast", fast); err != nil {
			return err
		}
		if err := positive("beta slow", slow); err != nil {
			return err
		}
		if fast < slow {
			return fmt.Errorf("rope scaling %s: beta fast is %v, expected at least beta slow, %v", r.Kind, fast, slow)
		}
		if err := positive("attention factor", r.gain()); err != nil {
			return err
		}
		if theta <= 1 {
			return fmt.Errorf("rope scaling %s: rope theta is %v, expected above 1", r.Kind, theta)
		}
	}
	if r.OriginalMaxPositions < least || r.OriginalMaxPositions > MaxPositions {
		return fmt.Errorf("rope scaling %s: original number of positions is %d, expected %d to %d", r.Kind, r.OriginalMaxPositions, least, MaxPositions)
	}
	return nil
}

// betas are the full turns within the original positions from which on, and down to which, yarn
// keeps and divides a frequency.
func (r RopeScaling) betas() (fast, slow float64) {
	fast, slow = 32, 1
	if r.BetaFast != 0 {
		fast = r.BetaFast
	}
	if r.BetaSlow != 0 {
		slow = r.BetaSlow
	}
	return fast, slow
}

// gain is the factor of cos and sin.
func (r RopeScaling) gain() float64 {
	switch {
	case r.Kind != RopeYarn:
		return 1
	case r.AttentionFactor != 0:
		return r.AttentionFactor
	}
	// Peng et al., 2023, equation 22: the square root of 1/t scales queries and keys alike
	return 0.1*math.Log(r.Factor) + 1
}

// frequencies are the angles a position by which the pairs of a head turn [headDim/2], and the
// factor of cos and sin, as Hugging Face's modeling_rope_utils defines them.
func (c *Config) frequencies() (f []float64, gain float64) {
	f = kernels.RopeFrequencies(c.HeadDim, c.RopeTheta)
	r := c.Rope
	switch r.Kind {
	case RopeLinear:
		for i := range f {
			f[i] /= r.Factor
		}
	case RopeLlama3:
		for i := range f {
			// within the original positions
			turns := float64(r.OriginalMaxPositions) * f[i] / (2 * math.Pi)
			kept := clamp((turns - r.LowFrequencyFactor) / (r.HighFrequencyFactor - r.LowFrequencyFactor))
			f[i] *= kept + (1-kept)/r.Factor
		}
	case RopeYarn:
		first, last := c.yarnSlope()
		for i := range f {
			divided := clamp((float64(i) - first) / (last - first))
			f[i] *= 1 - divided + divided/r.Factor
		}
	}
	return f, r.gain()
}

// yarnSlope returns the pair up to which yarn keeps frequencies and the one from which on it
// divides them: whole numbers, as the released code rounds them outward.
func (c *Config) yarnSlope() (first, last float64) {
	original := c.Rope.OriginalMaxPositions
	if original == 0 {
		original = c.MaxPositions
	}
	pair := func(turns float64) float64 { // which turns so often within the original positions
		return float64(c.HeadDim) * math.Log(float64(original)/(turns*2*math.Pi)) / (2 * math.Log(c.RopeTheta))
	}
	fast, slow := c.Rope.betas()
	first = max(0, math.Floor(pair(fast)))
	last = min(float64(c.HeadDim-1), math.Ceil(pair(slow)))
	if first == last {
		last += 0.001 // the released code's guard: a step instead of a slope
	}
	return first, last
}

func clamp(v float64) float64 { return min(1, max(0, v)) }
