package scenario

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Weight is the weight of a name in a list such as "FM=1, other=0.5".
type Weight struct {
	Name  string
	Value float64 // above 0 and finite
}

// ParseWeights reads such a list of at least two names, as in a field with the tag ref:"weighted".
func ParseWeights(text string) ([]Weight, error) {
	var all []Weight
	for part := range strings.SplitSeq(text, ",") {
		name, number, found := strings.Cut(part, "=")
		name, number = strings.TrimSpace(name), strings.TrimSpace(number)
		value, err := strconv.ParseFloat(number, 64)
		switch {
		case !found || name == "":
			return nil, fmt.Errorf("is %q, and %q is no weight of a name: expected such as FM=1, other=0.5", text, strings.TrimSpace(part))
		case err != nil || !(value > 0) || math.IsInf(value, 0):
			return nil, fmt.Errorf("is %q, and the weight of %s is %q: expected a number above 0", text, name, number)
		case slices.ContainsFunc(all, func(w Weight) bool { return w.Name == name }):
			return nil, fmt.Errorf("is %q, and has %s twice", text, name)
		}
		all = append(all, Weight{name, value})
	}
	if len(all) < 2 {
		return nil, fmt.Errorf("is %q, expected at least two names", text)
	}
	return all, nil
}
