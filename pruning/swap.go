package pruning

import (
	"slices"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
)

// swap is a move of the local search: groups that change sides, and the objective after it.
type swap struct {
	groups []int
	f      float64
}

// lowestForBest is the swap of the size groups of the support with the lowest scores for as many
// that gain most when these have left, of each class as many as have left it.
func (t *tableau) lowestForBest(size int) swap {
	out := t.ranked(t.side(true))[:size]
	d, ok := t.without(out...)
	if !ok {
		return swap{f: t.f}
	}
	outside := append(t.side(false), out...)
	gains := d.gains(outside)
	slices.SortFunc(outside, byScore(gains))
	room := make([]int, t.classes())
	for _, g := range out {
		room[t.classOf(g)]++
	}
	slices.Reverse(outside)
	in := t.first(outside, size, room)
	slices.Reverse(in)
	x := swap{f: t.f}
	for _, g := range slices.Concat(out, in) {
		if slices.Contains(out, g) != slices.Contains(in, g) {
			x.groups = append(x.groups, g)
		}
	}
	if len(x.groups) > 0 {
		x.f += d.cost - d.gain(in...)
	}
	return x
}

// bestSwap is the best of all swaps of a group inside for one of its class outside.
func (t *tableau) bestSwap() swap {
	best := swap{f: t.f}
	outside := t.side(false)
	for _, out := range t.side(true) {
		if t.ctx.Err() != nil {
			break
		}
		d, _ := t.without(out) // a redundant group leaves everything as it is
		gains := d.gains(outside)
		for _, in := range outside {
			if f := t.f + d.cost - gains[in]; f < best.f && t.classOf(in) == t.classOf(out) {
				best = swap{[]int{out, in}, f}
			}
		}
	}
	return best
}

// departure is a tableau t as it would be if channels P had left the support, of which only what
// is asked for is computed: of its blocks outside the support, with A_PP = UᵀU,
//
//	C ← C + yᵀ·y           y = U⁻ᵀ·B
//	M ← M + yᵀ·u + uᵀ·y    u = U⁻ᵀ·M_P· + ½·U⁻ᵀ·M_PP·U⁻¹·y
//
// For the channels P themselves, which are outside then, the same holds with y = U⁻ᵀ and with zeros
// for what the tableau has in their rows and columns.
type departure struct {
	*tableau
	first  []int // by group: its first column in y and u; -1 for groups inside
	left   []bool
	yu, uy matrix.Dense // [2·|P|, channels outside], y above u, and u above y
	cost   float64      // what the objective rises by
}

// without is t after groups have left its support. It is not ok, and then everything is as it was,
// if they are redundant.
func (t *tableau) without(groups ...int) (d departure, ok bool) {
	d = departure{tableau: t, first: make([]int, t.groups()), left: make([]bool, t.groups())}
	for _, g := range groups {
		d.left[g] = true
	}
	var columns []int // channels
	for g := range d.first {
		d.first[g] = -1
		if !t.in[g] || d.left[g] {
			d.first[g] = len(columns)
			columns = append(columns, t.channels([]int{g})...)
		}
	}
	channels := t.channels(groups)
	k, n := len(channels), len(columns)
	u, own := matrix.NewDense(k, k, nil), matrix.NewDense(k, k, nil)
	for a, i := range channels {
		for b, j := range channels {
			u.Row(a)[b] = -t.t[min(i, j)*t.width()+max(i, j)]
			own.Row(a)[b] = t.product(i, j)
		}
	}
	d.yu, d.uy = matrix.NewDense(2*k, n, nil), matrix.NewDense(2*k, n, nil)
	if !matrix.Cholesky(t.ctx, u) {
		return d, false
	}
	y, z := d.yu.Block(0, 0, k, n), d.uy.Block(0, 0, k, n)
	parallel.Range(n, 64, func(lo, hi int) {
		for c := lo; c < hi; c++ {
			j := columns[c]
			if d.left[j/t.group] {
				continue
			}
			for a, i := range channels {
				y.Row(a)[c] = t.t[min(i, j)*t.width()+max(i, j)]
				z.Row(a)[c] = t.product(i, j)
			}
		}
	})
	for a, i := range channels {
		y.Row(a)[d.first[i/t.group]+i%t.group] = 1
	}
	for _, m := range []matrix.Dense{y, z, own, own.T()} {
		matrix.SolveUpperTransposed(t.ctx, u, m)
	}
	for a := range k {
		d.cost += 0.5 * own.Row(a)[a]
	}
	matrix.AddProduct(t.ctx, z, own, y, 0.5)
	for a := range k {
		copy(d.yu.Row(k+a), z.Row(a))
		copy(d.uy.Row(k+a), y.Row(a))
	}
	return d, true
}

// gains is, by group, what the objective falls by when one of some groups outside comes in.
func (d departure) gains(groups []int) []float64 {
	gains := make([]float64, d.groups())
	parallel.Range(len(groups), max(1, 64/d.group), func(lo, hi int) {
		for _, g := range groups[lo:hi] {
			gains[g] = d.gain(g)
		}
	})
	return gains
}

// gain is what the objective falls by when groups that are outside come in together.
func (d departure) gain(groups ...int) float64 {
	n, size := len(groups)*d.group, d.group
	c, m := matrix.NewDense(n, n, nil), matrix.NewDense(n, n, nil)
	// the upper triangle then comes from the upper one
	groups = slices.Sorted(slices.Values(groups))
	for a, g := range groups {
		for b, h := range groups[a:] {
			if d.left[g] || d.left[h] {
				continue
			}
			for i := range size {
				copy(c.Row(a*size + i)[(a+b)*size:][:size], d.row(g*size + i)[h*size:])
				if d.products() {
					copy(m.Row(a*size + i)[(a+b)*size:][:size], d.m.Row(g*size + i)[h*size:])
				} else {
					m.Row(a)[a+b] = d.product(g, h)
				}
			}
		}
	}
	yu, uy := d.columns(d.yu, groups), d.columns(d.uy, groups)
	y := yu.Block(0, 0, yu.Rows/2, n)
	matrix.AddSymmetric(d.ctx, c, y.T(), y, 1)
	matrix.AddSymmetric(d.ctx, m, yu.T(), uy, 1)
	return d.energyOf(c, m)
}

// columns are the columns of groups of a matrix [2·|P|, channels outside].
func (d departure) columns(of matrix.Dense, groups []int) matrix.Dense {
	if len(groups) == 1 {
		return of.Block(0, d.first[groups[0]], of.Rows, d.group)
	}
	m := matrix.NewDense(of.Rows, len(groups)*d.group, nil)
	for r := range of.Rows {
		for a, g := range groups {
			copy(m.Row(r)[a*d.group:][:d.group], of.Row(r)[d.first[g]:])
		}
	}
	return m
}
