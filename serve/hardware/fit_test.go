package hardware

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// noisy is a time with noise of a few percent, as a clock gives.
func noisy(r *rand.Rand, seconds float64) float64 { return seconds * math.Exp(0.03*r.NormFloat64()) }

// closeTo reports a constant that a fit did not find.
func closeTo(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got/want-1) <= within) {
		t.Errorf("%s is fitted to %.4g, expected %.4g within %.0f%%", what, got, want, 100*within)
	}
}

// TestFitHost finds the constants that made noisy steps, and predicts steps that it has not seen.
func TestFitHost(t *testing.T) {
	truth := Linear{Step: 2e-3, Token: 5e-4, Pair: 3e-8, Context: 2e-6, Row: 1e-3}
	r := rand.New(rand.NewPCG(3, 4))
	sample := func() Sample {
		var b Batch
		for range 1 + r.IntN(6) {
			if r.IntN(2) == 0 {
				b.Add(1, 1+r.IntN(4000), 1)
			} else {
				b.Add(1+r.IntN(1000), r.IntN(3000), r.IntN(2))
			}
		}
		s := truth.step(&b)
		return Sample{Batch: b, Seconds: noisy(r, s.Total())}
	}
	var samples []Sample
	for range 400 {
		samples = append(samples, sample())
	}
	c, rms, err := FitHost(samples)
	if err != nil {
		t.Fatal(err)
	}
	closeTo(t, "a step", c.Linear.Step, truth.Step, 0.35)
	closeTo(t, "a token", c.Linear.Token, truth.Token, 0.02)
	closeTo(t, "a pair", c.Linear.Pair, truth.Pair, 0.05)
	closeTo(t, "a context", c.Linear.Context, truth.Context, 0.05)
	closeTo(t, "a row", c.Linear.Row, truth.Row, 0.2)
	closeTo(t, "rms", rms, 0.03, 0.2)
	inside := 0
	m, d := Models()[0], Devices()[0]
	p, err := NewDeployment(m, d, 1, c)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		s := sample()
		times := p.Step(&s.Batch)
		if low, high := times.Band(); low <= s.Seconds && s.Seconds <= high {
			inside++
		}
	}
	if inside < 850 || inside > 950 {
		t.Errorf("%d of 1000 new steps are in the band, expected about 900", inside)
	}
	for name, bad := range map[string][]Sample{
		"none": nil, "few": samples[:4], "no time": append(slices.Clone(samples), Sample{Batch: samples[0].Batch}),
		"not a number": append(slices.Clone(samples), Sample{Batch: samples[0].Batch, Seconds: math.NaN()}), "no tokens": append(slices.Clone(samples), Sample{Seconds: 1}),
	} {
		if _, _, err := FitHost(bad); err == nil {
			t.Errorf("%s: samples are fitted", name)
		}
	}
}

// TestFitHostOfOneKind: constants that the samples say nothing of are 0, and no fit fails.
func TestFitHostOfOneKind(t *testing.T) {
	var samples []Sample
	for n := 1; n <= 50; n++ {
		var b Batch
		b.Add(n*10, 0, 1)
		samples = append(samples, Sample{Batch: b, Seconds: 1e-3 + 1e-4*float64(n)})
	}
	c, rms, err := FitHost(samples)
	if err != nil || rms > 1e-6 || c.Linear.Context != 0 {
		t.Errorf("%+v, rms %g, %v", c.Linear, rms, err)
	}
}

func TestNonNegative(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		rows, unknowns := 3+r.IntN(10), 1+r.IntN(4)
		a, b := mat.NewDense(rows, unknowns, nil), mat.NewVecDense(rows, nil)
		for i := range rows {
			for j := range unknowns {
				a.Set(i, j, r.NormFloat64())
			}
			b.SetVec(i, r.NormFloat64())
		}
		x, err := nonNegative(a, b)
		if err != nil {
			t.Fatal(err)
		}
		// the conditions of Karush, Kuhn and Tucker: no constant can be moved for the better
		var residual, slope mat.VecDense
		residual.MulVec(a, mat.NewVecDense(unknowns, x))
		residual.SubVec(&residual, b)
		slope.MulVec(a.T(), &residual)
		for j, v := range x {
			if v < 0 || v > 0 && math.Abs(slope.AtVec(j)) > 1e-9 || v == 0 && slope.AtVec(j) < -1e-9 {
				t.Errorf("%d x %d: constant %d is %v, the slope there %v", rows, unknowns, j, v, slope.AtVec(j))
			}
		}
	}
}

// TestFitKernels finds constants that made noisy kernels.
func TestFitKernels(t *testing.T) {
	h100 := device(t, "h100")
	r := rand.New(rand.NewPCG(7, 8))
	size := func(most int) float64 { return float64(int(1) << r.IntN(most)) }

	gemm := GEMM{Launch: 3e-6, Compute: 0.7, Stream: 0.8, Power: 2.5, Depth: 4e-10, RoundStream: 0.5}
	var products []GEMMSample
	for range 2000 {
		s := GEMMSample{M: size(15), N: 64 * size(9), K: 64 * size(9)}
		s.Seconds = noisy(r, gemm.seconds(&h100, FP8, 1, s.M, s.N, s.K))
		products = append(products, s)
	}
	g, spread, err := FitGEMM(h100, FP8, products)
	if err != nil || spread.P50 > 0.03 {
		t.Fatalf("%v, %v", spread, err)
	}
	closeTo(t, "compute", g.Compute, gemm.Compute, 0.03)
	closeTo(t, "stream", g.Stream, gemm.Stream, 0.05)
	closeTo(t, "launch", g.Launch, gemm.Launch, 0.05)
	closeTo(t, "depth", g.Depth, gemm.Depth, 0.1)

	context := Context{Launch: 1e-5, Compute: 0.6, Narrow: 0.5, Last: 0.3, Stream: 0.5, Power: 1.5}
	decode := Decode{Launch: 1e-5, Serial: 5e-8, Stream: 0.9, Pad: 100, Query: 4, Power: 1.2}
	var prefills, decodes []AttentionSample
	for range 1500 {
		s := AttentionSample{Sequences: 1 << r.IntN(5), New: 1 << r.IntN(15), Heads: 8 << r.IntN(3), KVHeads: 1 << r.IntN(4), HeadDim: 64 << r.IntN(2), KVBytes: 2}
		all, sizes, err := batches([]AttentionSample{s})
		if err != nil {
			t.Fatal(err)
		}
		s.Seconds = noisy(r, context.seconds(&h100, sizes[0], &all[0]))
		prefills = append(prefills, s)
		s.New, s.Cached = 1, 1<<r.IntN(17)
		if all, sizes, err = batches([]AttentionSample{s}); err != nil {
			t.Fatal(err)
		}
		s.Seconds = noisy(r, decode.seconds(&h100, sizes[0], &all[0]))
		decodes = append(decodes, s)
	}
	c, spread, err := FitContext(h100, prefills)
	if err != nil || spread.P50 > 0.03 {
		t.Fatalf("%v, %v", spread, err)
	}
	closeTo(t, "compute", c.Compute, context.Compute, 0.03)
	closeTo(t, "narrow heads", c.Narrow, context.Narrow, 0.1)
	dec, spread, err := FitDecode(h100, decodes)
	if err != nil || spread.P50 > 0.03 {
		t.Fatalf("%v, %v", spread, err)
	}
	closeTo(t, "stream", dec.Stream, decode.Stream, 0.03)
	closeTo(t, "launch", dec.Launch, decode.Launch, 0.05)

	for name, err := range map[string]error{
		"a format that the device has not": fitError(FitGEMM(device(t, "a100"), FP8, products)),
		"few products":                     fitError(FitGEMM(h100, BF16, products[:3])),
		"no time":                          fitError(FitDecode(h100, append(slices.Clone(decodes[:20]), AttentionSample{Sequences: 1, New: 1, Heads: 1, KVHeads: 1, HeadDim: 1, KVBytes: 2}))),
		"no heads":                         fitError(FitContext(h100, append(slices.Clone(prefills[:20]), AttentionSample{Sequences: 1, New: 1, Seconds: 1}))),
		"no link":                          fitError(FitAllReduce(device(t, "l40s"), make([]AllReduceSample, 9))),
		"nothing":                          fitError(FitElementwise(h100, nil)),
	} {
		if err == nil {
			t.Errorf("%s: a fit succeeds", name)
		}
	}
}

func fitError[T any](_ T, _ Spread, err error) error { return err }

// TestFitRequests finds what made requests, and refuses those of several kinds.
func TestFitRequests(t *testing.T) {
	c := shippedCopy(t, "sglang-0.4.1")
	var all []Request
	for _, name := range []string{"8b", "3b", "2.1b"} {
		for _, n := range []int{1000, 8000, 30000} {
			p := served(t, name, c)
			all = append(all, Request{p.Model, p.Device, p.Count, n, p.FirstToken(n, c.Chunk)})
		}
	}
	changed := c
	changed.Kernels = slices.Clone(c.Kernels)
	changed.Host = Host{1, 1}
	changed.Kernels[0].GEMM[FP8].Compute, changed.Kernels[0].Context[0].Compute = 0.3, 0.9
	found, rms, err := FitRequests(changed, Free{true, true, true, true}, all)
	if err != nil || rms > 1e-4 {
		t.Fatalf("rms %g, %v", rms, err)
	}
	closeTo(t, "host of a request", found.Host.Fixed, c.Host.Fixed, 0.01)
	closeTo(t, "host of a token", found.Host.Token, c.Host.Token, 0.01)
	closeTo(t, "products", found.Kernels[0].GEMM[FP8].Compute, c.Kernels[0].GEMM[FP8].Compute, 0.01)
	closeTo(t, "attention", found.Kernels[0].Context[0].Compute, c.Kernels[0].Context[0].Compute, 0.01)
	if changed.Kernels[0].GEMM[FP8].Compute != 0.3 || changed.Host.Fixed != 1 {
		t.Error("the calibration that was given is changed")
	}

	other := slices.Clone(all)
	other[1].Device = device(t, "h200")
	mixed := slices.Clone(all)
	mixed[2].Model.Weights = BF16
	still := slices.Clone(all)
	still[3].Seconds = 0
	for name, c := range map[string]struct {
		free     Free
		requests []Request
	}{
		"no requests": {Free{HostFixed: true}, nil}, "two devices": {Free{HostFixed: true}, other}, "two formats": {Free{HostFixed: true}, mixed},
		"no time": {Free{HostFixed: true}, still}, "nothing free": {Free{}, all}, "more constants than requests": {Free{true, true, true, true}, all[:2]},
	} {
		if _, _, err := FitRequests(changed, c.free, c.requests); err == nil {
			t.Errorf("%s: a fit succeeds", name)
		}
	}
}
