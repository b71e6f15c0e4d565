package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A weight and an operand are packed again and again in the same memory, with whatever sizes.
func TestTrainedProductsReuseMemory(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
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
			for i, c := range []struct {
				name         string
				got, a, w    []float32
				rows, out, k int
			}{{"y", y, a, data, n, out, in}, {"dx", dx, b, transposed(data, out, in), n, in, out}, {"dw", dw, transposed(b[:n*out], n, out), transposed(a[:n*in], n, in), out, in, n}} {
				want := make([]float32, c.rows*c.out)
				trainedMultipliers(c.w, c.out, c.k)[3+i].pack().MulT(want, c.a, c.rows)
				equalBits(t, fmt.Sprintf("%s of %d rows", c.name, n), c.got[:len(want)], want)
			}
		}
		if n := testing.AllocsPerRun(50, func() { step(rows) }); n > 0.5 && !tiled(Implementation()) {
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
		"pack form":     func() { rows(7, Float32, Rows) },
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
