package hardware

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestStepIsTheFormulas compares a step with the formulas, computed layer by layer without tables.
func TestStepIsTheFormulas(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ name, devices string }{{"8b", "h100x4"}, {"2.1b", "h100x2"}, {"qwen2.5-0.5b", "h100"}} {
		m, err := FindModel(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if m, err = m.In(FP8, BF16); err != nil {
			t.Fatal(err)
		}
		m.Layers[3].MLP, m.Layers[5].Heads, m.Layers[5].KVHeads = 1024, 4, 4 // layers of different widths
		d, count, _ := ParseDevices(c.devices)
		calibration := shippedCopy(t, "sglang-0.5")
		calibration.LayerLaunch = 0
		p, err := NewDeployment(m, d, count, calibration)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			var b, prefills, decodes Batch
			for range 1 + random.IntN(8) {
				n, cached := 1, 1+random.IntN(20000)
				if random.IntN(2) == 0 {
					n = 2 + random.IntN(6000)
					prefills.Add(n, cached, 0)
				} else {
					decodes.Add(n, cached, 0)
				}
				b.Add(n, cached, random.IntN(2))
			}
			got := p.Step(&b)
			k := &p.kernels
			var want Times
			rows, parts := float64(b.Tokens()), float64(count)
			for _, l := range m.Layers {
				h := heads{float64(l.Heads) / parts, max(1, float64(l.KVHeads)/parts), float64(m.HeadDim), 2}
				hidden, mlp := float64(m.Hidden), float64(l.MLP)/parts
				for _, nk := range [][2]float64{{(h.heads + 2*h.kv) * h.dim, hidden}, {hidden, h.heads * h.dim}, {2 * mlp, hidden}, {hidden, mlp}} {
					want.GEMM += k.GEMM[FP8].seconds(&p.Device, FP8, 1, rows, nk[0], nk[1])
				}
				if prefills.Tokens() > 0 {
					want.Attention += k.Context[0].seconds(&p.Device, h, &prefills)
				}
				if decodes.Tokens() > 0 {
					want.Attention += k.Decode[0].seconds(&p.Device, h, &decodes)
				}
				want.AllReduce += 2 * k.AllReduce.seconds(&p.Device, count, rows*hidden*2)
				want.Elementwise += k.Elementwise.Launch + rows*elementwiseBytes(hidden, h.dim, h.heads, h.kv, mlp)/(p.Device.Bandwidth*k.Elementwise.Stream)
			}
			for _, part := range []struct {
				name      string
				got, want float64
				within    float64
			}{
				{"products", got.GEMM, want.GEMM, 0.04} /* between points on two sides of a whole tile */, {"attention", got.Attention, want.Attention, 0.002},
				{"all-reduce", got.AllReduce, want.AllReduce, 0.002}, {"elementwise", got.Elementwise, want.Elementwise, 1e-9},
			} {
				if math.Abs(part.got-part.want) > part.within*part.want {
					t.Errorf("%s on %s, %+v: %s %.6g, expected %.6g", c.name, c.devices, b, part.name, part.got, part.want)
				}
			}
			if low, high := got.Band(); !(low < got.Total() && got.Total() < high) {
				t.Errorf("%.3g is outside its band of %.3g to %.3g", got.Total(), low, high)
			}
		}
	}
}

// TestStepGrows: more tokens, a longer context, more logits and wider layers never take less time.
func TestStepGrows(t *testing.T) {
	for _, c := range Calibrations() {
		p, err := deploy(t, "8b", BF16, BF16, "h100x2", c.Name)
		if err != nil {
			t.Fatal(err)
		}
		total := func(n, cached, rows, sequences int) float64 {
			var b Batch
			for range sequences {
				b.Add(n, cached, rows)
			}
			return p.Step(&b).Total()
		}
		for _, n := range []int{2, 30, 129, 1000, 8192, 70000, 200000} {
			if total(2*n, 100, 1, 1) <= total(n, 100, 1, 1)*0.999 {
				t.Errorf("%s: %d new tokens take less time than %d", c.Name, 2*n, n)
			}
			if total(1, 2*n, 1, 8) <= total(1, n, 1, 8) || total(64, 2*n, 1, 2) <= total(64, n, 1, 2) && c.LayerLaunch == 0 {
				t.Errorf("%s: a context of %d takes less time than %d", c.Name, 2*n, n)
			}
		}
		if total(8, 0, 8, 1) < total(8, 0, 1, 1) {
			t.Errorf("%s: more logits take less time", c.Name)
		}
		if c.Host.Fixed <= 0 || p.Host(2000) < p.Host(1000) {
			t.Errorf("%s: the host takes %v s of 1000 tokens and %v of 2000", c.Name, p.Host(1000), p.Host(2000))
		}
	}
}

func TestCurve(t *testing.T) {
	line := newCurve(func(rows int) float64 { return 3 + 2*float64(rows) })
	square := newCurve(func(rows int) float64 { return float64(rows) * float64(rows) })
	for _, rows := range []int{0, 1, 2, 127, 128, 129, 130, 131, 255, 256, 257, 1000, 8191, 8192, 65535, 65536, 65537, 200000} {
		want := 3 + 2*float64(rows)
		if rows == 0 {
			want = 0
		}
		if got := line.at(rows); math.Abs(got-want) > 1e-9*want {
			t.Errorf("a line at %d is %v, expected %v", rows, got, want)
		}
		if got, want := square.at(rows), float64(rows)*float64(rows); rows <= 65536 && math.Abs(got-want) > 1e-3*want {
			t.Errorf("a square at %d is %v, expected %v", rows, got, want)
		}
	}
	if line.at(-1) != 0 {
		t.Error("fewer rows than none take time")
	}
}

func TestMeeting(t *testing.T) {
	for _, p := range []float64{0.9, 1, 1.1, 1.4, 2, 3.3, 8} {
		m := newMeeting(p)
		for _, x := range []float64{0, 1e-4, 0.01, 0.3, 0.77, 1, 1.5, 40, 1e9} {
			if got, want := m.of(2, 2*x), softMax(2, 2*x, p); math.Abs(got/want-1) > 1.5e-3 {
				t.Errorf("power %v at %v: %v, expected %v", p, x, got, want)
			}
		}
	}
}

func TestBatch(t *testing.T) {
	var b Batch
	b.Add(1, 99, 1)   // a decode
	b.Add(1, 0, 1)    // a prompt of one token
	b.Add(10, 5, 0)   // a chunk
	b.Add(4, 1000, 4) // tokens of a draft
	want := Batch{tokens: 16, rows: 6, prefills: 3, fresh: 15, pairs: 1 + 50 + 55 + 4000 + 10, keys: 1 + 15 + 1004, longest: 1004, decodes: 1, context: 100}
	if b != want {
		t.Errorf("%+v, expected %+v", b, want)
	}
	if b.Reset(); b != (Batch{}) || b.Tokens() != 0 {
		t.Errorf("%+v after a reset", b)
	}
}

// TestStepAllocates nothing.
func TestStepAllocates(t *testing.T) {
	p, err := deploy(t, "8b", FP8, BF16, "h100x4", "sglang-0.5")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		var b Batch
		b.Add(100, 0, 1)
		b.Add(1, 100, 1)
		p.Step(&b)
	}); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
}

func BenchmarkStep(b *testing.B) {
	uniform, err := deploy(b, "8b", FP8, BF16, "h100x4", "sglang-0.5")
	if err != nil {
		b.Fatal(err)
	}
	m := uniform.Model
	m.Layers = slices.Clone(m.Layers)
	for i := range m.Layers {
		m.Layers[i].MLP -= 4 * 64 * i
	}
	varied, err := NewDeployment(m, uniform.Device, 4, uniform.Calibration)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		p    *Deployment
	}{{"uniform", uniform}, {"32-widths", varied}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				var batch Batch
				batch.Add(100, 0, 1)
				batch.Add(1, 100, 1)
				c.p.Step(&batch)
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	var batch Batch
	for b.Loop() {
		batch.Add(1, 4000, 1)
	}
}
