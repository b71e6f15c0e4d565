package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels/parallel"
)

// float8Twin decodes a code by the definition of the format.
func float8Twin(code int) float64 {
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
		v, want := FromFloat8(byte(code)), float8Twin(code)
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

// TestFloat8Rounding: the nearest by search through the table, all midpoints and what lies beside
// them, and random numbers; no number becomes a NaN.
func TestFloat8Rounding(t *testing.T) {
	var values []float64 // not below zero, ascending; the index is the code
	for code := range 127 {
		values = append(values, float8Twin(code))
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
		if got := roundFloat8(v); float64(got) != float8Twin(int(want)) {
			t.Fatalf("%v rounded to %v, want %v", v, got, float8Twin(int(want)))
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

func randomFloat8(n int, r *rand.Rand) []byte {
	q := make([]byte, n)
	for i := range q {
		for q[i] = byte(r.Uint32()); IsNaNFloat8(q[i]); {
			q[i] = byte(r.Uint32())
		}
	}
	return q
}

// TestPackedFloat8 compares with a float64 twin on the activations as they are rounded, with scales
// of the rows and with one for all.
func TestPackedFloat8(t *testing.T) {
	var twins [256]float64
	for code := range twins {
		twins[code] = float8Twin(code)
	}
	eachGemm(t, func(t *testing.T) {
		for number, size := range bfloat16Sizes {
			r := rand.New(rand.NewPCG(31, uint64(number)))
			out, in := size[0], size[1]
			q, scale := randomFloat8(out*in, r), make([]float32, out)
			normals(scale, r)
			for _, input := range []float32{0, 0.01} {
				p := PackFloat8(q, scale, input, out, in)
				for _, rows := range []int{1, 5, 17} {
					what := fmt.Sprintf("out=%d in=%d rows=%d input scale %v", out, in, rows, input)
					x, checkX := guardedFloats(rows*in, number%5)
					y, checkY := guardedFloats(rows*out, number%3)
					normals(x, r)
					if rows == 5 {
						clear(x[in : 2*in])
					}
					p.MulT(y, x, rows)
					checkX(t, what)
					checkY(t, what)
					for i := range rows {
						row := x[i*in : (i+1)*in]
						s := input
						if s == 0 {
							s = float32(max(slices.Max(row), -slices.Min(row))) / 448
						}
						for j := range out {
							sum, size := 0.0, 0.0
							for k, v := range row {
								if s != 0 {
									product := twins[ToFloat8(v/s)] * twins[q[j*in+k]]
									sum, size = sum+product, size+math.Abs(product)
								}
							}
							want := sum * float64(s) * float64(scale[j])
							bound := float64(in+3) * 0x1p-24 * size * math.Abs(float64(s)*float64(scale[j]))
							if got := float64(y[i*out+j]); !(math.Abs(got-want) <= bound) {
								t.Fatalf("%s: [%d, %d] is %v, want %v ± %v", what, i, j, got, want, bound)
							}
						}
					}
				}
			}
		}
	})
}

func TestPackedFloat8DoesNotDependOnBatchOrThreads(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(32, 0))
		for _, size := range [][2]int{{1100, 512}, {47, 64}, {20, 2100}} {
			const rows = 21
			out, in := size[0], size[1]
			scale, x, all := make([]float32, out), make([]float32, rows*in), make([]float32, rows*out)
			normals(scale, r)
			normals(x, r)
			p := PackFloat8(randomFloat8(out*in, r), scale, 0, out, in)
			p.MulT(all, x, rows)
			for _, batch := range []int{1, 4, 9} {
				for first := 0; first+batch <= rows; first += batch {
					y := make([]float32, batch*out)
					p.MulT(y, x[first*in:], batch)
					equalBits(t, fmt.Sprintf("[%d, %d] rows %d+%d", out, in, first, batch), y, all[first*out:(first+batch)*out])
				}
			}
			for _, threads := range []int{1, 5} {
				y := make([]float32, rows*out)
				restore := parallel.SetThreads(threads)
				p.MulT(y, x, rows)
				restore()
				equalBits(t, fmt.Sprintf("[%d, %d] with %d threads", out, in, threads), y, all)
			}
		}
	})
}

// TestPackedFloat8Row: a packed weight gives back its codes, signs of zeros included, and their
// values times the scale.
func TestPackedFloat8Row(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 0))
	for number, size := range bfloat16Sizes {
		out, in := size[0], size[1]
		q, scale := randomFloat8(out*in, r), make([]float32, out)
		q[0] = 0x80
		normals(scale, r)
		p := PackFloat8(q, scale, 0, out, in)
		row, check := guardedFloats(in, number%3)
		codes, memory := make([]byte, in), make([]float32, in)
		for o := range out {
			p.Codes(codes, memory, o)
			if !slices.Equal(codes, q[o*in:(o+1)*in]) {
				t.Fatalf("[%d, %d] output %d: other codes", out, in, o)
			}
			p.Row(row, o)
			check(t, "PackedFloat8.Row")
			for i, v := range row {
				if want := FromFloat8(codes[i]) * scale[o]; v != want {
					t.Fatalf("[%d, %d] output %d: weight %d is %v, want %v", out, in, o, i, v, want)
				}
			}
		}
	}
}

func TestPackedFloat8AllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(34, 0))
	scale, x, y := make([]float32, 64), make([]float32, 3*96), make([]float32, 3*64)
	normals(x, r)
	p := PackFloat8(randomFloat8(64*96, r), scale, 0, 64, 96)
	if n := testing.AllocsPerRun(20, func() { p.MulT(y, x, 3) }); n > 0 {
		t.Errorf("%v allocations in a product", n)
	}
}
