package pruning

import "slices"

// CurvePoint is one width of a layer and what it costs.
type CurvePoint struct {
	Kept int `json:"kept"` // units
	// relative to the layer's squared output, with the damped H and weights re-solved
	Error float64 `json:"error"`
}

// curvePoints bounds the points of a report's curve, whose ends are beside them.
const curvePoints = 64

// errorsOf are the relative errors of objectives at the optimum of their supports.
func (q *problem) errorsOf(objectives []float64) []float64 {
	errors := make([]float64, len(objectives))
	for i, f := range objectives {
		if total := q.total + q.constant; total > 0 {
			errors[i] = max(0, (q.total+2*f)/total)
		}
	}
	return errors
}

// curve is the relative error of every width down to least groups, by greedy removal of one group
// after another: after 0, 1, … of them. The supports are nested, so that one factorisation gives
// all. It has no classes of groups.
func (q *problem) curve(least int) ([]float64, error) {
	t, err := q.fullTableau()
	if err != nil {
		return nil, err
	}
	t.removeLowest(q.groups()-least, 1)
	return q.errorsOf(t.path), q.ctx.Err()
}

// thinned are the points of a curve of n groups that a report keeps: the multiples of a step, and
// both ends; the widest first.
func thinned(errors []float64, n int) []CurvePoint {
	step := (len(errors) + curvePoints - 1) / curvePoints
	var points []CurvePoint
	for removed, e := range errors {
		if kept := n - removed; kept%step == 0 || removed == 0 || removed == len(errors)-1 {
			points = append(points, CurvePoint{kept, e})
		}
	}
	return slices.Clip(points)
}
