package convert

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"slimlab/kernels"
	"slimlab/model/checkpoint"
	"slimlab/pruning/timing"
)

// foreseen is what is said before a compression, in multiply-adds by machines for which the other
// kind takes no time.
func foreseen(t *testing.T, run func(to string, o Options) error) (products, doubles float64) {
	t.Helper()
	of := func(rates timing.Rates) (seconds float64) {
		o := Options{Open: open, Begin: func(e MemoryEstimate, _ []Compatibility) { seconds = e.Time.Seconds() }}
		o.Rates = func(context.Context, kernels.Precision, int) (timing.Rates, error) { return rates, nil }
		if err := run(filepath.Join(t.TempDir(), "out"), o); err != nil {
			t.Fatal(err)
		}
		return seconds
	}
	products = of(timing.Rates{Products: 1e6, Doubles: math.Inf(1)}) * 1e6 / productShare
	doubles = of(timing.Rates{Products: math.Inf(1), Doubles: 1e6}) * 1e6 / doubleShare
	return products, doubles
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-3*math.Abs(b)+1 }

// TestTimeIsForeseen compares the work that is said with what the method is known to do, counted
// here by its linear layers.
func TestTimeIsForeseen(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	c, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Skeleton()
	if err != nil {
		t.Fatal(err)
	}
	const samples, length = 4, 32
	var layers, grams, cross, energies, factors float64 // multiply-adds
	inputs := map[[2]int]bool{}
	for _, l := range m.Linears() {
		d, p := float64(l.In), float64(l.Out)
		layers += samples * length * d * p
		energies += d * d * p / 2
		factors += d * d * d / 6
		if key := [2]int{l.Layer, int(l.Site)}; !inputs[key] {
			inputs[key] = true
			grams += samples * length * d * d / 2
			cross += samples * length * d * d
		}
	}
	for _, l := range m.Layers {
		layers += samples * length * length * float64(l.Heads*m.HeadDim)
	}
	quantized := func(name string, change func(q *Quantization)) func(to string, o Options) error {
		return func(to string, o Options) error {
			q := transformed(t, name, "none", "none", text)
			q.Calibration = Calibration{File: text, Samples: samples, Length: length}
			change(&q)
			_, err := Quantize(t.Context(), from, to, q, o)
			return err
		}
	}
	pruned := func(method string, cuts Cuts, change func(p *Pruning)) func(to string, o Options) error {
		return func(to string, o Options) error {
			p := Pruning{Calibration: Calibration{File: text, Samples: samples, Length: length, Seed: 3}}
			if err := p.Set(method, cuts); err != nil {
				t.Fatal(err)
			}
			change(&p)
			_, err := Prune(t.Context(), from, to, p, o)
			return err
		}
	}
	type of struct{ products, doubles float64 }
	for name, test := range map[string]struct {
		run  func(to string, o Options) error
		want of
	}{
		"nearest":         {quantized("w8a8", func(*Quantization) {}), of{layers + grams, 2 * energies}},
		"gptq":            {quantized("w4a16-gptq-g16", func(*Quantization) {}), of{layers + grams, 2*energies + factors}},
		"gptq to a dense": {quantized("w4a16-gptq-g16", func(q *Quantization) { q.Gathering.Target = 1 }), of{2*layers + grams + cross, 2*energies + factors}},
		"smooth": {quantized("w8a8", func(q *Quantization) {
			if err := q.Set("auto", "none"); err != nil {
				t.Fatal(err)
			}
		}), of{2 * (layers + grams), 2*energies + 22*energies}},
		"layers": {pruned("osscar", Cuts{Layers: "1"}, func(*Pruning) {}), of{layers, 0}},
	} {
		products, doubles := foreseen(t, test.run)
		if !near(products, test.want.products) || !near(doubles, test.want.doubles) {
			t.Errorf("%s: %.5g multiply-adds in products and %.5g in float64, want %.5g and %.5g", name, products, doubles, test.want.products, test.want.doubles)
		}
	}
	// What has no closed form here is at least in its order.
	least := of{}
	for _, test := range []struct {
		name string
		run  func(to string, o Options) error
	}{
		{"flap", pruned("flap", Cuts{MLP: "25%"}, func(*Pruning) {})},
		{"flap-ls", pruned("flap-ls", Cuts{MLP: "25%"}, func(*Pruning) {})},
		{"osscar", pruned("osscar", Cuts{MLP: "25%"}, func(*Pruning) {})},
		{"osscar, heads too", pruned("osscar", Cuts{MLP: "25%", Heads: "1"}, func(*Pruning) {})},
		{"osscar, by a budget", pruned("osscar", Cuts{Budget: "70%"}, func(*Pruning) {})},
	} {
		products, doubles := foreseen(t, test.run)
		if products < least.products || doubles <= least.doubles {
			t.Errorf("%s: %.5g and %.5g multiply-adds, expected more than %.5g and %.5g", test.name, products, doubles, least.products, least.doubles)
		}
		least = of{products, doubles}
	}
	plain, _ := foreseen(t, quantized("w4a16-gptq-g16", func(*Quantization) {}))
	refined, _ := foreseen(t, quantized("w4a16-gptq-g16", func(q *Quantization) { q.Refine.Steps = 3 }))
	gradients, _ := foreseen(t, pruned("taylor", Cuts{MLP: "25%"}, func(*Pruning) {}))
	if !near(refined, plain+10*layers) || gradients < 4*layers {
		t.Errorf("%.5g multiply-adds with gradient steps and %.5g for gradients, expected %.5g and at least %.5g", refined, gradients, plain+10*layers, 4*layers)
	}
	products, doubles := foreseen(t, func(to string, o Options) error {
		q := transformed(t, "w8a8", "none", "none", text)
		q.Calibration = Calibration{}
		_, err := Quantize(t.Context(), from, to, q, o)
		return err
	})
	if products != 0 || doubles != 0 {
		t.Errorf("without a text: %g and %g multiply-adds", products, doubles)
	}
}

// The time is of the layers that are still to be done.
func TestTimeOfWhatIsLeft(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	c, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := Pruning{Calibration: Calibration{File: text, Samples: 4, Length: 32}}
	if err := p.Set("osscar", Cuts{MLP: "25%"}); err != nil {
		t.Fatal(err)
	}
	shape := c.Config()
	if _, _, err := p.plan(shape); err != nil {
		t.Fatal(err)
	}
	o := Options{Rates: func(context.Context, kernels.Precision, int) (timing.Rates, error) {
		return timing.Rates{Products: 1e6, Doubles: 1e6}, nil
	}}
	layers := len(shape.Layers)
	whole, err := o.foreseeTime(t.Context(), shape, &p, kernels.Float32, 0)
	if err != nil || whole <= 0 {
		t.Fatalf("%v, %v", whole, err)
	}
	for finished := range layers + 1 {
		left, err := o.foreseeTime(t.Context(), shape, &p, kernels.Float32, finished)
		if want := float64(whole) * float64(layers-finished) / float64(layers); err != nil || math.Abs(float64(left)-want) > 1e3 {
			t.Errorf("%d of %d finished: %v, expected %v, %v", finished, layers, left, want, err)
		}
	}
}
