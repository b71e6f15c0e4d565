package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPackedRow: packed weights give back what was packed.
func TestPackedRow(t *testing.T) {
	for number, size := range productSizes {
		r := rand.New(rand.NewPCG(15, uint64(number)))
		out, in := size[0], size[1]
		for _, m := range multipliers(out, in, groupOf(in), r) {
			for _, name := range Implementations() {
				with(t, name, func() {
					w, ok := m.pack().(interface{ Row(dst []float32, o int) })
					if !ok {
						return
					}
					row := newGuarded(in, number%3)
					for o := 0; o < out; o += 1 + out/40 {
						w.Row(row.x, o)
						row.check(t, m.name)
						for i, v := range row.x {
							if want := float32(m.weight[o*in+i]); v != want {
								t.Fatalf("%s: %s [%d, %d]: weight [%d, %d] is %v, want %v", name, m.name, out, in, o, i, v, want)
							}
						}
					}
				})
			}
		}
	}
}

// TestPackedFloatCodes: packed weights give back their codes, signs of zeros included.
func TestPackedFloatCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 0))
	for _, size := range productSizes {
		out, in := size[0], size[1]
		codes, memory, moved, scale := make([]byte, in), make([]float32, in), make([]int8, in), make([]float32, in)
		for _, format := range []SmallFloat{E4M3, E5M2, E2M1} {
			q := randomSmall(format, out*in, r)
			q[0] = byte(format.Codes() / 2)
			var row func(o int)
			if format == E2M1 {
				p := PackFloat4(q, make([]float32, out*in/groupOf(in)), out, in, groupOf(in))
				row = func(o int) { p.Codes(codes, scale, moved, o) }
			} else {
				p := PackFloat8(format, q, make([]float32, out), 0, out, in)
				row = func(o int) { p.Codes(codes, memory, o) }
			}
			for o := range out {
				if row(o); !slices.Equal(codes, q[o*in:(o+1)*in]) {
					t.Fatalf("%v [%d, %d] output %d: other codes", format, out, in, o)
				}
			}
		}
	}
}

func TestQuantizeRowInt8(t *testing.T) {
	for _, c := range []struct {
		x     []float32
		q     []int8
		scale float32
	}{
		{[]float32{0, 0}, []int8{0, 0}, 0},
		{[]float32{-127, 1, 0.5, 1.5, -2.5}, []int8{-127, 1, 0, 2, -2}, 1},
		{[]float32{254, -2, 3}, []int8{127, -1, 2}, 2},
		{[]float32{math.SmallestNonzeroFloat32}, []int8{0}, 0},
		{[]float32{float32(math.Inf(1)), 3}, []int8{0, 0}, float32(math.NaN())},
	} {
		q := make([]int8, len(c.x))
		s := QuantizeRowInt8(q, c.x)
		if fmt.Sprint(q, s) != fmt.Sprint(c.q, c.scale) {
			t.Errorf("%v gives %v with scale %v, want %v with %v", c.x, q, s, c.q, c.scale)
		}
	}
}

func TestPackedBytes(t *testing.T) {
	const out, in, group = 48, 64, 32
	q := make([]int8, out*in)
	p4 := PackInt4(q, make([]float32, out*in/group), out, in, group)
	for name, c := range map[string][2]int64{
		"float32": {PackFloat32(make([]float32, out*in), out, in).Bytes(), 4 * out * in},
		"int8":    {PackInt8(q, make([]float32, out), out, in).Bytes(), out*in + 4*out},
		"int4":    {p4.Bytes(), out*in/2 + 4*out*in/group},
		"memory":  {4 * int64(len(p4.q)), out*in/2 + 4*out*in/group},
	} {
		if c[0] != c[1] {
			t.Errorf("%s has %d bytes, want %d", name, c[0], c[1])
		}
	}
}

// TestSteadyProductsAllocateNothing: after a first round, memory comes from free lists.
func TestSteadyProductsAllocateNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 0))
	const rows, out, in = 200, 256, 96
	x, y, gram, bits := make([]float32, rows*in), make([]float32, rows*out), make([]float32, in*in), make([]uint16, in)
	normals(x, r)
	check := func(name string, f func()) {
		f()
		if n := testing.AllocsPerRun(10, f); n > 0.5 {
			t.Errorf("%s: %s allocates %v times a call", Implementation(), name, n)
		}
	}
	list := multipliers(out, in, 32, r)
	for _, name := range Implementations() {
		if tiled(name) {
			continue // they allocate
		}
		with(t, name, func() {
			for _, m := range list[:len(list)-6] { // training has a test of its own
				w := m.pack()
				check(m.name, func() { w.MulT(y, x, rows) })
				check(m.name+", one row", func() { w.MulT(y, x, 1) })
				if w, ok := w.(interface{ Row(dst []float32, o int) }); ok {
					check(m.name+".Row", func() { w.Row(gram, 3) })
				}
			}
			check("AddGram", func() { AddGram(gram, x, rows, in, Float32) })
			check("AddGram in bfloat16", func() { AddGram(gram, x, rows, in, BFloat16) })
			check("RoundBFloat16", func() { RoundBFloat16(bits, x[:in]) })
		})
	}
}

func TestPackMisusePanics(t *testing.T) {
	q, s := make([]int8, 64), make([]float32, 64)
	q[3] = 8
	for name, f := range map[string]func(){
		"float32 weights": func() { PackFloat32(s[:5], 2, 3) },
		"int8 weights":    func() { PackInt8(q[:5], s, 2, 3) },
		"int8 scales":     func() { PackInt8(q, s[:1], 2, 3) },
		"int4 group":      func() { PackInt4(q, s, 2, 4, 3) },
		"int4 scales":     func() { PackInt4(q, s[:3], 2, 2, 1) },
		"int4 range":      func() { PackInt4(q, s, 2, 4, 4) },
		"float32 short y": func() { PackFloat32(s, 2, 3).MulT(s[:3], s, 2) },
		"int8 short x":    func() { PackInt8(q, s, 2, 3).MulT(s, s[:5], 2) },
		"int4 short x":    func() { PackInt4(q[4:], s, 2, 3, 3).MulT(s, s[:5], 2) },
		"int4 short y":    func() { PackInt4(q[4:], s, 2, 3, 3).MulTInt8(s[:3], s, 2) },
		"int4 long group": func() { PackInt4(make([]int8, 1<<18), s, 1, 1<<18, 1<<18) },
		"int8 row":        func() { PackInt8(q, s, 2, 3).Row(s, 2) },
		"int8 short row":  func() { PackInt8(q, s, 2, 3).Row(s[:2], 0) },
		"int4 row":        func() { PackInt4(q[4:], s, 2, 3, 3).Row(s, -1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func TestBFloat16MisusePanics(t *testing.T) {
	x, bits := make([]float32, 12), make([]uint16, 12)
	p := PackBFloat16(bits, 3, 4)
	for name, f := range map[string]func(){
		"weights":    func() { PackBFloat16(bits[:5], 2, 3) },
		"short y":    func() { p.MulT(x[:5], x, 2) },
		"short x":    func() { p.MulT(x, x[:7], 2) },
		"short row":  func() { p.Row(x[:3], 0) },
		"row":        func() { p.Row(x, 3) },
		"row before": func() { PackFloat32(x, 3, 4).Row(x, -1) },
		"round":      func() { RoundBFloat16(bits[:3], x) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

// TestRoundRowsInt8: the values are those of QuantizeRowInt8, rows of zeros and rows that are not
// finite included.
func TestRoundRowsInt8(t *testing.T) {
	const dim = 19
	rows := [][]float32{randoms(rand.New(rand.NewPCG(1, 2)), dim, 0, 3).x, make([]float32, dim), randoms(rand.New(rand.NewPCG(3, 4)), dim, 0, 1e-44).x, randoms(rand.New(rand.NewPCG(5, 6)), dim, 0, 1).x}
	rows[3][7] = float32(math.NaN())
	var x []float32
	for _, r := range rows {
		x = append(x, r...)
	}
	y := make([]float32, len(x))
	RoundRowsInt8(y, x, len(rows), dim)
	for r := range rows {
		q := make([]int8, dim)
		s := QuantizeRowInt8(q, rows[r])
		for i := range q {
			want := float32(q[i]) * s
			if got := y[r*dim+i]; got != want && !(math.IsNaN(float64(got)) && math.IsNaN(float64(s))) {
				t.Errorf("row %d: element %d is rounded to %v, want %v", r, i, got, want)
			}
		}
	}
}
