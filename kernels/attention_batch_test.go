package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

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
		// What a table holds beyond the sequence's end is nobody's business.
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

// Segments that share pages give the bits that they give alone.
func TestAttentionPagedBatch(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 1))
		for format := range KVFormat(3) {
			for _, c := range []struct{ size, group, kvHeads, dim, sequences, longest, rows int }{
				{16, 7, 2, 64, 8, 400, 1}, {16, 1, 3, 32, 24, 300, 1}, {16, 2, 2, 16, 9, 300, 20}, {64, 3, 1, 128, 5, 400, 70},
				{4, 5, 2, 16, 12, 200, 9}, {2, 70, 1, 16, 4, 200, 3}, {32, 2, 1, 24, 12, 260, 4},
			} {
				checkBatch(t, r, format, c.size, c.group, c.kvHeads, c.dim, c.sequences, c.longest, c.rows)
			}
		}
	})
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

func FuzzAttentionPagedBatch(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint8(4), uint8(7), uint8(2), uint8(4), uint8(6), uint16(300), uint8(1))
	f.Add(uint64(2), uint8(2), uint8(1), uint8(1), uint8(1), uint8(3), uint8(12), uint16(130), uint8(70))
	f.Add(uint64(3), uint8(1), uint8(0), uint8(3), uint8(2), uint8(1), uint8(3), uint16(90), uint8(9))
	f.Fuzz(func(t *testing.T, seed uint64, format, size, group, kvHeads, dim, sequences uint8, longest uint16, rows uint8) {
		kv, pages, d := KVFormat(format%3), 1<<(size%7), 8*(1+int(dim)%16)
		if kv.Check(pages, d) != nil {
			t.Skip()
		}
		checkBatch(t, rand.New(rand.NewPCG(seed, 2)), kv, pages, 1+int(group)%9, 1+int(kvHeads)%3, d, 1+int(sequences)%12, 1+int(longest)%400, 1+int(rows))
	})
}
