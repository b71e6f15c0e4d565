package kd

import (
	"math"
	"strings"
	"testing"
)

// TestCheckFinite names the tensor, the number and its place; large numbers are finite.
func TestCheckFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1)), math.MaxFloat32} {
		m := tinyModel(t, tinyConfig(61, 8), 9)
		if err := CheckFinite(m); err != nil {
			t.Fatal(err)
		}
		p := m.Parameters()[3]
		p.Data[5] = bad
		err := CheckFinite(m)
		if large := bad == math.MaxFloat32; large != (err == nil) || err != nil && !strings.Contains(err.Error(), "tensor "+p.Name+" has ") || err != nil && !strings.Contains(err.Error(), "at element 5") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
