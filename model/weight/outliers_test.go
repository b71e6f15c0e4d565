package weight

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/half"
	"slimlab/kernels/parallel"
)

// sparseOf draws numbers beside the codes of a weight.
func sparseOf(rng *rand.Rand, out, in, each int, columns bool) *Sparse {
	s := &Sparse{Out: out, In: in, Start: []int32{0}, Columns: columns}
	var inputs []int32
	for o := range out {
		if o == 0 || !columns {
			inputs = inputs[:0:0]
			n := each
			if !columns {
				n = rng.IntN(2*each + 1)
			}
			for _, i := range rng.Perm(in)[:min(in, n)] {
				inputs = append(inputs, int32(i))
			}
			slices.Sort(inputs)
		}
		s.Input = append(s.Input, inputs...)
		for range inputs {
			s.Value = append(s.Value, half.FromBFloat16(half.ToBFloat16(float32(4*rng.NormFloat64()))))
		}
		s.Start = append(s.Start, int32(len(s.Input)))
	}
	return s
}

// beside is a weight of a format with numbers beside its codes.
func beside(t testing.TB, rng *rand.Rand, f Format, out, in int, columns bool) (coded Quantized, w *Outliers) {
	t.Helper()
	e := Encoding{Format: f, Out: out, In: in}
	for range e.scales() {
		e.Scale = append(e.Scale, half.FromBFloat16(half.ToBFloat16(float32(0.01+0.1*rng.Float64()))))
	}
	codes := make([]byte, out*in)
	for i := range codes {
		codes[i] = byte(rng.IntN(1<<f.Bits) - 1<<(f.Bits-1))
	}
	if f.ZeroPoints {
		for range e.scales() {
			e.Zero = append(e.Zero, int8(rng.IntN(4)-2))
		}
	}
	c, err := New(e, codes)
	if err != nil {
		t.Fatal(err)
	}
	all, err := NewOutliers(c, sparseOf(rng, out, in, 3, columns))
	if err != nil {
		t.Fatal(err)
	}
	return c.(Quantized), all.(*Outliers)
}

// TestOutliersAreASum: the product is that of the codes and that of the numbers, added, with the
// same bits for any number of rows beside a row, threads, and outputs that are selected.
func TestOutliersAreASum(t *testing.T) {
	const rows, out, in = 37, 96, 160
	for n, f := range []Format{{Bits: 3, Group: 32}, {Bits: 4, Group: 32}, {Bits: 4, Group: 32, ZeroPoints: true}, {Bits: 4, Group: 32, Activations: Token}, {Bits: 8, Group: 32}, {Bits: 8, Activations: Token}} {
		for _, columns := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, columns %t", f, columns), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(n), 5))
				coded, w := beside(t, rng, f, out, in, columns)
				x := make([]float32, rows*in)
				for i := range x {
					x[i] = float32(rng.NormFloat64())
				}
				y, of := make([]float32, rows*out), make([]float32, rows*out)
				w.MulT(y, x, rows)
				coded.MulT(of, x, rows)
				for r := range rows {
					for o := range out {
						want := float64(of[r*out+o])
						for k := w.sparse.Start[o]; k < w.sparse.Start[o+1]; k++ {
							want += float64(x[r*in+int(w.sparse.Input[k])]) * float64(w.sparse.Value[k])
						}
						if got := float64(y[r*out+o]); math.Abs(got-want) > 1e-4*(1+math.Abs(want)) {
							t.Fatalf("[%d, %d] is %g, expected %g", r, o, got, want)
						}
					}
				}
				restore := parallel.SetThreads(3)
				three, one := make([]float32, rows*out), make([]float32, out)
				w.MulT(three, x, rows)
				restore()
				if !slices.Equal(three, y) {
					t.Error("three threads have other bits")
				}
				for r := range rows {
					w.MulT(one, x[r*in:(r+1)*in], 1)
					if !slices.Equal(one, y[r*out:(r+1)*out]) {
						t.Fatalf("row %d alone has other bits", r)
					}
				}
				some := []int32{7, 2, 95, 2}
				part := make([]float32, rows*len(some))
				w.Select(some).MulT(part, x, rows)
				for r := range rows {
					for k, o := range some {
						if part[r*len(some)+k] != y[r*out+int(o)] {
							t.Fatalf("selected output %d of row %d has other bits", o, r)
						}
					}
				}
				all, row := w.Float32(), make([]float32, in)
				plain := coded.Float32()
				for o := range out {
					w.Row(row, o)
					if !slices.Equal(row, all[o*in:(o+1)*in]) {
						t.Fatalf("row %d differs from that of the whole weight", o)
					}
					w.sparse.addRow(plain[o*in:(o+1)*in], o)
				}
				if !slices.Equal(plain, all) {
					t.Error("the weight is not the sum of codes and numbers")
				}
				want := coded.Bytes() + 4*int64(len(w.sparse.Value)) + 2*out
				if columns {
					want = coded.Bytes() + 2*int64(len(w.sparse.Value)) + 2*3
				}
				if w.Bytes() != want || w.Format() != f.String()+"+outliers" {
					t.Errorf("%s takes %d bytes, expected %d", w.Format(), w.Bytes(), want)
				}
			})
		}
	}
}

// TestOutliersLargeProducts: on threads a product has the bits of each row alone.
func TestOutliersLargeProducts(t *testing.T) {
	defer parallel.SetThreads(3)()
	const out, in = 512, 1024
	rng := rand.New(rand.NewPCG(1, 6))
	_, w := beside(t, rng, Format{Bits: 4, Group: 32}, out, in, false)
	s := sparseOf(rng, out, in, 300, false)
	w = newOutliers(w.codes, s)
	for _, rows := range []int{1, 2, 40} {
		x := make([]float32, rows*in)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		y, one := make([]float32, rows*out), make([]float32, out)
		w.MulT(y, x, rows)
		restore := parallel.SetThreads(1)
		for r := range rows {
			w.MulT(one, x[r*in:(r+1)*in], 1)
			if !slices.Equal(one, y[r*out:(r+1)*out]) {
				t.Errorf("%d rows: row %d alone has other bits", rows, r)
			}
		}
		restore()
	}
}

// TestOutliersRefused: parts that do not fit each other.
func TestOutliersRefused(t *testing.T) {
	coded, _ := beside(t, rand.New(rand.NewPCG(2, 7)), Format{Bits: 4, Group: 8}, 2, 8, false)
	nan := float32(math.NaN())
	for _, c := range []struct {
		sparse Sparse
		want   string
	}{
		{Sparse{Out: 3, In: 8, Start: []int32{0, 0, 0, 0}}, "expected the same shape"},
		{Sparse{Out: 2, In: 8, Start: []int32{0, 1}}, "found 2 starts"},
		{Sparse{Out: 2, In: 8, Start: []int32{0, 1, 2}, Input: []int32{1, 2}, Value: []float32{1}}, "2 inputs and 1 values"},
		{Sparse{Out: 2, In: 8, Start: []int32{0, 3, 2}, Input: []int32{1, 2}, Value: []float32{1, 1}}, "begin at 0 and end at 3"},
		{Sparse{Out: 2, In: 8, Start: []int32{0, 2, 2}, Input: []int32{2, 1}, Value: []float32{1, 1}}, "of input 1 after 2"},
		{Sparse{Out: 2, In: 8, Start: []int32{0, 1, 2}, Input: []int32{2, 8}, Value: []float32{1, 1}}, "of input 8"},
		{Sparse{Out: 2, In: 8, Start: []int32{0, 1, 2}, Input: []int32{2, 3}, Value: []float32{1, nan}}, "is NaN"},
		{Sparse{Out: 2, In: 8, Start: []int32{0, 1, 2}, Input: []int32{2, 3}, Value: []float32{1, 1}, Columns: true}, "expected whole columns"},
	} {
		if _, err := NewOutliers(coded, &c.sparse); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, expected %q", c.sparse, err, c.want)
		}
	}
}
