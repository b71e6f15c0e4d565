package pruning

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/nearest"
)

// Method is a way to choose what to keep and what to do with its weights.
type Method string

// The methods. Magnitude keeps the groups of down_proj's and o_proj's input channels with the
// largest L2 norm.
const (
	// greedy and local search on the least-squares objective, weights re-solved
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

// Cut says how much of a layer's width to remove: a Ratio in [0, 1) of the width that the layer has
// now, or a Count. The zero value removes nothing.
type Cut struct {
	Ratio float64
	Count int
}

// Kept is what remains of width units called name. It is rounded up to a multiple of align, so that
// never more than asked is removed.
func (c Cut) Kept(width, align int, name string) (int, error) {
	switch {
	case c.Ratio != 0 && c.Count != 0:
		return 0, fmt.Errorf("cut of %s: found both ratio %g and count %d, expected one of them", name, c.Ratio, c.Count)
	case math.IsNaN(c.Ratio) || c.Ratio < 0 || c.Ratio >= 1:
		return 0, fmt.Errorf("cut of %s: ratio %g is outside [0, 1)", name, c.Ratio)
	case c.Count < 0:
		return 0, fmt.Errorf("cut of %s: count %d is negative", name, c.Count)
	}
	keep := width - c.Count - int(math.Round(c.Ratio*float64(width)))
	if keep < 1 {
		return 0, fmt.Errorf("cut of %s: removing %d of %d leaves none; at least 1 must stay", name, width-keep, width)
	}
	if align > 1 {
		keep = (keep + align - 1) / align * align
	}
	return min(keep, width), nil
}
