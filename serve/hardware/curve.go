package hardware

import "math/bits"

const (
	curveExact  = 128                                      // sizes up to this one have a point each
	curveSteps  = 64                                       // points of each doubling above
	curveTop    = 16                                       // the last point is at 1<<curveTop
	curvePoints = curveExact + 1 + curveSteps*(curveTop-7) // 1<<7 is curveExact
)

// curve is a function of a number of rows, as points between which it is linear, so that a step
// looks up what would take thousands of roots and divisions. Above its last point it goes on with
// the slope of the last doubling.
type curve []float64

func newCurve(f func(rows int) float64) curve {
	c := make(curve, curvePoints)
	for rows := 1; rows <= curveExact; rows++ {
		c[rows] = f(rows)
	}
	i := curveExact + 1
	for low := curveExact; low < 1<<curveTop; low *= 2 {
		for step := 1; step <= curveSteps; step++ {
			c[i] = f(low + low/curveSteps*step)
			i++
		}
	}
	return c
}

// at returns the value at a number of rows; 0 at none.
func (c curve) at(rows int) float64 {
	if rows <= curveExact {
		return c[max(rows, 0)]
	}
	if rows >= 1<<curveTop {
		last, half := c[curvePoints-1], c[curvePoints-1-curveSteps]
		return last + (last-half)*float64(rows-1<<curveTop)/(1<<(curveTop-1))
	}
	doubling := bits.Len(uint(rows)) - 8 // above curveExact
	step := 2 << doubling                // between points
	offset := rows - curveExact<<doubling
	i := curveExact + doubling*curveSteps + offset/step
	part := float64(offset%step) / float64(step)
	return c[i] + (c[i+1]-c[i])*part
}
