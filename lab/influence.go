package lab

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Influence is what each unit of a test set does to a measured value: how the value would move if
// the unit counted more, to first order. The numbers sum to 0. Their squares sum to the value's
// variance over test sets, and the squared differences of two models' numbers to that of the
// difference of the models: what both find hard cancels out. For a mean the numbers are the
// deviations ÷ n, for an AUC DeLong's placement values.
//
// Units are what is drawn independently, such as a member with all its prompts. More than MaxParts
// of them are added up in blocks of neighbours, which leaves the expected variance what it is.
type Influence struct {
	// Test names the units by content: only numbers of equal Test are of the same units.
	Test string `msgpack:"t" json:"test"`
	// Unit is what a unit is, in the plural: "members".
	Unit  string `msgpack:"u" json:"unit"`
	Units int    `msgpack:"n" json:"units"` // before blocks are made
	// float32, little-endian: a number for each unit or block
	Parts []byte `msgpack:"p" json:"parts"`
}

// MaxParts bounds the numbers behind one value: 16 KiB.
const MaxParts = 4096

// NewInfluence packs the numbers of units, in the test set's order.
func NewInfluence(test, unit string, influence []float64) Influence {
	n := len(influence)
	parts := make([]float64, min(n, MaxParts))
	for i, x := range influence {
		parts[i*len(parts)/n] += x
	}
	o := Influence{Test: test, Unit: unit, Units: n, Parts: make([]byte, 0, 4*len(parts))}
	for _, x := range parts {
		o.Parts = binary.LittleEndian.AppendUint32(o.Parts, math.Float32bits(float32(x)))
	}
	return o
}

// Values unpacks the numbers of the units or blocks.
func (o *Influence) Values() []float64 {
	parts := make([]float64, len(o.Parts)/4)
	for i := range parts {
		parts[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(o.Parts[4*i:])))
	}
	return parts
}

// Check reports what no influence is: another count of numbers, or one that is not finite.
func (o *Influence) Check() error {
	if n := len(o.Parts) / 4; len(o.Parts)%4 != 0 || n < 1 || n > MaxParts || n != min(o.Units, MaxParts) {
		return fmt.Errorf("%d bytes for %d units, expected 4 for each of at most %d", len(o.Parts), o.Units, MaxParts)
	}
	for i, x := range o.Values() {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("the number of unit %d is %v", i, x)
		}
	}
	return nil
}
