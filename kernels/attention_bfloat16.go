package kernels

import (
	"unsafe"

	"slimlab/kernels/memory"
)

// ForwardCached is Forward as AttentionPaged over a cache of that format computes it: with the same
// bits. It panics with what format.Check reports of the heads.
func (x Attention) ForwardCached(format KVFormat, out []float32) {
	tokens := x.check("Attention.ForwardCached")
	checkLen("Attention.ForwardCached out", out, tokens*x.Heads*x.HeadDim)
	if tokens > 0 {
		x.forwardCached(format, out, nil)
	}
}

// forwardCached takes the sequences as segments of a cache that lives for this call. With bfloat16
// it is Forward with queries, keys, values and softmax weights rounded to it, where the CPU
// multiplies it.
func (x *Attention) forwardCached(format KVFormat, out, lse []float32) {
	starts := x.Starts
	p := freePackedPages.Get()
	pages := 0
	for i := range len(starts) - 1 {
		pages += (starts[i+1] - starts[i] + KVBlock - 1) / KVBlock
	}
	l := &p.layer
	l.reshape("Attention.ForwardCached", format, pages, KVBlock, x.KVHeads, x.HeadDim)
	for i := len(p.table); i < pages; i++ {
		p.table = append(p.table, int32(i))
	}
	p.segments = p.segments[:0]
	page := 0
	for i := range len(starts) - 1 {
		if n := starts[i+1] - starts[i]; n > 0 {
			used := (n + KVBlock - 1) / KVBlock
			p.segments = append(p.segments, KVSegment{p.table[page : page+used], starts[i], n, 0})
			page += used
		}
	}
	StoreKV(l, x.K, x.V, p.segments)
	attendPages(out, lse, x.Q, l, p.segments, x.Heads)
	freePackedPages.Put(p)
}

type packedPages struct {
	layer    KVLayer
	table    []int32
	segments []KVSegment
}

var freePackedPages = memory.NewFreeList(4, func() *packedPages { return new(packedPages) })

// multipliesBFloat16 reports whether attention with heads of headDim has a bfloat16 form here.
func multipliesBFloat16(headDim int) bool { return active.Load().rows.attend != nil && headDim%16 == 0 }

// attentionGradient is the argument of rowKernels.gradient: two rows, 32 positions a step.
type attentionGradient struct {
	s, dp           *float32 // [2, KVBlock]
	pPairs, dsPairs *uint16  // [KVBlock, 2]
	dsRows          *uint16  // [2, KVBlock]
	steps           int
	seen            [2]uint64
	lse, delta      [2]float32 // lse in powers of two
	c, scale        float32    // c = scale·log2 e
}

// bfloat16Tile is memory for the backward pass of one KV head of one sequence in bfloat16. n is the
// sequence's length in whole blocks.
type bfloat16Tile struct {
	k, v       []uint16 // [n/KVBlock, headDim/2, KVBlock, 2]: pairs of dimensions
	kPairs     []uint16 // [n/2, headDim, 2]: pairs of positions
	q, dout    []uint16 // [n, headDim], of one query head
	qPairs     []uint16 // [n/2, headDim, 2]
	doutPairs  []uint16
	s, dp      []float32 // [queryRows, KVBlock]
	p, ds      []uint16  // [queryRows/2, KVBlock, 2]
	dsRows     []uint16  // [queryRows, KVBlock]
	dq         []float32 // [queryRows, headDim]
	dk, dv     []float32 // [n, headDim]
	rows       []uint16  // [KVBlock, headDim]
	delta      []float32 // [n]
	gradient   attentionGradient
	kernels    *rowKernels
	headDim, n int
}

var freeTiles = memory.NewFreeList(16, func() *bfloat16Tile { return new(bfloat16Tile) })

// pack rounds x, n rows of one head stride apart, to pairs of rows; the rows after them to a whole
// block are zeros.
func (t *bfloat16Tile) pack(pairs []uint16, x []float32, stride, n int) {
	d := t.headDim
	if n > 1 {
		t.kernels.interleave(pairs, x, n/2, d, stride)
	}
	clear(pairs[n/2*2*d:])
	if n%2 != 0 {
		t.kernels.roundRows(t.rows, x[(n-1)*stride:], 1, d, stride)
		for i, v := range t.rows[:d] {
			pairs[(n-1)*d+2*i] = v
		}
	}
}

// packBlocks rounds rows of one head to pairs of dimensions, a block of positions at a time.
func (t *bfloat16Tile) packBlocks(blocks []uint16, x []float32, stride, n int) {
	d := t.headDim
	for j := 0; j < t.n; j += KVBlock {
		rows := min(KVBlock, n-j)
		t.kernels.roundRows(t.rows, x[j*stride:], rows, d, stride)
		clear(t.rows[rows*d:])
		transposePairs(t.kernels, blocks[j*d:], t.rows, KVBlock, d/2, KVBlock)
	}
}

// transposePairs writes pair j of row i of src [rows, n, 2] to pair i of row j of dst, whose rows
// are stride pairs apart.
func transposePairs(rk *rowKernels, dst, src []uint16, rows, n, stride int) {
	rk.transpose(pairFloats(dst), pairFloats(src), rows, n, stride, n)
}

// pairFloats is the memory of pairs as words of their size, to move and not to compute with.
func pairFloats(x []uint16) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&x[0])), len(x)/2)
}

// backwardBFloat16 is backward with bfloat16 products.
func (a *packedAttention) backwardBFloat16(from, to, g int) {
	n, d, rk := to-from, a.headDim, a.rk
	qs, ks := a.heads*d, a.kvHeads*d
	whole := wholeBlocks(n)
	t := freeTiles.Get()
	defer freeTiles.Put(t)
	t.kernels, t.headDim, t.n = rk, d, whole
	for _, x := range []*[]uint16{&t.k, &t.v, &t.kPairs, &t.q, &t.dout, &t.qPairs, &t.doutPairs} {
		*x = memory.Grown(*x, whole*d)
	}
	t.s, t.dp = memory.Grown(t.s, queryRows*KVBlock), memory.Grown(t.dp, queryRows*KVBlock)
	t.p, t.ds, t.dsRows = memory.Grown(t.p, queryRows*KVBlock), memory.Grown(t.ds, queryRows*KVBlock), memory.Grown(t.dsRows, queryRows*KVBlock)
	t.rows, t.delta = memory.Grown(t.rows, KVBlock*d), memory.Grown(t.delta, n)
	t.packBlocks(t.k, a.k[from*ks+g*d:], ks, n)
	t.packBlocks(t.v, a.v[from*ks+g*d:], ks, n)
	t.pack(t.kPairs, a.k[from*ks+g*d:], ks, n)
	t.dq, t.dk, t.dv = memory.Grown(t.dq, queryRows*d), memory.Grown(t.dk, n*d), memory.Grown(t.dv, n*d)
	clear(t.dk)
	clear(t.dv)
	for h := g * a.group; h < (g+1)*a.group; h++ {
		at := from*qs + h*d
		t.pack(t.qPairs, a.q[at:], qs, n)
		t.pack(t.doutPairs, a.dout[at:], qs, n)
		rk.roundRows(t.q, a.q[at:], n, d, qs)
		rk.roundRows(t.dout, a.dout[at:], n, d, qs)
		for r := range n {
			t.delta[r] = rk.dot(a.out[at+r*qs:][:d], a.dout[at+r*qs:][:d])
		}
		for i := 0; i < n; i += queryRows {
			rows := min(queryRows, n-i)
			for j := 0; j <= i; j += KVBlock {
				cols := min(KVBlock, i+rows-j)
				toScores := blockShape{m: rows, n: (cols + 15) &^ 15, k: d / 2, ldc: KVBlock, aRow: d / 2, aCol: 1, ldb: KVBlock}
				rk.pairProduct(t.s, t.q[i*d:], t.k[j*d:], toScores)
				rk.pairProduct(t.dp, t.dout[i*d:], t.v[j*d:], toScores)
				t.gradients(a, from+i, h, rows, i, j, cols)
				toKeys := blockShape{m: cols, n: d, k: (rows + 1) / 2, ldc: d, aRow: 1, aCol: KVBlock, ldb: d, accumulate: true}
				rk.pairProduct(t.dv[j*d:], t.p, t.doutPairs[i*d:], toKeys)
				rk.pairProduct(t.dk[j*d:], t.ds, t.qPairs[i*d:], toKeys)
				rk.pairProduct(t.dq, t.dsRows, t.kPairs[j*d:], blockShape{m: rows, n: d, k: (cols + 1) / 2, ldc: d, aRow: KVBlock / 2, aCol: 1, ldb: d, accumulate: j > 0})
			}
			scatter(a.dq[at+i*qs:], t.dq, rows, d, qs)
		}
	}
	scatter(a.dk[from*ks+g*d:], t.dk, n, d, ks)
	scatter(a.dv[from*ks+g*d:], t.dv, n, d, ks)
}

// gradients turns the tile's s and dp, rows from row of the batch and i of the sequence, into p, ds
// and dsRows. What no query sees becomes zero, also the row that a last odd one is paired with.
func (t *bfloat16Tile) gradients(a *packedAttention, row, h, rows, i, j, cols int) {
	x := &t.gradient
	x.scale, x.c, x.steps = a.scale, a.scale*log2e, (cols+31)/32
	for r := 0; r < rows; r += 2 {
		for e := range 2 {
			x.seen[e], x.lse[e], x.delta[e] = 0, 0, 0
			if r+e < rows {
				x.seen[e] = ^(^uint64(0) << min(KVBlock, i+r+e-j+1))
				x.lse[e], x.delta[e] = a.lse[(row+r+e)*a.heads+h]*log2e, t.delta[i+r+e]
			}
		}
		x.s, x.dp = &t.s[r*KVBlock], &t.dp[r*KVBlock]
		x.pPairs, x.dsPairs, x.dsRows = &t.p[r*KVBlock], &t.ds[r*KVBlock], &t.dsRows[r*KVBlock]
		a.rk.gradient(x)
	}
}
