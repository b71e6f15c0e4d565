package gguf

import "math"

// The formats below have a value for each code: one of a short list, or a step from it.

// nonlinear are the values of the codes of IQ4_NL and IQ4_XS (ggml-common.h of the ggml project).
var nonlinear = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// doubledE2M1 are twice the values of E2M1, a float of 4 bits (OCP Microscaling Formats, 1.0).
var doubledE2M1 = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// nibbles writes d·values of the codes in src: the low nibbles are the first half of dst, the high
// ones the other.
func nibbles(dst []float32, src []byte, d float32, values *[16]int8) {
	for i, q := range src {
		dst[i] = d * float32(values[q&15])
		dst[i+len(src)] = d * float32(values[q>>4])
	}
}

// decodeIQ4_NL: half scale, 16 bytes of two codes; x = d·value.
func decodeIQ4_NL(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		nibbles(dst, src[2:18], scale(src), &nonlinear)
	}
}

// decodeIQ4_XS: half scale, a word with the two high bits of eight scales, their low nibbles, and
// for each 32 elements 16 bytes of two codes; x = d·(s − 32)·value.
func decodeIQ4_XS(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[136:] {
		d, high := scale(src), little.Uint16(src[2:])
		for part := range 8 {
			s := int(src[4+part/2]>>(part%2*4)&15) | int(high>>(2*part)&3)<<4
			nibbles(dst[32*part:], src[8+16*part:24+16*part], d*float32(s-32), &nonlinear)
		}
	}
}

// decodeMXFP4: an exponent e of 8 bits, 16 bytes of two E2M1 codes; x = 2^(e − 127)·value. The
// exponent 255, which the standard has for NaN, is 2¹²⁸, as ggml takes it.
func decodeMXFP4(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[17:] {
		half := math.Ldexp(0.5, int(src[0])-127) // of the scale: the values are doubled
		nibbles(dst, src[1:17], float32(half), &doubledE2M1)
	}
}

// decodeNVFP4: four scales in E4M3 without a sign, one for 16 elements, and for each of them 8
// bytes of two E2M1 codes; x = s·value. A file has a further scale of the whole tensor beside it.
func decodeNVFP4(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[64:], src[36:] {
		for part := range 4 {
			nibbles(dst[16*part:], src[4+8*part:12+8*part], unsignedE4M3(src[part])/2, &doubledE2M1)
		}
	}
}

// unsignedE4M3 decodes a float of 4 bits of exponent and 3 of fraction. The code that E4M3 has for
// NaN is 0, as ggml takes it.
func unsignedE4M3(b byte) float32 {
	exponent, fraction := int(b>>3&15), float64(b&7)
	switch {
	case b == 0x7f:
		return 0
	case exponent == 0:
		return float32(math.Ldexp(fraction, -9))
	}
	return float32(math.Ldexp(8+fraction, exponent-10))
}

// decodeQ1_0: half scale, 16 bytes of a bit for each element; x = ±d.
func decodeQ1_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[128:], src[18:] {
		d := scale(src)
		for i := range 128 {
			if dst[i] = -d; src[2+i/8]>>(i%8)&1 == 1 {
				dst[i] = d
			}
		}
	}
}

// decodeQ2_0: half scale, 16 bytes of four codes each; x = d·(q − 1).
func decodeQ2_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[64:], src[18:] {
		d := scale(src)
		for i := range 64 {
			dst[i] = d * float32(int(src[2+i/4]>>(i%4*2)&3)-1)
		}
	}
}

// decodeTQ2_0: 64 bytes of four codes, a half scale. Each 32 bytes hold 128 elements: their lowest
// pairs of bits are the first 32; x = d·(q − 1).
func decodeTQ2_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[66:] {
		d := scale(src[64:])
		for i := range 256 {
			dst[i] = d * float32(int(src[i/128*32+i%32]>>(i/32%4*2)&3)-1)
		}
	}
}

// decodeTQ1_0: 52 bytes of ternary digits, a half scale; x = d·(digit − 1). Bytes 0…31 and 32…47
// hold five digits, 48…51 four, the most significant first: the first of all bytes of a run, then
// the second of all.
func decodeTQ1_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[54:] {
		d := scale(src[52:])
		ternary(dst[:160], src[:32], d)
		ternary(dst[160:240], src[32:48], d)
		ternary(dst[240:256], src[48:52], d)
	}
}

// ternary decodes a run of bytes. A byte is a fraction of 256 with the digits behind its point, so
// that three times it has the first digit before the point.
func ternary(dst []float32, src []byte, d float32) {
	power := byte(1)
	for ; len(dst) > 0; dst, power = dst[len(src):], power*3 {
		for i, b := range src {
			dst[i] = d * float32(int(uint16(b*power)*3>>8)-1)
		}
	}
}
