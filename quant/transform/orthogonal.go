package transform

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// orthogonal is R = S·(M ⊗ H): S random signs, M a small orthogonal matrix, H Sylvester's Hadamard
// matrix of a power of two, scaled to be orthogonal. Its rows spread every channel evenly where M
// is a Hadamard matrix too.
type orthogonal struct {
	size  int
	signs []float64
	outer int       // rows of M; 1 where size is a power of two
	mix   []float64 // M [outer, outer]
	plain bool      // M is no Hadamard matrix
}

const (
	// products of a Hadamard matrix that is no power of two are dense
	mostHadamard = 512
	// orthogonalizing a random matrix takes the third power of its rows
	mostRandom = 2048
)

// newOrthogonal draws an orthogonal matrix. M is a Hadamard matrix of Paley's, with as few rows as
// there is one for, else a random orthogonal matrix of the size's odd part.
func newOrthogonal(size int, rng *rand.Rand) (*orthogonal, error) {
	r := &orthogonal{size: size, signs: make([]float64, size), outer: 1, mix: []float64{1}}
	for i := range r.signs {
		r.signs[i] = float64(1 - 2*rng.IntN(2))
	}
	odd := size
	for odd%2 == 0 {
		odd /= 2
	}
	if odd == 1 {
		return r, nil
	}
	for n := odd; n <= min(size, mostHadamard) && size%n == 0; n *= 2 {
		if m := paley(n); m != nil {
			r.outer, r.mix = n, m
			return r, nil
		}
	}
	if odd > mostRandom {
		return nil, fmt.Errorf("no rotation of %d channels: their odd part is %d, expected at most %d", size, odd, mostRandom)
	}
	r.outer, r.mix, r.plain = odd, randomOrthogonal(odd, rng), true
	return r, nil
}

// paley returns an orthogonal Hadamard matrix [n, n] of one of Paley's two constructions, nil where
// none has n rows: with a prime q = n−1 of the form 4k+3, or q = n/2−1 of the form 4k+1.
func paley(n int) []float64 {
	switch q := n/2 - 1; {
	case n%4 != 0:
		return nil
	case prime(n-1) && (n-1)%4 == 3:
		// a skew conference matrix and the identity
		m := conference(n-1, -1)
		for i := range n {
			m[i*n+i] = 1
		}
		return scaled(m, n)
	case prime(q) && q%4 == 1:
		c, half := conference(q, 1), n/2
		m := make([]float64, n*n)
		for i := range half {
			for j := range half {
				// each element becomes a square of four: of a diagonal zero [1 −1; −1 −1], of
				// a sign that times [1 1; 1 −1]
				v, square := c[i*half+j], [4]float64{1, 1, 1, -1}
				if i == j {
					v, square = 1, [4]float64{1, -1, -1, -1}
				}
				for k, s := range square {
					m[(2*i+k/2)*n+2*j+k%2] = v * s
				}
			}
		}
		return scaled(m, n)
	}
	return nil
}

func scaled(m []float64, n int) []float64 {
	for i := range m {
		m[i] /= math.Sqrt(float64(n))
	}
	return m
}

// conference is Paley's matrix [q+1, q+1] with a zero diagonal: the quadratic characters of
// differences, bordered by ones and, down the first column, by corner.
func conference(q int, corner float64) []float64 {
	character := make([]float64, q)
	for i := 1; i < q; i++ {
		character[i] = -1
	}
	for i := 1; i < q; i++ {
		character[i*i%q] = 1
	}
	n := q + 1
	m := make([]float64, n*n)
	for i := 1; i < n; i++ {
		m[i], m[i*n] = 1, corner
		for j := 1; j < n; j++ {
			m[i*n+j] = character[(i-j+q)%q]
		}
	}
	return m
}

func prime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}

// randomOrthogonal makes the rows of a normal matrix orthogonal, each twice, since once leaves
// errors.
func randomOrthogonal(n int, rng *rand.Rand) []float64 {
	m := make([]float64, n*n)
	for i := range m {
		m[i] = rng.NormFloat64()
	}
	for i := range n {
		row := m[i*n : (i+1)*n]
		for range 2 {
			for j := range i {
				other, dot := m[j*n:(j+1)*n], 0.0
				for k, v := range other {
					dot += v * row[k]
				}
				for k, v := range other {
					row[k] -= dot * v
				}
			}
			norm := 0.0
			for _, v := range row {
				norm += v * v
			}
			norm = math.Sqrt(norm)
			for k := range row {
				row[k] /= norm
			}
		}
	}
	return m
}

// turner multiplies one vector after another by an orthogonal matrix.
type turner struct {
	of   *orthogonal
	x, y []float64
}

func (r *orthogonal) turner() *turner {
	return &turner{r, make([]float64, r.size), make([]float64, r.size)}
}

// turn replaces the row x by x·R.
func (t *turner) turn() {
	r := t.of
	for i, s := range r.signs {
		t.x[i] *= s
	}
	inner := r.size / r.outer
	for first := 0; first < r.size; first += inner {
		walsh(t.x[first : first+inner])
	}
	if r.outer == 1 {
		return
	}
	clear(t.y)
	for a := range r.outer {
		from := t.x[a*inner : (a+1)*inner]
		for b, f := range r.mix[a*r.outer : (a+1)*r.outer] {
			to := t.y[b*inner : (b+1)*inner]
			for i, v := range from {
				to[i] += f * v
			}
		}
	}
	t.x, t.y = t.y, t.x
}

// walsh multiplies x, of a length that is a power of two, by the orthogonal Hadamard matrix.
func walsh(x []float64) {
	for half := 1; half < len(x); half *= 2 {
		for first := 0; first < len(x); first += 2 * half {
			for i := first; i < first+half; i++ {
				x[i], x[i+half] = x[i]+x[i+half], x[i]-x[i+half]
			}
		}
	}
	scale := 1 / math.Sqrt(float64(len(x)))
	for i := range x {
		x[i] *= scale
	}
}
