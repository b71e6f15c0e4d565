package pruning

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/nearest"
)

// Method is a way to choose what to keep and what to do with its weights.
type Method string

// The methods. Magnitude keeps the groups of down_proj's and o_proj's input channels with the
// largest L2 norm.
const (
	// greedy and local search by least squares, weights re-solved
	OSSCAR      Method = "osscar"
	Magnitude   Method = "magnitude"    // weights unchanged
	MagnitudeLS Method = "magnitude-ls" // weights re-solved
	Random      Method = "random"       // drawn from the seed, weights unchanged
)

// Methods lists the names of all methods.
func Methods() []string {
	return []string{string(OSSCAR), string(Magnitude), string(MagnitudeLS), string(Random)}
}

// ParseMethod returns the method of a name.
func ParseMethod(name string) (Method, error) {
	if !slices.Contains(Methods(), name) {
		return "", fmt.Errorf("unknown method %q, expected one of %s%s", name, strings.Join(Methods(), ", "), nearest.Suggest(name, Methods()))
	}
	return Method(name), nil
}
