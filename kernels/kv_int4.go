package kernels

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// quantizeRowInt4 quantizes one row to int4, q = x/s to the nearest, ties to even, within -8 to 7,
// and returns s in bfloat16. The element of the greatest magnitude becomes -8, so s has its sign
// reversed: a step is then an eighth of it and not a seventh. A row of zeros, or of values so small
// that s underflows, gives zeros and scale 0; a row with a NaN or an infinity gives zeros and scale
// NaN, so that products show it.
func quantizeRowInt4(q []int8, x []float32) uint16 {
	var greatest uint32
	for _, v := range x {
		if bits := math.Float32bits(v); bits&^(1<<31) > greatest&^(1<<31) {
			greatest = bits
		}
	}
	const infinity, smallest = 0x7f800000, 0x00800000
	scale := toBFloat16(math.Float32frombits(greatest) / -8)
	s := fromBFloat16(scale)
	switch bits := math.Float32bits(s) &^ (1 << 31); {
	case greatest&^(1<<31) >= infinity:
		clear(q[:len(x)])
		return toBFloat16(float32(math.NaN()))
	case bits < smallest:
		clear(q[:len(x)])
		return 0
	}
	for i, v := range x {
		q[i] = int8(max(-8, min(7, math.RoundToEven(float64(v/s)))))
	}
	return scale
}

// packInt4 packs codes in place: byte i has codes i and i + len(codes)/2, both plus 8.
func packInt4(codes []int8) []uint8 {
	n := len(codes) / 2
	bytes := unsafe.Slice((*uint8)(unsafe.Pointer(&codes[0])), n)
	for i, high := range codes[n : 2*n] {
		bytes[i] = uint8(codes[i]+8) | uint8(high+8)<<4
	}
	return bytes
}

// unpackInt4 writes the codes of packed [rows, width] to dst [rows, 2, width]: of each row those of
// the lower halves, then those of the upper ones.
func unpackInt4(dst []int8, packed []uint8, rows, width int) {
	to := unsafe.Slice((*uint8)(unsafe.Pointer(&dst[0])), 2*rows*width)
	for r := range rows {
		from, low, high := packed[r*width:][:width], to[2*r*width:][:width], to[(2*r+1)*width:][:width]
		i := 0
		for ; i+8 <= width; i += 8 {
			x := binary.LittleEndian.Uint64(from[i:])
			binary.LittleEndian.PutUint64(low[i:], signedNibbles(x&0x0f0f0f0f0f0f0f0f))
			binary.LittleEndian.PutUint64(high[i:], signedNibbles(x>>4&0x0f0f0f0f0f0f0f0f))
		}
		for ; i < width; i++ {
			low[i], high[i] = from[i]&15-8, from[i]>>4-8
		}
	}
}

// signedNibbles takes 8 from each byte, 0 to 15. With its top bit set no byte borrows from the
// next.
func signedNibbles(x uint64) uint64 {
	const top, eight = 0x8080808080808080, 0x0808080808080808
	return ((x | top) - eight) ^ top
}
