package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// smallReference decodes a code by the definition of its format.
func smallReference(f SmallFloat, code int) float64 {
	exponentBits, fractionBits, bias := 4, 3, 7
	switch f {
	case E5M2:
		exponentBits, fractionBits, bias = 5, 2, 15
	case E2M1:
		exponentBits, fractionBits, bias = 2, 1, 1
	}
	size := code % (1 << (exponentBits + fractionBits))
	exponent, fraction := size>>fractionBits, size%(1<<fractionBits)
	v := math.Pow(2, float64(exponent-bias)) * (1 + float64(fraction)/math.Pow(2, float64(fractionBits)))
	switch {
	case f == E4M3 && size == 127 || f == E5M2 && exponent == 31 && fraction > 0:
		return math.NaN()
	case f == E5M2 && exponent == 31:
		v = math.Inf(1)
	case exponent == 0:
		v = math.Pow(2, float64(1-bias)) * float64(fraction) / math.Pow(2, float64(fractionBits))
	}
	if code != size {
		v = -v
	}
	return v
}

// TestSmallFloatCodes goes through all codes of all formats: how many distinct values, infinities
// and codes without a number there are, and that each number is encoded by its own code.
func TestSmallFloatCodes(t *testing.T) {
	for f, want := range map[SmallFloat]struct{ codes, distinct, infinite, nan int }{
		E4M3: {256, 253, 0, 2}, E5M2: {256, 247, 2, 6}, E2M1: {16, 15, 0, 0},
	} {
		distinct, infinite, nan := map[float32]bool{}, 0, 0
		for code := range f.Codes() {
			v, exact := f.Decode(byte(code)), smallReference(f, code)
			if f.IsNumber(byte(code)) != (exact-exact == 0) {
				t.Errorf("%v: code %#02x is a number: %t", f, code, f.IsNumber(byte(code)))
			}
			switch {
			case math.IsNaN(exact):
				nan++
				if got := f.Encode(v); v == v || !math.IsNaN(float64(f.Decode(got))) {
					t.Errorf("%v: code %#02x is %v, which became %#02x", f, code, v, got)
				}
				continue
			case math.IsInf(exact, 0):
				infinite++
				if got := f.Decode(f.Encode(v)); float64(v) != exact || got != float32(math.Copysign(float64(f.Max()), exact)) {
					t.Errorf("%v: code %#02x is %v, which became %v", f, code, v, got)
				}
				continue
			}
			distinct[v] = true
			if float64(v) != exact || math.Signbit(float64(v)) != (code >= f.Codes()/2) {
				t.Errorf("%v: code %#02x is %v, want %v", f, code, v, exact)
			}
			if got := f.Encode(v); got != byte(code) {
				t.Errorf("%v: %v became code %#02x, want %#02x", f, v, got, code)
			}
			if b := fromBFloat16(toBFloat16(v)); b != v || v != 0 && math.Abs(float64(v)) < 0x1p-126 {
				t.Errorf("%v: %v is %v in bfloat16", f, v, b)
			}
		}
		if f.Codes() != want.codes || len(distinct) != want.distinct || infinite != want.infinite || nan != want.nan {
			t.Errorf("%v: %d codes, %d distinct values, %d infinities, %d without a number, want %+v", f, f.Codes(), len(distinct), infinite, nan, want)
		}
	}
	var values []float32
	for code := range byte(8) {
		values = append(values, E2M1.Decode(code))
	}
	if !slices.Equal(values, []float32{0, 0.5, 1, 1.5, 2, 3, 4, 6}) {
		t.Errorf("E2M1 has the values %v", values)
	}
}

// TestSmallFloatRounding: the nearest by search through the table, ties to the even code,
// saturating: all midpoints with their neighbours, and a million random numbers of each format.
func TestSmallFloatRounding(t *testing.T) {
	for _, f := range []SmallFloat{E4M3, E5M2, E2M1} {
		var values []float64 // not below zero, ascending; the index is the code
		for code := 0; f.IsNumber(byte(code)) && code < f.Codes()/2; code++ {
			values = append(values, smallReference(f, code))
		}
		last := len(values) - 1
		check := func(v float32) {
			t.Helper()
			size := math.Abs(float64(v))
			above, _ := slices.BinarySearch(values, size)
			best := min(above, last)
			if below := best - 1; below >= 0 && above <= last {
				if d, e := size-values[below], values[best]-size; d < e || d == e && below%2 == 0 {
					best = below
				}
			}
			want := byte(best)
			if math.Signbit(float64(v)) {
				want |= byte(f.Codes() / 2)
			}
			if got := f.Encode(v); got != want {
				t.Fatalf("%v: %v became %#02x (%v), want %#02x (%v)", f, v, got, f.Decode(got), want, f.Decode(want))
			}
			if got := f.round(v); got != f.Decode(want) {
				t.Fatalf("%v: %v rounded to %v, want %v", f, v, got, f.Decode(want))
			}
		}
		for i := range last {
			middle := float32((values[i] + values[i+1]) / 2)
			for _, v := range []float32{middle, math.Nextafter32(middle, 0), math.Nextafter32(middle, 1e6)} {
				check(v)
				check(-v)
			}
		}
		most := float64(f.Max())
		for _, v := range []float64{0, math.Copysign(0, -1), most, most * 1.01, most * 1.5, 1e30, math.Inf(1), math.Inf(-1), 1e-40} {
			check(float32(v))
		}
		r := rand.New(rand.NewPCG(1, uint64(f)))
		lowest, highest := math.Log2(values[1])-2, math.Log2(most)+2
		for range 1_000_000 {
			check(float32(r.NormFloat64() * math.Pow(2, lowest+r.Float64()*(highest-lowest))))
		}
	}
	for v, want := range map[float32]float32{1.0625: 1, 1.1875: 1.25, 17: 16, 19: 20, 0x1p-10: 0, 464: 448} {
		if got := E4M3.Decode(E4M3.Encode(v)); got != want {
			t.Errorf("%v became %v, want %v", v, got, want)
		}
	}
	if got := E2M1.Encode(float32(math.NaN())); got != 7 {
		t.Errorf("a NaN became %#02x of E2M1, want the largest number's code", got)
	}
}

// TestE8M0: all codes are powers of two, and come back; other numbers are none of its.
func TestE8M0(t *testing.T) {
	for code := range 255 {
		v := FromE8M0(byte(code))
		if float64(v) != math.Pow(2, float64(code-127)) {
			t.Errorf("code %d is %v", code, v)
		}
		if got, ok := ToE8M0(v); !ok || got != byte(code) {
			t.Errorf("%v became code %d (%t), want %d", v, got, ok, code)
		}
	}
	if v := FromE8M0(255); v == v {
		t.Errorf("code 255 is %v, want no number", v)
	}
	for _, v := range []float32{0, -1, 3, 1.5, 0x1p-128, float32(math.Inf(1)), float32(math.NaN())} {
		if code, ok := ToE8M0(v); ok {
			t.Errorf("%v became code %d", v, code)
		}
	}
}
