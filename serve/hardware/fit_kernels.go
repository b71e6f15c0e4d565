package hardware

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// GEMMSample is a measured product of [M, K] and [K, N].
type GEMMSample struct{ M, N, K, Seconds float64 }

// AttentionSample is a measured attention of equal sequences in one layer on one device.
type AttentionSample struct {
	Sequences, New, Cached  int
	Heads, KVHeads, HeadDim int
	KVBytes                 float64 // of an element of the cache
	Seconds                 float64
}

// AllReduceSample is a measured sum of a message over devices.
type AllReduceSample struct {
	Devices        int
	Bytes, Seconds float64
}

// ElementwiseSample is the measured work between the products of a layer on one device.
type ElementwiseSample struct {
	Tokens, Hidden, HeadDim, Heads, KVHeads, MLP, Seconds float64
}

// checkSamples refuses what no logarithm can be taken of.
func checkSamples(what string, n int, unknowns int, seconds func(i int) float64) error {
	if n < unknowns {
		return fmt.Errorf("fit %s: found %d samples, expected at least its %d constants", what, n, unknowns)
	}
	for i := range n {
		if s := seconds(i); !(s > 0) || math.IsInf(s, 0) {
			return fmt.Errorf("fit %s: sample %d took %v seconds, expected more than 0", what, i, s)
		}
	}
	return nil
}

// FitGEMM finds the constants of a device's products in a format from measured ones.
func FitGEMM(d Device, f Format, samples []GEMMSample) (GEMM, Spread, error) {
	if err := d.Validate(); err != nil {
		return GEMM{}, Spread{}, fmt.Errorf("fit products: %w", err)
	}
	if d.Peaks.Of(f) == 0 {
		return GEMM{}, Spread{}, fmt.Errorf("fit products: %s has no peak in %v", d.Name, f)
	}
	seconds := func(i int) float64 { return samples[i].Seconds }
	if err := checkSamples("products", len(samples), 6, seconds); err != nil {
		return GEMM{}, Spread{}, err
	}
	start := []float64{3e-6, 0.7, 0.7, 3, 1e-9}
	if f.rounds() {
		start = append(start, 0.7)
	}
	of := func(x []float64) GEMM {
		g := GEMM{Launch: x[0], Compute: x[1], Stream: x[2], Power: x[3], Depth: x[4]}
		if f.rounds() {
			g.RoundStream = x[5]
		}
		return g
	}
	weight := f.bits() / 8
	predict := func(g *GEMM, i int) float64 {
		s := samples[i]
		return g.seconds(&d, f, weight, s.M, s.N, s.K)
	}
	g := of(fitSamples(start, len(samples), func(x []float64, i int) float64 {
		g := of(x)
		return predict(&g, i) / samples[i].Seconds
	}))
	return g, spread(len(samples), func(i int) float64 { return predict(&g, i) }, seconds), nil
}

// batches returns each sample's batch and sizes.
func batches(samples []AttentionSample) ([]Batch, []heads, error) {
	all, sizes := make([]Batch, len(samples)), make([]heads, len(samples))
	for i, s := range samples {
		if min(s.Sequences, s.New, s.Heads, s.KVHeads, s.HeadDim) < 1 || s.Cached < 0 || !(s.KVBytes > 0) {
			return nil, nil, fmt.Errorf("fit attention: sample %d is %+v, expected positive sizes", i, s)
		}
		for range s.Sequences {
			all[i].Add(s.New, s.Cached, 0)
		}
		sizes[i] = heads{float64(s.Heads), float64(s.KVHeads), float64(s.HeadDim), s.KVBytes}
	}
	return all, sizes, nil
}

// FitContext finds the constants of a device's attention of prefills from measured ones. Where all
// heads are of 128 or more elements, Narrow is not determined and stays 0.
func FitContext(d Device, samples []AttentionSample) (Context, Spread, error) {
	seconds := func(i int) float64 { return samples[i].Seconds }
	all, sizes, err := batches(samples)
	if err := errors.Join(d.Validate(), err, checkSamples("prefill attention", len(samples), 6, seconds)); err != nil {
		return Context{}, Spread{}, err
	}
	start := []float64{10e-6, 0.6, 0.5, 0.5, 1.5}
	for _, h := range sizes {
		if h.dim < 128 {
			start = append(start, 0.5)
			break
		}
	}
	of := func(x []float64) Context {
		c := Context{Launch: x[0], Compute: x[1], Last: x[2], Stream: x[3], Power: x[4]}
		if len(x) > 5 {
			c.Narrow = x[5]
		}
		return c
	}
	c := of(fitSamples(start, len(samples), func(x []float64, i int) float64 {
		c := of(x)
		return c.seconds(&d, sizes[i], &all[i]) / samples[i].Seconds
	}))
	return c, spread(len(samples), func(i int) float64 { return c.seconds(&d, sizes[i], &all[i]) }, seconds), nil
}

// FitDecode finds the constants of a device's attention of decodes from measured ones.
func FitDecode(d Device, samples []AttentionSample) (Decode, Spread, error) {
	seconds := func(i int) float64 { return samples[i].Seconds }
	all, sizes, err := batches(samples)
	if err := errors.Join(d.Validate(), err, checkSamples("decode attention", len(samples), 6, seconds)); err != nil {
		return Decode{}, Spread{}, err
	}
	of := func(x []float64) Decode {
		return Decode{Launch: x[0], Serial: x[1], Stream: x[2], Pad: x[3], Query: x[4], Power: x[5]}
	}
	start := []float64{10e-6, 10e-9, 0.8, 64, 4, 1.5}
	c := of(fitSamples(start, len(samples), func(x []float64, i int) float64 {
		c := of(x)
		return c.seconds(&d, sizes[i], &all[i]) / samples[i].Seconds
	}))
	return c, spread(len(samples), func(i int) float64 { return c.seconds(&d, sizes[i], &all[i]) }, seconds), nil
}

// FitAllReduce finds the constants of a device's all-reduce from measured ones.
func FitAllReduce(d Device, samples []AllReduceSample) (AllReduce, Spread, error) {
	seconds := func(i int) float64 { return samples[i].Seconds }
	if err := errors.Join(d.Validate(), checkSamples("all-reduce", len(samples), 4, seconds)); err != nil {
		return AllReduce{}, Spread{}, err
	}
	if d.Link == 0 {
		return AllReduce{}, Spread{}, fmt.Errorf("fit all-reduce: %s has no link", d.Name)
	}
	of := func(x []float64) AllReduce { return AllReduce{x[0], x[1], x[2], x[3]} }
	a := of(fitSamples([]float64{3e-6, 1e-7, 1e-9, 0.7}, len(samples), func(x []float64, i int) float64 {
		a := of(x)
		return a.seconds(&d, samples[i].Devices, samples[i].Bytes) / samples[i].Seconds
	}))
	return a, spread(len(samples), func(i int) float64 { return a.seconds(&d, samples[i].Devices, samples[i].Bytes) }, seconds), nil
}

// FitElementwise finds the constants of a device's work between products by non-negative least
// squares of the relative errors.
func FitElementwise(d Device, samples []ElementwiseSample) (Elementwise, Spread, error) {
	seconds := func(i int) float64 { return samples[i].Seconds }
	if err := errors.Join(d.Validate(), checkSamples("elementwise", len(samples), 2, seconds)); err != nil {
		return Elementwise{}, Spread{}, err
	}
	a, b := mat.NewDense(len(samples), 2, nil), mat.NewVecDense(len(samples), nil)
	ideal := func(s ElementwiseSample) float64 {
		return s.Tokens * elementwiseBytes(s.Hidden, s.HeadDim, s.Heads, s.KVHeads, s.MLP) / d.Bandwidth
	}
	for i, s := range samples {
		a.SetRow(i, []float64{1 / s.Seconds, ideal(s) / s.Seconds})
		b.SetVec(i, 1)
	}
	x, err := nonNegative(a, b)
	if err != nil {
		return Elementwise{}, Spread{}, err
	}
	if x[1] == 0 {
		return Elementwise{}, Spread{}, fmt.Errorf("fit elementwise: the times do not grow with the bytes of %d samples", len(samples))
	}
	e := Elementwise{x[0], 1 / x[1]}
	return e, spread(len(samples), func(i int) float64 { return e.Launch + ideal(samples[i])/e.Stream }, seconds), nil
}
