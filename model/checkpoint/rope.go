package checkpoint

import (
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsonread"
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
// within rope_parameters, which may have them for each kind of layer; the kind of scaling is
// rope_type or, earlier, type.
func (k *keys) rope(n *notes) (theta float64, scaling model.RopeScaling) {
	theta = k.number("rope_theta", 10000)
	for _, key := range []string{"rope_scaling", "rope_parameters"} {
		if !k.present(key) {
			continue
		}
		in := k.ofLayers(key, n)
		found := in.scaling(key, n)
		inner := in.number("rope_theta", theta)
		if k.present("rope_theta") && inner != theta {
			n.add("config.json: rope_theta is %v, within %s %v: the latter counts", theta, key, inner)
		}
		theta = inner
		in.partialRotary()
		k.inside(key, in)
		if key == "rope_parameters" && k.present("rope_scaling") && found != scaling {
			k.fail(key, "found %s, which differs from rope_scaling", jsonread.Clip(k.raw[key]))
		}
		scaling = found
	}
	k.partialRotary()
	if original := k.integer("original_max_position_embeddings", scaling.OriginalMaxPositions); scaling.Kind != "" && original != scaling.OriginalMaxPositions {
		if scaling.OriginalMaxPositions != 0 {
			k.fail("original_max_position_embeddings", "found %d, but %d in the scaling of rotary positions", original, scaling.OriginalMaxPositions)
		}
		if scaling.Kind == model.RopeYarn {
			scaling.OriginalMaxPositions = original
		}
	}
	return theta, scaling
}

// ofLayers returns the keys of rope_scaling or rope_parameters. Where they stand once for each kind
// of layer, those of layers that attend to all positions are meant: others are refused by
// layer_types.
func (k *keys) ofLayers(key string, n *notes) *keys {
	const full = "full_attention"
	in := k.object(key)
	if !in.present(full) {
		return in
	}
	for other := range in.raw {
		if other != full && !strings.HasSuffix(other, "_attention") {
			k.fail(key, "%s: found beside %s, expected kinds of layers alone", other, full)
		}
	}
	n.add("config.json: %s stands for each kind of layer: that of %s is read", key, full)
	of := in.object(full)
	k.inside(key, in)
	return of
}

func (k *keys) partialRotary() {
	if f := k.number("partial_rotary_factor", 1); f != 1 {
		k.fail("partial_rotary_factor", "%g is not supported, expected 1", f)
	}
}

// ropeReasons say what the kinds of scaling that are not computed would do.
var ropeReasons = map[string]string{
	"dynamic":  "frequencies that follow the length of each text (dynamic NTK)",
	"longrope": "a list of divisors for short texts and one for long texts (LongRoPE)",
	"su":       "a list of divisors for short texts and one for long texts (LongRoPE)",
	"mrope":    "positions in three directions (M-RoPE)",
}

// scaling reads the object of rope_scaling or rope_parameters, whose key is where.
func (k *keys) scaling(where string, n *notes) model.RopeScaling {
	kind := k.text("rope_type", k.text("type", "default"))
	if old := k.text("type", kind); old != kind {
		k.fail("rope_type", "found %q, but type is %q", kind, old)
	}
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
		k.unscaled(known, where, n)
		return model.RopeScaling{}
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
		reason := ""
		if text, ok := ropeReasons[kind]; ok {
			reason = ": " + text
		}
		k.fail("rope_type", "%q is not supported, expected default, linear, llama3 or yarn%s", kind, reason)
		return r
	}
	number(&r.Factor, "factor", true)
	if others := k.others(known); len(others) > 0 {
		k.fail(others[0], "the key is not supported for rope type %q", kind)
	}
	return r
}

// unscaled notes keys that have no meaning beside the type default, and refuses those of M-RoPE and
// of kinds of layers, which have.
func (k *keys) unscaled(known []string, where string, n *notes) {
	others := k.others(known)
	if k.present("factor") && !k.present("rope_type") && !k.present("type") {
		k.fail("rope_type", "the key is missing beside factor, expected default, linear, llama3 or yarn")
	}
	for _, key := range others {
		if strings.HasPrefix(key, "mrope_") || strings.HasSuffix(key, "_attention") {
			k.fail(key, "the key is not supported for rope type %q", "default")
		}
	}
	if len(others) > 0 {
		n.add("config.json: %s has type default, which scales nothing: %s beside it not read", where, some(others))
	}
}

// others lists the keys, sorted, that are there and not known.
func (k *keys) others(known []string) []string {
	var others []string
	for key := range k.raw {
		if !slices.Contains(known, key) && k.present(key) {
			others = append(others, key)
		}
	}
	slices.Sort(others)
	return others
}
