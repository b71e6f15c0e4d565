package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

// TestPackedInt4Shifted compares with a float64 twin, with offsets and orders and without, and one
// batch with another.
func TestPackedInt4Shifted(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		for number, size := range packedSizes {
			r := rand.New(rand.NewPCG(41, uint64(number)))
			out, in := size[0], size[1]
			group := groupOf(in)
			groups := in / group
			q, scale := randomInt8(out*in, -8, 7, r), make([]float32, out*groups)
			normals(scale, r)
			for form := range 4 {
				var shift []float32
				var order []int32
				if form&1 != 0 {
					shift = make([]float32, out*groups)
					normals(shift, r)
				}
				if form&2 != 0 {
					for _, i := range r.Perm(in) {
						order = append(order, int32(i))
					}
				}
				p := PackInt4Shifted(Int4Weight{Codes: q, Scale: scale, Shift: shift, Order: order, Out: out, In: in, Group: group})
				const rows = 9
				x, checkX := guardedFloats(rows*in, number%5)
				y, checkY := guardedFloats(rows*out, number%3)
				normals(x, r)
				p.MulT(y, x, rows)
				what := fmt.Sprintf("out=%d in=%d group=%d form=%d", out, in, group, form)
				checkX(t, what)
				checkY(t, what)
				for i := range rows {
					for j := range out {
						sum, size := 0.0, 0.0
						for k := range in {
							from := k
							if order != nil {
								from = int(order[k])
							}
							v, s := nearestBFloat16(float64(x[i*in+from])), j*groups+k/group
							coded, offset := v*float64(scale[s])*float64(q[j*in+k]), 0.0
							if shift != nil {
								offset = v * float64(shift[s])
							}
							sum, size = sum+coded+offset, size+math.Abs(coded)+math.Abs(offset)
						}
						if got := float64(y[i*out+j]); !(math.Abs(got-sum) <= float64(in+groups+4)*0x1p-24*size) {
							t.Fatalf("%s: [%d, %d] is %v, want %v", what, i, j, got, sum)
						}
					}
				}
				for _, batch := range []int{1, 4} {
					some := make([]float32, batch*out)
					p.MulT(some, x[3*in:], batch)
					equalBits(t, what, some, y[3*out:(3+batch)*out])
				}
				restore := parallel.SetThreads(3)
				again := make([]float32, rows*out)
				p.MulT(again, x, rows)
				restore()
				equalBits(t, what+" with 3 threads", again, y[:rows*out])
			}
		}
	})
}
