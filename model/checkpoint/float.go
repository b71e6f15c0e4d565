package checkpoint

import (
	"math"

	"slimlab/internal/half"
)

// bfloat16 decodes the upper half of a float32.
func bfloat16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// toBfloat16 rounds to the nearest, ties to even. NaN stays NaN.
func toBfloat16(f float32) uint16 {
	bits := math.Float32bits(f)
	if f != f {
		// a payload in the lower half alone would otherwise round to infinity
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// beyondFloat16 reports whether a finite number becomes infinite in F16.
func beyondFloat16(f float32) bool {
	return half.Bits(f)&0x7fff == 0x7c00 && !math.IsInf(float64(f), 0)
}
