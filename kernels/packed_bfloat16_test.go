package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

func randomBFloat16(n int, r *rand.Rand) []uint16 {
	x, bits := make([]float32, n), make([]uint16, n)
	normals(x, r)
	RoundBFloat16(bits, x)
	return bits
}

func widened(bits []uint16) []float32 {
	x := make([]float32, len(bits))
	for i, b := range bits {
		x[i] = math.Float32frombits(uint32(b) << 16)
	}
	return x
}

// bfloat16Sizes adds chains of several blocks to those of the other formats.
var bfloat16Sizes = append([][2]int{{20, 2100}, {3, 1025}, {150, 513}}, packedSizes...)

func TestPackedBFloat16(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		for number, size := range bfloat16Sizes {
			r := rand.New(rand.NewPCG(23, uint64(number)))
			out, in := size[0], size[1]
			bits := randomBFloat16(out*in, r)
			p, w := PackBFloat16(bits, out, in), widened(bits)
			for rows := 1; rows <= 31; rows++ {
				if rows > 17 && rows != 31 || in > 1000 && rows%5 != 1 {
					continue
				}
				what := fmt.Sprintf("out=%d in=%d rows=%d", out, in, rows)
				x, checkX := guardedFloats(rows*in, number%5)
				y, checkY := guardedFloats(rows*out, number%3)
				normals(x, r)
				p.MulT(y, x, rows)
				checkX(t, what)
				checkY(t, what)
				want, scale := gemmTwin(rows, out, in, nil, rowMajor(roundedTwin(x), in), columnMajor(w, in))
				withinRounding(t, what, y, want, scale, in)
			}
		}
	})
}

func TestPackedBFloat16DoesNotDependOnBatchOrThreads(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		for number, size := range append([][2]int{{1100, 512}}, bfloat16Sizes...) {
			r := rand.New(rand.NewPCG(24, uint64(number)))
			out, in := size[0], size[1]
			p := PackBFloat16(randomBFloat16(out*in, r), out, in)
			const rows = 45
			x, all := make([]float32, rows*in), make([]float32, rows*out)
			normals(x, r)
			p.MulT(all, x, rows)
			for _, batch := range []int{1, 2, 3, 4, 9, 15} {
				for first := 0; first+batch <= rows; first += batch {
					y := make([]float32, batch*out)
					p.MulT(y, x[first*in:], batch)
					equalBits(t, fmt.Sprintf("[%d, %d] rows %d+%d", out, in, first, batch), y, all[first*out:(first+batch)*out])
				}
			}
			for _, threads := range []int{1, 2, 5} {
				y := make([]float32, rows*out)
				restore := parallel.SetThreads(threads)
				p.MulT(y, x, rows)
				restore()
				equalBits(t, fmt.Sprintf("[%d, %d] with %d threads", out, in, threads), y, all)
			}
		}
	})
}

// TestPackedRow: packed weights give back what went in.
func TestPackedFloatRow(t *testing.T) {
	for number, size := range bfloat16Sizes {
		r := rand.New(rand.NewPCG(25, uint64(number)))
		out, in := size[0], size[1]
		bits, w := randomBFloat16(out*in, r), make([]float32, out*in)
		normals(w, r)
		half, single := PackBFloat16(bits, out, in), PackFloat32(w, out, in)
		row, check := guardedFloats(in, number%3)
		for o := range out {
			half.Row(row, o)
			check(t, "PackedBFloat16.Row")
			equalBits(t, fmt.Sprintf("bfloat16 [%d, %d] output %d", out, in, o), row, widened(bits[o*in:(o+1)*in]))
			single.Row(row, o)
			check(t, "PackedFloat32.Row")
			equalBits(t, fmt.Sprintf("float32 [%d, %d] output %d", out, in, o), row, w[o*in:(o+1)*in])
		}
	}
}

// TestPackedUnderAnotherImplementation: what one implementation packed another multiplies.
func TestPackedUnderAnotherImplementation(t *testing.T) {
	r := rand.New(rand.NewPCG(26, 0))
	const rows, out, in = 5, 50, 75
	bits, x, y := randomBFloat16(out*in, r), make([]float32, rows*in), make([]float32, rows*out)
	normals(x, r)
	for _, packer := range Implementations() {
		with(t, packer, func() {
			p := PackBFloat16(bits, out, in)
			for _, name := range Implementations() {
				with(t, name, func() { p.MulT(y, x, rows) })
				want, scale := gemmTwin(rows, out, in, nil, rowMajor(roundedTwin(x), in), columnMajor(widened(bits), in))
				withinRounding(t, packer+" then "+name, y, want, scale, in)
			}
		})
	}
}

func TestBFloat16AllocatesNothing(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(27, 0))
		const rows, out, in = 200, 256, 96
		bits := randomBFloat16(out*in, r)
		p := PackBFloat16(bits, out, in)
		x, y, z := make([]float32, rows*in), make([]float32, rows*out), make([]float32, out*in)
		normals(x, r)
		for name, f := range map[string]func(){
			"MulT":    func() { p.MulT(y, x, rows) },
			"one row": func() { p.MulT(y, x, 1) },
			"Row":     func() { p.Row(z, 3) },
			"Round":   func() { RoundBFloat16(bits, z) },
		} {
			f()
			if n := testing.AllocsPerRun(50, f); n > 0.5 {
				t.Errorf("%s allocates %v times a call", name, n)
			}
		}
	})
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

// TestPackedManyRows: rows beyond those that are multiplied at once have the bits that they have
// alone.
func TestPackedManyRows(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(28, 0))
		const rows, out, in = 2*maxRows + 3, 5, 7
		w, x := make([]float32, out*in), make([]float32, rows*in)
		normals(w, r)
		normals(x, r)
		for _, mulT := range []func(y, x []float32, rows int){PackFloat32(w, out, in).MulT, PackBFloat16(randomBFloat16(out*in, r), out, in).MulT} {
			all, y := make([]float32, rows*out), make([]float32, out)
			mulT(all, x, rows)
			for _, i := range []int{0, maxRows - 1, maxRows, 2*maxRows - 1, 2 * maxRows, rows - 1} {
				mulT(y, x[i*in:], 1)
				equalBits(t, fmt.Sprintf("row %d", i), all[i*out:(i+1)*out], y)
			}
		}
	})
}
