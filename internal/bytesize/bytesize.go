// Package bytesize reads numbers of bytes, in all units that slimlab writes.
package bytesize

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Unit is a unit of bytes and how many it is.
type Unit struct {
	Name  string
	Bytes float64
}

// Units lists the units, the longer names first: decimal ones, which tables have, and those of
// 1024, which sizes of caches have.
func Units() []Unit {
	return []Unit{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
	}
}

// Names are the units for a sentence that says what is expected.
const Names = "B, kB, MB, GB or TB, of 1000, or KiB, MiB, GiB or TiB, of 1024"

// errNone is the error of a text that is no number of bytes.
var errNone = errors.New("expected bytes such as 300MB, with a unit: " + Names)

// MostCount is the largest number of bytes that Count reads: a PiB.
const MostCount = 1 << 50

// Count reads a whole number of bytes for memory, with a unit or without, such as "1000000",
// "512MiB", "4 GB" or "0": from 0, in any unit, to MostCount.
func Count(text string) (int64, error) {
	number, scale := text, 1.0
	for _, u := range Units() {
		if at := len(text) - len(u.Name); at >= 0 && strings.EqualFold(text[at:], u.Name) {
			number, scale = strings.TrimSpace(text[:at]), u.Bytes
			break
		}
	}
	x, err := strconv.ParseFloat(number, 64)
	switch n := x * scale; {
	case err != nil || !(x >= 0) || math.Signbit(x) || math.IsInf(x, 0) || strings.ContainsAny(number, "xXpP_"):
		return 0, errors.New("expected a number of bytes such as 1000000, 512MiB or 4GB (" + Names + ")")
	case n > 0 && n < 1:
		return 0, errors.New("expected 0, or a byte at least")
	case n > MostCount:
		return 0, errors.New("expected 1024TiB at most")
	default:
		return int64(n), nil
	}
}

// Parse reads such as "300MB", "300 kB" or "1.5GiB", in letters of either case: a finite number
// above 0. unit is that of the text, "" where it has none, which is an error.
func Parse(text string) (bytes float64, unit string, err error) {
	for _, u := range Units() {
		at := len(text) - len(u.Name)
		if at < 0 || !strings.EqualFold(text[at:], u.Name) {
			continue
		}
		number := strings.TrimSpace(text[:at])
		x, err := strconv.ParseFloat(number, 64)
		if err != nil || !(x > 0) || math.IsInf(x*u.Bytes, 0) || strings.ContainsAny(number, "xXpP_") {
			return 0, u.Name, errNone
		}
		return x * u.Bytes, u.Name, nil
	}
	return 0, "", errNone
}
