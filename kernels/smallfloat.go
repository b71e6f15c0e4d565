package kernels

import (
	"fmt"
	"math"
)

// SmallFloat is a number format of floats in a byte or half of one, as the OCP's formats for
// machine learning define them.
type SmallFloat int

// The formats. Each value of each is a bfloat16 number, and none is subnormal there.
const (
	// E4M3 has 8 bits: four of exponent with bias 7, three of fraction, no infinities and two codes
	// that are no number (E4M3FN). The largest value is 448.
	E4M3 SmallFloat = iota
	// E5M2 has 8 bits: five of exponent with bias 15, two of fraction, two infinities and six codes
	// that are no number. The largest value is 57,344.
	E5M2
	// E2M1 has 4 bits: two of exponent with bias 1, one of fraction; all codes are numbers. The
	// largest value is 6.
	E2M1
)

// smallFloat is what a SmallFloat is made of.
type smallFloat struct {
	name               string
	exponent, fraction int // bits
	bias               int
	max                float32
}

var smallFloats = [...]smallFloat{
	E4M3: {"E4M3", 4, 3, 7, MaxFloat8},
	E5M2: {"E5M2", 5, 2, 15, 57344},
	E2M1: {"E2M1", 2, 1, 1, 6},
}

func (f SmallFloat) String() string { return smallFloats[f].name }

// Max returns the largest value.
func (f SmallFloat) Max() float32 { return smallFloats[f].max }

// Codes returns the number of codes, those that are no number included.
func (f SmallFloat) Codes() int { return 2 << (smallFloats[f].exponent + smallFloats[f].fraction) }

// smallest returns the smallest normal value; below it values are multiples of its
// 2^fraction-th part.
func (s smallFloat) smallest() float32 { return float32(math.Ldexp(1, 1-s.bias)) }

// Decode returns the value of a code, of E2M1 of its lower half.
func (f SmallFloat) Decode(code byte) float32 { return smallValues[f][code] }

// IsNumber reports whether a code is a finite number.
func (f SmallFloat) IsNumber(code byte) bool { v := smallValues[f][code]; return v-v == 0 }

// smallValues has the values of the codes of each format.
var smallValues = func() (values [len(smallFloats)][256]float32) {
	values[E4M3] = float8Values
	for _, f := range []SmallFloat{E5M2, E2M1} {
		s := smallFloats[f]
		for code := range 256 {
			at := code & (f.Codes() - 1)
			exponent, fraction := at>>s.fraction&(1<<s.exponent-1), float64(at&(1<<s.fraction-1))/float64(int(1)<<s.fraction)
			v := math.Ldexp(1+fraction, exponent-s.bias)
			switch {
			case exponent == 0:
				v = math.Ldexp(fraction, 1-s.bias)
			case f == E5M2 && exponent == 31 && fraction == 0:
				v = math.Inf(1)
			case f == E5M2 && exponent == 31:
				v = math.NaN()
			}
			if at&(f.Codes()/2) != 0 {
				v = math.Copysign(v, -1)
			}
			values[f][code] = float32(v)
		}
	}
	return values
}()

// smallCodes has the code of each value by the twelve highest bits of its float32: sign, exponent
// and three bits of fraction, more than any format has.
var smallCodes = func() (codes [len(smallFloats)][1 << 12]byte) {
	for f := range codes {
		for code := SmallFloat(f).Codes() - 1; code >= 0; code-- {
			codes[f][math.Float32bits(smallValues[f][code])>>20] = byte(code)
		}
	}
	return codes
}()

// Encode returns the code of the value nearest to v, ties to even. Beyond ±Max, infinities
// included, it saturates; a NaN stays one, and is the largest number of E2M1, which has none.
func (f SmallFloat) Encode(v float32) byte {
	if f == E4M3 {
		return ToFloat8(v)
	}
	s := smallFloats[f]
	sign := byte(math.Float32bits(v)>>31) << (s.exponent + s.fraction)
	if v != v {
		return sign | byte(f.Codes()/2-1)
	}
	size := math.Float32bits(f.round(v)) &^ (1 << 31)
	if v := math.Float32frombits(size); v < s.smallest() {
		return sign | byte(v/s.smallest()*float32(int(1)<<s.fraction))
	}
	return sign | byte((int(size>>23)-127+s.bias)<<s.fraction|int(size>>(23-s.fraction))&(1<<s.fraction-1))
}

// round rounds v to the nearest value of the format, ties to even, saturating; a NaN stays one.
// The sign of a zero is lost.
func (f SmallFloat) round(v float32) float32 {
	s := &smallFloats[f]
	v = max(-s.max, min(s.max, v))
	if smallest := s.smallest(); -smallest < v && v < smallest {
		// a float32 of this size has its last place where the format has
		magic := 0x1.8p23 * smallest / float32(int(1)<<s.fraction)
		return v + magic - magic
	}
	cut := uint32(1)<<(23-s.fraction) - 1
	bits := math.Float32bits(v)
	return math.Float32frombits((bits + cut>>1 + bits>>(23-s.fraction)&1) &^ cut)
}

// roundRow writes x/s to dst, each rounded to a value of the format.
func (f SmallFloat) roundRow(dst, x []float32, s float32) {
	if f == E4M3 {
		roundRowFloat8(dst, x, s)
		return
	}
	for i, v := range x {
		dst[i] = f.round(v / s)
	}
}

// scaleOfRow is the scale of numbers that are quantized on their own: max|x|/Max; 0 for zeros, or
// values so small that it underflows, and NaN where there is one.
func (f SmallFloat) scaleOfRow(x []float32) float32 {
	largest := float32(0)
	for _, v := range x {
		largest = max(largest, v, -v)
	}
	return largest / f.Max()
}

// FromE8M0 returns the value of a scale of E8M0, 2^(code−127); 0xff is NaN.
func FromE8M0(code byte) float32 {
	if code == 0xff {
		return float32(math.NaN())
	}
	return float32(math.Ldexp(1, int(code)-127))
}

// ToE8M0 returns the code of a power of two, and whether v is one that E8M0 has.
func ToE8M0(v float32) (code byte, ok bool) {
	fraction, exponent := math.Frexp(float64(v))
	if fraction != 0.5 || exponent < -126 || exponent > 128 {
		return 0, false
	}
	return byte(exponent + 126), true
}

// checkNumbers panics where a code is no number.
func (f SmallFloat) checkNumbers(what string, codes []byte, in int) {
	for i, code := range codes {
		if !f.IsNumber(code) {
			panic(fmt.Sprintf("kernels: %s weight [%d, %d] is no number of %v", what, i/in, i%in, f))
		}
	}
}
