package kd

import (
	"fmt"

	"slimlab/kernels"
	"slimlab/model"
)

// CheckFinite reports the first tensor of a model with float weights that has a number which is NaN
// or infinite: nothing can be learned by such a model, nor from it. Quantized models are not looked
// at.
func CheckFinite(m *model.Model) error {
	if m.Trainable() != nil {
		return nil
	}
	for _, p := range m.Parameters() {
		if finite(kernels.SumSquares(p.Data)) {
			continue
		}
		for i, x := range p.Data {
			if !finite(float64(x)) {
				return fmt.Errorf("tensor %s has %v at element %d, expected finite numbers", p.Name, x, i)
			}
		}
	}
	return nil
}
