package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestBlockProduct(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		rk := &active.Load().rows
		for _, m := range []int{1, 2, 3, 4, 5, 7, 8, 9, 13, 64} {
			for _, n := range []int{1, 5, 8, 9, 16, 17, 24, 31, 32, 33, 64} {
				for _, k := range []int{1, 2, 16, 33} {
					for _, transposed := range []bool{false, true} {
						a, b := randoms(r, m*k, k%3, 1), randoms(r, k*(n+3), 1, 1)
						s := blockShape{m: m, n: n, k: k, ldc: n, aRow: k, aCol: 1, ldb: n + 3}
						if transposed {
							s.aRow, s.aCol, s.accumulate = 1, m, true
						}
						c := randoms(r, m*n, m%4, 1)
						want, chain := wide(c.x), make([]float32, n)
						for i := range m {
							for j := range n {
								sum := 0.0
								for p := range k {
									sum += float64(a.x[i*s.aRow+p*s.aCol]) * float64(b.x[p*s.ldb+j])
								}
								if !s.accumulate {
									want[i*n+j] = 0
								}
								want[i*n+j] += sum
							}
						}
						rk.product(c.x, a.x, b.x, s)
						c.check(t, "product")
						near(t, fmt.Sprintf("product %+v", s), c.x, want, 10, 1e-6)
						// a row alone, and in two pieces of its columns, has the same bits
						if !s.accumulate {
							s.m = 1
							last := (m - 1) * k
							rk.product(chain, a.x[last:], b.x, s)
							equalBits(t, "row alone", chain, c.x[(m-1)*n:])
							if half := n / 2; half > 0 {
								s.n = half
								rk.product(chain, a.x[last:], b.x, s)
								s.n = n - half
								rk.product(chain[half:], a.x[last:], b.x[half:], s)
								equalBits(t, "row in pieces", chain, c.x[(m-1)*n:])
							}
						}
					}
				}
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		rk := &active.Load().rows
		for _, rows := range []int{1, 7, 8, 9, 20, 64} {
			for _, cols := range []int{1, 6, 8, 12, 16, 33} {
				x, y := newGuarded(rows*(cols+2), 1), newGuarded(cols*rows, 2)
				for i := range x.x {
					x.x[i] = float32(i)
				}
				rk.transpose(y.x, x.x[:rows*(cols+2)-2], rows, cols, rows, cols+2)
				y.check(t, "transpose")
				for i := range rows {
					for j := range cols {
						if y.x[j*rows+i] != float32(i*(cols+2)+j) {
							t.Fatalf("transpose %d×%d: [%d, %d] is %v", rows, cols, j, i, y.x[j*rows+i])
						}
					}
				}
			}
		}
	})
}
