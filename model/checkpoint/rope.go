package checkpoint

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"slimlab/model"
)

// ropeScaling is rope_scaling as it is written.
type ropeScaling struct {
	Kind                 string `json:"rope_type"`
	Factor               float  `json:"factor"`
	LowFrequencyFactor   float  `json:"low_freq_factor,omitempty"`
	HighFrequencyFactor  float  `json:"high_freq_factor,omitempty"`
	OriginalMaxPositions int    `json:"original_max_position_embeddings,omitempty"`
	BetaFast             float  `json:"beta_fast,omitempty"`
	BetaSlow             float  `json:"beta_slow,omitempty"`
	AttentionFactor      float  `json:"attention_factor,omitempty"`
}

// float is a number that is written with a fraction or an exponent, as Hugging Face's checks of
// types expect of one that is not an integer.
type float float64

// MarshalJSON writes the shortest decimal.
func (f float) MarshalJSON() ([]byte, error) {
	s := strconv.FormatFloat(float64(f), 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return []byte(s), nil
}

func newRopeScaling(r model.RopeScaling) *ropeScaling {
	if r.Kind == "" {
		return nil
	}
	return &ropeScaling{r.Kind, float(r.Factor), float(r.LowFrequencyFactor), float(r.HighFrequencyFactor), r.OriginalMaxPositions,
		float(r.BetaFast), float(r.BetaSlow), float(r.AttentionFactor)}
}

// rope reads the rotary positions in their spellings: rope_theta beside rope_scaling, or both
// within rope_parameters; the kind is rope_type or, earlier, type.
func (k *keys) rope() (theta float64, scaling model.RopeScaling) {
	theta = k.number("rope_theta", 10000)
	for _, key := range []string{"rope_scaling", "rope_parameters"} {
		if !k.present(key) {
			continue
		}
		var in keys
		if err := json.Unmarshal(k.raw[key], &in.raw); err != nil {
			k.fail(key, "found %s, expected an object", clip(k.raw[key]))
			continue
		}
		found := in.scaling()
		theta = in.number("rope_theta", theta)
		in.partialRotary()
		if in.err != nil {
			k.fail(key, "%v", in.err)
		}
		if key == "rope_parameters" && k.present("rope_scaling") && found != scaling {
			k.fail(key, "found %s, which differs from rope_scaling", clip(k.raw[key]))
		}
		scaling = found
	}
	k.partialRotary()
	return theta, scaling
}

func (k *keys) partialRotary() {
	if f := k.number("partial_rotary_factor", 1); f != 1 {
		k.fail("partial_rotary_factor", "%g is not supported, expected 1", f)
	}
}

// scaling reads the object of rope_scaling or rope_parameters.
func (k *keys) scaling() model.RopeScaling {
	kind := k.text("rope_type", k.text("type", "default"))
	r := model.RopeScaling{Kind: kind}
	known := []string{"rope_type", "type", "rope_theta", "partial_rotary_factor"}
	original := func(fallback int) {
		r.OriginalMaxPositions = k.integer("original_max_position_embeddings", fallback)
		known = append(known, "original_max_position_embeddings")
	}
	number := func(v *float64, key string, needed bool) {
		if known = append(known, key); needed && !k.present(key) {
			k.fail(key, "the key is missing for rope type %q", kind)
		}
		*v = k.number(key, 0)
	}
	switch kind {
	case "default":
		r.Kind = ""
	case model.RopeLinear:
		// says where the model comes from, and changes nothing
		known = append(known, "original_max_position_embeddings")
	case model.RopeLlama3:
		number(&r.LowFrequencyFactor, "low_freq_factor", true)
		number(&r.HighFrequencyFactor, "high_freq_factor", true)
		original(required)
	case model.RopeYarn:
		number(&r.BetaFast, "beta_fast", false)
		number(&r.BetaSlow, "beta_slow", false)
		number(&r.AttentionFactor, "attention_factor", false)
		original(0)
		known = append(known, "truncate")
		k.refuse("truncate", true)
	default:
		k.fail("rope_type", "%q is not supported, expected default, linear, llama3 or yarn", kind)
		return r
	}
	if kind != "default" {
		number(&r.Factor, "factor", true)
	}
	var others []string
	for key := range k.raw {
		if !slices.Contains(known, key) && k.present(key) {
			others = append(others, key)
		}
	}
	if len(others) > 0 {
		k.fail(slices.Min(others), "the key is not supported for rope type %q", kind)
	}
	return r
}
