package quant

import (
	"slimlab/model/checkpoint"
	"slimlab/model/weight"
)

// LoadOptions makes the weights of quantized checkpoints ones that multiply in their own format.
func LoadOptions() checkpoint.LoadOptions {
	return checkpoint.LoadOptions{
		Int8: func(q []int8, scale []float32, out, in int) (weight.Weight, error) {
			return weight.NewInt8(q, scale, out, in)
		},
		Int4: func(q []int8, scale []float32, out, in, group int, int8Activations bool) (weight.Weight, error) {
			if int8Activations {
				return weight.NewInt4A8(q, scale, out, in, group)
			}
			return weight.NewInt4(q, scale, out, in, group)
		},
		Uint4: func(q, zero []byte, scale []float32, groupOf []int32, out, in, group int) (weight.Weight, error) {
			return weight.NewUint4(q, zero, scale, groupOf, out, in, group)
		},
		FP8: func(q []byte, scale []float32, input float32, out, in int) (weight.Weight, error) {
			return weight.NewFP8(q, scale, input, out, in)
		},
	}
}
