package gguf

import (
	"math"
	"slices"

	"slimlab/internal/half"
)

func encodeF32(dst []byte, src []float32) {
	for i, v := range src {
		little.PutUint32(dst[4*i:], math.Float32bits(v))
	}
}

func encodeF16(dst []byte, src []float32) {
	for i, v := range src {
		little.PutUint16(dst[2*i:], half.ToFloat16(v))
	}
}

func encodeBF16(dst []byte, src []float32) {
	for i, v := range src {
		little.PutUint16(dst[2*i:], half.ToBFloat16(v))
	}
}

// encodeQ8_0 takes the largest magnitude / 127 as scale. Codes are rounded, ties away from zero, by
// the scale before it becomes a half, as ggml's reference does.
func encodeQ8_0(dst []byte, src []float32) {
	for ; len(src) > 0; dst, src = dst[34:], src[32:] {
		block := src[:32]
		d := abs(extreme(block)) / 127
		little.PutUint16(dst, half.ToFloat16(d))
		inverse := invert(d)
		for i, v := range block {
			dst[2+i] = byte(int8(round(v * inverse)))
		}
	}
}

// round is the nearest whole number, ties away from zero. The sum is exact in float64.
func round(v float32) int {
	if v < 0 {
		return int(float64(v) - 0.5)
	}
	return int(float64(v) + 0.5)
}

// encodeQ4_0 takes the value of largest magnitude / −8 as scale, with its sign: that value has the
// code 0, which reaches further than 15 on the other side. Codes are rounded by the scale before it
// becomes a half, as ggml's reference does.
func encodeQ4_0(dst []byte, src []float32) {
	for ; len(src) > 0; dst, src = dst[18:], src[32:] {
		low, high := src[:16], src[16:32]
		d := extreme(src[:32]) / -8
		little.PutUint16(dst, half.ToFloat16(d))
		inverse := invert(d)
		for i, v := range low {
			dst[2+i] = code4(float32(v*inverse)) | code4(float32(high[i]*inverse))<<4
		}
	}
}

// code4 rounds −8…8 to 0…15.
func code4(v float32) byte { return byte(min(15, int(v+8.5))) }

// encodeQ4_1 takes (largest − least)/15 as scale and the least value as minimum. Codes are rounded,
// ties up, by both before they become halves, as ggml's reference does.
func encodeQ4_1(dst []byte, src []float32) {
	for ; len(src) > 0; dst, src = dst[20:], src[32:] {
		low, high := src[:16], src[16:32]
		least := slices.Min(src[:32])
		d := (slices.Max(src[:32]) - least) / 15
		little.PutUint16(dst, half.ToFloat16(d))
		little.PutUint16(dst[2:], half.ToFloat16(least))
		inverse := invert(d)
		code := func(v float32) byte { return byte(min(15, int(float32((v-least)*inverse)+0.5))) }
		for i, v := range low {
			dst[4+i] = code(v) | code(high[i])<<4
		}
	}
}

// extreme returns the value of largest magnitude, the first of equals, 0 for zeros of either sign.
func extreme(block []float32) float32 {
	var best float32
	var most uint32
	for _, v := range block {
		if m := magnitude(v); m > most {
			best, most = v, m
		}
	}
	return best
}

// magnitude orders numbers by their absolute value, infinity and NaN above all others.
func magnitude(v float32) uint32 { return math.Float32bits(v) &^ (1 << 31) }

func abs(v float32) float32 { return math.Float32frombits(magnitude(v)) }

// invert returns 1/d, or 0 for a block of zeros, or of numbers so small that 1/d is infinite: their
// codes are those of zero.
func invert(d float32) float32 {
	if inverse := 1 / d; d != 0 && !math.IsInf(float64(inverse), 0) {
		return inverse
	}
	return 0
}

// fitCodes finds the half scale of a block of 32 whose elements are d·code.
func fitCodes(b *elements, of *codes, simply bool) (bits uint16, d float64) {
	x, w := b.x[:32], b.w[:32]
	if simply {
		return halved(outermost(x) / of.low)
	}
	return halved(fitScale(x, w, of))
}

// fitSteps finds the half scale and minimum of a block of 32 whose elements are d·code + m.
func fitSteps(b *elements, top float64, simply bool) (bits, bitsMinimum uint16, d, m float64) {
	x, w := b.x[:32], b.w[:32]
	low := slices.Min(x)
	step := (slices.Max(x) - low) / top
	if !simply {
		step, low = fitOffset(x, w, top, false)
		low = -low
	}
	bits, d = halved(step)
	bitsMinimum, m = halved(low)
	return bits, bitsMinimum, d, m
}

// quotient is v in units of d, 0 where there are none.
func quotient(v, d float64) float64 {
	if d == 0 {
		return 0
	}
	return v / d
}

func fitQ8_0(dst []byte, b *elements, simply bool) {
	of := codes{low: -128, high: 127}
	bits, d := fitCodes(b, &of, simply)
	little.PutUint16(dst, bits)
	for i, v := range b.x[:32] {
		dst[2+i] = byte(int8(of.nearest(quotient(v, d))))
	}
}

func fitQ4_0(dst []byte, b *elements, simply bool) {
	of := codes{low: -8, high: 7}
	bits, d := fitCodes(b, &of, simply)
	little.PutUint16(dst, bits)
	for i, v := range b.x[:16] {
		dst[2+i] = byte(of.nearest(quotient(v, d))+8) | byte(of.nearest(quotient(b.x[16+i], d))+8)<<4
	}
}

func fitQ4_1(dst []byte, b *elements, simply bool) {
	of := codes{high: 15}
	bits, bitsMinimum, d, m := fitSteps(b, of.high, simply)
	little.PutUint16(dst, bits)
	little.PutUint16(dst[2:], bitsMinimum)
	for i, v := range b.x[:16] {
		dst[4+i] = byte(of.nearest(quotient(v-m, d))) | byte(of.nearest(quotient(b.x[16+i]-m, d)))<<4
	}
}

func fitQ5_0(dst []byte, b *elements, simply bool) {
	of := codes{low: -16, high: 15}
	bits, d := fitCodes(b, &of, simply)
	little.PutUint16(dst, bits)
	packFifths(dst[2:22], func(i int) uint32 { return uint32(of.nearest(quotient(b.x[i], d)) + 16) })
}

func fitQ5_1(dst []byte, b *elements, simply bool) {
	of := codes{high: 31}
	bits, bitsMinimum, d, m := fitSteps(b, of.high, simply)
	little.PutUint16(dst, bits)
	little.PutUint16(dst[2:], bitsMinimum)
	packFifths(dst[4:24], func(i int) uint32 { return uint32(of.nearest(quotient(b.x[i]-m, d))) })
}

// packFifths writes 32 codes of 5 bits as decodeQ5_0 and decodeQ5_1 read them.
func packFifths(dst []byte, code func(i int) uint32) {
	var fifth uint32
	for i := range 16 {
		low, high := code(i), code(16+i)
		fifth |= low>>4<<i | high>>4<<(16+i)
		dst[4+i] = byte(low&15 | high&15<<4)
	}
	little.PutUint32(dst, fifth)
}

func fitIQ4_NL(dst []byte, b *elements, simply bool) {
	of := codes{low: float64(nonlinear[0]), high: float64(nonlinear[15]), book: &nonlinear}
	bits, d := fitCodes(b, &of, simply)
	little.PutUint16(dst, bits)
	for i, v := range b.x[:16] {
		dst[2+i] = byte(of.entry(quotient(v, d)) | of.entry(quotient(b.x[16+i], d))<<4)
	}
}
