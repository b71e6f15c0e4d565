package checkpoint

import "math"

// float16 decodes an IEEE 754 binary16 number; every one is exact in float32.
func float16(h uint16) float32 {
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

// bfloat16 decodes the upper half of a float32.
func bfloat16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// toBfloat16 rounds to the nearest, ties to even. NaN stays NaN.
func toBfloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	if f != f {
		return uint16(bits>>16) | 0x40 // a payload in the lower half alone would otherwise round to infinity
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// toFloat16 rounds to the nearest, ties to even; beyond the largest number to infinity. NaN stays NaN.
func toFloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign, size := uint16(bits>>16)&0x8000, bits&^(1<<31)
	switch {
	case f != f:
		return sign | 0x7e00
	case size >= 0x477ff000: // 65520, halfway between the largest number and the next
		return sign | 0x7c00
	case size < 0x38800000: // below 2⁻¹⁴ numbers are multiples of 2⁻²⁴, which is the last place of a float32 of ½
		return sign | uint16(math.Float32bits(math.Float32frombits(size)+0.5)-math.Float32bits(0.5))
	}
	return sign | uint16((size+0xfff+size>>13&1)>>13-(127-15)<<10)
}

// beyondFloat16 reports whether a finite number becomes infinite in F16.
func beyondFloat16(f float32) bool {
	return toFloat16(f)&0x7fff == 0x7c00 && !math.IsInf(float64(f), 0)
}
