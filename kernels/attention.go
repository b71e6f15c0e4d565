package kernels

import (
	"fmt"
	"math"
)

// KVBlock is the number of consecutive absolute positions that attention treats as one block. Blocks are
// merged in ascending order, so a query's result does not depend on how its prefix was computed, chunked, paged or batched.
const KVBlock = 64

// queryRows is the number of queries, a divisor of KVBlock, that training takes through the keys together. The fewer, the less is computed
// above the diagonal; but for each such block the backward pass reads and writes its keys' gradients once.
const queryRows = 32

// Attention computes causal attention for packed sequences: starts [sequences+1] are the offsets of the sequences in
// the rows. q and out are [tokens, heads, headDim], k and v are [tokens, kvHeads, headDim], lse is
// [tokens, heads] (the log-sum-exp of each row's scores, for the backward pass; may be nil). Query head h
// reads KV head h/(heads/kvHeads). Scores are scaled by headDim^-½. Memory beyond the arguments is, a thread, one block of scores
// and one KV head of one sequence's keys, transposed (Dao, 2023: the scores of a block at a time, softmax online).
func Attention(out, lse, q, k, v []float32, starts []int, heads, kvHeads, headDim int) {
	a := newPackedAttention("Attention", q, k, v, starts, heads, kvHeads, headDim)
	checkLen("Attention out", out, a.tokens*heads*headDim)
	if lse != nil {
		checkLen("Attention lse", lse, a.tokens*heads)
	}
	attentionCalls.run(a.tasks(), 1, attentionCall{packedAttention: a, out: out, lse: lse})
}

// attentionCall is one forward or, with dout, backward pass.
type attentionCall struct {
	packedAttention
	out, lse, dq, dk, dv, dout []float32
}

var attentionCalls = newCalls(func(c *attentionCall, lo, hi int) {
	for task := lo; task < hi; task++ {
		switch from, to, g := c.task(task); {
		case from == to:
		case c.dout == nil:
			c.forward(c.out, c.lse, from, to, g)
		default:
			c.backward(c.dq, c.dk, c.dv, c.dout, c.out, c.lse, from, to, g)
		}
	}
})

// AttentionBackward computes dq, dk and dv (overwritten) from dout and the forward pass's q, k, v, out and lse. Shapes are those of
// Attention. No sequence×sequence matrix is held: probabilities are recomputed a block at a time.
func AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v []float32, starts []int, heads, kvHeads, headDim int) {
	a := newPackedAttention("AttentionBackward", q, k, v, starts, heads, kvHeads, headDim)
	checkLen("AttentionBackward dq", dq, a.tokens*heads*headDim)
	checkLen("AttentionBackward dk", dk, a.tokens*kvHeads*headDim)
	checkLen("AttentionBackward dv", dv, a.tokens*kvHeads*headDim)
	checkLen("AttentionBackward dout", dout, a.tokens*heads*headDim)
	checkLen("AttentionBackward out", out, a.tokens*heads*headDim)
	checkLen("AttentionBackward lse", lse, a.tokens*heads)
	attentionCalls.run(a.tasks(), 1, attentionCall{a, out, lse, dq, dk, dv, dout[:a.tokens*heads*headDim]})
}

// packedAttention is one call over packed sequences. A task is one KV head of one sequence with the query heads that
// read it: tasks write disjoint parts of every result.
type packedAttention struct {
	rk             *rowKernels
	q, k, v        []float32
	starts         []int
	heads, kvHeads int
	headDim        int
	tokens, group  int // rows in all; query heads a KV head
	scale          float32
}

func newPackedAttention(what string, q, k, v []float32, starts []int, heads, kvHeads, headDim int) packedAttention {
	checkHeads(what, heads, kvHeads)
	for i, s := range starts {
		if s < 0 || i > 0 && s < starts[i-1] {
			panic(fmt.Sprintf("kernels: %s start %d is %d after %d", what, i, s, starts[max(0, i-1)]))
		}
	}
	tokens := starts[len(starts)-1]
	if len(q) < tokens*heads*headDim || min(len(k), len(v)) < tokens*kvHeads*headDim { // the names are made for a panic alone
		checkLen(what+" q", q, tokens*heads*headDim)
		checkLen(what+" k", k, tokens*kvHeads*headDim)
		checkLen(what+" v", v, tokens*kvHeads*headDim)
	}
	return packedAttention{&active.Load().rows, q, k, v, starts, heads, kvHeads, headDim, tokens, heads / kvHeads, scoreScale(headDim)}
}

func scoreScale(headDim int) float32 { return float32(1 / math.Sqrt(float64(headDim))) }

func (a *packedAttention) tasks() int { return (len(a.starts) - 1) * a.kvHeads }

func (a *packedAttention) task(i int) (from, to, kvHead int) {
	s := i / a.kvHeads
	return a.starts[s], a.starts[s+1], i % a.kvHeads
}

// forward runs the query heads of KV head g over the sequence of rows from…to.
func (a *packedAttention) forward(out, lse []float32, from, to, g int) {
	n, d, rk := to-from, a.headDim, a.rk
	qs, ks := a.heads*d, a.kvHeads*d // row strides
	s := newScratch(d*n + queryRows*(KVBlock+d+4))
	defer s.free()
	keys, scores, part := s.take(d*n), s.take(queryRows*KVBlock), s.take(queryRows*d)
	state := softmaxState{s.take(queryRows), s.take(queryRows), s.take(queryRows), s.take(queryRows)}
	rk.transpose(keys, a.k[from*ks+g*d:], n, d, n, ks)
	for h := g * a.group; h < (g+1)*a.group; h++ {
		for i := 0; i < n; i += queryRows {
			rows := min(queryRows, n-i)
			at := (from+i)*qs + h*d
			state.reset(rows)
			for r := range rows {
				clear(out[at+r*qs:][:d])
			}
			for j := 0; j <= i; j += KVBlock {
				cols := min(KVBlock, i+rows-j)
				rk.product(scores, a.q[at:], keys[j:], blockShape{m: rows, n: cols, k: d, ldc: KVBlock, aRow: qs, aCol: 1, ldb: n})
				state.add(rk, scores, rows, cols, i-j, 1, a.scale)
				rk.product(part, scores, a.v[(from+j)*ks+g*d:], blockShape{m: rows, n: d, k: cols, ldc: d, aRow: KVBlock, aCol: 1, ldb: ks})
				for r := range rows {
					rk.scaleAdd(out[at+r*qs:][:d], part[r*d:][:d], state.shrink[r])
				}
			}
			for r := range rows {
				row := out[at+r*qs:][:d]
				rk.scale(row, row, 1/state.sum[r])
				if lse != nil {
					lse[(from+i+r)*a.heads+h] = state.max[r] + float32(math.Log(float64(state.sum[r])))
				}
			}
		}
	}
}

// backward is the transpose of forward: with P = exp(S·scale − lse) and δ_r = out_r·dout_r,
// dV = Pᵀ·dO, dS = P∘(dO·Vᵀ − δ)·scale, dQ = dS·K, dK = dSᵀ·Q, block by block in a fixed order.
func (a *packedAttention) backward(dq, dk, dv, dout, out, lse []float32, from, to, g int) {
	n, d, rk := to-from, a.headDim, a.rk
	qs, ks := a.heads*d, a.kvHeads*d
	s := newScratch(2*d*n + queryRows*(2*KVBlock+1))
	defer s.free()
	keys, values := s.take(d*n), s.take(d*n)
	p, ds, delta := s.take(queryRows*KVBlock), s.take(queryRows*KVBlock), s.take(queryRows)
	rk.transpose(keys, a.k[from*ks+g*d:], n, d, n, ks)
	rk.transpose(values, a.v[from*ks+g*d:], n, d, n, ks)
	for r := from; r < to; r++ {
		clear(dk[r*ks+g*d:][:d])
		clear(dv[r*ks+g*d:][:d])
	}
	for h := g * a.group; h < (g+1)*a.group; h++ {
		for i := 0; i < n; i += queryRows {
			rows := min(queryRows, n-i)
			at := (from+i)*qs + h*d
			for r := range rows {
				delta[r] = rk.dot(out[at+r*qs:][:d], dout[at+r*qs:][:d])
			}
			for j := 0; j <= i; j += KVBlock {
				cols, kt := min(KVBlock, i+rows-j), (from+j)*ks+g*d
				toScores := blockShape{m: rows, n: cols, k: d, ldc: KVBlock, aRow: qs, aCol: 1, ldb: n}
				rk.product(p, a.q[at:], keys[j:], toScores)
				rk.product(ds, dout[at:], values[j:], toScores)
				for r := range rows {
					seen := min(cols, i-j+r+1)
					pr, dr := p[r*KVBlock:][:cols], ds[r*KVBlock:][:cols]
					rk.expSum(pr[:seen], pr[:seen], a.scale, lse[(from+i+r)*a.heads+h])
					rk.softmaxGradient(dr[:seen], pr[:seen], dr[:seen], delta[r], a.scale)
					clear(pr[seen:])
					clear(dr[seen:])
				}
				toKeys := blockShape{m: cols, n: d, k: rows, ldc: ks, aRow: 1, aCol: KVBlock, ldb: qs, accumulate: true}
				rk.product(dv[kt:], p, dout[at:], toKeys)
				rk.product(dk[kt:], ds, a.q[at:], toKeys)
				rk.product(dq[at:], ds, a.k[kt:], blockShape{m: rows, n: d, k: cols, ldc: qs, aRow: KVBlock, aCol: 1, ldb: ks, accumulate: j > 0})
			}
		}
	}
}

// softmaxState carries the online softmax of a block of query rows from one block of keys to the next.
type softmaxState struct {
	max, sum    []float32 // of the scores seen so far, the sum relative to max
	shrink, new []float32 // of the latest block: what the earlier sums are multiplied by, and its own sums
}

func (s *softmaxState) reset(rows int) {
	for r := range rows {
		s.max[r], s.sum[r] = float32(math.Inf(-1)), 0
	}
}

// add turns scores [rows, cols] with stride KVBlock into unnormalised probabilities. Row r is a query at position
// first + r/group relative to the first column and sees the columns up to itself, at least one.
func (s *softmaxState) add(rk *rowKernels, scores []float32, rows, cols, first, group int, scale float32) {
	// Maxima of all rows first: a row's exponentials wait for its maximum, other rows need not.
	for r := range rows {
		seen := min(cols, first+r/group+1)
		s.new[r] = rk.maximum(scores[r*KVBlock:][:seen])
	}
	for r := range rows {
		seen := min(cols, first+r/group+1)
		row := scores[r*KVBlock:][:cols]
		m := max(s.max[r], s.new[r]*scale)
		s.new[r] = rk.expSum(row[:seen], row[:seen], scale, m)
		clear(row[seen:])
		s.shrink[r], s.max[r] = s.max[r]-m, m
	}
	rk.exp(s.shrink[:rows], s.shrink[:rows])
	for r := range rows {
		s.sum[r] = s.sum[r]*s.shrink[r] + s.new[r]
	}
}
