package lab

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/bytesize"
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

// suffixes are those of numbers of a unit that is read: those that tables write, and spellings of
// theirs. Per cent goes with every number,
// and what stands for a factor of bytes and operations may leave their name out: 300k.
func (u Unit) suffixes() []Prefix {
	all := slices.Clone(u.Prefixes())
	switch u {
	case Seconds:
		all = append(all, Prefix{"us", 1e-6})
	case Bytes:
		all = append(all, countPrefixes...)
		all = append(all, Prefix{"KB", 1e3}) // other spelling of kB
		for _, u := range bytesize.Units() {
			if !slices.ContainsFunc(all, func(p Prefix) bool { return p.Suffix == u.Name }) {
				all = append(all, Prefix{u.Name, u.Bytes})
			}
		}
	case BytesPerSecond, OperationsPerSecond:
		all = append(all, countPrefixes...)
	case Ratio:
		all = append(all, Prefix{"×", 1}, Prefix{"x", 1})
	}
	return slices.DeleteFunc(append(all, Prefix{"%", 0.01}), func(p Prefix) bool { return p.Suffix == "" })
}

// units lists all units.
var units = []Unit{Plain, Count, Bytes, Seconds, Rate, Fraction, Percent, Nats, Ratio, BytesPerSecond, OperationsPerSecond}

// suffixFactors are the factors of all suffixes of all units, of which none has two.
var suffixFactors = factorsOf(units)

func factorsOf(units []Unit) map[string]float64 {
	all := map[string]float64{}
	for _, u := range units {
		for _, p := range u.suffixes() {
			all[p.Suffix] = p.Factor
		}
	}
	return all
}

// IsSuffix reports whether a text is the suffix of a number of some unit, such as "ms".
func IsSuffix(text string) bool { return suffixFactors[text] != 0 }

// ParseNumber reads a number as tables write it, with any suffix of any unit: "1.5MB", "20ms",
// "3%".
func ParseNumber(text string) (float64, error) {
	x, _, err := parseNumber(text)
	return x, err
}

// ParseNumber reads a number of the unit as tables write it. A suffix of other units is an error
// that names the unit's.
func (u Unit) ParseNumber(text string) (float64, error) {
	x, suffix, err := parseNumber(text)
	if err != nil {
		return 0, err
	}
	own := u.suffixes()
	if suffix == "" || slices.ContainsFunc(own, func(p Prefix) bool { return p.Suffix == suffix }) {
		return x, nil
	}
	var names []string
	for _, p := range own {
		names = append(names, p.Suffix)
	}
	return 0, fmt.Errorf("found %q, expected a number whose unit is %s, with one of the suffixes %s, or none", text, u, strings.Join(names, ", "))
}

func parseNumber(text string) (x float64, suffix string, err error) {
	digits, factor := text, 1.0
	for s, f := range suffixFactors {
		if rest, ok := strings.CutSuffix(text, s); ok && len(s) > len(suffix) {
			digits, factor, suffix = rest, f, s
		}
	}
	x, err = strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(x) {
		return 0, "", fmt.Errorf("found %q, expected a number such as 0.5, 20ms or 1.5MB", text)
	}
	return x * factor, suffix, nil
}
