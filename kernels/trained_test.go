package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

// trainedForms are the products of a training step: y = x·wᵀ, dx = dy·w and dw = dyᵀ·x.
func trainedForms(precision Precision) []form {
	byRows := func(x []float32, m, n, k int) func(i, j int) float32 { return rowMajor(x, k) }
	return []form{
		{"y", func(c, a, b []float32, m, n, k int, acc bool) {
			y := c // forward products do not add
			if acc {
				y = make([]float32, m*n)
			}
			w, x := NewTrainedWeight(n, k, precision), new(Operand)
			w.Pack(b)
			x.Pack(a, m, k, precision, Rows|RightSide)
			Run(w.Begin(y, x))
			if acc {
				Add(c[:m*n], y)
			}
		}, byRows, func(x []float32, m, n, k int) func(i, j int) float32 { return columnMajor(x, k) }},
		{"dx", func(c, a, b []float32, m, n, k int, acc bool) {
			w, dy := NewTrainedWeight(k, n, precision), new(Operand)
			w.Pack(b)
			dy.Pack(a, m, k, precision, Rows|LeftSide)
			if acc {
				Run(w.BeginInputAdd(c, dy))
			} else {
				Run(w.BeginInput(c, dy))
			}
		}, byRows, func(x []float32, m, n, k int) func(i, j int) float32 { return rowMajor(x, n) }},
		{"dw", func(c, a, b []float32, m, n, k int, acc bool) {
			dy, x := new(Operand), new(Operand)
			dy.Pack(a, k, m, precision, Rows|LeftSide)
			x.Pack(b, k, n, precision, RightSide)
			if !acc { // gradients are added
				clear(c[:m*n])
			}
			Run(BeginGradient(c, dy, x))
		}, func(x []float32, m, n, k int) func(i, j int) float32 { return columnMajor(x, m) },
			func(x []float32, m, n, k int) func(i, j int) float32 { return rowMajor(x, n) }},
	}
}

// TestTrainedForms compares with a float64 twin of the rounded operands.
func TestTrainedForms(t *testing.T) {
	for _, precision := range []Precision{Float32, BFloat16} {
		for _, f := range trainedForms(precision) {
			r := rand.New(rand.NewPCG(21, 2))
			for number, s := range append(gemmSizes(), [3]int{20, 40, 2100}) {
				m, n, k := s[0], s[1], s[2]
				a, checkA := guardedFloats(m*k, number%5)
				b, checkB := guardedFloats(k*n, number%3)
				c, checkC := guardedFloats(m*n, number%7)
				before := make([]float32, m*n)
				normals(a, r)
				normals(b, r)
				normals(before, r)
				read := func(x []float32) []float32 { return x }
				if precision == BFloat16 {
					read = roundedTwin
				}
				for _, accumulate := range []bool{false, true} {
					added := before
					if !accumulate {
						added = nil
					}
					want, scale := gemmTwin(m, n, k, added, f.a(read(a), m, n, k), f.b(read(b), m, n, k))
					for _, name := range Implementations() {
						what := fmt.Sprintf("%s %v %s m=%d n=%d k=%d accumulate=%v", name, precision, f.name, m, n, k, accumulate)
						copy(c, before)
						if !accumulate {
							c[0] = float32(math.NaN())
						}
						with(t, name, func() { f.run(c, a, b, m, n, k, accumulate) })
						withinRounding(t, what, c, want, scale, k)
						checkA(t, what)
						checkB(t, what)
						checkC(t, what)
					}
				}
			}
		}
	}
}

// transposed is x [rows, cols] as [cols, rows].
func transposed(x []float32, rows, cols int) []float32 {
	y := make([]float32, len(x))
	for i := range rows {
		for j := range cols {
			y[j*rows+i] = x[i*cols+j]
		}
	}
	return y
}

// TestFormsAreOneChain: in float32 the three products of training have the bits of a packed weight
// with the same operands.
func TestFormsAreOneChain(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(23, 1))
		for _, s := range append(gemmSizes(), [3]int{300, 256, 512}, [3]int{70, 33, 1201}) {
			m, n, k := s[0], s[1], s[2]
			a, b, got, want := make([]float32, m*k), make([]float32, n*k), make([]float32, m*n), make([]float32, m*n)
			normals(a, r)
			normals(b, r)
			PackFloat32(b, n, k).MulT(want, a, m)
			forms := trainedForms(Float32)
			forms[0].run(got, a, b, m, n, k, false)
			equalBits(t, fmt.Sprint("y ", s), got, want)
			forms[1].run(got, a, transposed(b, n, k), m, n, k, false)
			equalBits(t, fmt.Sprint("dx ", s), got, want)
			forms[2].run(got, transposed(a, m, k), transposed(b, n, k), m, n, k, false)
			equalBits(t, fmt.Sprint("dw ", s), got, want)
		}
	})
}

// TestEmptyChain: a product over nothing is zero, or leaves c when it is added.
func TestEmptyChain(t *testing.T) {
	for _, f := range trainedForms(Float32) {
		c := []float32{1, 2, 3, 4}
		f.run(c, nil, nil, 2, 2, 0, true)
		if c[3] != 4 {
			t.Fatalf("%s: adding an empty product changed c to %v", f.name, c)
		}
		f.run(c, nil, nil, 2, 2, 0, false)
		for _, v := range c {
			if v != 0 {
				t.Fatalf("%s: empty product is %v", f.name, c)
			}
		}
	}
}

func TestTrainedFormsDoNotDependOnThreadsOrBatch(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(22, 8))
		for _, s := range [][3]int{{200, 172, 261}, {1, 4000, 300}, {15, 600, 1201}, {45, 33, 17}} {
			m, n, k := s[0], s[1], s[2]
			a, b, c0 := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
			normals(a, r)
			normals(b, r)
			normals(c0, r)
			for number, f := range append(trainedForms(Float32), trainedForms(BFloat16)...) {
				one := append([]float32(nil), c0...)
				restore := parallel.SetThreads(1)
				f.run(one, a, b, m, n, k, true)
				restore()
				for _, threads := range []int{2, 3, 8} {
					c := append([]float32(nil), c0...)
					restore := parallel.SetThreads(threads)
					f.run(c, a, b, m, n, k, true)
					restore()
					equalBits(t, fmt.Sprintf("%s %v with %d threads", f.name, s, threads), c, one)
				}
				if number%3 == 2 {
					continue // its rows are outputs
				}
				for _, batch := range []int{1, 2, 4, 13} {
					for first := 0; first+batch <= m; first += batch {
						c := append([]float32(nil), c0[first*n:(first+batch)*n]...)
						f.run(c, a[first*k:], b, batch, n, k, true)
						equalBits(t, fmt.Sprintf("%s %v rows %d+%d", f.name, s, first, batch), c, one[first*n:(first+batch)*n])
					}
				}
			}
		}
	})
}

// A weight and an operand are laid out again and again in the same memory, with whatever sizes.
func TestTrainedProductsReuseMemory(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(24, 0))
		const rows, out, in = 200, 256, 96
		w, x, dy := NewTrainedWeight(out, in, BFloat16), new(Operand), new(Operand)
		data, a, b := make([]float32, out*in), make([]float32, rows*in), make([]float32, rows*out)
		y, dx, dw := make([]float32, rows*out), make([]float32, rows*in), make([]float32, out*in)
		step := func(rows int) {
			w.Pack(data)
			x.Pack(a, rows, in, BFloat16, Rows|RightSide)
			dy.Pack(b, rows, out, BFloat16, Rows|LeftSide)
			clear(dw)
			Run(w.Begin(y, x), w.BeginInput(dx, dy), BeginGradient(dw, dy, x))
		}
		step(rows) // zeros
		normals(data, r)
		normals(a, r)
		normals(b, r)
		for _, n := range []int{7, rows, 1, 33} {
			step(n)
			for number, c := range []struct {
				got, a, b []float32
				m, n, k   int
			}{{y, a, data, n, out, in}, {dx, b, data, n, in, out}, {dw, b, a, out, in, n}} {
				want := make([]float32, c.m*c.n)
				trainedForms(BFloat16)[number].run(want, c.a, c.b, c.m, c.n, c.k, false)
				equalBits(t, fmt.Sprintf("product %d of %d rows", number, n), c.got[:len(want)], want)
			}
		}
		if n := testing.AllocsPerRun(50, func() { step(rows) }); n > 0.5 {
			t.Errorf("a step allocates %v times", n)
		}
	})
}

func TestTrainedMisusePanics(t *testing.T) {
	x := make([]float32, 12)
	w := NewTrainedWeight(3, 4, BFloat16)
	rows := func(columns int, precision Precision, forms Forms) *Operand {
		o := new(Operand)
		o.Pack(x, 2, columns, precision, forms)
		return o
	}
	for name, f := range map[string]func(){
		"pack":          func() { w.Pack(x[:11]) },
		"lay":           func() { rows(7, Float32, Rows) },
		"columns":       func() { w.Begin(x, rows(3, BFloat16, Rows)) },
		"form":          func() { w.Begin(x, rows(4, BFloat16, LeftSide|RightSide)) },
		"precision":     func() { w.Begin(x, rows(4, Float32, Rows)) },
		"short y":       func() { w.Begin(x[:5], rows(4, BFloat16, Rows)) },
		"short dx":      func() { w.BeginInput(x[:7], rows(3, BFloat16, Rows)) },
		"input":         func() { w.BeginInput(x, rows(4, BFloat16, Rows)) },
		"gradient":      func() { BeginGradient(x[:11], rows(3, BFloat16, LeftSide), rows(4, BFloat16, RightSide)) },
		"gradient side": func() { BeginGradient(x, rows(3, BFloat16, RightSide), rows(4, BFloat16, RightSide)) },
		"two precisions": func() {
			BeginGradient(x, rows(3, Float32, LeftSide), rows(4, BFloat16, RightSide))
		},
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
