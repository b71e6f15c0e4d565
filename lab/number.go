package lab

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Prefix is the suffix of a scaled number and what it multiplies the number by.
type Prefix struct {
	Suffix string
	Factor float64
}

var (
	countPrefixes          = thousands("")
	bytePrefixes           = thousands("B")
	bytesPerSecondPrefixes = thousands("B/s")
	operationPrefixes      = thousands("op/s")
	secondPrefixes         = []Prefix{{"s", 1}, {"ms", 1e-3}, {"µs", 1e-6}, {"ns", 1e-9}}
)

func thousands(unit string) []Prefix {
	return []Prefix{{"T" + unit, 1e12}, {"G" + unit, 1e9}, {"M" + unit, 1e6}, {"k" + unit, 1e3}, {unit, 1}}
}

// Prefixes returns the prefixes of a unit, the largest first; none for a unit that is written
// without.
func (u Unit) Prefixes() []Prefix {
	switch u {
	case Count, Rate:
		return countPrefixes
	case Bytes:
		return bytePrefixes
	case BytesPerSecond:
		return bytesPerSecondPrefixes
	case OperationsPerSecond:
		return operationPrefixes
	case Seconds:
		return secondPrefixes
	}
	return nil
}

var suffixes = suffixesOf(countPrefixes, bytePrefixes, bytesPerSecondPrefixes, operationPrefixes, secondPrefixes)

func suffixesOf(lists ...[]Prefix) map[string]float64 {
	all := map[string]float64{"%": 0.01, "×": 1, "x": 1, "us": 1e-6}
	for _, list := range lists {
		for _, p := range list {
			if p.Suffix != "" {
				all[p.Suffix] = p.Factor
			}
		}
	}
	return all
}

// ParseNumber reads a number as tables write it, with any suffix of any unit: "1.5MB", "20ms",
// "3%".
func ParseNumber(text string) (float64, error) {
	digits, factor, longest := text, 1.0, 0
	for suffix, f := range suffixes {
		if rest, ok := strings.CutSuffix(text, suffix); ok && len(suffix) > longest {
			digits, factor, longest = rest, f, len(suffix)
		}
	}
	x, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(x) {
		return 0, fmt.Errorf("found %q, expected a number such as 0.5, 20ms or 1.5MB", text)
	}
	return x * factor, nil
}
