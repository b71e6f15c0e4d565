//go:build amd64 && !noasm

package kernels

import (
	"encoding/binary"
	"math"
)

//go:noescape
func mulInt8AVX512(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)

//go:noescape
func mulInt8AVX2(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)

//go:noescape
func mulInt4AVX512(y []float32, yRow int, x []float32, xRow int, q []uint32, panel int, scale []float32, scalePanel int, m, n, groups, group int)

//go:noescape
func mulInt4AVX2(y []float32, yRow int, x []float32, xRow int, q []uint32, panel int, scale []float32, scalePanel int, m, n, groups, group int)

//go:noescape
func int8PeakAVX512(rounds int)

//go:noescape
func readAVX512(x []float32)

//go:noescape
func absMaxAVX512(x []float32) uint32

//go:noescape
func absMax8AVX2(x []float32) uint32

//go:noescape
func quantizeAVX512(dst []byte, x []float32, scale float32)

//go:noescape
func quantize8AVX2(dst []byte, x []float32, scale float32)

// quantizeRowAVX512 writes bytes with 128 added.
func quantizeRowAVX512(dst []byte, x []float32) float32 {
	s, ok := scaleInt8(absMaxAVX512(x))
	if ok {
		quantizeAVX512(dst, x, s)
		return s
	}
	for i := range dst {
		dst[i] = 128
	}
	return s
}

// quantizeRowAVX2 writes int16.
func quantizeRowAVX2(dst []byte, x []float32) float32 {
	whole := len(x) &^ 7
	var greatest uint32
	if whole > 0 {
		greatest = absMax8AVX2(x[:whole])
	}
	for _, v := range x[whole:] {
		greatest = max(greatest, math.Float32bits(v)&^(1<<31))
	}
	s, ok := scaleInt8(greatest)
	if !ok {
		clear(dst)
		return s
	}
	if whole > 0 {
		quantize8AVX2(dst, x[:whole], s)
	}
	for i, v := range x[whole:] {
		q := int16(max(-127, min(127, math.RoundToEven(float64(v/s)))))
		binary.LittleEndian.PutUint16(dst[2*(whole+i):], uint16(q))
	}
	return s
}
