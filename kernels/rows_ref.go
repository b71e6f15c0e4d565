package kernels

import "math"

var rowsRef = rowKernels{
	exp: expRef, expSum: expSumRef, maximum: maximumRef, dot: dotRef, addDot: addDotRef, dot3: dot3Ref, axpy: axpyRef, scale: scaleRef,
	shiftScale: shiftScaleRef, scaleAdd: scaleAddRef, normScale: normScaleRef, normBackward: normBackwardRef, swiglu: swigluRef,
	swigluBackward: swigluBackwardRef, mixtureLogs: mixtureLogsRef, softmaxGradient: softmaxGradientRef, adamW: adamWRef, sumSquares: sumSquaresRef, addMoments: addMomentsRef,
	rotate: rotateRef, transpose: transposeRef, product: productRef, widenPairs: widenPairsRef,
}

func expRef(y, x []float32) {
	for i, v := range x {
		y[i] = float32(math.Exp(float64(v)))
	}
}

func expSumRef(y, x []float32, scale, shift float32) float32 {
	var sum float32
	for i, v := range x {
		e := float32(math.Exp(float64(v*scale - shift)))
		y[i] = e
		sum += e
	}
	return sum
}

func maximumRef(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

func dotRef(x, y []float32) float32 {
	var sum float32
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

func addDotRef(y, x, d []float32) float32 {
	var sum float32
	for i, v := range x {
		v += d[i]
		y[i] = v
		sum += v * v
	}
	return sum
}

func dot3Ref(x, y, z []float32) float32 {
	var sum float32
	for i, v := range x {
		sum += v * y[i] * z[i]
	}
	return sum
}

func axpyRef(y, x []float32, a float32) {
	for i, v := range x {
		y[i] += a * v
	}
}

func scaleRef(y, x []float32, a float32) {
	for i, v := range x {
		y[i] = a * v
	}
}

func shiftScaleRef(y, x []float32, m, a float32) {
	for i, v := range x {
		y[i] = (v - m) * a
	}
}

func scaleAddRef(y, x []float32, a float32) {
	for i, v := range x {
		y[i] = a*y[i] + v
	}
}

func normScaleRef(y, x, w []float32, r float32) {
	for i, v := range x {
		y[i] = v * r * w[i]
	}
}

func normBackwardRef(dx, dw, dy, x, w []float32, r, c float32) {
	for i, v := range x {
		dw[i] += dy[i] * r * v
		dx[i] += r * (dy[i]*w[i] - c*v)
	}
}

func swigluRef(h, gate, up []float32) {
	for i, a := range gate {
		h[i] = a / (1 + float32(math.Exp(float64(-a)))) * up[i]
	}
}

func swigluBackwardRef(dgate, dup, dh, gate, up []float32) {
	for i, a := range gate {
		s := 1 / (1 + float32(math.Exp(float64(-a))))
		silu, d, b := a*s, dh[i], up[i]
		dup[i] = d * silu
		dgate[i] = d * b * (s + silu*(1-s))
		dh[i] = silu * b
	}
}

// mixtureLogsRef computes log(p/m) and, in place of d, log(q/m) for m = beta·p + other·q, other =
// 1−beta, from d + shift = log(p/q) =: l. log(q/m) = −log(other + beta·e^l) and log(p/m) = l +
// log(q/m), summed without cancelling. With e = e^−|l| the mixture is v = other + beta·e where l <
// 0, and e^l·(beta + other·e) elsewhere. v near one is taken as 1 + b·(e−1), b the factor of e, so
// that the logarithm of almost equal p and q keeps its digits.
func mixtureLogsRef(logPM, d []float32, shift, beta, other float32) {
	for i, l := range d {
		l += shift
		e, a, b := math.Exp(-math.Abs(float64(l))), float64(beta), float64(other)
		if l < 0 {
			a, b = b, a
		}
		logM := math.Log(a + b*e)
		if a+b*e >= 0.5 {
			logM = math.Log1p(b * (e - 1))
		}
		logPM[i], d[i] = min(l, 0)-float32(logM), -max(l, 0)-float32(logM)
	}
}

func softmaxGradientRef(ds, p, dp []float32, delta, scale float32) {
	for i, v := range p {
		ds[i] = v * (dp[i] - delta) * scale
	}
}

func sumSquaresRef(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}

func addMomentsRef(sum, sumAbs []float64, largest, x []float32) {
	for j, v := range x {
		magnitude := math.Float32bits(v) &^ (1 << 31)
		sum[j] += float64(v)
		sumAbs[j] += float64(math.Float32frombits(magnitude))
		if magnitude > math.Float32bits(largest[j]) { // NaN has the highest bits
			largest[j] = math.Float32frombits(magnitude)
		}
	}
}

func rotateRef(x, cos, sin []float32, heads int, sign float32) {
	half := len(cos)
	for h := range heads {
		a, b := x[2*h*half:][:half], x[(2*h+1)*half:][:half]
		for i, c := range cos {
			s := sin[i] * sign
			a[i], b[i] = a[i]*c-b[i]*s, b[i]*c+a[i]*s
		}
	}
}

func transposeRef(y, x []float32, rows, cols, ldy, ldx int) {
	for i := range rows {
		for j, v := range x[i*ldx : i*ldx+cols] {
			y[j*ldy+i] = v
		}
	}
}

func widenPairsRef(dst []float32, pairs []uint16, n, width, stride int) {
	for i := range n {
		row, first, second := pairs[2*i*width:][:2*width], dst[2*i*stride:][:width], dst[(2*i+1)*stride:][:width]
		for j := range first {
			first[j], second[j] = fromBFloat16(row[2*j]), fromBFloat16(row[2*j+1])
		}
	}
}

func productRef(c, a, b []float32, s blockShape) {
	var sum [64]float32
	for j := 0; j < s.n; j += len(sum) {
		n := min(s.n-j, len(sum))
		for i := range s.m {
			acc := sum[:n]
			clear(acc)
			for p := range s.k {
				x := a[i*s.aRow+p*s.aCol]
				for q, v := range b[p*s.ldb+j:][:n] {
					acc[q] += x * v
				}
			}
			row := c[i*s.ldc+j:][:n]
			if s.accumulate {
				for q, v := range acc {
					row[q] += v
				}
			} else {
				copy(row, acc)
			}
		}
	}
}

func adamWRef(p, g, m, v []float32, gs, b1, nb1, b2, nb2, c1, c2, lr, eps, wd float32) {
	for i := range p {
		gi := g[i] * gs
		m[i] = b1*m[i] + nb1*gi
		v[i] = b2*v[i] + nb2*gi*gi
		p[i] -= lr * (m[i]*c1/(float32(math.Sqrt(float64(v[i]*c2)))+eps) + wd*p[i])
		g[i] = 0
	}
}
