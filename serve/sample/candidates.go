package sample

import (
	"math"
	"math/bits"
	"slices"

	"slimlab/kernels"
)

// candidates are the tokens that may be drawn, in ascending order of their ids. Of two, the one
// with the greater weight ranks first, of equals the one with the lower id.
type candidates struct {
	ids     []int32   // nil where they are the whole vocabulary
	weights []float32 // 0 to 1, in the memory of the logits
	sums    []float32 // of each kernels.ExpBlock weights
	total   float64

	memory []int32       // of ids
	top    []Alternative // weights
}

// all makes candidates of the whole vocabulary.
func (c *candidates) all() { c.ids = nil }

// allow makes candidates of the tokens whose bits are set, and moves their logits to the front of
// all.
func (c *candidates) allow(logits []float32, allowed []uint64) []float32 {
	ids, n := c.room(len(logits)), 0
	for word := 0; 64*word < len(logits); word++ {
		for set := allowed[word]; set != 0; set &= set - 1 {
			id := 64*word + bits.TrailingZeros64(set)
			if id >= len(logits) {
				break
			}
			ids[n], logits[n] = int32(id), logits[id]
			n++
		}
	}
	c.ids = ids[:n]
	return logits[:n]
}

// room is the memory of so many ids, which holds those that there are.
func (c *candidates) room(n int) []int32 {
	if cap(c.memory) < n {
		c.memory = make([]int32, n)
	}
	return c.memory[:n]
}

// weigh gives the candidates their weights, of logits whose largest is finite.
func (c *candidates) weigh(logits []float32, largest float32, temperature float64) {
	blocks := (len(logits) + kernels.ExpBlock - 1) / kernels.ExpBlock
	if cap(c.sums) < blocks {
		c.sums = make([]float32, blocks)
	}
	c.weights, c.sums = logits, c.sums[:blocks]
	scale := float32(min(1/temperature, math.MaxFloat32))
	kernels.ExpSums(c.sums, logits, logits, largest, scale)
	c.total = 0
	for i, sum := range c.sums {
		if sum != sum {
			sum = c.dropNaN(i)
		}
		c.total += float64(sum)
	}
}

// dropNaN gives what is NaN in a block no weight and sums the block again.
func (c *candidates) dropNaN(block int) (sum float32) {
	for i := block * kernels.ExpBlock; i < min((block+1)*kernels.ExpBlock, len(c.weights)); i++ {
		if w := c.weights[i]; w != w {
			c.weights[i] = 0
		}
		sum += c.weights[i]
	}
	c.sums[block] = sum
	return sum
}

// token is the id of candidate i.
func (c *candidates) token(i int) int32 {
	if c.ids == nil {
		return int32(i)
	}
	return c.ids[i]
}

// first reports whether no candidate ranks before candidate i.
func (c *candidates) first(i int) bool {
	for j, w := range c.weights {
		if w > c.weights[i] || w == c.weights[i] && j < i {
			return false
		}
	}
	return true
}

// draw returns the candidate at u, of 0 to 1, of the total weight.
func (c *candidates) draw(u float64) int {
	left, block := u*c.total, 0
	for block < len(c.sums)-1 && left >= float64(c.sums[block]) {
		left -= float64(c.sums[block])
		block++
	}
	// Sums are rounded: where the weights of the block end before u, and where the last block has
	// none, the last candidate that has a weight is the one.
	for i := block * kernels.ExpBlock; i < min((block+1)*kernels.ExpBlock, len(c.weights)); i++ {
		if left -= float64(c.weights[i]); left < 0 {
			return i
		}
	}
	last := min((block+1)*kernels.ExpBlock, len(c.weights)) - 1
	for c.weights[last] == 0 {
		last--
	}
	return last
}

// within reports whether candidate i and those that rank after it weigh more than outside. It stops
// as soon as it knows.
func (c *candidates) within(i int, outside float64) bool {
	if float64(c.weights[i]) > outside {
		return true
	}
	weight, rest := math.Float32bits(c.weights[i]), 0.0
	for from := 0; from < len(c.weights); from += kernels.ExpBlock {
		block := c.weights[from:min(from+kernels.ExpBlock, len(c.weights))]
		// Equals rank after i from i on, so the bound is one higher there.
		at := min(max(i-from, 0), len(block))
		rest += below(block[:at], weight) + below(block[at:], weight+1)
		if rest > outside {
			return true
		}
	}
	return false
}

// below sums the weights that are less than a bound, which is given by its bits: those of floats
// that are not negative have the order of the floats.
func below(weights []float32, bound uint32) float64 {
	var a, b, c, d float32
	for ; len(weights) >= 4; weights = weights[4:] {
		a += ifBelow(weights[0], bound)
		b += ifBelow(weights[1], bound)
		c += ifBelow(weights[2], bound)
		d += ifBelow(weights[3], bound)
	}
	for _, w := range weights {
		a += ifBelow(w, bound)
	}
	return float64(a) + float64(b) + float64(c) + float64(d)
}

// ifBelow is w or 0, without a branch: branch prediction cannot learn which weights are below a
// bound.
func ifBelow(w float32, bound uint32) float32 {
	bits := math.Float32bits(w)
	return math.Float32frombits(bits & uint32(int32(bits-bound)>>31))
}

// keepBefore keeps the candidates that rank before candidate i and returns the weight of the
// others.
func (c *candidates) keepBefore(i int) (dropped float64) {
	before := c.total
	c.keep(c.weights[i], i)
	return before - c.total
}

// fewTop is how many candidates are found faster by a heap than by counting.
const fewTop = 256

// keepTop keeps the k candidates that rank first. Those without a weight are not drawn, whether
// they are kept or not.
func (c *candidates) keepTop(k int) {
	switch {
	case k >= len(c.weights):
	case k <= fewTop:
		c.keepFew(k)
	default:
		c.keepMany(k)
	}
}

// keepFew keeps the k candidates of a heap.
func (c *candidates) keepFew(k int) {
	c.top = largest(slices.Grow(c.top[:0], k)[:0:k], c.weights)
	slices.SortFunc(c.top, func(a, b Alternative) int { return int(a.ID) - int(b.ID) })
	ids := c.room(len(c.weights))
	for i, of := range c.top {
		ids[i], c.weights[i] = c.token(int(of.ID)), of.LogP
	}
	c.kept(ids[:len(c.top)])
}

// keepMany finds the least weight of the k candidates ten bits at a time, from the highest on, by
// counting.
func (c *candidates) keepMany(k int) {
	var prefix uint32 // the bits of that weight which are known
	for shift := 20; shift >= 0; shift -= 10 {
		var counts [1 << 10]int
		for _, w := range c.weights {
			if bits := math.Float32bits(w); bits>>(shift+10) == prefix {
				counts[bits>>shift&(1<<10-1)]++
			}
		}
		digit := len(counts) - 1
		for k > counts[digit] {
			k -= counts[digit]
			digit--
		}
		prefix = prefix<<10 | uint32(digit)
	}
	// Of the candidates of just that weight the first k stay.
	least, end := math.Float32frombits(prefix), 0
	for ; k > 0; end++ {
		if c.weights[end] == least {
			k--
		}
	}
	c.keep(least, end)
}

// keep keeps the candidates of more than a weight, and those of just that weight before candidate
// end.
func (c *candidates) keep(weight float32, end int) {
	ids, n := c.room(len(c.weights)), 0
	for i, w := range c.weights {
		if w > weight || w == weight && i < end && w > 0 {
			ids[n], c.weights[n] = c.token(i), w
			n++
		}
	}
	c.kept(ids[:n])
}

// kept has these ids, whose weights are the first ones, be the candidates.
func (c *candidates) kept(ids []int32) {
	c.ids, c.weights = ids, c.weights[:len(ids)]
	c.sums, c.total = c.sums[:0], 0
	for block := range slices.Chunk(c.weights, kernels.ExpBlock) {
		var sum float32
		for _, w := range block {
			sum += w
		}
		c.sums = append(c.sums, sum)
		c.total += float64(sum)
	}
}
