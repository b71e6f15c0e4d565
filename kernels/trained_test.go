package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

// trainedForms are the forms as a training step computes them.
func trainedForms(precision Precision) []form {
	return []form{
		{"MatMulT", func(c, a, b []float32, m, n, k int, acc bool) {
			y := c // forward products do not add
			if acc {
				y = make([]float32, m*n)
			}
			w, x := NewTrainedWeight(n, k, precision), new(Operand)
			w.Pack(b)
			x.Lay(a, m, k, precision, Rows|RightSide)
			Run(w.Begin(y, x))
			if acc {
				Add(c[:m*n], y)
			}
		}, forms[0].a, forms[0].b},
		{"MatMul", func(c, a, b []float32, m, n, k int, acc bool) {
			w, dy := NewTrainedWeight(k, n, precision), new(Operand)
			w.Pack(b)
			dy.Lay(a, m, k, precision, Rows|LeftSide)
			Run(w.BeginInput(c, dy, acc))
		}, forms[1].a, forms[1].b},
		{"MatTMul", func(c, a, b []float32, m, n, k int, acc bool) {
			dy, x := new(Operand), new(Operand)
			dy.Lay(a, k, m, precision, Rows|LeftSide)
			x.Lay(b, k, n, precision, RightSide)
			if !acc { // gradients are added
				clear(c[:m*n])
			}
			Run(BeginGradient(c, dy, x))
		}, forms[2].a, forms[2].b},
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

// In float32 a training product has the bits of the function of its name.
func TestTrainedFormsAreTheForms(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(23, 1))
		for _, s := range append(gemmSizes(), [3]int{300, 256, 512}, [3]int{70, 33, 1201}) {
			m, n, k := s[0], s[1], s[2]
			a, b, got, want := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n), make([]float32, m*n)
			normals(a, r)
			normals(b, r)
			for number, f := range trainedForms(Float32) {
				f.run(got, a, b, m, n, k, false)
				clear(want)
				forms[number].run(want, a, b, m, n, k, number == 2)
				equalBits(t, fmt.Sprintf("%s %v", f.name, s), got, want)
			}
		}
	})
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
			for number, f := range trainedForms(BFloat16) {
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
				if number == 2 {
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
			x.Lay(a, rows, in, BFloat16, Rows|RightSide)
			dy.Lay(b, rows, out, BFloat16, Rows|LeftSide)
			clear(dw)
			Run(w.Begin(y, x), w.BeginInput(dx, dy, false), BeginGradient(dw, dy, x))
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
		o.Lay(x, 2, columns, precision, forms)
		return o
	}
	for name, f := range map[string]func(){
		"pack":          func() { w.Pack(x[:11]) },
		"lay":           func() { rows(7, Float32, Rows) },
		"columns":       func() { w.Begin(x, rows(3, BFloat16, Rows)) },
		"form":          func() { w.Begin(x, rows(4, BFloat16, LeftSide|RightSide)) },
		"precision":     func() { w.Begin(x, rows(4, Float32, Rows)) },
		"short y":       func() { w.Begin(x[:5], rows(4, BFloat16, Rows)) },
		"short dx":      func() { w.BeginInput(x[:7], rows(3, BFloat16, Rows), false) },
		"input":         func() { w.BeginInput(x, rows(4, BFloat16, Rows), false) },
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
