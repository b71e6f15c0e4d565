package pruning

import (
	"math"
	"strings"

	"slimlab/internal/nearest"
)

// Method is a way to choose what to keep and what to do with its weights.
type Method string

// The methods. Those with a score keep the units whose score is largest: w are the elements of the
// unit's columns of down_proj or o_proj, x the activation that w multiplies, g the gradient of the
// calibration text's mean cross-entropy with respect to w. They leave the weights that stay
// unchanged; with the ending LS these are re-solved by least squares.
const (
	OSSCAR         Method = "osscar"          // greedy and local search, weights re-solved
	NormActivation Method = "norm-activation" // Σ w²·E[x²]
	WandaSP        Method = "wanda-sp"        // Σ |w|·√E[x²]
	Activation     Method = "activation"      // Σ E[x²] over the unit's channels
	Taylor         Method = "taylor"          // |Σ w·g|
	FLAP           Method = "flap"            // Σ w²·Var(x); what is removed adds its mean to the bias
	MagnitudeL1    Method = "magnitude-l1"    // Σ |w|
	MagnitudeL2    Method = "magnitude-l2"    // Σ w²
	Magnitude      Method = "magnitude"       // the earlier name of MagnitudeL2
	Random         Method = "random"          // drawn from the seed
)

// LS is the ending of a method that re-solves the weights that stay by least squares.
const LS = "-ls"

// Methods lists the names of all methods.
func Methods() []string {
	names := []string{string(OSSCAR)}
	for _, m := range []Method{NormActivation, WandaSP, Activation, FLAP, Taylor, MagnitudeL1, MagnitudeL2, Magnitude, Random} {
		names = append(names, string(m), string(m)+LS)
	}
	return names
}

// ParseMethod returns the method of a name.
func ParseMethod(name string) (Method, error) {
	if err := nearest.Check("method", name, Methods()); err != nil {
		return "", err
	}
	return Method(name), nil
}

// Starts says where OSSCAR's local search begins.
type Starts string

// The starts.
const (
	// from greedy removal and from the support of magnitude, whichever ends better: OSSCAR is then
	// never above magnitude with least squares
	BothStarts  Starts = ""
	GreedyStart Starts = "greedy" // from greedy removal alone
)

// Updates reports whether the method changes the weights that stay.
func (m Method) Updates() bool { return m == OSSCAR || strings.HasSuffix(string(m), LS) }

// Choice is the method without its update of weights: all of the same Choice keep the same units.
func (m Method) Choice() Method { return Method(strings.TrimSuffix(string(m), LS)) }

// Reads reports whether the method needs statistics of the inputs: others choose by the weights or
// the seed alone, and can be measured on a calibration text.
func (m Method) Reads() bool {
	switch m {
	case Random, Magnitude, MagnitudeL1, MagnitudeL2:
		return false
	}
	return true
}

// Draws reports whether the seed decides what stays.
func (m Method) Draws() bool { return m.Choice() == Random }

// Differentiates reports whether the method needs the gradients of the whole model.
func (m Method) Differentiates() bool { return m.Choice() == Taylor }

// term is what the weight of input channel i and output o adds to the score of its unit, whose
// score is the magnitude of the sum.
type term func(q *problem, i, o int) float64

// term is that of a method with a score.
func (m Method) term() term {
	switch m.Choice() {
	case NormActivation:
		return squaredOutput
	case WandaSP:
		return absoluteOutput
	case Activation:
		return power
	case FLAP:
		return fluctuation
	case Taylor:
		return firstOrder
	case MagnitudeL1:
		return absolute
	}
	return squared
}

func absolute(q *problem, i, o int) float64 { return math.Abs(q.w.Row(i)[o]) }

func squared(q *problem, i, o int) float64 {
	v := q.w.Row(i)[o]
	return v * v
}

// squaredOutput is the mean square of what the weight adds to its output: summed over a unit, all
// that removing the unit changes where channels are uncorrelated.
func squaredOutput(q *problem, i, o int) float64 {
	v := q.w.Row(i)[o]
	return q.power[i] * (v * v)
}

// absoluteOutput is |w|·‖x‖₂ of Wanda, but for factors that all units of a layer share: the square
// root of the number of tokens, and the mean over outputs in place of their sum.
func absoluteOutput(q *problem, i, o int) float64 {
	return math.Abs(q.w.Row(i)[o]) * math.Sqrt(q.power[i])
}

// power is the mean square of a channel, counted once.
func power(q *problem, i, o int) float64 {
	if o > 0 {
		return 0
	}
	return q.power[i]
}

// fluctuation is the variance of what the weight adds to its output.
func fluctuation(q *problem, i, o int) float64 {
	v := q.w.Row(i)[o]
	return max(0, q.power[i]-q.mean[i]*q.mean[i]) * (v * v)
}

// firstOrder is what the loss changes by, to first order, when the weight becomes zero.
func firstOrder(q *problem, i, o int) float64 {
	return q.w.Row(i)[o] * float64(q.gradient[o*q.d+i])
}
