package quant

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
)

// The product is that of the dequantized weight and of each row rounded to FP8 with its own scale.
func TestFP8MatchesFakeQuant(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, shape := range [][2]int{{3, 8}, {17, 33}, {64, 128}} {
		out, in := shape[0], shape[1]
		w := weights(rng, out, in)
		g, err := newGrid(w, out, in, in, Scheme{Bits: 8, Float: true}, false)
		if err != nil {
			t.Fatal(err)
		}
		weight, err := g.weight(g.roundToNearest(w), false)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 3
		x, y := weights(rng, rows, in), make([]float32, rows*out)
		weight.MulT(y, x, rows)
		dense := weight.Float32()
		for r := range rows {
			row := x[r*in : (r+1)*in]
			s := max(slices.Max(row), -slices.Min(row)) / 448
			for o := range out {
				sum, size := 0.0, 0.0
				for i, v := range row {
					p := float64(kernels.FromFloat8(kernels.ToFloat8(v/s))) * float64(s) * float64(dense[o*in+i])
					sum += p
					size += math.Abs(p)
				}
				if got := float64(y[r*out+o]); math.Abs(got-sum) > 1e-5*size {
					t.Errorf("[%d, %d] row %d output %d: %g, fake quantization gives %g", out, in, r, o, got, sum)
				}
			}
		}
		// A value within the normal range is at most 1/16 off; the largest of a channel is exact to
		// the scale's rounding.
		for i, v := range w {
			if s := float64(g.scale[i/in]); math.Abs(float64(v)-float64(dense[i])) > max(math.Abs(float64(v))/16, s/1024)*(1+1e-6) {
				t.Errorf("weight %g became %g with scale %g", v, dense[i], s)
			}
		}
	}
}

// Codes and scales come back as they were given, those of selected outputs too, and NaN codes are
// refused.
func TestFP8Identity(t *testing.T) {
	q := make([]byte, 0, 254)
	for c := range 256 {
		if !kernels.IsNaNFloat8(byte(c)) {
			q = append(q, byte(c))
		}
	}
	for _, input := range []float32{0, 0.5} {
		w, err := NewFP8(q, []float32{0.5, 3}, input, 2, 127)
		if err != nil {
			t.Fatal(err)
		}
		codes, scale, in := w.FP8()
		if !slices.Equal(codes, q) || !slices.Equal(scale, []float32{0.5, 3}) || in != input || w.Bytes() != 254+8 {
			t.Errorf("codes %v, scales %v and %v, %d bytes", codes, scale, in, w.Bytes())
		}
		codes, scale, in = w.Select([]int32{1}).(*FP8).FP8()
		if !slices.Equal(codes, q[127:]) || !slices.Equal(scale, []float32{3}) || in != input {
			t.Errorf("selected codes %v, scales %v and %v", codes, scale, in)
		}
		if want := map[float32]string{0: "fp8-dynamic", 0.5: "fp8-static"}[input]; w.Format() != want {
			t.Errorf("format %s, want %s", w.Format(), want)
		}
	}
	for want, f := range map[string]func() error{
		"code [1, 0] is 0x7f":         func() error { _, err := NewFP8([]byte{0, 0, 0x7f, 0}, []float32{1, 1}, 0, 2, 2); return err },
		"code [0, 1] is 0xff":         func() error { _, err := NewFP8([]byte{0, 255, 0, 0}, []float32{1, 1}, 0, 2, 2); return err },
		"found 3 codes":               func() error { _, err := NewFP8([]byte{0, 0, 0}, []float32{1, 1}, 0, 2, 2); return err },
		"and 1 scales":                func() error { _, err := NewFP8([]byte{0, 0, 0, 0}, []float32{1}, 0, 2, 2); return err },
		"scale of activations is NaN": func() error { _, err := NewFP8([]byte{0}, []float32{1}, float32(math.NaN()), 1, 1); return err },
		"scale of activations is -1":  func() error { _, err := NewFP8([]byte{0}, []float32{1}, -1, 1, 1); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// With BFloat16Scales every scale is a bfloat16 number, and the codes are nearest to it.
func TestBFloat16Scales(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	for _, name := range []string{"w8a8", "w4a16-rtn", "w4a16-gptq", "fp8"} {
		s, err := ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		q, _, err := Quantize(context.Background(), m, sequences(10), Options{Scheme: s, BFloat16Scales: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range q.Linears() {
			var scale []float32
			switch w := l.Weight.(type) {
			case *Int8:
				_, scale = w.Int8()
			case *Int4:
				_, scale, _ = w.Int4()
			case *FP8:
				_, scale, _ = w.FP8()
			}
			for _, v := range scale {
				if math.Float32bits(v)&0xffff != 0 {
					t.Fatalf("%s: %s has scale %v", name, l.Name, v)
				}
			}
			if e := relativeError(m.Linears()[i].Weight.Float32(), l.Weight.Float32()); e > 0.05 {
				t.Errorf("%s: %s has weight error %g", name, l.Name, e)
			}
		}
	}
}
