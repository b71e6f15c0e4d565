package kernels

import "unsafe"

// quantizeRef writes int8 as bytes.
func quantizeRef(dst []byte, x []float32) float32 {
	return QuantizeRowInt8(unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)), x)
}

func mulInt8Ref(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, _ []int32, scale, rowScale []float32, m, n, k int) {
	for j := range n {
		w := q[j/panelWidth*panel+j%panelWidth*4:]
		for i := range m {
			row := x[i*xRow : i*xRow+4*k]
			var sum int32
			for p := range k {
				four, v := w[p*4*panelWidth:][:4], row[4*p:][:4]
				sum += int32(int8(v[0]))*int32(four[0]) + int32(int8(v[1]))*int32(four[1]) +
					int32(int8(v[2]))*int32(four[2]) + int32(int8(v[3]))*int32(four[3])
			}
			y[i*yRow+j] = float32(sum) * (rowScale[i] * scale[j])
		}
	}
}

func mulInt4Ref(y []float32, yRow int, x []float32, xRow int, q []uint32, panel int, scale []float32, scalePanel int, m, n, groups, group int) {
	words := (group + 7) / 8
	for j := range n {
		w, s := q[j/panelWidth*panel+j%panelWidth:], scale[j/panelWidth*scalePanel+j%panelWidth:]
		for i := range m {
			var total float32
			for g := range groups {
				row := x[i*xRow+g*group : i*xRow+(g+1)*group]
				var sum float32
				for p, v := range row {
					word := w[(g*words+p/8)*panelWidth]
					sum += float32(v * float32(int32(word<<(4*(p%8)))>>28))
				}
				total += float32(sum * s[g*panelWidth])
			}
			y[i*yRow+j] = total
		}
	}
}
