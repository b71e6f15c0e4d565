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
