package matrix

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// eachImplementation runs f as a subtest with each implementation of this machine.
func eachImplementation(t *testing.T, f func(t *testing.T)) {
	for _, name := range kernels.Implementations() {
		t.Run(name, func(t *testing.T) { with(t, name, func() { f(t) }) })
	}
}

// with runs f with the named implementation.
func with(t *testing.T, name string, f func()) {
	t.Helper()
	restore, err := kernels.Use(name)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	f()
}

// productSizes are m, n, k: each of the ragged sizes in each place, and some that take several
// blocks and tasks.
func productSizes() [][3]int {
	sizes := [][3]int{{1, 1, 1}, {2, 3, 5}, {14, 32, 16}, {64, 64, 32}, {100, 530, 20}, {30, 40, 1100}, {100, 172, 260}, {1, 600, 520}, {3, 140, 64}, {100, 96, 256}, {61, 1100, 20}, {530, 40, 33}}
	for _, s := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 33, 47, 64, 172} {
		sizes = append(sizes, [3]int{s, 40, 19}, [3]int{17, s, 19}, [3]int{9, 35, s}, [3]int{s, s, s})
	}
	return sizes
}

// guardedMatrix is a matrix of normal numbers in memory whose gaps and ends hold guard numbers, and
// a check that these are whole.
func guardedMatrix(r *rand.Rand, rows, cols int, transposed bool) (m Dense, check func(t *testing.T, what string)) {
	const guard, margin, gap = 12345.678, 32, 3
	inner, outer := cols, rows
	if transposed {
		inner, outer = rows, cols
	}
	all := make([]float64, 2*margin+outer*(inner+gap))
	for i := range all {
		all[i] = guard
	}
	m = Dense{rows, cols, inner + gap, 1, all[margin:]}
	if transposed {
		m.RowStride, m.ColStride = 1, inner+gap
	}
	for i := range rows {
		for j := range cols {
			m.Data[i*m.RowStride+j*m.ColStride] = r.NormFloat64()
		}
	}
	return m, func(t *testing.T, what string) {
		t.Helper()
		for i, v := range all {
			at := i - margin
			if v != guard && (at < 0 || at >= outer*(inner+gap) || at%(inner+gap) >= inner) {
				t.Fatalf("%s: the number %d places behind the beginning was overwritten with %v", what, at, v)
			}
		}
	}
}

// Substitution has the bits of plain Go in every implementation: lengths around those of registers,
// one factor and several, gaps between rows, and nothing beyond the ends.
func TestSubstitutionHasTheBitsOfPlainGo(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		f := make([]float64, 19)
		for n := range 75 {
			for _, factors := range []int{1, 2, 15, 19} {
				x, checkX := guardedMatrix(r, factors, max(n, 1), false)
				y, checkY := guardedMatrix(r, 1, max(n, 1), false)
				want := slices.Clone(y.Data[:n])
				for i := range f {
					f[i] = r.NormFloat64()
				}
				Subtract(y.Data[:n], f[:factors], x.Block(0, 0, factors, n))
				subtractRef(want, f[:factors], x.Data, x.RowStride)
				if !slices.Equal(y.Data[:n], want) {
					t.Fatalf("%d elements, %d factors: %v, want %v", n, factors, y.Data[:n], want)
				}
				checkX(t, "subtract, x")
				checkY(t, "subtract, y")
			}
		}
	})
}

// A triangle of 16 rows is solved with the bits of plain Go in every implementation, from its first
// row or from its last, and nothing beside the panel is touched.
func TestSubstitutionOfPanelsHasTheBitsOfPlainGo(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r, fast := rand.New(rand.NewPCG(7, 11)), routinesOf(kernels.Implementation())
		const size = smallTriangle * panelWidth
		for _, next := range []int{panelWidth, -panelWidth} {
			x, check := guardedMatrix(r, 1, size, false)
			f, from := make([]float64, size), 0
			for i := range f {
				f[i] = r.NormFloat64()
			}
			if next < 0 {
				from = size - panelWidth
			}
			want := slices.Clone(x.Data[:size])
			fast.substitute(x.Data[:size], from, next, f)
			substituteRef(want, from, next, f)
			if !slices.Equal(x.Data[:size], want) {
				t.Errorf("rows %d apart: %v, want %v", next, x.Data[:size], want)
			}
			check(t, "substitute")
		}
	})
}

// RoundNearest has the bits of plain Go in every implementation: halves between two integers,
// numbers beyond the ends, zero points, and lengths around those of registers.
func TestRoundNearestHasTheBitsOfPlainGo(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 10))
		for n := range 40 {
			y, scale, zero := make([]float64, n), make([]float64, n), make([]float64, n)
			codes, wantCodes, left := make([]byte, n+1), make([]byte, n), make([]float64, n+1)
			codes[n], left[n] = 77, 77
			for i := range n {
				scale[i], zero[i] = math.Exp(r.NormFloat64()), float64(r.IntN(16)-8)
				switch i % 4 {
				case 0:
					scale[i], y[i] = 0.5, float64(r.IntN(80)-40)/4
				case 1:
					y[i] = 1000 * r.NormFloat64()
				default:
					y[i] = 5 * r.NormFloat64()
				}
			}
			for _, ends := range [][2]float64{{-8, 7}, {-127, 127}, {-128, 127}} {
				want := slices.Clone(y)
				copy(left, y)
				RoundNearest(codes[:n], left[:n], scale, zero, ends[0], ends[1])
				nearestRef(wantCodes, want, scale, zero, ends[0], ends[1])
				if !slices.Equal(codes[:n], wantCodes) || !slices.Equal(left[:n], want) {
					t.Fatalf("%d elements, %v: codes %v with %v left, want %v with %v", n, ends, codes[:n], left[:n], wantCodes, want)
				}
				if codes[n] != 77 || left[n] != 77 {
					t.Fatalf("%d elements: what is behind them was overwritten", n)
				}
			}
		}
	})
}

// RoundNearest rounds halves to even, clamps at the ends, and leaves the rest.
func TestRoundNearestByHand(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		values := []float64{0, 1, 3, -1, -3, 100, -100, 5}
		scale := []float64{2, 2, 2, 2, 2, 2, 2, 2}
		zero := []float64{0, 0, 0, 0, 0, 0, 0, -6}
		codes, y := make([]byte, 8), slices.Clone(values)
		RoundNearest(codes, y, scale, zero, -8, 7)
		for i, want := range []int8{0, 0, 2, 0, -2, 7, -8, -4} {
			left := []float64{0, 1, -1, -1, 1, 86, -84, 1}[i]
			if int8(codes[i]) != want || y[i] != left {
				t.Errorf("%v: code %d with %v left, want %d with %v", values[i], int8(codes[i]), y[i], want, left)
			}
		}
	})
}

// Packing and the way back have the same numbers in every implementation, along rows and along
// columns, and read and write within their ends.
func TestPack(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r, fast := rand.New(rand.NewPCG(7, 9)), routinesOf(kernels.Implementation())
		for n := 1; n <= panelWidth; n++ {
			for _, k := range []int{1, 2, 7, 8, 9, 16, 19, 260} {
				for _, transposed := range []bool{false, true} {
					what := fmt.Sprintf("%d of %d, transposed %v", n, k, transposed)
					src, _ := guardedMatrix(r, k, n, transposed)
					back, checkBack := guardedMatrix(r, k, n, transposed)
					dst, check := guardedMatrix(r, 1, k*panelWidth, false)
					pack, unpack, stride := fast.pack, fast.unpack, src.RowStride
					if transposed {
						pack, unpack, stride = fast.packTransposed, fast.unpackTransposed, src.ColStride
					}
					pack(dst.Data[:k*panelWidth], src.Data, stride, n, k, -0.5)
					check(t, what)
					unpack(back.Data, dst.Data[:k*panelWidth], stride, n, k)
					checkBack(t, what)
					for p := range k {
						for i := range n {
							want := -0.5 * src.at(p, i)
							if got := dst.Data[p*panelWidth+i]; got != want {
								t.Fatalf("%s: element [%d, %d] is %v, want %v", what, p, i, got, want)
							}
							if got := back.at(p, i); got != want {
								t.Fatalf("%s: element [%d, %d] comes back as %v, want %v", what, p, i, got, want)
							}
						}
					}
				}
			}
		}
	})
}

func (m Dense) at(i, j int) float64 { return m.Data[i*m.RowStride+j*m.ColStride] }

// copyOf has consecutive rows.
func (m Dense) copyOf() Dense {
	c := NewDense(m.Rows, m.Cols, nil)
	for i := range m.Rows {
		for j := range m.Cols {
			c.Row(i)[j] = m.at(i, j)
		}
	}
	return c
}

func TestProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for number, s := range productSizes() {
		m, n, k := s[0], s[1], s[2]
		transposeA, transposeB, transposeC, upper := number%2 == 1, number%3 == 1, number%5 == 1, number%5 == 2
		a, checkA := guardedMatrix(r, m, k, transposeA)
		b, checkB := guardedMatrix(r, k, n, transposeB)
		before, _ := guardedMatrix(r, m, n, false)
		factor := []float64{1, -1, 0.5}[number%3]
		for _, name := range kernels.Implementations() {
			what := fmt.Sprintf("%s m=%d n=%d k=%d transposed %v %v %v upper %v", name, m, n, k, transposeA, transposeB, transposeC, upper)
			c, checkC := guardedMatrix(r, m, n, transposeC)
			for i := range m {
				for j := range n {
					c.Data[i*c.RowStride+j*c.ColStride] = before.at(i, j)
				}
			}
			with(t, name, func() { addProduct(context.Background(), c, a, b, factor, upper) })
			for i := range m {
				for j := range n {
					if upper && j < i {
						continue
					}
					want, scale := before.at(i, j), math.Abs(before.at(i, j))
					for p := range k {
						v := factor * a.at(i, p) * b.at(p, j)
						want, scale = want+v, scale+math.Abs(v)
					}
					if d := math.Abs(c.at(i, j) - want); !(d <= float64(2*k+4)*0x1p-53*scale) {
						t.Fatalf("%s: element [%d, %d] is %v, want %v", what, i, j, c.at(i, j), want)
					}
				}
			}
			checkA(t, what)
			checkB(t, what)
			checkC(t, what)
		}
	}
}

// The bits are those of one thread, and those of each row multiplied alone.
func TestProductsDoNotDependOnThreadsOrRows(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		const m, n, k = 150, 620, 300
		a, _ := guardedMatrix(r, m, k, false)
		b, _ := guardedMatrix(r, k, n, false)
		want := NewDense(m, n, nil)
		restore := parallel.SetThreads(1)
		AddProduct(context.Background(), want, a, b, -1)
		restore()
		for _, threads := range []int{2, 3, 8} {
			restore := parallel.SetThreads(threads)
			got := NewDense(m, n, nil)
			AddProduct(context.Background(), got, a, b, -1)
			restore()
			for i, v := range got.Data {
				if v != want.Data[i] {
					t.Fatalf("%d threads: element %d is %v, want the bits of %v", threads, i, v, want.Data[i])
				}
			}
		}
		for _, i := range []int{0, 77, m - 1} {
			got := NewDense(1, n, nil)
			AddProduct(context.Background(), got, a.Block(i, 0, 1, k), b, -1)
			for j, v := range got.Data {
				if v != want.at(i, j) {
					t.Fatalf("row %d alone: element %d is %v, want the bits of %v", i, j, v, want.at(i, j))
				}
			}
		}
	})
}

// definite is a symmetric positive definite matrix, XᵀX + I/10.
func definite(r *rand.Rand, n int) Dense {
	x, _ := guardedMatrix(r, n+5, n, false)
	h := NewDense(n, n, nil)
	for i := range n {
		h.Row(i)[i] = 0.1
	}
	AddProduct(context.Background(), h, x.T(), x, 1/float64(n))
	return h
}

// triangle is the upper triangle of m and zeros.
func triangle(m Dense) Dense {
	u := m.copyOf()
	for i := range u.Rows {
		clear(u.Row(i)[:min(i, u.Cols)])
	}
	return u
}

func differ(a, b Dense, upper bool) float64 {
	worst := 0.0
	for i := range a.Rows {
		for j := range a.Cols {
			if !upper || j >= i {
				worst = max(worst, math.Abs(a.at(i, j)-b.at(i, j)))
			}
		}
	}
	return worst
}

func multiplied(a, b Dense) Dense {
	c := NewDense(a.Rows, b.Cols, nil)
	AddProduct(context.Background(), c, a, b, 1)
	return c
}

// What each factorisation promises, multiplied out: UᵀU is the matrix, a solution times its
// triangle the right-hand side, a matrix times its inverse the unit matrix.
func TestFactorisations(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, n := range []int{1, 2, 15, 16, 17, 33, 100, 300} {
			r := rand.New(rand.NewPCG(uint64(n), 5))
			h := definite(r, n)
			lost := h.copyOf() // the lower triangle must not matter
			for i := range n {
				for j := range i {
					lost.Row(i)[j] = math.NaN()
				}
			}
			if !Cholesky(context.Background(), lost) {
				t.Fatalf("width %d: not positive definite", n)
			}
			u := triangle(lost)
			if d := differ(multiplied(u.T(), u), h, false); d > 1e-12 {
				t.Errorf("width %d: UᵀU is off by %g", n, d)
			}
			b, check := guardedMatrix(r, n, 7+n, n%2 == 1)
			for _, transposed := range []bool{false, true} {
				x, of := b, u
				copied := b.copyOf()
				solve := SolveUpper
				if transposed {
					solve, of = SolveUpperTransposed, u.T()
				}
				solve(context.Background(), lost, x)
				if d := differ(multiplied(of, x), copied, false); d > 1e-11 {
					t.Errorf("width %d, transposed %v: the solution is off by %g", n, transposed, d)
				}
				check(t, "right-hand side")
			}
			inverse := lost.copyOf()
			invertUpper(context.Background(), inverse)
			unit := multiplied(u, triangle(inverse))
			for i := range n {
				unit.Row(i)[i]--
			}
			if d := differ(unit, NewDense(n, n, nil), false); d > 1e-11 {
				t.Errorf("width %d: U·U⁻¹ is off by %g", n, d)
			}
			inverse = lost.copyOf()
			InvertCholesky(context.Background(), inverse)
			full := triangle(inverse)
			for i := range n {
				for j := range i {
					full.Row(i)[j] = full.Row(j)[i]
				}
			}
			unit = multiplied(h, full)
			for i := range n {
				unit.Row(i)[i]--
			}
			if d := differ(unit, NewDense(n, n, nil), false); d > 1e-10 {
				t.Errorf("width %d: H·H⁻¹ is off by %g", n, d)
			}
		}
	})
}

func TestCholeskyOfIndefinite(t *testing.T) {
	for _, n := range []int{1, 16, 40} {
		for _, wrong := range []float64{0, -1, math.NaN(), math.Inf(1)} {
			h := definite(rand.New(rand.NewPCG(1, 6)), n)
			h.Row(n - 1)[n-1] = wrong
			if Cholesky(context.Background(), h) {
				t.Errorf("width %d with %v on the diagonal counts as positive definite", n, wrong)
			}
		}
	}
}

func TestMisusePanics(t *testing.T) {
	a := NewDense(3, 4, nil)
	for name, f := range map[string]func(){
		"inner sizes": func() { AddProduct(context.Background(), NewDense(3, 3, nil), a, a, 1) },
		"short data":  func() { AddProduct(context.Background(), Dense{3, 3, 3, 1, make([]float64, 8)}, a, a.T(), 1) },
		"block":       func() { a.Block(1, 0, 3, 1) },
		"subtract":    func() { Subtract(make([]float64, 3), make([]float64, 3), a) },
		"nearest": func() {
			x := make([]float64, 8)
			RoundNearest(make([]byte, 8), x, x, x[:7], -8, 7)
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

// BenchmarkMatrix gives multiply-adds as two operations; the peak is half that of float32.
func BenchmarkMatrix(b *testing.B) {
	const n = 2048
	r := rand.New(rand.NewPCG(1, 2))
	h := definite(r, n)
	for _, threads := range []int{1, 2} {
		for _, work := range []struct {
			name  string
			flops float64
			run   func(c, x Dense)
		}{
			{"product", 2 * n * n * n, func(c, x Dense) { AddProduct(context.Background(), c, h, h, 1) }},
			{"cholesky", n * n * n / 3., func(c, x Dense) { copy(x.Data, h.Data); Cholesky(context.Background(), x) }},
			{"inverse", n * n * n, func(c, x Dense) {
				copy(x.Data, h.Data)
				Cholesky(context.Background(), x)
				InvertCholesky(context.Background(), x)
			}},
		} {
			b.Run(fmt.Sprintf("%s/threads=%d", work.name, threads), func(b *testing.B) {
				defer parallel.SetThreads(threads)()
				c, x := NewDense(n, n, nil), NewDense(n, n, nil)
				for b.Loop() {
					work.run(c, x)
				}
				b.ReportMetric(work.flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

// A routine whose context has ended changes nothing.
func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	const n = 40
	a := NewDense(n, n, nil)
	for i := range n {
		a.Row(i)[i] = 2
	}
	want := a.copyOf()
	for name, run := range map[string]func(x Dense){
		"AddProduct":           func(x Dense) { AddProduct(ctx, x, a, a, 1) },
		"AddSymmetric":         func(x Dense) { AddSymmetric(ctx, x, a, a, 1) },
		"Cholesky":             func(x Dense) { Cholesky(ctx, x) },
		"SolveUpper":           func(x Dense) { SolveUpper(ctx, a, x) },
		"SolveUpperTransposed": func(x Dense) { SolveUpperTransposed(ctx, a, x) },
		"invertUpper":          func(x Dense) { invertUpper(ctx, x) },
		"InvertCholesky":       func(x Dense) { InvertCholesky(ctx, x) },
	} {
		x := a.copyOf()
		if run(x); !slices.Equal(x.Data, want.Data) {
			t.Errorf("%s went on after its context ended", name)
		}
	}
}

// Products and solutions use their buffers again, of which one alone has 4 MiB, and keep no matrix
// of a caller.
func TestBuffersAreUsedAgain(t *testing.T) {
	defer parallel.SetThreads(1)()
	const n = 40
	a, c := definite(rand.New(rand.NewPCG(3, 9)), n), NewDense(n, n, nil)
	once := func() {
		AddProduct(t.Context(), c, a, a, 1)
		SolveUpper(t.Context(), a, c)
	}
	once()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		once()
	}
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 1<<20 {
		t.Errorf("20 small products and solutions allocate %d bytes", bytes)
	}
	for range 16 { // as many as the list keeps
		s := freeSubstitutions.Get()
		defer freeSubstitutions.Put(s)
		if s.u.Data != nil {
			t.Error("a substitution that is over holds its triangle")
		}
	}
}

// The product is that of exact arithmetic, to the rounding of its sums.
func TestDot(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for n := range 40 {
		x, y := make([]float64, n), make([]float64, n)
		want, size := new(big.Float).SetPrec(200), 0.0
		for i := range n {
			x[i], y[i] = r.NormFloat64(), r.NormFloat64()
			want.Add(want, new(big.Float).Mul(big.NewFloat(x[i]).SetPrec(200), big.NewFloat(y[i])))
			size += math.Abs(x[i] * y[i])
		}
		exact, _ := want.Float64()
		if got := Dot(x, y); math.Abs(got-exact) > 1e-15*size {
			t.Errorf("%d elements: %v, want %v", n, got, exact)
		}
	}
}

// Results wider than one block of b: the second block begins at a column of its own, and blocks are
// whole panels.
func TestWideProducts(t *testing.T) {
	for _, s := range [][3]int{{100, 2100, 260}, {3, 5300, 100}} {
		r := rand.New(rand.NewPCG(uint64(s[1]), 10))
		a, _ := guardedMatrix(r, s[0], s[2], false)
		b, _ := guardedMatrix(r, s[2], s[1], false)
		whole, upper := NewDense(s[0], s[1], nil), NewDense(s[0], s[1], nil)
		AddProduct(t.Context(), whole, a, b, 1)
		AddSymmetric(t.Context(), upper, a, b, 1)
		if d := differ(whole, upper, true); d != 0 {
			t.Errorf("%v: the upper triangle is off by %g", s, d)
		}
		const last = 20 // columns, alone
		if d := differ(whole.Block(0, s[1]-last, s[0], last), multiplied(a, b.Block(0, s[1]-last, s[2], last)), false); d > 1e-12 {
			t.Errorf("%v: the last columns are off by %g", s, d)
		}
	}
}
