package kernels

import "math"

// AdamW holds the constants of one optimizer step (Loshchilov and Hutter, 2019).
type AdamW struct {
	LearningRate, Beta1, Beta2, Epsilon, WeightDecay float32
	Step                                             int // 1 for the first step
	// gradients are multiplied by it first: clipping and normalisation
	GradScale float32
}

// adamWCall is a step with what follows from its constants.
type adamWCall struct {
	AdamW
	rk         *rowKernels
	p, g, m, v []float32
	c1, c2     float32 // correct the bias of m and v
}

var adamWCalls = newCalls(func(a *adamWCall, lo, hi int) {
	a.rk.adamW(a.p[lo:hi], a.g[lo:hi], a.m[lo:hi], a.v[lo:hi], a.GradScale,
		a.Beta1, 1-a.Beta1, a.Beta2, 1-a.Beta2, a.c1, a.c2, a.LearningRate, a.Epsilon, a.WeightDecay)
})

// Update applies one step to p from its gradient g with moments m and v, all of one length, and
// clears g for the next, in one pass: m = β₁m + (1−β₁)g, v = β₂v + (1−β₂)g², p −= lr·(m̂/(√v̂ + ε)
// + decay·p), with m̂ = m/(1−β₁^step) and v̂ likewise.
func (a AdamW) Update(p, g, m, v []float32) {
	n := len(p)
	checkLen("AdamW.Update g", g, n)
	checkLen("AdamW.Update m", m, n)
	checkLen("AdamW.Update v", v, n)
	c1 := float32(1 / (1 - math.Pow(float64(a.Beta1), float64(a.Step))))
	c2 := float32(1 / (1 - math.Pow(float64(a.Beta2), float64(a.Step))))
	adamWCalls.run(n, blockElements, adamWCall{a, &active.Load().rows, p, g, m, v, c1, c2})
}
