package kernels

import (
	"fmt"
	"math"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// KVBlock is the number of consecutive absolute positions that attention treats as one block.
// Blocks are merged in ascending order, so a query's result does not depend on how its prefix was
// computed, chunked, paged or batched.
const KVBlock = 64

// queryRows is the number of queries, a divisor of KVBlock, that training multiplies with the keys
// as one block. With fewer, less is computed above the diagonal; but for each such block the
// backward pass reads and writes its keys' gradients once.
const queryRows = 32

// Attention is causal attention over packed sequences. Starts [sequences+1] are the offsets of the
// sequences in the rows. Q is [tokens, Heads, HeadDim], K and V are [tokens, KVHeads, HeadDim].
// Query head h reads KV head h/(Heads/KVHeads). Scores are scaled by HeadDim^-½.
//
// With the precision BFloat16 the operands of all products are rounded where the CPU multiplies
// bfloat16 and HeadDim is a multiple of 16; elsewhere it computes as Float32 does.
//
// Memory beyond the arguments is, for each thread, one block of scores and one KV head of one
// sequence's keys and values, packed (Dao, 2023: the scores of a block at a time, softmax online).
type Attention struct {
	Q, K, V                 []float32
	Starts                  []int
	Heads, KVHeads, HeadDim int
	Precision               Precision
}

// Forward computes out [tokens, Heads, HeadDim] and, unless it is nil, lse [tokens, Heads]: the
// log-sum-exp of each row's scores, which the backward pass needs.
func (x Attention) Forward(out, lse []float32) {
	tokens := x.check("Attention.Forward")
	checkLen("Attention.Forward out", out, tokens*x.Heads*x.HeadDim)
	if lse != nil {
		checkLen("Attention.Forward lse", lse, tokens*x.Heads)
	}
	if x.inBFloat16() && tokens > 0 {
		x.forwardCached(KVBFloat16, out, lse)
		return
	}
	a := freePacked.Get()
	a.set(x)
	a.out, a.lse = out, lse
	parallel.For(a.tasks(), a.forwardTask)
	a.release()
}

// Backward computes dq, dk and dv (overwritten), of the shapes of Q, K and V, from dout and the
// forward pass's out and lse. No sequence×sequence matrix is held: probabilities are computed again
// a block at a time.
func (x Attention) Backward(dq, dk, dv, dout, out, lse []float32) {
	tokens := x.check("Attention.Backward")
	checkLen("Attention.Backward dq", dq, tokens*x.Heads*x.HeadDim)
	checkLen("Attention.Backward dk", dk, tokens*x.KVHeads*x.HeadDim)
	checkLen("Attention.Backward dv", dv, tokens*x.KVHeads*x.HeadDim)
	checkLen("Attention.Backward dout", dout, tokens*x.Heads*x.HeadDim)
	checkLen("Attention.Backward out", out, tokens*x.Heads*x.HeadDim)
	checkLen("Attention.Backward lse", lse, tokens*x.Heads)
	a := freePacked.Get()
	a.set(x)
	a.dq, a.dk, a.dv, a.dout, a.out, a.lse = dq, dk, dv, dout, out, lse
	if x.inBFloat16() {
		parallel.For(a.tasks(), a.backwardBFloat16Task)
	} else {
		parallel.For(a.tasks(), a.backwardTask)
	}
	a.release()
}

func (x *Attention) inBFloat16() bool {
	return x.Precision == BFloat16 && multipliesBFloat16(x.HeadDim)
}

// check returns the number of rows in all.
func (x *Attention) check(what string) (tokens int) {
	checkHeads(what, x.Heads, x.KVHeads)
	for i, s := range x.Starts {
		if s < 0 || i > 0 && s < x.Starts[i-1] {
			panic(fmt.Sprintf("kernels: %s start %d is %d after %d", what, i, s, x.Starts[max(0, i-1)]))
		}
	}
	tokens = x.Starts[len(x.Starts)-1]
	for _, part := range [...]struct {
		name  string
		x     []float32
		heads int
	}{{" q", x.Q, x.Heads}, {" k", x.K, x.KVHeads}, {" v", x.V, x.KVHeads}} {
		if want := tokens * part.heads * x.HeadDim; len(part.x) < want {
			checkLen(what+part.name, part.x, want)
		}
	}
	return tokens
}

// packedAttention is one call over packed sequences. A task is one KV head of one sequence with the
// query heads that read it: tasks write disjoint parts of every result.
type packedAttention struct {
	rk             *rowKernels
	q, k, v        []float32
	out, lse       []float32
	dq, dk, dv     []float32
	dout           []float32
	starts         []int
	heads, kvHeads int
	headDim, group int // group: query heads a KV head
	scale          float32

	forwardTask, backwardTask, backwardBFloat16Task func(i int) // bound once
}

var freePacked = memory.NewFreeList(16, func() *packedAttention {
	a := new(packedAttention)
	a.forwardTask = func(i int) { a.each(i, (*packedAttention).forward) }
	a.backwardTask = func(i int) { a.each(i, (*packedAttention).backward) }
	a.backwardBFloat16Task = func(i int) { a.each(i, (*packedAttention).backwardBFloat16) }
	return a
})

func (a *packedAttention) set(x Attention) {
	a.rk, a.q, a.k, a.v, a.starts = &active.Load().rows, x.Q, x.K, x.V, x.Starts
	a.heads, a.kvHeads, a.headDim, a.group, a.scale = x.Heads, x.KVHeads, x.HeadDim, x.Heads/x.KVHeads, scoreScale(x.HeadDim)
}

// release drops the call's slices and returns a to the free list.
func (a *packedAttention) release() {
	*a = packedAttention{forwardTask: a.forwardTask, backwardTask: a.backwardTask, backwardBFloat16Task: a.backwardBFloat16Task}
	freePacked.Put(a)
}

func scoreScale(headDim int) float32 { return float32(1 / math.Sqrt(float64(headDim))) }

func (a *packedAttention) tasks() int { return (len(a.starts) - 1) * a.kvHeads }

// each calls f with the rows and the KV head of task i.
func (a *packedAttention) each(i int, f func(a *packedAttention, from, to, g int)) {
	if s := i / a.kvHeads; a.starts[s] < a.starts[s+1] {
		f(a, a.starts[s], a.starts[s+1], i%a.kvHeads)
	}
}

// gather copies rows of d elements, stride apart in src, to dst, one after the other. The distance
// of heads is mostly a power of two, and rows read in place would fall into few sets of the first
// cache.
func gather(dst, src []float32, rows, d, stride int) {
	for r := range rows {
		copy(dst[r*d:][:d], src[r*stride:])
	}
}

// scatter is the inverse of gather.
func scatter(dst, src []float32, rows, d, stride int) {
	for r := range rows {
		copy(dst[r*stride:][:d], src[r*d:])
	}
}

// transposeBlocks writes src [n, d], rows stride apart, to blocks [d, KVBlock].
func (rk *rowKernels) transposeBlocks(blocks, src []float32, n, d, stride int) {
	for j := 0; j < n; j += KVBlock {
		rk.transpose(blocks[j*d:], src[j*stride:], min(KVBlock, n-j), d, KVBlock, stride)
	}
}

func wholeBlocks(n int) int { return (n + KVBlock - 1) / KVBlock * KVBlock }

// forward runs the query heads of KV head g over the sequence of rows from…to.
func (a *packedAttention) forward(from, to, g int) {
	n, d, rk := to-from, a.headDim, a.rk
	qs, ks := a.heads*d, a.kvHeads*d // row strides
	s := memory.NewScratch(d*(wholeBlocks(n)+n) + queryRows*(KVBlock+3*d+4))
	defer s.Free()
	keys, values, scores := s.Take(d*wholeBlocks(n)), s.Take(n*d), s.Take(queryRows*KVBlock)
	q, sums, part := s.Take(queryRows*d), s.Take(queryRows*d), s.Take(queryRows*d)
	state := softmaxState{s.Take(queryRows), s.Take(queryRows), s.Take(queryRows), s.Take(queryRows)}
	rk.transposeBlocks(keys, a.k[from*ks+g*d:], n, d, ks)
	gather(values, a.v[from*ks+g*d:], n, d, ks)
	for h := g * a.group; h < (g+1)*a.group; h++ {
		for i := 0; i < n; i += queryRows {
			rows := min(queryRows, n-i)
			at := (from+i)*qs + h*d
			gather(q, a.q[at:], rows, d, qs)
			state.reset(rows)
			clear(sums)
			for j := 0; j <= i; j += KVBlock {
				cols := min(KVBlock, i+rows-j)
				rk.product(scores, q, keys[j*d:], blockShape{m: rows, n: cols, k: d, ldc: KVBlock, aRow: d, aCol: 1, ldb: KVBlock})
				state.add(rk, scores, rows, cols, i-j, 1, a.scale)
				rk.product(part, scores, values[j*d:], blockShape{m: rows, n: d, k: cols, ldc: d, aRow: KVBlock, aCol: 1, ldb: d})
				for r := range rows {
					rk.scaleAdd(sums[r*d:][:d], part[r*d:][:d], state.shrink[r])
				}
			}
			for r := range rows {
				rk.scale(a.out[at+r*qs:][:d], sums[r*d:][:d], 1/state.sum[r])
				if a.lse != nil {
					a.lse[(from+i+r)*a.heads+h] = state.max[r] + float32(math.Log(float64(state.sum[r])))
				}
			}
		}
	}
}

// backward is the transpose of forward: with P = exp(S·scale − lse) and δ_r = out_r·dout_r,
// dV = Pᵀ·dO, dS = P∘(dO·Vᵀ − δ)·scale, dQ = dS·K, dK = dSᵀ·Q, block by block in a fixed order.
func (a *packedAttention) backward(from, to, g int) {
	n, d, rk := to-from, a.headDim, a.rk
	qs, ks := a.heads*d, a.kvHeads*d
	s := memory.NewScratch(2*d*wholeBlocks(n) + 3*n*d + queryRows*(2*KVBlock+3*d+1))
	defer s.Free()
	keys, values := s.Take(d*wholeBlocks(n)), s.Take(d*wholeBlocks(n))
	k, dk, dv := s.Take(n*d), s.Take(n*d), s.Take(n*d)
	q, dout, dq := s.Take(queryRows*d), s.Take(queryRows*d), s.Take(queryRows*d)
	p, ds, delta := s.Take(queryRows*KVBlock), s.Take(queryRows*KVBlock), s.Take(queryRows)
	gather(k, a.k[from*ks+g*d:], n, d, ks)
	rk.transposeBlocks(keys, k, n, d, d)
	rk.transposeBlocks(values, a.v[from*ks+g*d:], n, d, ks)
	clear(dk)
	clear(dv)
	for h := g * a.group; h < (g+1)*a.group; h++ {
		for i := 0; i < n; i += queryRows {
			rows := min(queryRows, n-i)
			at := (from+i)*qs + h*d
			gather(q, a.q[at:], rows, d, qs)
			gather(dout, a.dout[at:], rows, d, qs)
			for r := range rows {
				delta[r] = rk.dot(a.out[at+r*qs:][:d], dout[r*d:][:d])
			}
			for j := 0; j <= i; j += KVBlock {
				cols := min(KVBlock, i+rows-j)
				toScores := blockShape{m: rows, n: cols, k: d, ldc: KVBlock, aRow: d, aCol: 1, ldb: KVBlock}
				rk.product(p, q, keys[j*d:], toScores)
				rk.product(ds, dout, values[j*d:], toScores)
				for r := range rows {
					seen := min(cols, i-j+r+1)
					pr, dr := p[r*KVBlock:][:cols], ds[r*KVBlock:][:cols]
					rk.expSum(pr[:seen], pr[:seen], a.scale, a.lse[(from+i+r)*a.heads+h])
					rk.softmaxGradient(dr[:seen], pr[:seen], dr[:seen], delta[r], a.scale)
					clear(pr[seen:])
					clear(dr[seen:])
				}
				toKeys := blockShape{m: cols, n: d, k: rows, ldc: d, aRow: 1, aCol: KVBlock, ldb: d, accumulate: true}
				rk.product(dv[j*d:], p, dout, toKeys)
				rk.product(dk[j*d:], ds, q, toKeys)
				rk.product(dq, ds, k[j*d:], blockShape{m: rows, n: d, k: cols, ldc: d, aRow: KVBlock, aCol: 1, ldb: d, accumulate: j > 0})
			}
			scatter(a.dq[at:], dq, rows, d, qs)
		}
	}
	scatter(a.dk[from*ks+g*d:], dk, n, d, ks)
	scatter(a.dv[from*ks+g*d:], dv, n, d, ks)
}

// softmaxState carries the online softmax of a block of query rows from one block of keys to the
// next.
type softmaxState struct {
	max, sum []float32 // of the scores seen so far, the sum relative to max
	// of the latest block: what the earlier sums are multiplied by, and its own sums
	shrink, new []float32
}

func (s *softmaxState) reset(rows int) {
	for r := range rows {
		s.max[r], s.sum[r] = float32(math.Inf(-1)), 0
	}
}

// add turns scores [rows, cols] with stride KVBlock into unnormalised probabilities. Row r is a
// query at position first + r/group relative to the first column and sees the columns up to itself,
// at least one.
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
