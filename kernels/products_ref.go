package kernels

import "math"

// panelWidth is the number of outputs of a panel in all implementations of today: the float32 of a
// cache line.
const panelWidth = 16

var floatRef = floatKernels{
	height: 4, panels: 8, depth: 512, step: 1, elements: 1, inPlace: true,
	leftAlong:  leftPacking{byRows, copyRow},
	leftAcross: leftPacking{sideBySide(4), packAcrossRef(panelWidth)},
	packAlong:  packAlongRef(panelWidth), packAcross: packAcrossRef(panelWidth),
	strip: stripRef,
}

var productsRef = productKernels{
	width:   panelWidth,
	float32: floatRef, bfloat16: rounding(floatRef, panelWidth, roundFloatsRef),
	roundBFloat16: roundBFloat16Ref, roundFloats: roundFloatsRef, widen: widenRef(panelWidth),
	widenInt8: widenInt8Ref, addScaled: addScaledRef,
	int8: int8Kernels{
		height: 4, few: 4, panels: 2, bytes: 1,
		left: layout{rows: 1, places: 1, line: 4}, pack: int8Rows(quantizeRef, 1),
		multiply: mulInt8Ref(panelWidth),
	},
	int4: int4Kernels{
		height: 4, panels: 2, perWord: 1,
		left: layout{rows: 1, places: 1, line: 1}, pack: int4Rows(roundInt4Float32),
		multiply: mulInt4Ref(panelWidth),
	},
	int4Int8: int4Int8Kernels{
		height: 4, few: 4, panels: 2,
		left: layout{rows: 1, places: 1, line: 8}, pack: int4Int8Rows(QuantizeRowInt8),
		multiply: mulInt4Int8Ref(panelWidth),
	},
}

// stripRef is floatKernels.strip in plain Go, four rows by four columns at a time. The conversions
// keep compilers from fusing the product with the sum, so that the reference gives the same bits on
// every machine.
func stripRef(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool) {
	for j := 0; j < n; j += 4 {
		panel := b[j/bRow*bPanel+j%bRow:]
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

// packAlongRef is floatKernels.packAlong for panels of a width.
func packAlongRef(width int) func(dst, src []float32, stride, n, k int) {
	return func(dst, src []float32, stride, n, k int) {
		for p := range k {
			out := dst[p*width : (p+1)*width]
			clear(out)
			for i := range n {
				out[i] = src[i*stride+p]
			}
		}
	}
}

// packAcrossRef is floatKernels.packAcross for panels of a width.
func packAcrossRef(width int) func(dst, src []float32, stride, n, k int) {
	return func(dst, src []float32, stride, n, k int) {
		for p := range k {
			out := dst[p*width : (p+1)*width]
			clear(out[copy(out, src[p*stride:p*stride+n]):])
		}
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

// widenRef is productKernels.widen for panels of a width.
func widenRef(width int) func(dst, src []float32, n int) {
	return func(dst, src []float32, n int) {
		for p := range n {
			out := dst[2*p*width : 2*(p+1)*width]
			for j, v := range src[p*width : (p+1)*width] {
				word := math.Float32bits(v)
				out[j], out[width+j] = math.Float32frombits(word<<16), math.Float32frombits(word&^0xffff)
			}
		}
	}
}

// widenInt8Ref is productKernels.widenInt8 for words of one element, of any width: the lines have
// their order.
func widenInt8Ref(dst []float32, src []int8, _ int) {
	for i, v := range src {
		dst[i] = float32(v)
	}
}

// addScaledRef rounds both products, so that no compiler fuses them.
func addScaledRef(y, x, s []float32, a float32) {
	for i, v := range x {
		y[i] += float32(v * float32(s[i]*a))
	}
}
