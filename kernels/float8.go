package kernels

import "math"

// The limits of FP8 E4M3FN: four bits of exponent with bias 7, three of fraction, no infinities,
// and two codes that are no number.
const (
	MaxFloat8 = 448 // the largest value, code 0x7e
	// the smallest normal value, code 0x08; below it values are multiples of 2⁻⁹
	normalFloat8 = 0x1p-6
	signFloat8   = 0x80 // the bit of the sign
	nanFloat8    = 0x7f // with either sign
	// a float32 of this size has a last place of 2⁻⁹: adding it rounds to that
	magicFloat8 = 0x1.8p14
)

// ToFloat8 returns the E4M3FN code of the value nearest to v, ties to even. Beyond ±448, infinities
// included, it saturates; a NaN stays one.
func ToFloat8(v float32) byte {
	if v != v {
		return nanFloat8
	}
	bits := math.Float32bits(roundFloat8(v))
	// that of the argument: what rounds to zero keeps it
	sign := byte(math.Float32bits(v) >> 24 & signFloat8)
	if size := math.Float32frombits(bits &^ (1 << 31)); size < normalFloat8 {
		return sign | byte(size*(1<<9))
	}
	return sign | byte((bits>>23&0xff-127+7)<<3|bits>>20&7)
}

// FromFloat8 returns the value of a code; 0x7f and 0xff are NaN.
func FromFloat8(code byte) float32 { return float8Values[code] }

// IsNaNFloat8 reports whether a code is no number.
func IsNaNFloat8(code byte) bool { return code&^signFloat8 == nanFloat8 }

var float8Values = func() (values [256]float32) {
	for code := range values {
		exponent, fraction := code>>3&15, float64(code&7)/8
		v := math.Ldexp(1+fraction, exponent-7)
		if exponent == 0 {
			v = math.Ldexp(fraction, -6)
		}
		if code&nanFloat8 == nanFloat8 {
			v = math.NaN()
		}
		if code&signFloat8 != 0 {
			v = math.Copysign(v, -1)
		}
		values[code] = float32(v)
	}
	return values
}()

// roundFloat8 rounds v to the nearest value of E4M3FN, ties to even, saturating; a NaN stays one.
// The sign of a zero is lost.
func roundFloat8(v float32) float32 {
	v = max(-MaxFloat8, min(MaxFloat8, v))
	if -normalFloat8 < v && v < normalFloat8 {
		return v + magicFloat8 - magicFloat8
	}
	bits := math.Float32bits(v)
	return math.Float32frombits((bits + 0x7ffff + bits>>20&1) &^ 0xfffff)
}

// roundRowFloat8 writes x/s to dst, each rounded to a value of E4M3FN.
func roundRowFloat8(dst, x []float32, s float32) {
	for i, v := range x {
		dst[i] = roundFloat8(v / s)
	}
}
