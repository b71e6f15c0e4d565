package kernels

import (
	"math"
	"unsafe"
)

// quantizeRef writes int8 as bytes.
func quantizeRef(dst []byte, x []float32) float32 {
	return QuantizeRowInt8(unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)), x)
}

// mulInt8Ref, mulInt4Ref and mulInt4Int8Ref return the multiply of the three kernels for panels of
// a width.
func mulInt8Ref(width int) func(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, _ []int32, scale, rowScale []float32, m, n, k int) {
	return func(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, _ []int32, scale, rowScale []float32, m, n, k int) {
		for j := range n {
			w := q[j/width*panel+j%width*4:]
			for i := range m {
				row := x[i*xRow : i*xRow+4*k]
				var sum int32
				for p := range k {
					four, v := w[p*4*width:][:4], row[4*p:][:4]
					sum += int32(int8(v[0]))*int32(four[0]) + int32(int8(v[1]))*int32(four[1]) +
						int32(int8(v[2]))*int32(four[2]) + int32(int8(v[3]))*int32(four[3])
				}
				y[i*yRow+j] = float32(sum) * (rowScale[i] * scale[j])
			}
		}
	}
}

func mulInt4Ref(width int) func(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32) {
	return func(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32) {
		for j := range n {
			for i := range m {
				w, row := q[j/width*panel+j%width:], x[i*xRow:i*xRow+groups*words*8]
				var total float32
				for range groups {
					var sum float32
					for range words {
						word, eight := w[0], row[:8]
						for _, v := range eight {
							sum += float32(math.Float32frombits(v) * math.Float32frombits(table[word>>28]))
							word <<= 4
						}
						w, row = w[width:], row[8:]
					}
					total += float32(sum * math.Float32frombits(w[0]))
					w = w[min(width, len(w)):]
				}
				y[i*yRow+j] = total
			}
		}
	}
}

func mulInt4Int8Ref(width int) func(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int) {
	return func(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int) {
		for j := range n {
			for i := range m {
				w, row := q[j/width*panel+j%width:], x[i*xRow:i*xRow+groups*words*8]
				var total float32
				for g := range groups {
					sum := start[g*startRow+i]
					for range words {
						word, v := w[0], row[:8]
						for b := range 4 {
							sum += int32(word&15)*int32(v[b]) + int32(word>>4&15)*int32(v[b+4])
							word >>= 8
						}
						w, row = w[width:], row[8:]
					}
					total += float32(float32(sum) * math.Float32frombits(w[0]))
					w = w[min(width, len(w)):]
				}
				y[i*yRow+j] = total * rowScale[i]
			}
		}
	}
}
