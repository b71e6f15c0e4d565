package gguf

import (
	"encoding/binary"
	"math"

	"slimlab/internal/half"
)

// Products are converted to float32 before a sum, so that no machine fuses the two: the values are
// the same bits everywhere.

var little = binary.LittleEndian

// scale reads a half at the beginning of b.
func scale(b []byte) float32 { return half.FromFloat16(little.Uint16(b)) }

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(little.Uint32(src[4*i:]))
	}
}

func decodeF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = half.FromFloat16(little.Uint16(src[2*i:]))
	}
}

func decodeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = half.FromBFloat16(little.Uint16(src[2*i:]))
	}
}

func decodeF64(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(math.Float64frombits(little.Uint64(src[8*i:])))
	}
}

// decodeQ8_0: half scale, 32 int8 codes; x = d·q.
func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[34:] {
		d := scale(src)
		for i, q := range src[2:34] {
			dst[i] = d * float32(int8(q))
		}
	}
}

// decodeQ4_0: half scale, 16 bytes of two codes: the low nibbles are elements 0…15, the high ones
// 16…31; x = d·(q − 8).
func decodeQ4_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[18:] {
		d := scale(src)
		for i, q := range src[2:18] {
			dst[i] = d * float32(int(q&15)-8)
			dst[i+16] = d * float32(int(q>>4)-8)
		}
	}
}

// decodeQ4_1: half scale and minimum, nibbles as in Q4_0; x = d·q + m.
func decodeQ4_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[20:] {
		d, m := scale(src), scale(src[2:])
		for i, q := range src[4:20] {
			dst[i] = float32(d*float32(q&15)) + m
			dst[i+16] = float32(d*float32(q>>4)) + m
		}
	}
}

// decodeQ5_0: half scale, 32 bits that are the fifth of each code, nibbles as in Q4_0; x = d·(q −
// 16).
func decodeQ5_0(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[22:] {
		d, fifth := scale(src), little.Uint32(src[2:])
		for i, q := range src[6:22] {
			low, high := fifths(q, fifth, i)
			dst[i] = d * float32(low-16)
			dst[i+16] = d * float32(high-16)
		}
	}
}

// decodeQ5_1: half scale and minimum, fifth bits, nibbles; x = d·q + m.
func decodeQ5_1(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[32:], src[24:] {
		d, m, fifth := scale(src), scale(src[2:]), little.Uint32(src[4:])
		for i, q := range src[8:24] {
			low, high := fifths(q, fifth, i)
			dst[i] = float32(d*float32(low)) + m
			dst[i+16] = float32(d*float32(high)) + m
		}
	}
}

// fifths returns codes i and i+16 of a block: the nibbles of q, and bits i and i+16 of fifth above
// them.
func fifths(q byte, fifth uint32, i int) (low, high int) {
	return int(q&15) | int(fifth>>i&1)<<4, int(q>>4) | int(fifth>>(i+16)&1)<<4
}

// packedScales returns the 6-bit scale and minimum of part j of 8, from the 12 bytes of a K block:
// the low six bits of bytes j and j+4 for the first four parts; for the others the nibbles of byte
// j+4 with the top two bits of bytes j−4 and j above them.
func packedScales(b []byte, j int) (scale, minimum float32) {
	if j < 4 {
		return float32(b[j] & 63), float32(b[j+4] & 63)
	}
	return float32(b[j+4]&15 | b[j-4]>>6<<4), float32(b[j+4]>>4 | b[j]>>6<<4)
}

// decodeQ4_K: half scales d of the scales and e of the minima, 12 bytes of packed scales, 128 bytes
// of nibbles: each run of 32 bytes has the codes of a part of 32 in its low nibbles and of the next
// in its high ones; x = d·scale·q − e·minimum.
func decodeQ4_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[144:] {
		decodeK(dst[:256], src[:16], src[16:144], nil)
	}
}

// decodeQ5_K: as Q4_K with 32 bytes of fifth bits before the nibbles: bit j of byte i belongs to
// element i of part j.
func decodeQ5_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[176:] {
		decodeK(dst[:256], src[:16], src[48:176], src[16:48])
	}
}

// decodeK decodes a block of Q4_K or, with fifth bits, Q5_K: eight parts of 32.
func decodeK(dst []float32, head, nibbles, fifth []byte) {
	d, e := scale(head), scale(head[2:])
	for j := range 8 {
		s, m := packedScales(head[4:16], j)
		s, m = d*s, e*m
		shift := j % 2 * 4
		for i, q := range nibbles[j/2*32 : j/2*32+32] {
			q = q >> shift & 15
			if fifth != nil {
				q |= fifth[i] >> j & 1 << 4
			}
			dst[32*j+i] = float32(s*float32(q)) - m
		}
	}
}

// decodeQ6_K: 128 bytes of low nibbles, 64 of high bit pairs, 16 int8 scales, a half scale of the
// scales. Each half of the block, 128 elements, has four parts of 32: parts 0 and 1 in the low
// nibbles of 64 bytes, 2 and 3 in the high ones, and pair p of byte i above element i of part p. A
// scale is for 16 elements; x = d·scale·(q − 32).
func decodeQ6_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[210:] {
		d := scale(src[208:])
		for e := range 256 {
			side, part, i := e/128, e/32%4, e%32
			low := src[64*side+part%2*32+i] >> (part / 2 * 4) & 15
			high := src[128+32*side+i] >> (2 * part) & 3
			dst[e] = d * float32(int8(src[192+e/16])) * float32(int(low|high<<4)-32)
		}
	}
}

// decodeQ2_K: 16 bytes of a scale and a minimum for 16 elements, in nibbles, 64 bytes of four codes
// each, half scales d of the scales and e of the minima. Each 32 bytes hold 128 elements: their
// lowest pairs of bits are the first 32; x = d·scale·q − e·minimum.
func decodeQ2_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[84:] {
		d, e := scale(src[80:]), scale(src[82:])
		for part := range 16 { // of 16 elements
			s, m := d*float32(src[part]&15), e*float32(src[part]>>4)
			shift := part / 2 % 4 * 2
			for i, q := range src[16+part/8*32+part%2*16:][:16] {
				dst[16*part+i] = float32(s*float32(q>>shift&3)) - m
			}
		}
	}
}

// decodeQ3_K: 32 bytes of third bits, 64 bytes of low pairs as in Q2_K, 16 scales of 6 bits in 12
// bytes, a half scale of the scales. Bit j of byte i belongs to element i of part j of 32; x =
// d·(scale − 32)·(q − 4).
func decodeQ3_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[110:] {
		d, scales := scale(src[108:]), src[96:108]
		for part := range 16 { // of 16 elements
			// the low nibbles of bytes 0 to 7, then their high ones; pairs of the last four above
			s := int(scales[part%8]>>(part/8*4)&15) | int(scales[8+part%4]>>(part/4*2)&3)<<4
			step := d * float32(s-32)
			third := src[part%2*16:][:16]
			shift := part / 2 % 4 * 2
			for i, q := range src[32+part/8*32+part%2*16:][:16] {
				code := int(q>>shift&3) | int(third[i]>>(part/2)&1)<<2
				dst[16*part+i] = step * float32(code-4)
			}
		}
	}
}

// decodeQ8_K: float32 scale, 256 int8 codes, 16 sums of codes, which products use; x = d·q.
func decodeQ8_K(dst []float32, src []byte) {
	for ; len(dst) > 0; dst, src = dst[256:], src[292:] {
		d := math.Float32frombits(little.Uint32(src))
		for i, q := range src[4:260] {
			dst[i] = d * float32(int8(q))
		}
	}
}
