// Package half converts between float32 and IEEE 754 binary16, the half precision of files: bits to
// numbers and back. There is no arithmetic on halves.
package half

import "math"

// Float32 decodes h; every half is exact in float32.
func Float32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent := uint32(h>>10) & 0x1f
	fraction := uint32(h & 0x3ff)
	switch exponent {
	case 0: // zero and subnormal: fraction · 2⁻²⁴
		return math.Float32frombits(math.Float32bits(float32(fraction)*(1.0/(1<<24))) | sign)
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// Bits rounds f to the nearest half, ties to even; what lies beyond 65504 by half a step or more is
// infinite. NaN stays NaN.
func Bits(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits>>16) & 0x8000
	magnitude := bits &^ (1 << 31)
	const (
		infinity = 0x7f800000
		overflow = (127 + 15 + 1) << 23 // 2¹⁶: infinite in half precision
		normal   = (127 - 14) << 23     // 2⁻¹⁴, the smallest normal half
	)
	switch {
	case magnitude > infinity:
		return sign | 0x7e00 | uint16(magnitude>>13)&0x3ff
	case magnitude >= overflow:
		return sign | 0x7c00
	case magnitude >= normal: // a carry out of the fraction rightly goes into the exponent
		return sign | uint16((magnitude-(127-15)<<23+0xfff+magnitude>>13&1)>>13)
	}
	// Below, halves lie 2⁻²⁴ apart, as float32 do from ½ on: adding ½ rounds, and leaves the
	// multiple of 2⁻²⁴ in the low bits.
	return sign | uint16(math.Float32bits(math.Float32frombits(magnitude)+0.5))
}
