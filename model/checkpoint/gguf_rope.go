package checkpoint

import (
	"fmt"
	"math"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
)

// rope reads how rotary positions are scaled. The llama3 kind has no key of its own: its divisors
// of the frequencies are in a tensor.
func (k *ggufKeys) rope(f *gguf.File, c model.Config) model.RopeScaling {
	key := k.prefix + "rope.scaling.type"
	linear := k.number("rope.scale_linear", 1) // the key of older files
	kind := fetch(k, k.metadata.String, key, "")
	factor := k.number("rope.scaling.factor", linear)
	if kind == "" && factor != 1 {
		kind = "linear"
	}
	var r model.RopeScaling
	switch kind {
	case "", "none":
	case "linear":
		r = model.RopeScaling{Kind: model.RopeLinear, Factor: factor}
	case "yarn":
		r = model.RopeScaling{
			Kind: model.RopeYarn, Factor: factor, OriginalMaxPositions: k.integer("rope.scaling.original_context_length", c.MaxPositions),
			BetaFast: k.number("rope.scaling.yarn_beta_fast", 0), BetaSlow: k.number("rope.scaling.yarn_beta_slow", 0),
		}
		if a := k.number("rope.scaling.attn_factor", 1) * k.number("rope.scaling.yarn_attn_factor", 1); a != 1 {
			r.AttentionFactor = a * yarnAttention(factor)
		}
		if n := k.number("rope.scaling.yarn_log_multiplier", 0); n != 0 {
			k.fail(k.prefix+"rope.scaling.yarn_log_multiplier", "%g is not supported, expected none", n)
		}
	default:
		k.fail(key, "%q is not supported, expected none, linear or yarn", kind)
	}
	if r.Kind != "" && !(factor >= 1 && factor <= 1<<20) {
		k.fail(k.prefix+"rope.scaling.factor", "found %g, expected 1 to 2^20", factor)
	}
	t, ok := f.Tensor(ggufRopeFactors)
	if !ok || k.err != nil {
		return r
	}
	factors := make([]float32, c.HeadDim/2)
	err := fmt.Errorf("tensor %q: %d elements, expected %d", ggufRopeFactors, t.Elements(), len(factors))
	if len(factors) == t.Elements() {
		err = f.ReadRows(factors, ggufRopeFactors, 0, t.Rows())
	}
	if err == nil && r.Kind != "" {
		err = fmt.Errorf("tensor %q beside %s %q: expected one of them", ggufRopeFactors, key, kind)
	}
	if err == nil {
		r, err = llama3FromFactors(factors, c)
	}
	if err != nil {
		k.err = err
	}
	return r
}

// yarnAttention is YaRN's own factor of the attention (Peng et al., 2023, equation 22).
func yarnAttention(factor float64) float64 { return 0.1*math.Log(factor) + 1 }

// llama3Factors are the divisors of the rotary frequencies, [headDim/2], that Llama 3.1's scaling
// amounts to: none for wavelengths below original / high, factor for those above original / low,
// and between the two a blend of the frequencies that is linear in the number of turns within the
// original context.
func llama3Factors(r model.RopeScaling, theta float64, headDim int) []float32 {
	factors := make([]float32, headDim/2)
	for i := range factors {
		turns := float64(r.OriginalMaxPositions) * frequency(theta, headDim, i) / (2 * math.Pi)
		blend := (turns - r.LowFrequencyFactor) / (r.HighFrequencyFactor - r.LowFrequencyFactor)
		blend = min(1, max(0, blend))
		factors[i] = float32(1 / ((1-blend)/r.Factor + blend))
	}
	return factors
}

// frequency is the angle by which position 1 turns pair i.
func frequency(theta float64, headDim, i int) float64 {
	return math.Pow(theta, -float64(2*i)/float64(headDim))
}

// llama3FromFactors finds the llama3 scaling that a file's divisors stand for. Scaling the original
// context and the low and the high factor by one number changes no divisor, so the context is taken
// to be Llama 3's; where the usual low and high factor do not give the tensor, they are solved from
// the two outermost blended frequencies. Divisors that follow no such rule are refused.
func llama3FromFactors(factors []float32, c model.Config) (model.RopeScaling, error) {
	r := model.RopeScaling{Kind: model.RopeLlama3, Factor: 1, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192}
	for i, f := range factors {
		if !(f >= 1 && f <= 1<<20) {
			return model.RopeScaling{}, fmt.Errorf("tensor %q: element %d is %g, expected 1 to 2^20", ggufRopeFactors, i, f)
		}
		r.Factor = max(r.Factor, float64(f))
	}
	if r.Factor == 1 {
		return model.RopeScaling{}, nil
	}
	if !agree(factors, r, c) {
		first, last := -1, -1
		for i, f := range factors {
			if f > 1 && float64(f) < r.Factor {
				if first < 0 {
					first = i
				}
				last = i
			}
		}
		if first < last {
			turns := func(i int) float64 {
				return float64(r.OriginalMaxPositions) * frequency(c.RopeTheta, c.HeadDim, i) / (2 * math.Pi)
			}
			blend := func(i int) float64 { return (1/float64(factors[i]) - 1/r.Factor) / (1 - 1/r.Factor) }
			span := (turns(first) - turns(last)) / (blend(first) - blend(last)) // high − low
			r.LowFrequencyFactor = turns(first) - blend(first)*span
			r.HighFrequencyFactor = r.LowFrequencyFactor + span
		}
		if !agree(factors, r, c) {
			return model.RopeScaling{}, fmt.Errorf("tensor %q: the %d divisors of the frequencies follow no llama3 scaling", ggufRopeFactors, len(factors))
		}
	}
	return r, nil
}

// agree reports whether a scaling gives the divisors, within the rounding of float32.
func agree(factors []float32, r model.RopeScaling, c model.Config) bool {
	for i, f := range llama3Factors(r, c.RopeTheta, c.HeadDim) {
		if !(math.Abs(float64(f-factors[i])) <= 1e-4*float64(f)) {
			return false
		}
	}
	return true
}
