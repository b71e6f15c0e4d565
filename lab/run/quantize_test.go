package run

import (
	"context"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/quant"
)

// TestZeroPointsOnARealLayer quantizes the first layer of the embedded model: in each of its linear
// layers zero points make the output error of both roundings smaller, and with them GPTQ has a
// smaller one than rounding to nearest. All are trends; the margins are wide.
func TestZeroPointsOnARealLayer(t *testing.T) {
	m, sequences := calibratedFM(t, 48)
	for _, group := range []string{"-g32", "-g128"} {
		errors := map[string][]float64{}
		for _, name := range []string{"w4a16-rtn", "w4a16-gptq", "w4a16-asym-rtn", "w4a16-asym-gptq"} {
			scheme, err := quant.ParseScheme(name + group)
			if err != nil {
				t.Fatal(err)
			}
			layers, err := calibrate.NewInMemory(m)
			if err != nil {
				t.Fatal(err)
			}
			first := func(l model.LinearLayer) quant.Scheme {
				if l.Layer == 0 {
					return scheme
				}
				return quant.Scheme{}
			}
			r, err := quant.Quantize(context.Background(), layers, first, sequences, quant.Options{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range r.Linears {
				errors[name] = append(errors[name], l.Error)
			}
			t.Logf("%s%s: output errors %.4f", name, group, errors[name])
		}
		for _, c := range [][2]string{{"w4a16-asym-rtn", "w4a16-rtn"}, {"w4a16-asym-gptq", "w4a16-gptq"}, {"w4a16-asym-gptq", "w4a16-asym-rtn"}} {
			for i, e := range errors[c[0]] {
				if other := errors[c[1]][i]; e >= 0.95*other {
					t.Errorf("linear layer %d: the error of %s%s is %g, of %s %g", i, c[0], group, e, c[1], other)
				}
			}
		}
	}
}

// TestGroupsThatFit: an error of a group that does not divide the widths names groups that do, the
// smallest first, eight at most.
func TestGroupsThatFit(t *testing.T) {
	for _, c := range []struct {
		heads, mlp int // heads of 64
		want       string
	}{
		{2, 128, "; expected groups of 8, 16, 32, 64, 128 or channel"}, {2, 192, "; expected groups of 8, 16, 32, 64 or channel"}, {2, 8, "; expected groups of 8 or channel"}, {2, 16, "; expected groups of 8, 16 or channel"},
		{16, 1024, "; expected groups of 8, 16, 32, 64, 128, 256, 512, 1024 or channel"}, {32, 2048, "; expected groups of 8, 16, 32, 64, 128, 256, 512, 1024 or channel"}, {2, 4, "; no multiple of 8 divides all inputs: expected channel, or w8a8 or fp8, which need no groups"},
	} {
		q := &Quantize{Scheme: "w4a16-rtn", Group: "40"}
		q.Check(func(key string) bool { return key == "group" }, func(key, _, format string, args ...any) { t.Errorf("%s "+format, append([]any{key}, args...)...) })
		shape := model.Config{Architecture: "LlamaForCausalLM", Vocab: 8, Hidden: c.heads * 64, HeadDim: 64, Layers: model.Uniform(1, c.heads, c.heads, c.mlp),
			MaxPositions: 8, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}
		frame, err := model.Skeleton(shape)
		if err != nil {
			t.Fatal(err)
		}
		_, err = q.fit(shape, func() []int { return quant.Groups(frame) })
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%d heads, %d neurons: %v, expected %q", c.heads, c.mlp, err, c.want)
		}
	}
}

// TestSchemeThatFits: where a scheme has blocks of one size, which the widths do not hold, the
// error names schemes that the model can have.
func TestSchemeThatFits(t *testing.T) {
	for mlp, want := range map[int]string{100: "expected a scheme that fits, such as w8a8, fp8, w4a16-gchannel", 40: "expected a scheme that fits, such as w8a8, fp8, w4a16-g8"} {
		for _, scheme := range []string{"mxfp4", "nvfp4"} {
			q := &Quantize{Scheme: scheme, Group: "auto"}
			q.Check(func(string) bool { return false }, func(key, _, format string, args ...any) { t.Errorf("%s "+format, append([]any{key}, args...)...) })
			_, err := q.fit(model.Config{Architecture: "LlamaForCausalLM", Vocab: 8, Hidden: 128, HeadDim: 64, Layers: model.Uniform(1, 2, 2, mlp),
				MaxPositions: 8, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}, nil)
			if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "channel, or") {
				t.Errorf("%s, %d neurons: %v, expected %q", scheme, mlp, err, want)
			}
		}
	}
}
