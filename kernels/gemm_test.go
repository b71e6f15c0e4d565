package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// eachGemm runs f as a subtest with each implementation of this machine.
func eachGemm(t *testing.T, f func(t *testing.T)) {
	for _, name := range Implementations() {
		t.Run(name, func(t *testing.T) {
			restore, err := Use(name)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t)
		})
	}
}

// guardedFloats returns n elements that begin offset elements after an aligned address, with guard
// words on both sides, and a check that the guards are whole.
func guardedFloats(n, offset int) (x []float32, check func(t *testing.T, what string)) {
	const guard, margin = 12345.678, 64
	all := make([]float32, margin+offset+n+margin)
	for i := range all {
		all[i] = guard
	}
	x = all[margin+offset : margin+offset+n : margin+offset+n]
	return x, func(t *testing.T, what string) {
		t.Helper()
		for i, v := range all {
			if v != guard && (i < margin+offset || i >= margin+offset+n) {
				t.Fatalf("%s: element %d of %d was overwritten with %v", what, i-margin-offset, n, v)
			}
		}
	}
}

// with runs f with the named implementation.
func with(t *testing.T, name string, f func()) {
	t.Helper()
	restore, err := Use(name)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	f()
}

func normals(x []float32, r *rand.Rand) {
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
}

// gemmTwin computes c = op(a)·op(b) + c0 in float64 and, beside it, the same with absolute values:
// the scale of what rounding may do to each element.
func gemmTwin(m, n, k int, c0 []float32, a, b func(i, j int) float32) (want, scale []float64) {
	want, scale = make([]float64, m*n), make([]float64, m*n)
	for i := range m {
		for j := range n {
			if c0 != nil {
				want[i*n+j], scale[i*n+j] = float64(c0[i*n+j]), math.Abs(float64(c0[i*n+j]))
			}
			for p := range k {
				v := float64(a(i, p)) * float64(b(p, j))
				want[i*n+j] += v
				scale[i*n+j] += math.Abs(v)
			}
		}
	}
	return want, scale
}

// withinRounding allows each element the error of a chain of k roundings.
func withinRounding(t *testing.T, what string, got []float32, want, scale []float64, k int) {
	t.Helper()
	for i := range want {
		bound := float64(k+2) * 0x1p-24 * scale[i]
		if d := math.Abs(float64(got[i]) - want[i]); !(d <= bound) {
			t.Fatalf("%s: element %d is %v, want %v ± %v", what, i, got[i], want[i], bound)
		}
	}
}

// form is one of the three products of training as c [m, n] = a·b with a chain of k.
type form struct {
	name string
	run  func(c, a, b []float32, m, n, k int, accumulate bool)
	// a and b read element (i, p) and (p, j) of the operands.
	a, b func(x []float32, m, n, k int) func(i, j int) float32
}

func rowMajor(x []float32, cols int) func(i, j int) float32 {
	return func(i, j int) float32 { return x[i*cols+j] }
}

func columnMajor(x []float32, rows int) func(i, j int) float32 {
	return func(i, j int) float32 { return x[j*rows+i] }
}

// gemmSizes are m, n, k: each of the ragged sizes in each place, and some that take several blocks
// and tasks.
func gemmSizes() [][3]int {
	sizes := [][3]int{{1, 1, 1}, {2, 3, 5}, {14, 32, 16}, {64, 64, 32}, {100, 530, 20}, {30, 40, 1100}, {100, 172, 260}, {1, 600, 520}, {3, 140, 64}, {100, 96, 256}}
	for _, s := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 33, 47, 64, 172} {
		sizes = append(sizes, [3]int{s, 40, 19}, [3]int{17, s, 19}, [3]int{9, 35, s}, [3]int{s, s, s})
	}
	return sizes
}

func TestGram(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		for _, s := range [][2]int{{1, 1}, {7, 33}, {256, 172}, {40, 1050}, {0, 5}} {
			rows, width := s[0], s[1]
			x, checkX := guardedFloats(rows*width, 3)
			g, checkG := guardedFloats(width*width, 1)
			normals(x, r)
			normals(g, r)
			Gram(g, x, rows, width)
			want, scale := gemmTwin(width, width, rows, nil, columnMajor(x, width), rowMajor(x, width))
			for i := range width {
				clear(g[i*width : i*width+i])
				clear(want[i*width : i*width+i])
			}
			withinRounding(t, fmt.Sprintf("%d rows of %d", rows, width), g, want, scale, rows)
			checkX(t, "x")
			checkG(t, "the Gram matrix")
		}
	})
}

func equalBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %v, want the bits of %v", what, i, got[i], want[i])
		}
	}
}
