package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// float8Reference decodes a code by the definition of the format.
func float8Reference(code int) float64 {
	sign := 1.0
	if code >= 128 {
		sign = -1
	}
	exponent, fraction := code/8%16, float64(code%8)
	switch {
	case code%128 == 127:
		return math.NaN()
	case exponent == 0:
		return sign * fraction * math.Pow(2, -9)
	}
	return sign * (8 + fraction) * math.Pow(2, float64(exponent-10))
}

// TestFloat8Codes goes through all codes: 253 distinct values, no infinity, two codes without a
// number, each value encoded by its own code.
func TestFloat8Codes(t *testing.T) {
	distinct := map[float32]bool{}
	for code := range 256 {
		v, want := FromFloat8(byte(code)), float8Reference(code)
		if IsNaNFloat8(byte(code)) != math.IsNaN(want) || IsNaNFloat8(byte(code)) != (v != v) {
			t.Errorf("code %#02x is %v, want %v", code, v, want)
		}
		if math.IsNaN(want) {
			if got := ToFloat8(v); !IsNaNFloat8(got) {
				t.Errorf("a NaN became %#02x", got)
			}
			continue
		}
		distinct[v] = true
		if float64(v) != want || math.Signbit(float64(v)) != (code >= 128) {
			t.Errorf("code %#02x is %v, want %v", code, v, want)
		}
		if got := ToFloat8(v); got != byte(code) {
			t.Errorf("%v became code %#02x, want %#02x", v, got, code)
		}
	}
	if len(distinct) != 253 {
		t.Errorf("%d distinct values, want 253", len(distinct))
	}
}

// TestFloat8Rounding: the nearest by search through the table, all midpoints and their neighbours,
// and random numbers; no number becomes a NaN.
func TestFloat8Rounding(t *testing.T) {
	var values []float64 // not below zero, ascending; the index is the code
	for code := range 127 {
		values = append(values, float8Reference(code))
	}
	check := func(v float32) {
		t.Helper()
		size := math.Abs(float64(v))
		above, _ := slices.BinarySearch(values, size)
		best := min(above, 126)
		if below := best - 1; below >= 0 && above <= 126 {
			if d, e := size-values[below], values[best]-size; d < e || d == e && below%2 == 0 {
				best = below
			}
		}
		want := byte(best)
		if math.Signbit(float64(v)) {
			want |= 0x80
		}
		if got := ToFloat8(v); got != want {
			t.Fatalf("%v became %#02x (%v), want %#02x (%v)", v, got, FromFloat8(got), want, FromFloat8(want))
		}
		if got := roundFloat8(v); float64(got) != float8Reference(int(want)) {
			t.Fatalf("%v rounded to %v, want %v", v, got, float8Reference(int(want)))
		}
	}
	for i := range values[1:] {
		middle := float32((values[i] + values[i+1]) / 2)
		for _, v := range []float32{middle, math.Nextafter32(middle, 0), math.Nextafter32(middle, 1000)} {
			check(v)
			check(-v)
		}
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 448, 463.9, 464, 465, 1e30, math.Inf(1), math.Inf(-1), 1e-40, 0x1p-10, 0x1.000002p-10} {
		check(float32(v))
	}
	r := rand.New(rand.NewPCG(1, 8))
	for range 200_000 {
		check(float32(r.NormFloat64() * math.Pow(2, float64(r.IntN(24)-13))))
	}
	for v, want := range map[float32]float32{1.0625: 1, 1.1875: 1.25, 17: 16, 19: 20, 0x1p-10: 0, 464: 448} {
		if got := FromFloat8(ToFloat8(v)); got != want {
			t.Errorf("%v became %v, want %v", v, got, want)
		}
	}
}
