package gguf

import (
	"encoding/binary"
	"math"
	"slices"
)

// A super-block of 256 has parts with a scale each, and perhaps a minimum, which are whole numbers
// of a few bits; a half scales them all. The search goes from the parts up and down again: a scale
// for each part alone, a half from the largest of them, for each part the whole numbers next to its
// scale that have the least error with the codes rounded anew, then the half that fits all these
// best, and so on while the error falls.

// offsetBlock is a super-block of Q4_K or Q5_K: x = d·scale·code − e·minimum.
type offsetBlock struct {
	d, e           uint16 // halves
	scale, minimum [8]uint8
	code           [256]uint8
}

// parts of 32 elements, whose scales and minima are 6 bits
const (
	offsetParts = 8
	offsetMost  = 63
)

// shrinks are the factors by which the first half scales differ from the one that gives the largest
// part the largest whole number: the other parts round better with one of them.
var shrinks = [...]float64{1, 0.985, 0.97, 0.95, 1.02}

// simple fits each part to its least and largest number, and rounds.
func (o *offsetBlock) simple(b *elements, top float64) {
	var s, m [offsetParts]float64
	for j := range offsetParts {
		x := b.x[32*j : 32*j+32]
		low := min(0, slices.Min(x))
		s[j], m[j] = (slices.Max(x)-low)/top, -low
	}
	o.halves(slices.Max(s[:])/offsetMost, slices.Max(m[:])/offsetMost)
	for j := range offsetParts {
		o.scale[j], o.minimum[j] = part(s[j], o.d), part(m[j], o.e)
	}
	o.round(b, top)
}

func (o *offsetBlock) halves(d, e float64) { o.d, _ = halved(max(0, d)); o.e, _ = halved(max(0, e)) }

// part is the whole number of halves that is next to v.
func part(v float64, bits uint16) uint8 {
	d := halfValue(bits)
	if d == 0 {
		return 0
	}
	return uint8(clamped(v/d, 0, offsetMost))
}

func halfValue(bits uint16) float64 {
	var b [2]byte
	binary.LittleEndian.PutUint16(b[:], bits)
	return float64(scale(b[:]))
}

// round chooses the codes next to the numbers.
func (o *offsetBlock) round(b *elements, top float64) {
	d, e := halfValue(o.d), halfValue(o.e)
	for i, v := range b.x {
		s, m := d*float64(o.scale[i/32]), e*float64(o.minimum[i/32])
		q := 0.0
		if s > 0 {
			q = clamped((v+m)/s, 0, top)
		}
		o.code[i] = uint8(q)
	}
}

// search finds a block of small error.
func (o *offsetBlock) search(b *elements, top float64) {
	var s, m [offsetParts]float64
	for j := range offsetParts {
		s[j], m[j] = fitOffset(b.x[32*j:32*j+32], b.w[32*j:32*j+32], top, true)
	}
	least := math.Inf(1)
	for _, shrink := range shrinks {
		var try offsetBlock
		try.halves(slices.Max(s[:])*shrink/offsetMost, slices.Max(m[:])*shrink/offsetMost)
		for j := range offsetParts {
			try.scale[j], try.minimum[j] = part(s[j], try.d), part(m[j], try.e)
		}
		for range alternations {
			err := try.settle(b, top)
			if !(err < least) {
				break
			}
			least, *o = err, try
			if !try.refit(b, top) {
				break
			}
		}
	}
	o.round(b, top)
}

// settle moves each part's scale and minimum by at most one, to the least error.
func (o *offsetBlock) settle(b *elements, top float64) (total float64) {
	d, e := halfValue(o.d), halfValue(o.e)
	for j := range offsetParts {
		x, w := b.x[32*j:32*j+32], b.w[32*j:32*j+32]
		least := math.Inf(1)
		scale, minimum := int(o.scale[j]), int(o.minimum[j])
		for s := max(0, scale-1); s <= min(offsetMost, scale+1); s++ {
			for m := max(0, minimum-1); m <= min(offsetMost, minimum+1); m++ {
				if err := errorOffset(x, w, d*float64(s), e*float64(m), top); err < least {
					least, o.scale[j], o.minimum[j] = err, uint8(s), uint8(m)
				}
			}
		}
		total += least
	}
	return total
}

// refit solves for the two halves with codes, scales and minima as they are, and reports whether
// one has changed.
func (o *offsetBlock) refit(b *elements, top float64) bool {
	o.round(b, top)
	var aa, ab, bb, xa, xb float64 // a = scale·code, b = minimum
	for i, v := range b.x {
		p, q, w := float64(o.scale[i/32])*float64(o.code[i]), float64(o.minimum[i/32]), b.w[i]
		aa += float64(w * float64(p*p))
		ab += float64(w * float64(p*q))
		bb += float64(w * float64(q*q))
		xa += float64(w * float64(v*p))
		xb += float64(w * float64(v*q))
	}
	before := *o
	switch determinant := float64(aa*bb) - float64(ab*ab); {
	case bb > 0 && determinant > 0:
		d, e := (float64(bb*xa)-float64(ab*xb))/determinant, (float64(ab*xa)-float64(aa*xb))/determinant
		if d > 0 && e >= 0 {
			o.halves(d, e)
		}
	case aa > 0 && xa > 0:
		o.halves(xa/aa, halfValue(o.e))
	}
	return o.d != before.d || o.e != before.e
}

// pack writes the block as decodeK reads it: the head, and the nibbles. Fifth bits go to fifth,
// where there is one.
func (o *offsetBlock) pack(head, nibbles, fifth []byte) {
	little.PutUint16(head, o.d)
	little.PutUint16(head[2:], o.e)
	packed := head[4:16]
	clear(packed)
	for j := range offsetParts {
		s, m := o.scale[j], o.minimum[j]
		if j < 4 {
			packed[j] |= s
			packed[j+4] |= m
			continue
		}
		packed[j+4] = s&15 | m&15<<4
		packed[j-4] |= s >> 4 << 6
		packed[j] |= m >> 4 << 6
	}
	clear(nibbles)
	clear(fifth)
	for i, q := range o.code {
		j, at := i/32, i%32
		nibbles[j/2*32+at] |= q & 15 << (j % 2 * 4)
		if fifth != nil {
			fifth[at] |= q >> 4 << j
		}
	}
}

func fitQ4_K(dst []byte, b *elements, simply bool) {
	var o offsetBlock
	o.find(b, 15, simply)
	o.pack(dst[:16], dst[16:144], nil)
}

func fitQ5_K(dst []byte, b *elements, simply bool) {
	var o offsetBlock
	o.find(b, 31, simply)
	o.pack(dst[:16], dst[48:176], dst[16:48])
}

func (o *offsetBlock) find(b *elements, top float64, simply bool) {
	if simply {
		o.simple(b, top)
	} else {
		o.search(b, top)
	}
}

// scaledBlock is a super-block of Q6_K or Q3_K: x = d·scale·code, with a sign in both. A part has
// 16 elements.
type scaledBlock struct {
	d     uint16
	scale [16]int8
	code  [256]int8
}

// scaledCodes are the ranges of a format's codes and scales.
type scaledCodes struct{ code, scale codes }

var (
	codesQ6_K = scaledCodes{code: codes{low: -32, high: 31}, scale: codes{low: -128, high: 127}}
	codesQ3_K = scaledCodes{code: codes{low: -4, high: 3}, scale: codes{low: -32, high: 31}}
)

// simple gives each part's extreme the outermost code and the extreme of the scales the outermost
// scale, and rounds.
func (o *scaledBlock) simple(b *elements, c *scaledCodes) {
	var s [16]float64
	for j := range s {
		s[j] = outermost(b.x[16*j:16*j+16]) / c.code.low
	}
	o.from(s[:], outermost(s[:])/c.scale.low, c)
	o.round(b, c)
}

// from takes a scale of the scales, and the whole numbers next to what the parts want.
func (o *scaledBlock) from(parts []float64, d float64, c *scaledCodes) {
	var value float64
	o.d, value = halved(d)
	for j, s := range parts {
		o.scale[j] = 0
		if value != 0 {
			o.scale[j] = int8(c.scale.nearest(s / value))
		}
	}
}

func (o *scaledBlock) round(b *elements, c *scaledCodes) {
	d := halfValue(o.d)
	for i, v := range b.x {
		q := 0.0
		if s := d * float64(o.scale[i/16]); s != 0 {
			q = c.code.nearest(v / s)
		}
		o.code[i] = int8(q)
	}
}

// search finds a block of small error.
func (o *scaledBlock) search(b *elements, c *scaledCodes) {
	var s [16]float64
	for j := range s {
		s[j] = fitScale(b.x[16*j:16*j+16], b.w[16*j:16*j+16], &c.code)
	}
	least, extreme := math.Inf(1), outermost(s[:])
	for _, end := range [...]float64{c.scale.low, c.scale.high} {
		for _, shrink := range shrinks {
			var try scaledBlock
			try.from(s[:], extreme*shrink/end, c)
			for range alternations {
				err := try.settle(b, c)
				if !(err < least) {
					break
				}
				least, *o = err, try
				if !try.refit(b, c) {
					break
				}
			}
		}
	}
	o.round(b, c)
}

// settle moves each part's scale by at most one, to the least error.
func (o *scaledBlock) settle(b *elements, c *scaledCodes) (total float64) {
	d := halfValue(o.d)
	for j := range o.scale {
		x, w := b.x[16*j:16*j+16], b.w[16*j:16*j+16]
		least := math.Inf(1)
		for s, last := max(c.scale.low, float64(o.scale[j])-1), min(c.scale.high, float64(o.scale[j])+1); s <= last; s++ {
			if err, _, _ := misfit(x, w, d*s, &c.code); err < least {
				least, o.scale[j] = err, int8(s)
			}
		}
		total += least
	}
	return total
}

// refit solves for the half with codes and scales as they are, and reports whether it has changed.
func (o *scaledBlock) refit(b *elements, c *scaledCodes) bool {
	o.round(b, c)
	var xa, aa float64
	for i, v := range b.x {
		p := float64(o.scale[i/16]) * float64(o.code[i])
		xa += float64(b.w[i] * float64(v*p))
		aa += float64(b.w[i] * float64(p*p))
	}
	if aa == 0 {
		return false
	}
	before := o.d
	o.d, _ = halved(xa / aa)
	return o.d != before
}

func (o *scaledBlock) find(b *elements, c *scaledCodes, simply bool) {
	if simply {
		o.simple(b, c)
	} else {
		o.search(b, c)
	}
}

// fitQ6_K writes a block as decodeQ6_K reads it.
func fitQ6_K(dst []byte, b *elements, simply bool) {
	var o scaledBlock
	o.find(b, &codesQ6_K, simply)
	clear(dst[:192])
	for e, q := range o.code {
		side, part, i := e/128, e/32%4, e%32
		code := byte(q + 32)
		dst[64*side+part%2*32+i] |= code & 15 << (part / 2 * 4)
		dst[128+32*side+i] |= code >> 4 << (2 * part)
	}
	for j, s := range o.scale {
		dst[192+j] = byte(s)
	}
	little.PutUint16(dst[208:], o.d)
}

// fitQ3_K writes a block as decodeQ3_K reads it.
func fitQ3_K(dst []byte, b *elements, simply bool) {
	var o scaledBlock
	o.find(b, &codesQ3_K, simply)
	clear(dst[:108])
	for e, q := range o.code {
		part, i := e/16, e%16
		code := byte(q + 4)
		dst[32+part/8*32+part%2*16+i] |= code & 3 << (part / 2 % 4 * 2)
		dst[part%2*16+i] |= code >> 2 << (part / 2)
	}
	for part, s := range o.scale {
		code := byte(s + 32)
		dst[96+part%8] |= code & 15 << (part / 8 * 4)
		dst[104+part%4] |= code >> 4 << (part / 4 * 2)
	}
	little.PutUint16(dst[108:], o.d)
}
