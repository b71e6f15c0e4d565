//go:build amd64 && !noasm

package kernels

// rowsBF16 is rowsAVX512 and what a CPU that multiplies bfloat16 adds for attention.
var rowsBF16 = withBF16(rowsAVX512)

func withBF16(k rowKernels) rowKernels {
	k.attend = attendBF16
	k.roundBFloat16 = func(dst []uint16, src []float32) { roundBF16(&dst[0], &src[0], len(src)) }
	k.unpackInt8 = func(dst []uint16, src []int8, rows, width, stride int) {
		if width%32 == 0 {
			unpackInt8BF16(&dst[0], &src[0], rows, width, stride)
			return
		}
		for i := range rows {
			for j, c := range src[i*width : (i+1)*width] {
				dst[i*stride+j] = toBFloat16(float32(c))
			}
		}
	}
	return k
}

//go:noescape
func attendBF16(s *attentionStrip)

//go:noescape
func roundBF16(dst *uint16, src *float32, n int)

//go:noescape
func unpackInt8BF16(dst *uint16, src *int8, rows, width, stride int)
