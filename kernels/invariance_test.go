package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

// A row's bits depend neither on the rows around it, nor on its place, nor on the number of
// threads: for every multiplier, every form of attention and all row kernels, in every
// implementation. This file tests that promise and nothing else.

// TestProductsAreInvariant cuts the rows of a product into batches of many sizes, each at all its
// places, and multiplies them on several numbers of threads.
func TestProductsAreInvariant(t *testing.T) {
	const rows = 45
	large := [2]int{600, 300} // one row is shared between threads
	for number, size := range [][2]int{{1, 1}, {17, 5}, {47, 64}, {33, 172}, {40, 1100}, {20, 2100}, large} {
		r := rand.New(rand.NewPCG(10, uint64(number)))
		out, in := size[0], size[1]
		batches := []int{1, 2, 3, 4, 7, 9, 15, 16, 17, 29}
		if size == large {
			batches = []int{1, 7, 33}
		} else if in > 1000 {
			batches = []int{1, 4, 17}
		}
		x := make([]float32, rows*in)
		normals(x, r)
		for _, m := range multipliers(out, in, groupOf(in), r) {
			for _, name := range Implementations() {
				with(t, name, func() {
					what := fmt.Sprintf("%s: %s [%d, %d]", name, m.name, out, in)
					w, all := m.pack(), make([]float32, rows*out)
					w.MulT(all, x, rows)
					for _, batch := range batches {
						for first := 0; first+batch <= rows; first += batch {
							y := newGuarded(batch*out, first%4)
							w.MulT(y.x, x[first*in:(first+batch)*in], batch)
							y.check(t, what)
							equalBits(t, fmt.Sprintf("%s, rows %d+%d", what, first, batch), y.x, all[first*out:(first+batch)*out])
						}
					}
					for _, threads := range []int{1, 2, 3, 8} {
						restore := parallel.SetThreads(threads)
						y := make([]float32, rows*out)
						w.MulT(y, x, rows)
						restore()
						equalBits(t, fmt.Sprintf("%s, %d threads", what, threads), y, all)
					}
				})
			}
		}
	}
}

// TestManyRowsAreInvariant: rows beyond those that are multiplied at once.
func TestManyRowsAreInvariant(t *testing.T) {
	const rows, out, in = 2*maxRows + 3, 5, 8
	r := rand.New(rand.NewPCG(28, 0))
	x, all, y := make([]float32, rows*in), make([]float32, rows*out), make([]float32, out)
	normals(x, r)
	list := multipliers(out, in, 4, r)
	eachImplementation(t, func(t *testing.T) {
		for _, m := range list {
			w := m.pack()
			w.MulT(all, x, rows)
			for _, i := range []int{0, maxRows - 1, maxRows, 2*maxRows - 1, 2 * maxRows, rows - 1} {
				w.MulT(y, x[i*in:], 1)
				equalBits(t, fmt.Sprintf("%s, row %d", m.name, i), all[i*out:(i+1)*out], y)
			}
		}
	})
}

// TestBatchesAreInvariant: products in one region have the bits of each alone, whatever their
// formats, sizes and the threads; empty ones may be among them.
func TestBatchesAreInvariant(t *testing.T) {
	const in = 64
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 1))
		for _, rows := range []int{0, 1, 7, maxRows + 76} {
			x := make([]float32, rows*in)
			normals(x, r)
			for _, outs := range [][]int{{3}, {700, 0, 33}, {40, 300, 17, 500}} {
				if rows > maxRows && len(outs) < 4 {
					continue
				}
				var weights []packedWeight
				var want [][]float32
				for i, out := range outs {
					list := multipliers(out, in, 32, r)
					w := list[(3*i+len(outs))%len(list)].pack()
					weights, want = append(weights, w), append(want, make([]float32, rows*out))
					w.MulT(want[i], x, rows)
				}
				for _, threads := range []int{1, 2, 5} {
					restore := parallel.SetThreads(threads)
					var pending []Pending
					var got [][]float32
					for i, out := range outs {
						got = append(got, make([]float32, rows*out))
						pending = append(pending, weights[i].Begin(got[i], x, rows))
					}
					Run(pending...)
					restore()
					for i := range got {
						equalBits(t, fmt.Sprintf("%d rows, %v outputs, %d threads, product %d", rows, outs, threads, i), got[i], want[i])
					}
				}
			}
		}
	})
}

// TestAttentionIsInvariant: a sequence has the same bits, forward and backward, whatever is packed
// around it.
func TestAttentionIsInvariant(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		for _, precision := range []Precision{Float32, BFloat16} {
			packedAndAlone(t, precision)
		}
	})
}

func packedAndAlone(t *testing.T, precision Precision) {
	t.Helper()
	const heads, kvHeads, dim = 4, 2, 16
	r := rand.New(rand.NewPCG(5, 1))
	starts := []int{0, 90, 220, 221, 400}
	const tokens = 400
	q, k, v := randoms(r, tokens*heads*dim, 0, 1).x, randoms(r, tokens*kvHeads*dim, 0, 1).x, randoms(r, tokens*kvHeads*dim, 0, 1).x
	dout := randoms(r, tokens*heads*dim, 0, 1).x
	run := func(threads, from, to int, starts []int) []float32 {
		defer parallel.SetThreads(threads)()
		n := to - from
		a := Attention{
			Q: q[from*heads*dim:], K: k[from*kvHeads*dim:], V: v[from*kvHeads*dim:], Starts: starts,
			Heads: heads, KVHeads: kvHeads, HeadDim: dim, Precision: precision,
		}
		out, lse, dq := make([]float32, n*heads*dim), make([]float32, n*heads), make([]float32, n*heads*dim)
		dk, dv := make([]float32, n*kvHeads*dim), make([]float32, n*kvHeads*dim)
		a.Forward(out, lse)
		a.Backward(dq, dk, dv, dout[from*heads*dim:], out, lse)
		var all []float32 // [tokens, everything of a token]
		for i := range n {
			all = append(append(append(all, out[i*heads*dim:(i+1)*heads*dim]...), dq[i*heads*dim:(i+1)*heads*dim]...), lse[i*heads:(i+1)*heads]...)
			all = append(append(all, dk[i*kvHeads*dim:(i+1)*kvHeads*dim]...), dv[i*kvHeads*dim:(i+1)*kvHeads*dim]...)
		}
		return all
	}
	want := run(1, 0, tokens, starts)
	for _, threads := range []int{2, 5} {
		equalBits(t, fmt.Sprint(threads, " threads"), run(threads, 0, tokens, starts), want)
	}
	width := len(want) / tokens
	for s := range len(starts) - 1 {
		from, to := starts[s], starts[s+1]
		equalBits(t, fmt.Sprint("sequence ", s, " alone"), run(2, from, to, []int{0, to - from}), want[from*width:to*width])
	}
}

// TestAttentionPagedIsInvariant: segments that share pages give the bits that they give alone, and
// on any number of threads. TestAttentionPaged has chunks and page sizes.
func TestAttentionPagedIsInvariant(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 1))
		for _, format := range testedKV() {
			for _, c := range []struct{ size, group, kvHeads, dim, sequences, longest, rows int }{
				{16, 7, 2, 64, 8, 400, 1}, {16, 1, 3, 32, 24, 300, 1}, {16, 2, 2, 16, 9, 300, 20}, {64, 3, 1, 128, 5, 400, 70},
				{4, 5, 2, 16, 12, 200, 9}, {2, 70, 1, 16, 4, 200, 3}, {32, 2, 1, 24, 12, 260, 4},
			} {
				checkBatch(t, r, format, c.size, c.group, c.kvHeads, c.dim, c.sequences, c.longest, c.rows)
			}
		}
	})
}

func FuzzAttentionPagedIsInvariant(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint8(4), uint8(7), uint8(2), uint8(4), uint8(6), uint16(300), uint8(1))
	f.Add(uint64(2), uint8(2), uint8(1), uint8(1), uint8(1), uint8(3), uint8(12), uint16(130), uint8(70))
	f.Add(uint64(3), uint8(1), uint8(0), uint8(3), uint8(2), uint8(1), uint8(3), uint16(90), uint8(9))
	f.Fuzz(func(t *testing.T, seed uint64, format, size, group, kvHeads, dim, sequences uint8, longest uint16, rows uint8) {
		kv, pages, d := KVFormats()[int(format)%len(KVFormats())], 1<<(size%7), 8*(1+int(dim)%16)
		if kv.Check(pages, d) != nil {
			t.Skip()
		}
		checkBatch(t, rand.New(rand.NewPCG(seed, 2)), kv, pages, 1+int(group)%9, 1+int(kvHeads)%3, d, 1+int(sequences)%12, 1+int(longest)%400, 1+int(rows))
	})
}

// sharingSequences are sequences of one layer: each begins as an earlier one does for some whole
// pages, or with none of its pages.
func sharingSequences(r *rand.Rand, format KVFormat, size, kvHeads, dim, sequences, longest int) (l *KVLayer, ends []int, tables [][]int32) {
	l = NewKVLayer(format, sequences*(longest/size+1)+1, size, kvHeads, dim)
	l.poison()
	free := r.Perm(l.Pages)
	for s := range sequences {
		end := 1 + r.IntN(longest)
		var table []int32
		from := 0 // positions that the pages taken over hold
		if s > 0 && r.IntN(4) > 0 {
			other := r.IntN(s)
			whole := min(ends[other], end-1) / size
			if whole > 0 && r.IntN(3) > 0 {
				whole = 1 + r.IntN(whole)
			}
			table, from = append(table, tables[other][:whole]...), whole*size
		}
		for len(table)*size < end {
			table, free = append(table, int32(free[0])), free[1:]
		}
		n := end - from
		k, v := randoms(r, n*kvHeads*dim, 0, 1).x, randoms(r, n*kvHeads*dim, 0, 1).x
		StoreKV(l, k, v, []KVSegment{{table, 0, n, from}})
		// What a table holds beyond the sequence's end must not matter.
		ends, tables = append(ends, end), append(tables, append(table[:len(table):len(table)], -1))
	}
	return l, ends, tables
}

// checkBatch compares a batch of segments with its segments one by one.
func checkBatch(t *testing.T, r *rand.Rand, format KVFormat, size, group, kvHeads, dim, sequences, longest, mostRows int) {
	t.Helper()
	l, ends, tables := sharingSequences(r, format, size, kvHeads, dim, sequences, longest)
	heads := group * kvHeads
	var segments []KVSegment
	rows := 0
	for _, s := range r.Perm(sequences) {
		n := 1 + r.IntN(min(mostRows, ends[s]))
		if start := ends[s] - n; n > 2 && r.IntN(3) == 0 { // split within the call
			segments = append(segments, KVSegment{tables[s], rows, n / 2, start}, KVSegment{tables[s], rows + n/2, n - n/2, start + n/2})
		} else {
			segments = append(segments, KVSegment{tables[s], rows, n, start})
		}
		rows += n
	}
	q, got, want := randoms(r, rows*heads*dim, r.IntN(16), 1.5), newGuarded(rows*heads*dim, r.IntN(16)), newGuarded(rows*heads*dim, 0)
	for i := range segments {
		AttentionPaged(want.x, q.x, l, segments[i:i+1], heads)
	}
	for _, threads := range []int{1, 3} {
		restore := parallel.SetThreads(threads)
		AttentionPaged(got.x, q.x, l, segments, heads)
		restore()
		what := fmt.Sprintf("%v, pages of %d, %d queries over %d KV heads of %d, %d threads, segments %v", format, size, group, kvHeads, dim, threads, segments)
		got.check(t, what)
		equalBits(t, what, got.x, want.x)
	}
}

// TestRowsAreInvariant: no row kernel depends on the number of threads.
func TestRowsAreInvariant(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		const rows, dim = 300, 200
		run := func(threads int) []float32 {
			defer parallel.SetThreads(threads)()
			r := rand.New(rand.NewPCG(7, 8))
			x, w, dy := randoms(r, rows*dim, 0, 1).x, randoms(r, dim, 0, 1).x, randoms(r, rows*dim, 0, 1).x
			y, rstd, dx, dw := make([]float32, rows*dim), make([]float32, rows), make([]float32, rows*dim), make([]float32, dim)
			RMSNorm{Weight: w, Epsilon: 1e-6}.Forward(y, rstd, x, rows)
			RMSNorm{Weight: w, Epsilon: 1e-6}.AddForward(y, rstd, x, x, y, rows)
			RMSNorm{Weight: w}.Backward(dx, dw, dy, x, rstd, rows)
			RMSNorm{Weight: w}.Again(y, rstd, x, rows)
			SwiGLUBackward(y, x, dy, y, x)
			SumRows(dw, dy, rows, dim)
			ScatterAdd(y, dx, make([]int32, rows), dim)
			all := append(append(append(append(y, dx...), dw...), x...), dy...)
			square := SumSquares(all)
			AdamW{LearningRate: 1, Beta1: 0.9, Beta2: 0.9, Epsilon: 1e-8, Step: 1, GradScale: 1}.Update(all, append([]float32(nil), all...), make([]float32, len(all)), make([]float32, len(all)))
			return append(all, float32(square), float32(square-float64(float32(square))))
		}
		want := run(1)
		for _, threads := range []int{2, 3, 8} {
			equalBits(t, fmt.Sprint(threads, " threads"), run(threads), want)
		}
	})
}
