package matrix

import "math"

// routines are the inner loops of an implementation.
type routines struct {
	// strip adds a·b to up to height rows of c [m, n], with a(i, p) = a[p*16+i] and b(p, j) =
	// b[(j/16*k+p)*16+j%16]. Each element of c gets one chain over k in ascending order, started at
	// zero.
	height int
	strip  func(c []float64, cRow int, a, b []float64, m, n, k int)

	// pack writes dst[p*16+i] = factor·src[p*stride+i] for i < n ≤ 16 and p < k; what is beyond n
	// is not read.
	pack func(dst, src []float64, stride, n, k int, factor float64)

	// packTransposed writes dst[p*16+i] = factor·src[i*stride+p]; unpack is the way back from pack,
	// dst[p*stride+i] = src[p*16+i], and unpackTransposed that from packTransposed.
	packTransposed           func(dst, src []float64, stride, n, k int, factor float64)
	unpack, unpackTransposed func(dst, src []float64, stride, n, k int)

	// subtract computes y[j] −= f[0]·x[j], then f[1]·x[stride+j], and so on; f is not empty. It
	// rounds every product on its own, as plain Go does on all machines that do not fuse.
	subtract func(y, f, x []float64, stride int)

	// substitute solves 16 rows of a panel, row i at x[from+i*next:][:16]: it subtracts f[i*16]
	// times row 0 from row i, then f[i*16+1] times row 1, up to row i-1, and divides by f[i*16+i].
	// It rounds like subtract.
	substitute func(x []float64, from, next int, f []float64)

	// nearest is RoundNearest for a multiple of 8 elements, at least 8.
	nearest func(codes []byte, y, scale, zero []float64, lowest, highest float64)
}

var plain = routines{4, stripRef, packRef, packTransposedRef, unpackRef, unpackTransposedRef, subtractRef, substituteRef, nearestRef}

// stripRef is strip in plain Go. The conversion keeps compilers from fusing
// the product with the sum.
func stripRef(c []float64, cRow int, a, b []float64, m, n, k int) {
	for j := 0; j < n; j += panelWidth {
		panel := b[j/panelWidth*k*panelWidth:]
		width := min(panelWidth, n-j)
		for i := range m {
			var sum [panelWidth]float64
			for p := range k {
				x := a[p*panelWidth+i]
				for l, v := range panel[p*panelWidth:][:panelWidth] {
					sum[l] += float64(x * v)
				}
			}
			row := c[i*cRow+j:][:width]
			for l := range row {
				row[l] += sum[l]
			}
		}
	}
}

func packRef(dst, src []float64, stride, n, k int, factor float64) {
	for p := range k {
		out := dst[p*panelWidth:][:n]
		for i, v := range src[p*stride:][:n] {
			out[i] = factor * v
		}
	}
}

func packTransposedRef(dst, src []float64, stride, n, k int, factor float64) {
	first := 0
	for ; first+4 <= n; first += 4 { // four rows at a time: their elements share lines of dst
		at := src[first*stride:]
		r0, r1, r2, r3 := at[:k], at[stride:][:k], at[2*stride:][:k], at[3*stride:][:k]
		for p, v := range r0 {
			out := dst[p*panelWidth+first:][:4]
			out[0], out[1], out[2], out[3] = factor*v, factor*r1[p], factor*r2[p], factor*r3[p]
		}
	}
	for ; first < n; first++ {
		for p, v := range src[first*stride:][:k] {
			dst[p*panelWidth+first] = factor * v
		}
	}
}

func unpackRef(dst, src []float64, stride, n, k int) {
	for p := range k {
		copy(dst[p*stride:][:n], src[p*panelWidth:])
	}
}

func unpackTransposedRef(dst, src []float64, stride, n, k int) {
	for i := range n {
		row := dst[i*stride:][:k]
		for p := range row {
			row[p] = src[p*panelWidth+i]
		}
	}
}

func subtractRef(y, f, x []float64, stride int) {
	for i, factor := range f {
		for j, v := range x[i*stride:][:len(y)] {
			y[j] -= float64(factor * v)
		}
	}
}

func substituteRef(x []float64, from, next int, f []float64) {
	substituteRows(x, from, next, f, smallTriangle)
}

// substituteRows is substitute for so many rows in plain Go.
func substituteRows(x []float64, from, next int, f []float64, rows int) {
	for i := range rows {
		y := x[from+i*next:][:panelWidth]
		for k, factor := range f[i*panelWidth:][:i] {
			for j, v := range x[from+k*next:][:panelWidth] {
				y[j] -= float64(factor * v)
			}
		}
		for j := range y {
			y[j] /= f[i*panelWidth+i]
		}
	}
}

func nearestRef(codes []byte, y, scale, zero []float64, lowest, highest float64) {
	for i, v := range y {
		code := max(lowest, min(highest, math.RoundToEven(v/scale[i])+zero[i]))
		codes[i] = byte(int8(code))
		y[i] = v - float64((code-zero[i])*scale[i])
	}
}
