package doctor

import (
	"math"
	"slices"
	"testing"

	"slimlab/kernels/parallel"
)

// TestGenerator: codes keep to their range and fill it, floats have the deviation, and nothing
// depends on the number of threads.
func TestGenerator(t *testing.T) {
	const n = 100_003
	for _, draw := range []struct {
		name        string
		lowest, top int8
		of          func(g *generator) []int8
	}{
		{"int8s", -127, 127, func(g *generator) []int8 { return g.int8s(n) }},
		{"int4s", -8, 7, func(g *generator) []int8 { return g.int4s(n) }},
	} {
		var one, many generator
		restore := parallel.SetThreads(1)
		first := slices.Clone(draw.of(&one))
		restore()
		restore = parallel.SetThreads(3)
		second := draw.of(&many)
		restore()
		if !slices.Equal(first, second) {
			t.Errorf("%s depend on the number of threads", draw.name)
		}
		if len(first) != n || slices.Min(first) != draw.lowest || slices.Max(first) != draw.top {
			t.Errorf("%s are %d codes %d…%d, want %d codes %d…%d", draw.name, len(first), slices.Min(first), slices.Max(first), n, draw.lowest, draw.top)
		}
		if slices.Equal(first, draw.of(&one)) {
			t.Errorf("%s are the same at the second draw", draw.name)
		}
	}
	var g generator
	sum := 0.0
	for _, x := range g.float32s(n, 3) {
		sum += float64(x) * float64(x)
	}
	if d := math.Sqrt(sum / n); math.Abs(d-3) > 0.03 {
		t.Errorf("the deviation of float32s is %v, want 3", d)
	}
}

// TestFormats: a random weight of each format has its shape and passes unit variance on.
func TestFormats(t *testing.T) {
	const out, in = 50, 640
	for _, f := range formats {
		var g generator
		w := f.weight(&g, out, in)
		if o, i := w.Shape(); o != out || i != in || w.Format() != f.name {
			t.Errorf("%s: the shape is [%d, %d] in %s", f.name, o, i, w.Format())
		}
		x, y := vector(&g, in), make([]float32, out)
		w.MulT(y, x, 1)
		row, inputs, outputs := make([]float32, in), 0.0, 0.0
		for o := range out {
			w.Row(row, o)
			for i, v := range row {
				inputs += float64(v) * float64(v) / out
				outputs += float64(v) * float64(x[i]) / out
			}
		}
		if math.Abs(inputs-1) > 0.1 {
			t.Errorf("%s: the weights of an output have squares that add up to %v, want 1", f.name, inputs)
		}
		sum := 0.0
		for _, v := range y {
			sum += float64(v) / out
		}
		if math.Abs(sum-outputs) > 0.02 {
			t.Errorf("%s: products add up to %v, rows to %v", f.name, sum, outputs)
		}
	}
}
