package checkpoint

import (
	"math"

	"slimlab/internal/half"
)

// beyondFloat16 reports whether a finite number becomes infinite in F16.
func beyondFloat16(f float32) bool {
	return half.ToFloat16(f)&0x7fff == 0x7c00 && !math.IsInf(float64(f), 0)
}
