package lab

import (
	"math"
	"strings"
	"testing"
)

// TestParseNumber: a number with each suffix that tables write reads back as what it stands for.
func TestParseNumber(t *testing.T) {
	for text, want := range map[string]float64{
		"0.5": 0.5, "-3": -3, "1e3": 1000, "3%": 0.03, "1.5×": 1.5, "1.5x": 1.5, "20ms": 0.02, "7us": 7e-6, "7µs": 7e-6, "4ns": 4e-9, "2s": 2,
		"1.5MB": 1.5e6, "2kB": 2000, "2KB": 2000, "3KiB": 3 << 10, "3MiB": 3 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40, "9B": 9, "3GB": 3e9, "1TB": 1e12, "4k": 4000, "5M": 5e6, "2GB/s": 2e9, "6Gop/s": 6e9, "+Inf": math.Inf(1),
	} {
		if got, err := ParseNumber(text); err != nil || math.Abs(got-want) > 1e-12*math.Abs(want) {
			t.Errorf("%q: %v, %v, expected %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "NaN", "1.5Q", "two", "1 MB x", "1,5", "5MM"} {
		if got, err := ParseNumber(text); err == nil || !strings.Contains(err.Error(), "expected a number such as") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// TestNumbersHaveTheSuffixesOfTheirUnit: what a unit's tables write reads back, the suffix of
// another unit is refused with the unit's own, and no suffix means two things.
func TestNumbersHaveTheSuffixesOfTheirUnit(t *testing.T) {
	factors := map[string]float64{}
	for _, u := range units {
		own := map[string]bool{}
		for _, p := range u.suffixes() {
			own[p.Suffix] = true
			if before, ok := factors[p.Suffix]; ok && before != p.Factor {
				t.Errorf("%s is %v and %v", p.Suffix, before, p.Factor)
			}
			factors[p.Suffix] = p.Factor
			if got, err := u.ParseNumber("3" + p.Suffix); err != nil || math.Abs(got-3*p.Factor) > 1e-12*got {
				t.Errorf("%s: 3%s is %v, %v", u, p.Suffix, got, err)
			}
		}
		for suffix := range suffixFactors {
			if _, err := u.ParseNumber("3" + suffix); (err == nil) != own[suffix] || err != nil && !strings.Contains(err.Error(), "whose unit is "+u.String()) {
				t.Errorf("%s: 3%s: %v", u, suffix, err)
			}
		}
	}
}
