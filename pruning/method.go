package pruning

import (
	"strings"

	"slimlab/internal/nearest"
)

// Method is a way to choose what to keep and what to do with its weights.
type Method string

// The methods. Those with a score keep the units whose score is largest: w are the elements of the
// unit's columns of down_proj or o_proj, x the activation that w multiplies. A name that ends in
// "-ls" re-solves the weights that stay by least squares; the others leave them unchanged.
const (
	OSSCAR           Method = "osscar"             // greedy and local search, weights re-solved
	NormActivation   Method = "norm-activation"    // Σ w²·E[x²]
	NormActivationLS Method = "norm-activation-ls" // Σ w²·E[x²], weights re-solved
	MagnitudeL1      Method = "magnitude-l1"       // Σ |w|
	MagnitudeL2      Method = "magnitude-l2"       // Σ w²
	Magnitude        Method = "magnitude"          // the earlier name of MagnitudeL2
	MagnitudeLS      Method = "magnitude-ls"       // Σ w², weights re-solved
	Random           Method = "random"             // drawn from the seed
)

// Methods lists the names of all methods.
func Methods() []string {
	return []string{string(OSSCAR), string(NormActivation), string(NormActivationLS), string(MagnitudeL1), string(MagnitudeL2), string(Magnitude),
		string(MagnitudeLS), string(Random)}
}

// ParseMethod returns the method of a name.
func ParseMethod(name string) (Method, error) {
	if err := nearest.Check("method", name, Methods()); err != nil {
		return "", err
	}
	return Method(name), nil
}

// solves reports whether the method solves the weights that stay anew.
func (m Method) solves() bool { return m == OSSCAR || strings.HasSuffix(string(m), "-ls") }
