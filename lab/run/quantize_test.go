package run

import (
	"context"
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
