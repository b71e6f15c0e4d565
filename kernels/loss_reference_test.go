package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// The float64 reference: the same losses from their definitions and the general gradient rule of
// the softmax.

type lossCase struct {
	name string
	d    Distillation
}

func lossCases() []lossCase {
	var cases []lossCase
	for _, temperature := range []float64{1, 0.5, 3} {
		for _, squared := range []bool{false, true} {
			at := fmt.Sprintf("/T=%v,T2=%v", temperature, squared)
			cases = append(cases,
				lossCase{"fkl" + at, Distillation{Divergence: ForwardKL, Temperature: temperature, TimesT2: squared}},
				lossCase{"rkl" + at, Distillation{Divergence: ReverseKL, Temperature: temperature, TimesT2: squared}},
				lossCase{"tvd" + at, Distillation{Divergence: TotalVariation, Temperature: temperature, TimesT2: squared}})
			for _, beta := range []float64{0.1, 0.5, 0.8} {
				for _, normalized := range []bool{false, true} {
					cases = append(cases, lossCase{fmt.Sprintf("jsd:%v,normalized=%v%s", beta, normalized, at),
						Distillation{Divergence: JensenShannon, Beta: beta, Normalized: normalized, Temperature: temperature, TimesT2: squared}})
				}
			}
			for _, alpha := range []float64{0.1, 0.5, 0.9} {
				cases = append(cases,
					lossCase{fmt.Sprintf("skl:%v%s", alpha, at), Distillation{Divergence: SkewForwardKL, Alpha: alpha, Temperature: temperature, TimesT2: squared}},
					lossCase{fmt.Sprintf("srkl:%v%s", alpha, at), Distillation{Divergence: SkewReverseKL, Alpha: alpha, Temperature: temperature, TimesT2: squared}})
			}
		}
	}
	return cases
}

func logSoftmax64(z []float64, temperature float64) []float64 {
	m := math.Inf(-1)
	for _, v := range z {
		m = max(m, v/temperature)
	}
	var sum float64
	for _, v := range z {
		sum += math.Exp(v/temperature - m)
	}
	out := make([]float64, len(z))
	for i, v := range z {
		out[i] = v/temperature - m - math.Log(sum)
	}
	return out
}

func logAddExp(a, b float64) float64 { return max(a, b) + math.Log1p(math.Exp(-math.Abs(a-b))) }

func klReference(lp, lq []float64) (sum float64) {
	for i := range lp {
		if p := math.Exp(lp[i]); p > 0 {
			sum += p * (lp[i] - lq[i])
		}
	}
	return sum
}

// logMixture is log(a·e^x + (1−a)·e^y).
func logMixture(a float64, x, y []float64) []float64 {
	m := make([]float64, len(x))
	for i := range m {
		m[i] = logAddExp(math.Log(a)+x[i], math.Log(1-a)+y[i])
	}
	return m
}

func divergenceReference(d Distillation, z, t []float64) float64 {
	lp, lq := logSoftmax64(t, d.Temperature), logSoftmax64(z, d.Temperature)
	scale := 1.0
	if d.TimesT2 {
		scale = d.Temperature * d.Temperature
	}
	switch d.Divergence {
	case ForwardKL:
		return scale * klReference(lp, lq)
	case ReverseKL:
		return scale * klReference(lq, lp)
	case SkewForwardKL:
		return scale * klReference(lp, logMixture(d.Alpha, lp, lq))
	case SkewReverseKL:
		return scale * klReference(lq, logMixture(d.Alpha, lq, lp))
	case TotalVariation:
		var sum float64
		for i := range lp {
			sum += math.Abs(math.Exp(lp[i]) - math.Exp(lq[i]))
		}
		return scale * sum / 2
	}
	if d.Normalized {
		scale /= d.Beta * (1 - d.Beta)
	}
	lm := logMixture(d.Beta, lp, lq)
	return scale * (d.Beta*klReference(lp, lm) + (1-d.Beta)*klReference(lq, lm))
}

// gradientReference applies ∂D/∂z_i = q_i (g_i − Σ q_j g_j)/T to g = ∂D/∂q, which is given for each
// divergence by its definition (for JSD with all terms, p/m and q/m included: that they cancel is a
// theorem this checks).
func gradientReference(d Distillation, z, t []float64) []float64 {
	lp, lq := logSoftmax64(t, d.Temperature), logSoftmax64(z, d.Temperature)
	g, out := make([]float64, len(z)), make([]float64, len(z))
	var mean float64
	for i := range g {
		q := math.Exp(lq[i])
		switch d.Divergence {
		case ForwardKL:
			g[i] = -math.Exp(lp[i]) // q·g, which cannot overflow
			mean += g[i]
			continue
		case ReverseKL:
			g[i] = lq[i] - lp[i] + 1
		case JensenShannon:
			b := d.Beta
			lm := logAddExp(math.Log(b)+lp[i], math.Log(1-b)+lq[i])
			g[i] = -b*(1-b)*math.Exp(lp[i]-lm) + (1-b)*(lq[i]-lm+1-(1-b)*math.Exp(lq[i]-lm))
		case SkewForwardKL:
			lm := logAddExp(math.Log(d.Alpha)+lp[i], math.Log(1-d.Alpha)+lq[i])
			g[i] = -(1 - d.Alpha) * math.Exp(lp[i]-lm)
		case SkewReverseKL:
			lm := logAddExp(math.Log(d.Alpha)+lq[i], math.Log(1-d.Alpha)+lp[i])
			g[i] = lq[i] - lm + 1 - d.Alpha*math.Exp(lq[i]-lm)
		case TotalVariation:
			g[i] = math.Copysign(0.5, q-math.Exp(lp[i]))
		}
		mean += q * g[i]
	}
	scale := 1 / d.Temperature
	if d.TimesT2 {
		scale = d.Temperature
	}
	if d.Divergence == JensenShannon && d.Normalized {
		scale /= d.Beta * (1 - d.Beta)
	}
	for i := range out {
		q := math.Exp(lq[i])
		if d.Divergence != ForwardKL {
			g[i] *= q
		}
		out[i] = scale * (g[i] - q*mean)
	}
	return out
}

func crossEntropyReference(z []float64, label int) (loss float64, gradient []float64) {
	lq := logSoftmax64(z, 1)
	gradient = make([]float64, len(z))
	for i := range gradient {
		gradient[i] = math.Exp(lq[i])
	}
	gradient[label]--
	return -lq[label], gradient
}

// lossLogits draws a pair of rows that float32 holds exactly; spread 0 draws near-one-hot rows.
func lossLogits(rng *rand.Rand, n int, spread float64) (z, t []float64) {
	draw := func() []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = float64(float32(rng.NormFloat64() * max(spread, 0.3)))
		}
		if spread == 0 {
			x[rng.IntN(n)] += 12
		}
		return x
	}
	return draw(), draw()
}

func float32s(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

func TestDivergenceReferenceAgainstCentralDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const h = 1e-5
	for _, c := range lossCases() {
		for _, spread := range []float64{1, 3, 0} {
			z, teacher := lossLogits(rng, 11, spread)
			gradient := gradientReference(c.d, z, teacher)
			var sum float64
			for i, g := range gradient {
				sum += g
				at := z[i]
				z[i] = at + h
				up := divergenceReference(c.d, z, teacher)
				z[i] = at - h
				down := divergenceReference(c.d, z, teacher)
				z[i] = at
				if diff := math.Abs((up-down)/(2*h) - g); diff > 1e-8 {
					t.Errorf("%s: spread %v: gradient %d is %v, central difference differs by %v", c.name, spread, i, g, diff)
				}
			}
			if math.Abs(sum) > 1e-12 {
				t.Errorf("%s: gradients sum to %v, want 0", c.name, sum)
			}
		}
	}
}
