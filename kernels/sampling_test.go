package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestArgmax holds every implementation to the lowest index of the largest number, whatever else
// is in the row.
func TestArgmax(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, name := range Implementations() {
		restore, err := Use(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			x    []float32
			want int
		}{
			{nil, -1}, {[]float32{-inf, nan, -inf}, -1}, {[]float32{nan}, -1},
			{[]float32{-5}, 0}, {[]float32{1, 3, 3}, 1}, {[]float32{nan, 2, 3, nan, 3}, 2}, {[]float32{1, inf, nan, inf}, 1}, {[]float32{-inf, -3e38}, 1},
		} {
			if got := Argmax(c.x); got != c.want {
				t.Errorf("%s: the largest of %v is at %d, want %d", name, c.x, got, c.want)
			}
		}
		rng := rand.New(rand.NewPCG(1, 1))
		for n := 1; n < 400; n += 1 + n/9 {
			x := make([]float32, n)
			for i := range x {
				if x[i] = float32(rng.IntN(20)); rng.IntN(10) == 0 {
					x[i] = nan
				}
			}
			want := -1
			for i, v := range x {
				if v == v && (want < 0 || v > x[want]) {
					want = i
				}
			}
			if got := Argmax(x); got != want {
				t.Errorf("%s: the largest of %v is at %d, want %d", name, x, got, want)
			}
		}
		restore()
	}
}

// TestExpSums compares with float64, and holds what infinities and NaN become.
func TestExpSums(t *testing.T) {
	for _, name := range Implementations() {
		restore, err := Use(name)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(2, 2))
		for _, n := range []int{1, 17, ExpBlock, ExpBlock + 1, 1000} {
			x, y := make([]float32, n), make([]float32, n)
			for i := range x {
				x[i] = 30 + 8*float32(rng.NormFloat64())
			}
			x[n/2] = float32(math.Inf(-1))
			sums := make([]float32, (n+ExpBlock-1)/ExpBlock)
			ExpSums(sums, y, x, 50, 1.25)
			want := make([]float64, len(sums))
			for i, v := range x {
				e := math.Exp((float64(v) - 50) * 1.25)
				want[i/ExpBlock] += e
				if math.Abs(float64(y[i])-e) > 5e-6*e+1e-37 {
					t.Errorf("%s: element %d of %d is %v, want %v", name, i, n, y[i], e)
				}
			}
			for i, s := range sums {
				if math.Abs(float64(s)-want[i]) > 1e-5*want[i] {
					t.Errorf("%s: sum %d of %d elements is %v, want %v", name, i, n, s, want[i])
				}
			}
			x[n-1] = float32(math.NaN())
			ExpSums(sums, x, x, 50, 1.25)
			if sum, v := float64(sums[len(sums)-1]), float64(x[n-1]); !math.IsNaN(sum) || !math.IsNaN(v) {
				t.Errorf("%s: NaN becomes %v, in a sum %v", name, v, sum)
			}
		}
		restore()
	}
}
