package kernels

import "math"

// stripRef is gemmKernels.strip in plain Go, four rows by four columns at a time. The conversions
// keep compilers from fusing the product with the sum, so that the reference gives the same bits on
// every machine.
func stripRef(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool) {
	for j := 0; j < n; j += 4 {
		panel := b[j/panelWidth*bPanel+j%panelWidth:]
		width := min(4, n-j)
		if m < 4 || width < 4 {
			for i := range m {
				row := c[i*cRow+j : i*cRow+j+width]
				for l := range row {
					sum := chainRef(a[i*aRow:], aCol, panel[l:], bRow, k)
					if accumulate {
						sum += row[l]
					}
					row[l] = sum
				}
			}
			continue
		}
		tileRef(c[j:], cRow, a, aRow, aCol, panel, bRow, k, accumulate)
	}
}

func chainRef(a []float32, aCol int, b []float32, bRow, k int) float32 {
	var sum float32
	for p := range k {
		sum += float32(a[p*aCol] * b[p*bRow])
	}
	return sum
}

func tileRef(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, k int, accumulate bool) {
	var s [4][4]float32
	for i := 0; i < 4; i += 2 {
		a0, a1 := a[i*aRow:], a[(i+1)*aRow:]
		var s00, s01, s02, s03, s10, s11, s12, s13 float32
		for p := range k {
			row := b[p*bRow : p*bRow+4 : p*bRow+4]
			x, y := a0[p*aCol], a1[p*aCol]
			s00 += float32(x * row[0])
			s01 += float32(x * row[1])
			s02 += float32(x * row[2])
			s03 += float32(x * row[3])
			s10 += float32(y * row[0])
			s11 += float32(y * row[1])
			s12 += float32(y * row[2])
			s13 += float32(y * row[3])
		}
		s[i], s[i+1] = [4]float32{s00, s01, s02, s03}, [4]float32{s10, s11, s12, s13}
	}
	for i := range s {
		row := c[i*cRow : i*cRow+4]
		for j, v := range s[i] {
			if accumulate {
				v += row[j]
			}
			row[j] = v
		}
	}
}

func packColumnsRef(dst, src []float32, stride, rows, k int) {
	for p := range k {
		out := dst[p*panelWidth : (p+1)*panelWidth]
		clear(out)
		for i := range rows {
			out[i] = src[i*stride+p]
		}
	}
}

func packRowsRef(dst, src []float32, stride, n, k int) {
	for p := range k {
		out := dst[p*panelWidth : (p+1)*panelWidth]
		clear(out[copy(out, src[p*stride:p*stride+n]):])
	}
}

func roundBFloat16Ref(dst []uint16, src []float32) {
	for i, v := range src {
		dst[i] = toBFloat16(v)
	}
}

func roundFloatsRef(x []float32) {
	for i, v := range x {
		x[i] = fromBFloat16(toBFloat16(v))
	}
}

func widenRef(dst, src []float32, n int) {
	for p := range n {
		out := dst[2*p*panelWidth : 2*(p+1)*panelWidth]
		for j, v := range src[p*panelWidth : (p+1)*panelWidth] {
			word := math.Float32bits(v)
			out[j], out[panelWidth+j] = math.Float32frombits(word<<16), math.Float32frombits(word&^0xffff)
		}
	}
}
