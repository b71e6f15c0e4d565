// Package half converts between float32 and the two formats of 16 bits: float16 (IEEE 754 binary16)
// and bfloat16 (the upper half of a float32). Numbers are rounded to the nearest, ties to even; NaN
// stays NaN. There is no arithmetic on halves, and no conversion of slices: package kernels has
// those.
package half

import "math"

// FromFloat16 decodes h; every half is exact in float32.
func FromFloat16(h uint16) float32 {
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

// ToFloat16 rounds f to float16; values beyond 65504 by half a step or more become infinite.
func ToFloat16(f float32) uint16 {
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
	// Below, halves are 2⁻²⁴ apart, as float32 do from ½ on: adding ½ rounds, and leaves the
	// multiple of 2⁻²⁴ in the low bits.
	return sign | uint16(math.Float32bits(math.Float32frombits(magnitude)+0.5))
}

// FromBFloat16 decodes b, which is exact in float32.
func FromBFloat16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// ToBFloat16 rounds f to bfloat16. A NaN becomes a quiet one: a payload in the lower half alone
// would otherwise round to infinity.
func ToBFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	if f != f {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
