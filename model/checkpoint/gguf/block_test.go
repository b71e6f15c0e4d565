package gguf

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// halves of the hand-made blocks.
const (
	halfOfOne     = "\x00\x38" // 0.5
	quarterOfOne  = "\x00\x34" // 0.25
	minusTwo      = "\x00\xc0"
	oneAndQuarter = "\x00\x3d" // 1.25
)

// TestGoldenBlocks decodes a block of each format that was written by hand: most of it one value,
// and a few codes that differ.
func TestGoldenBlocks(t *testing.T) {
	// with returns n zero bytes with some set.
	with := func(n int, set map[int]byte) string {
		b := make([]byte, n)
		for i, v := range set {
			b[i] = v
		}
		return string(b)
	}
	// Part 0 has scale 3 and minimum 2; part 5 has scale 45, 13 + 2·16, and minimum 51, 3 + 3·16;
	// the others none.
	scales := with(12, map[int]byte{0: 3, 4: 2, 9: 3<<4 | 13, 1: 2 << 6, 5: 3 << 6})
	// element 7 of part 0, element 31 of part 5
	nibbles := with(128, map[int]byte{7: 9, 64 + 31: 15 << 4})
	between := func(v float32, from, to int, values map[int]float32) map[int]float32 {
		for i := from; i < to; i++ {
			values[i] = v
		}
		return values
	}
	for _, c := range []struct {
		kind     Type
		block    string
		elements int
		rest     float32 // the value of the elements not listed
		want     map[int]float32
	}{
		{F32, "\x00\x00\x80\x3f\x00\x00\x20\xc1", 2, 0, map[int]float32{0: 1, 1: -10}},
		{F16, halfOfOne + minusTwo, 2, 0, map[int]float32{0: 0.5, 1: -2}},
		{BF16, "\x80\x3f\x20\xc1", 2, 0, map[int]float32{0: 1, 1: -10}},
		{Q8_0, halfOfOne + with(32, map[int]byte{0: 127, 1: 0x80, 31: 0xff}), 32, 0, map[int]float32{0: 63.5, 1: -64, 31: -0.5}},
		// A zero nibble is −8: −2 · −8.
		{Q4_0, minusTwo + with(16, map[int]byte{0: 0x0f, 15: 0x80}), 32, 16, map[int]float32{0: -14, 31: 0}},
		{Q4_1, halfOfOne + oneAndQuarter + with(16, map[int]byte{3: 0x4f}), 32, 1.25, map[int]float32{3: 8.75, 19: 3.25}},
		// The fifth bits of elements 2 and 31; a zero code is −16.
		{Q5_0, halfOfOne + "\x04\x00\x00\x80" + with(16, map[int]byte{2: 0x01, 15: 0xf0}), 32, -8, map[int]float32{2: 0.5, 31: 7.5}},
		{Q5_1, halfOfOne + minusTwo + "\x04\x00\x00\x80" + with(16, map[int]byte{2: 0x01, 15: 0xf0}), 32, -2, map[int]float32{2: 6.5, 31: 13.5}},
		{Q4_K, halfOfOne + quarterOfOne + scales + nibbles, 256, 0,
			between(-0.5, 0, 7, between(-0.5, 8, 32, between(-12.75, 160, 191, map[int]float32{7: 13, 191: 324.75})))},
		{Q5_K, halfOfOne + quarterOfOne + scales + with(32, map[int]byte{31: 1 << 5}) + nibbles, 256, 0,
			between(-0.5, 0, 7, between(-0.5, 8, 32, between(-12.75, 160, 191, map[int]float32{7: 13, 191: 684.75})))},
		// Element 197: side 1, part 2, 5; code 10 + 3·16, scale 12.
		{Q6_K, with(128, map[int]byte{64 + 5: 10 << 4}) + with(64, map[int]byte{32 + 5: 3 << 4}) + with(16, map[int]byte{12: 0xfd}) + halfOfOne, 256, 0,
			between(48, 192, 197, between(48, 198, 208, map[int]float32{197: -39}))},
	} {
		got := make([]float32, c.elements)
		if err := c.kind.Decode(got, []byte(c.block)); err != nil {
			t.Errorf("%s: %v", c.kind, err)
			continue
		}
		for i, v := range got {
			want, listed := c.want[i]
			if !listed {
				want = c.rest
			}
			if v != want {
				t.Errorf("%s: element %d is %g, expected %g", c.kind, i, v, want)
			}
		}
	}
}

// TestGoldenEncoding encodes blocks whose codes are known by hand.
func TestGoldenEncoding(t *testing.T) {
	block := func(first ...float32) []float32 { return append(first, make([]float32, 32-len(first))...) }
	codes := func(first string, rest byte, n int) string {
		return first + string(bytes.Repeat([]byte{rest}, n-len(first)))
	}
	for _, c := range []struct {
		name string
		kind Type
		src  []float32
		want string
	}{
		{"F32", F32, []float32{1, -10}, "\x00\x00\x80\x3f\x00\x00\x20\xc1"},
		{"F16", F16, []float32{0.5, -2}, halfOfOne + minusTwo},
		{"BF16, ties to even", BF16, []float32{0x1.01p0, 0x1.03p0, 0x1.010002p0}, "\x80\x3f\x82\x3f\x81\x3f"},
		{"Q8_0, ties away from zero", Q8_0, block(-127, 0.5, -0.5, 2.5, 1.4), codes("\x00\x3c\x81\x01\xff\x03\x01", 0, 34)},
		{"Q8_0, zeros", Q8_0, block(), codes("", 0, 34)},
		{"Q4_0, the extreme is negative", Q4_0, block(-8, 8, 7, 0.5, -0.6), codes("\x00\x3c\x80\x8f\x8f\x89\x87", 0x88, 18)},
		{"Q4_0, the extreme is positive", Q4_0, block(8, -8, 7, 0.4), codes("\x00\xbc\x80\x8f\x81\x88", 0x88, 18)},
		{"Q4_1, both sides of zero", Q4_1, block(-1, 6.5, 2.75, 0.2), codes("\x00\x38\x00\xbc\x20\x2f\x28\x22", 0x22, 20)},
		{"Q4_1, above zero alone", Q4_1, slices.Repeat([]float32{8, 15.5}, 16), codes("\x00\x38\x00\x48\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff", 0, 20)},
		{"Q4_1, one value", Q4_1, slices.Repeat([]float32{-2}, 32), codes("\x00\x00"+minusTwo, 0, 20)},
		{"Q4_0, zeros", Q4_0, block(), codes("\x00\x80", 0x88, 18)},
		{"Q4_0, too small for a scale", Q4_0, block(-1e-40), codes("\x00\x00", 0x88, 18)},
	} {
		got := make([]byte, len(c.want))
		if err := c.kind.Encode(got, c.src); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if string(got) != c.want {
			t.Errorf("%s:\n found    %x\n expected %x", c.name, got, c.want)
		}
	}
}

// worst is the largest error that a format may have on a value of a block whose value of largest
// magnitude is extreme. Half a unit in the last place of a half is 2⁻¹¹ of it, and 2⁻²⁵ where it is
// subnormal; a scale's error grows with the code.
func worst(kind Type, value, extreme float64) float64 {
	rounded := func(v float64) float64 { return max(math.Abs(v)*0x1p-11, 0x1p-25) }
	const slack = 1 + 1e-6 // of the float32 arithmetic
	switch kind {
	case F16:
		return rounded(value)
	case BF16:
		return max(math.Abs(value)*0x1p-8, 0x1p-134)
	case Q8_0: // half a step
		d := math.Abs(extreme) / 127
		return slack * (d/2 + 127*rounded(d))
	case Q4_0: // a whole step, where the value is as large as the extreme, with the other sign
		d := math.Abs(extreme) / 8
		return slack * (d + 8*rounded(d))
	case Q4_1: // the step is at most twice the extreme in fifteen parts
		d := 2 * math.Abs(extreme) / 15
		return slack * (d/2 + 15*rounded(d) + rounded(extreme))
	case Q5_0:
		d := math.Abs(extreme) / 16
		return slack * (d + 16*rounded(d))
	}
	return 0
}

// checkErrors compares decoded values with the originals block by block.
func checkErrors(kind Type, got, want []float32) error {
	for b := 0; b < len(want); b += min(32, len(want)-b) {
		block := want[b:min(b+32, len(want))]
		e := float64(extreme(block))
		for i, v := range block {
			if limit := worst(kind, float64(v), e); !(math.Abs(float64(got[b+i])-float64(v)) <= limit) {
				return fmt.Errorf("%s: element %d of %g became %g, expected an error of at most %g", kind, b+i, v, got[b+i], limit)
			}
		}
	}
	return nil
}

func TestEncodeDecode(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []Type{F32, F16, BF16, Q8_0, Q4_0, Q4_1} {
		for range 2000 {
			src := make([]float32, 64)
			size := math.Exp(rng.Float64()*40 - 32)
			for i := range src {
				src[i] = float32(rng.NormFloat64() * size)
			}
			encoded, got := make([]byte, kind.RowBytes(len(src))), make([]float32, len(src))
			if err := kind.Encode(encoded, src); err != nil {
				t.Fatal(err)
			}
			if err := kind.Decode(got, encoded); err != nil {
				t.Fatal(err)
			}
			if err := checkErrors(kind, got, src); err != nil {
				t.Fatal(err)
			}
			// What was decoded is of the format: encoding it again is the same numbers (a block's
			// extreme may change its scale's last place, so Q4_0 and Q8_0 are held to the numbers'
			// bound instead).
			if kind == F32 || kind == F16 || kind == BF16 {
				again := make([]byte, len(encoded))
				if err := kind.Encode(again, got); err != nil || !bytes.Equal(again, encoded) {
					t.Fatalf("%s: encoding twice differs (%v)", kind, err)
				}
			}
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	nan, infinity := float32(math.NaN()), float32(math.Inf(-1))
	for _, c := range []struct {
		kind  Type
		value float32
		want  string
	}{
		{Q8_0, nan, "element 3 is NaN, expected less than 8.32104e+06 in magnitude for Q8_0"},
		{F16, infinity, "element 3 is -Inf, expected less than 65520 in magnitude for F16"},
		{F16, 65520, "element 3 is 65520, expected less than 65520 in magnitude for F16"},
		{Q4_0, 524160, "element 3 is 524160, expected less than 524160 in magnitude for Q4_0"},
		{Q4_1, 65520, "element 3 is 65520, expected less than 65520 in magnitude for Q4_1"},
		{F32, nan, "element 3 is NaN, expected less than +Inf in magnitude for F32"},
		{Q2_K, 1, "type Q2_K is not written, expected one of F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, BF16"},
		{77, 1, "type 77 is not written, expected one of F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, BF16"},
	} {
		src := make([]float32, 32)
		src[3] = c.value
		err := c.kind.Encode(make([]byte, 128), src)
		if c.kind.CanEncode() {
			err = c.kind.Encode(make([]byte, c.kind.RowBytes(32)), src)
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: found %v, expected %s", c.kind, err, c.want)
		}
	}
	if err := Type(5).Decode(make([]float32, 16), make([]byte, 12)); err == nil || err.Error() != Type(5).Problem() {
		t.Errorf("found %v", err)
	}
	if err := Q8_0.Decode(make([]float32, 33), make([]byte, 34)); err == nil {
		t.Error("33 elements were decoded from blocks of 32")
	}
}
