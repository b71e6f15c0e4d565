package convert

import (
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/quant"
)

// TestSchemeThatFits: the error of a scheme whose blocks the widths do not hold names what the
// model can have, and no flag that the scheme has not.
func TestSchemeThatFits(t *testing.T) {
	shape := model.Config{Architecture: "LlamaForCausalLM", Vocab: 8, Hidden: 128, HeadDim: 64, Layers: model.Uniform(1, 2, 2, 100),
		MaxPositions: 8, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}
	for name, want := range map[string]string{
		"mxfp4":     "expected a scheme that fits, such as w8a8, fp8, w4a16-gchannel",
		"nvfp4":     "expected a scheme that fits, such as w8a8, fp8, w4a16-gchannel",
		"w4a16-g64": "expected --group channel, or a scheme without groups, such as w8a8: no multiple of 8 divides all inputs",
	} {
		s, err := quant.ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		q := Quantization{Scheme: s}
		if _, _, err := q.plan(shape); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", name, err, want)
		}
	}
}
