package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels/parallel"
)

// attention64 is the float64 reference of Attention for one sequence: everything spelt out, a full
// matrix of probabilities a head.
type attention64 struct{ tokens, heads, kvHeads, dim int }

// forward returns out and the probabilities [heads, tokens, tokens].
func (a attention64) forward(q, k, v []float64) (out, p, lse []float64) {
	out, p = make([]float64, len(q)), make([]float64, a.heads*a.tokens*a.tokens)
	lse = make([]float64, a.tokens*a.heads)
	for h := range a.heads {
		g := h / (a.heads / a.kvHeads)
		for t := range a.tokens {
			row, m := p[(h*a.tokens+t)*a.tokens:][:t+1], math.Inf(-1)
			for u := range row {
				for i := range a.dim {
					row[u] += q[(t*a.heads+h)*a.dim+i] * k[(u*a.kvHeads+g)*a.dim+i] / math.Sqrt(float64(a.dim))
				}
				m = math.Max(m, row[u])
			}
			sum := 0.0
			for u := range row {
				row[u] = math.Exp(row[u] - m)
				sum += row[u]
			}
			lse[t*a.heads+h] = m + math.Log(sum)
			for u := range row {
				row[u] /= sum
				for i := range a.dim {
					out[(t*a.heads+h)*a.dim+i] += row[u] * v[(u*a.kvHeads+g)*a.dim+i]
				}
			}
		}
	}
	return out, p, lse
}

func (a attention64) backward(dout, q, k, v []float64) (dq, dk, dv []float64) {
	out, p, _ := a.forward(q, k, v)
	dq, dk, dv = make([]float64, len(q)), make([]float64, len(k)), make([]float64, len(v))
	for h := range a.heads {
		g := h / (a.heads / a.kvHeads)
		for t := range a.tokens {
			at, delta := (t*a.heads+h)*a.dim, 0.0
			for i := range a.dim {
				delta += out[at+i] * dout[at+i]
			}
			for u := range t + 1 {
				kt, pr, dp := (u*a.kvHeads+g)*a.dim, p[(h*a.tokens+t)*a.tokens+u], 0.0
				for i := range a.dim {
					dp += dout[at+i] * v[kt+i]
					dv[kt+i] += pr * dout[at+i]
				}
				ds := pr * (dp - delta) / math.Sqrt(float64(a.dim))
				for i := range a.dim {
					dq[at+i] += ds * k[kt+i]
					dk[kt+i] += ds * q[at+i]
				}
			}
		}
	}
	return dq, dk, dv
}

// finiteDifferences returns the gradient of f at x by central differences.
func finiteDifferences(f func() float64, x []float64) []float64 {
	const h = 1e-5
	gradient := make([]float64, len(x))
	for i, v := range x {
		x[i] = v + h
		plus := f()
		x[i] = v - h
		gradient[i] = (plus - f()) / (2 * h)
		x[i] = v
	}
	return gradient
}

func innerProduct(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

func near64(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	for i, g := range got {
		if !(math.Abs(g-want[i]) <= tolerance*(1+math.Abs(want[i]))) {
			t.Fatalf("%s[%d] = %v, want %v", what, i, g, want[i])
		}
	}
}

// The reference's gradients are those of its forward pass.
func TestAttentionReferenceGradients(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	a := attention64{tokens: 7, heads: 4, kvHeads: 2, dim: 3}
	q, k, v := wide(randoms(r, 7*4*3, 0, 1).x), wide(randoms(r, 7*2*3, 0, 1).x), wide(randoms(r, 7*2*3, 0, 1).x)
	dout := wide(randoms(r, 7*4*3, 0, 1).x)
	loss := func() float64 {
		out, _, _ := a.forward(q, k, v)
		return innerProduct(out, dout)
	}
	dq, dk, dv := a.backward(dout, q, k, v)
	near64(t, "dq", dq, finiteDifferences(loss, q), 1e-8)
	near64(t, "dk", dk, finiteDifferences(loss, k), 1e-8)
	near64(t, "dv", dv, finiteDifferences(loss, v), 1e-8)
}

func TestRMSNormBackwardFiniteDifferences(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(2, 1))
		const rows, dim, eps = 3, 37, 1e-5
		x, w, dy := randoms(r, rows*dim, 0, 1).x, randoms(r, dim, 0, 1).x, randoms(r, rows*dim, 0, 1).x
		y, rstd, dx, dw := make([]float32, rows*dim), make([]float32, rows), make([]float32, rows*dim), make([]float32, dim)
		RMSNorm{Weight: w, Epsilon: eps}.Forward(y, rstd, x, rows)
		RMSNorm{Weight: w}.Backward(dx, dw, dy, x, rstd, rows)
		x64, w64, dy64 := wide(x), wide(w), wide(dy)
		loss := func() (sum float64) {
			for i := range rows {
				row := x64[i*dim : (i+1)*dim]
				s := 1 / math.Sqrt(innerProduct(row, row)/dim+eps)
				for j, v := range row {
					sum += v * s * w64[j] * dy64[i*dim+j]
				}
			}
			return sum
		}
		near(t, "dx", dx, finiteDifferences(loss, x64), 1, 2e-6)
		near(t, "dw", dw, finiteDifferences(loss, w64), 1, 2e-6)
	})
}

func TestSwiGLUBackwardFiniteDifferences(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 1))
		const n = 53
		gate, up, dh := randoms(r, n, 0, 4).x, randoms(r, n, 0, 1).x, randoms(r, n, 0, 1).x
		dgate, dup := make([]float32, n), make([]float32, n)
		SwiGLUBackward(dgate, dup, slices.Clone(dh), gate, up)
		g64, u64 := wide(gate), wide(up)
		loss := func() (sum float64) {
			for i, a := range g64 {
				sum += a / (1 + math.Exp(-a)) * u64[i] * float64(dh[i])
			}
			return sum
		}
		near(t, "dgate", dgate, finiteDifferences(loss, g64), 1, 1e-6)
		near(t, "dup", dup, finiteDifferences(loss, u64), 1, 1e-6)
	})
}

var attentionShapes = []struct{ heads, kvHeads, dim int }{{1, 1, 8}, {4, 2, 16}, {6, 2, 32}, {4, 4, 20}, {2, 1, 64}, {3, 3, 5}}

func TestAttentionAgainstReference(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(4, 1))
		lengths := []int{1, 0, 64, 130, 17, 65}
		starts := []int{0}
		for _, n := range lengths {
			starts = append(starts, starts[len(starts)-1]+n)
		}
		tokens := starts[len(starts)-1]
		for i, s := range attentionShapes {
			qn, kn := s.heads*s.dim, s.kvHeads*s.dim
			q, k, v, dout := randoms(r, tokens*qn, i, 1.5), randoms(r, tokens*kn, 1, 1.5), randoms(r, tokens*kn, i, 1), randoms(r, tokens*qn, 2, 1)
			out, lse := newGuarded(tokens*qn, i), newGuarded(tokens*s.heads, i)
			dq, dk, dv := newGuarded(tokens*qn, i), newGuarded(tokens*kn, 2), newGuarded(tokens*kn, 3)
			Attention{Q: q.x, K: k.x, V: v.x, Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim}.Forward(out.x, lse.x)
			Attention{Q: q.x, K: k.x, V: v.x, Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim}.Backward(dq.x, dk.x, dv.x, dout.x, out.x, lse.x)
			for what, g := range map[string]guarded{"out": out, "lse": lse, "dq": dq, "dk": dk, "dv": dv} {
				g.check(t, what)
			}
			for j, n := range lengths {
				from := starts[j]
				part := func(x []float32, width int) []float32 { return x[from*width : (from+n)*width] }
				a := attention64{n, s.heads, s.kvHeads, s.dim}
				q64, k64, v64 := wide(part(q.x, qn)), wide(part(k.x, kn)), wide(part(v.x, kn))
				wantOut, _, wantLSE := a.forward(q64, k64, v64)
				wantDq, wantDk, wantDv := a.backward(wide(part(dout.x, qn)), q64, k64, v64)
				what := fmt.Sprintf("%+v length %d ", s, n)
				near(t, what+"out", part(out.x, qn), wantOut, 1, 4e-6)
				near(t, what+"lse", part(lse.x, s.heads), wantLSE, 1, 2e-6)
				near(t, what+"dq", part(dq.x, qn), wantDq, 3, 1e-5)
				near(t, what+"dk", part(dk.x, kn), wantDk, 3, 1e-5)
				near(t, what+"dv", part(dv.x, kn), wantDv, 3, 1e-5)
			}
		}
	})
}

// The bounds of the bfloat16 forms: operands are off by up to 2⁻⁹ of their size, scores of the
// spreads here by hundredths, and with them weights.
func TestAttentionBFloat16AgainstReference(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(4, 2))
		lengths := []int{1, 0, 64, 130, 17, 65, 33}
		starts := []int{0}
		for _, n := range lengths {
			starts = append(starts, starts[len(starts)-1]+n)
		}
		tokens := starts[len(starts)-1]
		for i, s := range append(attentionShapes, struct{ heads, kvHeads, dim int }{8, 8, 32}, struct{ heads, kvHeads, dim int }{3, 1, 128}, struct{ heads, kvHeads, dim int }{4, 2, 48}) {
			qn, kn := s.heads*s.dim, s.kvHeads*s.dim
			q, k, v, dout := randoms(r, tokens*qn, i, 1), randoms(r, tokens*kn, 1, 1), randoms(r, tokens*kn, i, 1), randoms(r, tokens*qn, 2, 1)
			out, lse := newGuarded(tokens*qn, i), newGuarded(tokens*s.heads, i)
			dq, dk, dv := newGuarded(tokens*qn, i), newGuarded(tokens*kn, 2), newGuarded(tokens*kn, 3)
			Attention{Q: q.x, K: k.x, V: v.x, Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim, Precision: BFloat16}.Forward(out.x, lse.x)
			Attention{Q: q.x, K: k.x, V: v.x, Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim, Precision: BFloat16}.Backward(dq.x, dk.x, dv.x, dout.x, out.x, lse.x)
			for what, g := range map[string]guarded{"out": out, "lse": lse, "dq": dq, "dk": dk, "dv": dv} {
				g.check(t, what)
			}
			for j, n := range lengths {
				from := starts[j]
				part := func(x []float32, width int) []float32 { return x[from*width : (from+n)*width] }
				a := attention64{n, s.heads, s.kvHeads, s.dim}
				q64, k64, v64 := wide(part(q.x, qn)), wide(part(k.x, kn)), wide(part(v.x, kn))
				wantOut, _, wantLSE := a.forward(q64, k64, v64)
				wantDq, wantDk, wantDv := a.backward(wide(part(dout.x, qn)), q64, k64, v64)
				what := fmt.Sprintf("%+v length %d ", s, n)
				near(t, what+"out", part(out.x, qn), wantOut, 1, 0.02)
				near(t, what+"lse", part(lse.x, s.heads), wantLSE, 1, 0.01)
				near(t, what+"dq", part(dq.x, qn), wantDq, 1, 0.05)
				near(t, what+"dk", part(dk.x, kn), wantDk, 1, 0.05)
				near(t, what+"dv", part(dv.x, kn), wantDv, 1, 0.03)
			}
		}
	})
}

// pagedPrefix is a sequence's keys and values in pages of one size, at random places of the pool,
// between pages and slots of NaN.
func pagedPrefix(r *rand.Rand, format KVFormat, k, v []float32, tokens, size, kvHeads, dim int) (*KVLayer, KVSegment) {
	used := (tokens + size - 1) / size
	l := NewKVLayer(format, 2*used+1, size, kvHeads, dim)
	l.poison()
	s := KVSegment{Rows: tokens}
	for _, page := range r.Perm(l.Pages)[:used] {
		s.Table = append(s.Table, int32(page))
	}
	StoreKV(l, k, v, []KVSegment{s})
	return l, s
}

// poison fills all pages with NaN, the codes with the greatest.
func (l *KVLayer) poison() {
	for _, h := range []*kvHalf{&l.k, &l.v} {
		for _, x := range [][]float32{h.floats, h.scale} {
			for i := range x {
				x[i] = float32(math.NaN())
			}
		}
		for _, x := range [][]uint16{h.words, h.scales} {
			for i := range x {
				x[i] = 0x7fc0
			}
		}
		for i := range h.codes {
			h.codes[i] = 127
		}
		for i := range h.packed {
			h.packed[i] = 255
		}
	}
}

// stored is what a cache makes of keys or values [tokens, heads, dim]. A rotation is undone in
// float64, so that the reference knows nothing of it.
func stored(kind kvKind, x []float32, dim int) []float64 {
	y := make([]float64, len(x))
	codes, work := make([]int8, dim), make([]float32, dim)
	spin, back := newHeadRotation[float32](dim), newHeadRotation[float64](dim)
	for i := 0; i < len(x); i += dim {
		head, to := slices.Clone(x[i:i+dim]), y[i:i+dim]
		if kind.rotated {
			spin.apply(head, work)
		}
		switch kind.code {
		case kvFloat32:
			copy(to, wide(head))
		case kvBFloat16:
			for j, v := range head {
				to[j] = float64(fromBFloat16(toBFloat16(v)))
			}
		case kvInt8:
			scale := QuantizeRowInt8(codes, head)
			for j, c := range codes {
				to[j] = float64(c) * float64(scale)
			}
		case kvInt4:
			scale := fromBFloat16(quantizeRowInt4(codes, head))
			for j, c := range codes {
				to[j] = float64(c) * float64(scale)
			}
		}
		if kind.rotated {
			back.undo(to, make([]float64, dim))
		}
	}
	return y
}

// pagedTolerance bounds how far a result may be from the reference's on the cached values. Where
// queries and weights are rounded to 2⁻⁹ of their size, the largest scores here move by some
// thousandths and weights with them: 0.013 was the most seen over a million results, 0.001 their
// root mean square.
func pagedTolerance(format KVFormat, dim int) float64 {
	if format == KVFloat32 || active.Load().rows.attend == nil || dim%16 != 0 {
		return 4e-6
	}
	return 0.02
}

// The result is right, and has the same bits whatever the page size, the chunks, the number of
// threads and the content of unused slots.
func TestAttentionPaged(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(6, 1))
		const tokens = 150
		for _, s := range append(attentionShapes, struct{ heads, kvHeads, dim int }{14, 2, 64}, struct{ heads, kvHeads, dim int }{3, 1, 128}, struct{ heads, kvHeads, dim int }{10, 2, 48}) {
			for _, format := range testedKV() {
				if format.Check(KVBlock, s.dim) != nil {
					continue
				}
				qn, kn := s.heads*s.dim, s.kvHeads*s.dim
				q, k, v := randoms(r, tokens*qn, 1, 1.5), randoms(r, tokens*kn, 0, 1.5), randoms(r, tokens*kn, 0, 1).x
				want := newGuarded(tokens*qn, 3)
				l, segment := pagedPrefix(r, format, k.x, v, tokens, KVBlock, s.kvHeads, s.dim)
				AttentionPaged(want.x, q.x, l, []KVSegment{segment}, s.heads)
				want.check(t, "AttentionPaged")
				reference, _, _ := attention64{tokens, s.heads, s.kvHeads, s.dim}.forward(wide(q.x), stored(kvFormats[format].k, k.x, s.dim), stored(kvFormats[format].v, v, s.dim))
				near(t, fmt.Sprintf("AttentionPaged %+v %v", s, format), want.x, reference, 1, pagedTolerance(format, s.dim))

				for _, size := range []int{1, 4, 16, 64} {
					if format.Check(size, s.dim) != nil {
						continue
					}
					for _, chunk := range []int{1, 7, 64, 100, tokens} {
						restore := parallel.SetThreads(1 + chunk%3)
						got := make([]float32, tokens*qn)
						for from := 0; from < tokens; from += chunk {
							// Only what a chunk may see has been stored: later slots are still NaN.
							to := min(tokens, from+chunk)
							if chunk == 1 && from > 2 && from != 63 && from != 64 && from < tokens-2 {
								copy(got[from*qn:to*qn], want.x[from*qn:])
								continue
							}
							l, segment := pagedPrefix(r, format, k.x, v, to, size, s.kvHeads, s.dim)
							segment.Start, segment.Rows = from, to-from
							AttentionPaged(got[from*qn:to*qn], q.x[from*qn:], l, []KVSegment{segment}, s.heads)
						}
						restore()
						equalBits(t, fmt.Sprintf("%+v %v pages of %d, chunks of %d", s, format, size, chunk), got, want.x)
					}
				}
			}
		}
	})
}

func TestAttentionPagedEqualsAttention(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 1))
		const tokens, heads, kvHeads, dim = 200, 4, 2, 32
		q, k, v := randoms(r, tokens*heads*dim, 0, 1).x, randoms(r, tokens*kvHeads*dim, 0, 1).x, randoms(r, tokens*kvHeads*dim, 0, 1).x
		packed, paged := make([]float32, len(q)), make([]float32, len(q))
		Attention{Q: q, K: k, V: v, Starts: []int{0, tokens}, Heads: heads, KVHeads: kvHeads, HeadDim: dim}.Forward(packed, nil)
		l, segment := pagedPrefix(r, KVFloat32, k, v, tokens, 16, kvHeads, dim)
		AttentionPaged(paged, q, l, []KVSegment{segment}, heads)
		equalBits(t, "paged", paged, packed)
	})
}

func TestAttentionMakesNoGarbage(t *testing.T) {
	const tokens, heads, kvHeads, dim = 130, 4, 2, 16
	r := rand.New(rand.NewPCG(8, 1))
	q, k, v := randoms(r, tokens*heads*dim, 0, 1).x, randoms(r, tokens*kvHeads*dim, 0, 1).x, randoms(r, tokens*kvHeads*dim, 0, 1).x
	out, lse, starts := make([]float32, len(q)), make([]float32, tokens*heads), []int{0, 50, tokens}
	dq, dk, dv := make([]float32, len(q)), make([]float32, len(k)), make([]float32, len(k))
	for _, threads := range []int{1, 2} {
		for _, format := range testedKV() {
			restore := parallel.SetThreads(threads)
			l, s := pagedPrefix(r, format, k, v, tokens, 16, kvHeads, dim)
			segments := []KVSegment{s}
			allocations := testing.AllocsPerRun(20, func() {
				StoreKV(l, k, v, segments)
				AttentionPaged(out, q, l, segments, heads)
				Attention{Q: q, K: k, V: v, Starts: starts, Heads: heads, KVHeads: kvHeads, HeadDim: dim}.Forward(out, lse)
				Attention{Q: q, K: k, V: v, Starts: starts, Heads: heads, KVHeads: kvHeads, HeadDim: dim}.Backward(dq, dk, dv, q, out, lse)
				Attention{Q: q, K: k, V: v, Starts: starts, Heads: heads, KVHeads: kvHeads, HeadDim: dim, Precision: BFloat16}.Forward(out, lse)
				Attention{Q: q, K: k, V: v, Starts: starts, Heads: heads, KVHeads: kvHeads, HeadDim: dim, Precision: BFloat16}.Backward(dq, dk, dv, q, out, lse)
			})
			restore()
			if allocations > 0 {
				t.Errorf("%v, %d threads: %v allocations a run", format, threads, allocations)
			}
		}
	}
}

// Stacks are shared as far as pages are: queries on a common prefix are one unit, and each block of
// the prefix is visited once.
func TestAttentionPagedPlan(t *testing.T) {
	const size, prefix, sequences, group = 16, 256, 8, 7
	a := freePaged.Get()
	defer freePaged.Put(a)
	a.layer, a.group, a.segments = NewKVLayer(KVBFloat16, 64, size, 1, 64), group, nil
	for s := range sequences {
		var table []int32
		for p := range prefix / size {
			table = append(table, int32(p))
		}
		table = append(table, int32(prefix/size+s))
		a.segments = append(a.segments, KVSegment{table, s, 1, prefix + s})
	}
	a.plan()
	if len(a.units) != 1 || a.units[0].stack != sequences*group {
		t.Errorf("%d sequences on one prefix are in units %+v, expected one of %d queries", sequences, a.units, sequences*group)
	}
	for i := range a.pieces[1:] {
		if got := a.common(&a.pieces[0], &a.pieces[i+1]); got != prefix/KVBlock {
			t.Errorf("piece %d shares %d blocks, expected %d", i+1, got, prefix/KVBlock)
		}
	}
	a.segments[3].Table[0], a.segments[5].Table[4] = 60, 61 // nothing in common; one block
	a.plan()
	if len(a.units) != 2 || a.units[0].stack+a.units[1].stack != sequences*group || min(a.units[0].stack, a.units[1].stack) != group {
		t.Errorf("units %+v, expected one of %d queries and one of %d", a.units, (sequences-1)*group, group)
	}
	a.layer, a.segments = nil, nil
}
