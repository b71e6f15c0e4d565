package gguf

import "math/bits"

// The formats below hold vectors by their number in a code book, and the sign of each element.

// signedVector writes s·grid, element j negative where bit j of signs is set. dst is as long as
// grid.
func signedVector(dst []float32, s float32, grid []int8, signs byte) {
	for j, g := range grid {
		v := s * float32(g)
		if signs>>j&1 == 1 {
			v = -v
		}
		dst[j] = v
	}
}

// vector is element i of a code book of vectors of 8.
func vector(grid []int8, i int) []int8 { return grid[8*i : 8*i+8] }

// eightSigns completes 7 sign bits: the number of negative elements is even.
func eightSigns(seven uint32) byte {
	seven &= 127
	return byte(seven | uint32(bits.OnesCount32(seven))&1<<7)
}

// quarterSteps returns the scales of the two halves of 32 elements in the IQ2 formats: d·(½ + s)/4
// for the nibbles s of b.
func quarterSteps(d float32, b byte) [2]float32 {
	return [2]float32{d * (0.5 + float32(b&15)) * 0.25, d * (0.5 + float32(b>>4)) * 0.25}
}

// decodeIQ2_XXS: half scale; for each 32 elements four bytes that number vectors of 8, and a word
// with 7 sign bits for each of them and the scale s in its top 4 bits; x = d·(½ + s)/4·vector.
func decodeIQ2_XXS(dst []float32, src []byte) {
	grid := grid2XXS()
	for ; len(dst) > 0; dst, src = dst[256:], src[66:] {
		d := scale(src)
		for part := range 8 {
			codes := src[2+8*part:]
			word := little.Uint32(codes[4:])
			s := d * (0.5 + float32(word>>28)) * 0.25
			for l := range 4 {
				signedVector(dst[32*part+8*l:], s, vector(grid, int(codes[l])), eightSigns(word>>(7*l)))
			}
		}
	}
}

// decodeIQ2_XS: half scale, 32 words of a vector's number in 9 bits and 7 sign bits, a byte of two
// scales for each 32 elements.
func decodeIQ2_XS(dst []float32, src []byte) {
	grid := grid2XS()
	for ; len(dst) > 0; dst, src = dst[256:], src[74:] {
		d := scale(src)
		for i := range 32 {
			word := little.Uint16(src[2+2*i:])
			s := quarterSteps(d, src[66+i/4])[i/2%2]
			signedVector(dst[8*i:], s, vector(grid, int(word&511)), eightSigns(uint32(word>>9)))
		}
	}
}

// decodeIQ2_S: half scale, the low bytes of 32 vectors' numbers, 32 bytes of 8 signs, a byte with
// two high bits for each of four numbers, a byte of two scales for each 32 elements.
func decodeIQ2_S(dst []float32, src []byte) {
	grid := grid2S()
	for ; len(dst) > 0; dst, src = dst[256:], src[82:] {
		d := scale(src)
		for i := range 32 {
			number := int(src[2+i]) | int(src[66+i/4]>>(i%4*2)&3)<<8
			s := quarterSteps(d, src[74+i/4])[i/2%2]
			signedVector(dst[8*i:], s, vector(grid, number), src[34+i])
		}
	}
}

// decodeIQ3_XXS: half scale, 64 bytes that number vectors of 4, and for each 32 elements a word
// with 7 sign bits for each 8 and the scale s in its top 4 bits; x = d·(½ + s)/2·vector.
func decodeIQ3_XXS(dst []float32, src []byte) {
	grid := grid3XXS()
	for ; len(dst) > 0; dst, src = dst[256:], src[98:] {
		d := scale(src)
		for i := range 64 {
			word := little.Uint32(src[66+i/8*4:])
			s := d * (0.5 + float32(word>>28)) * 0.5
			number := 4 * int(src[2+i])
			signedVector(dst[4*i:], s, grid[number:number+4], eightSigns(word>>(i/2%4*7))>>(i%2*4))
		}
	}
}

// decodeIQ3_S: half scale, the low bytes of 64 vectors' numbers, 8 bytes with the ninth bit of
// each, 32 bytes of 8 signs, a nibble s for each 32 elements; x = d·(1 + 2s)·vector.
func decodeIQ3_S(dst []float32, src []byte) {
	grid := grid3S()
	for ; len(dst) > 0; dst, src = dst[256:], src[110:] {
		d := scale(src)
		for i := range 64 {
			s := d * float32(1+2*(src[106+i/16]>>(i/8%2*4)&15))
			number := 4 * (int(src[2+i]) | int(src[66+i/8]>>(i%8)&1)<<8)
			signedVector(dst[4*i:], s, grid[number:number+4], src[74+i/2]>>(i%2*4))
		}
	}
}

// shiftedVector writes s·(grid + ⅛), or s·(grid − ⅛) where down is set.
func shiftedVector(dst []float32, s float32, grid []int8, down bool) {
	shift := float32(0.125)
	if down {
		shift = -shift
	}
	for j, g := range grid {
		dst[j] = s * (float32(g) + shift)
	}
}

// decodeIQ1_S: half scale, the low bytes of 32 vectors' numbers, and for each 32 elements a word
// with three high bits of four numbers, the scale s in 3 bits, and the direction of the shift;
// x = d·(2s + 1)·(vector ± ⅛).
func decodeIQ1_S(dst []float32, src []byte) {
	grid := grid1()
	for ; len(dst) > 0; dst, src = dst[256:], src[50:] {
		d := scale(src)
		for i := range 32 {
			word := little.Uint16(src[34+i/4*2:])
			s := d * float32(2*(word>>12&7)+1)
			number := int(src[2+i]) | int(word>>(i%4*3)&7)<<8
			shiftedVector(dst[8*i:], s, vector(grid, number), word>>15 == 1)
		}
	}
}

// decodeIQ1_M: the low bytes of 32 vectors' numbers, 16 bytes with a nibble for each, three high
// bits and the direction of the shift, four words of four scales of 3 bits, one for 16 elements.
// The top nibbles of these words are the half scale.
func decodeIQ1_M(dst []float32, src []byte) {
	grid := grid1()
	for ; len(dst) > 0; dst, src = dst[256:], src[56:] {
		var half [2]byte
		little.PutUint16(half[:], uint16(src[49]>>4)|uint16(src[51]>>4)<<4|uint16(src[53]>>4)<<8|uint16(src[55]>>4)<<12)
		d := scale(half[:])
		for i := range 32 {
			high := src[32+i/2] >> (i % 2 * 4)
			s := d * float32(2*(little.Uint16(src[48+i/8*2:])>>(i/2%4*3)&7)+1)
			shiftedVector(dst[8*i:], s, vector(grid, int(src[i])|int(high&7)<<8), high>>3&1 == 1)
		}
	}
}
