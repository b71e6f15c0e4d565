package kernels

import "math"

// Argmax returns the index of the largest of x, the lowest of equals, on the calling goroutine
// alone. NaN is passed over, which the CPU's vector maximum does not promise. It returns -1 where
// nothing is above -Inf.
func Argmax(x []float32) int {
	best, largest, at := -1, float32(math.Inf(-1)), 0
	// Eight at a time: hardly any group has one that is larger than all before.
	for ; at+8 <= len(x); at += 8 {
		g := (*[8]float32)(x[at:])
		if g[0] > largest || g[1] > largest || g[2] > largest || g[3] > largest || g[4] > largest || g[5] > largest || g[6] > largest || g[7] > largest {
			for i, v := range g {
				if v > largest {
					best, largest = at+i, v
				}
			}
		}
	}
	for i, v := range x[at:] {
		if v > largest {
			best, largest = at+i, v
		}
	}
	return best
}

// ExpBlock is the number of elements that one sum of ExpSums covers.
const ExpBlock = lossBlock

// ExpSums computes y = e^((x − shift)·scale), element by element, and the sum of each ExpBlock
// elements of y, on the calling goroutine alone. y may be x. sums has an element for each block,
// the last of which may be short.
func ExpSums(sums, y, x []float32, shift, scale float32) {
	checkLen("ExpSums y", y, len(x))
	checkLen("ExpSums sums", sums, (len(x)+ExpBlock-1)/ExpBlock)
	rk := &active.Load().rows
	for i := range sums {
		from, to := i*ExpBlock, min((i+1)*ExpBlock, len(x))
		rk.shiftScale(y[from:to], x[from:to], shift, scale)
		sums[i] = rk.expSum(y[from:to], y[from:to], 1, 0)
	}
}
