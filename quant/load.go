package quant

import (
	"slimlab/model"
	"slimlab/model/checkpoint"
)

// LoadOptions makes the weights of quantized checkpoints ones that multiply in their own format.
func LoadOptions() checkpoint.LoadOptions {
	return checkpoint.LoadOptions{
		Int8: func(q []int8, scale []float32, out, in int) (model.Weight, error) {
			return NewInt8(q, scale, out, in)
		},
		Int4: func(q []int8, scale []float32, out, in, group int, int8Activations bool) (model.Weight, error) {
			if int8Activations {
				return NewInt4A8(q, scale, out, in, group)
			}
			return NewInt4(q, scale, out, in, group)
		},
		Uint4: func(q, zero []byte, scale []float32, groupOf []int32, out, in, group int) (model.Weight, error) {
			return NewUint4(q, zero, scale, groupOf, out, in, group)
		},
		FP8: func(q []byte, scale []float32, input float32, out, in int) (model.Weight, error) {
			return NewFP8(q, scale, input, out, in)
		},
	}
}
