package checkpoint

import (
	"fmt"
	"io"

	"slimlab/model/checkpoint/safetensors"
)

// Floats is a float tensor for a Writer, with its elements converted some rows at a time.
func (c *Checkpoint) Floats(t TensorInfo, dtype DType) Tensor {
	if t.DType == dtype {
		return safetensors.NewTensor(t.Name, dtype, t.Shape, func() any {
			data, err := c.Raw(t.Name)
			if err != nil {
				return err
			}
			return data
		})
	}
	rows, width := 1, t.Elements()
	if len(t.Shape) == 2 {
		rows, width = t.Shape[0], t.Shape[1]
	}
	return safetensors.NewTensor(t.Name, dtype, t.Shape, func() any {
		return func(w io.Writer) error {
			step := max(1, pieceElements/max(1, width))
			for first := 0; first < rows; first += step {
				n := min(step, rows-first)
				part := make([]float32, n*width)
				if err := c.readRows(part, t.Name, first, n); err != nil {
					return err
				}
				if err := safetensors.NewTensor(t.Name, dtype, []int{n, width}, func() any { return part }).Encode(w); err != nil {
					return fmt.Errorf("rows %d to %d: %w", first, first+n-1, err)
				}
			}
			return nil
		}
	})
}
