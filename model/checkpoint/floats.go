package checkpoint

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"slimlab/internal/plural"
	"slimlab/kernels/parallel"
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
	return MadeFloats(t.Name, dtype, t.Shape, func(dst []float32, first, n int) error { return c.ReadRows(dst, t.Name, first, n) })
}

// MadeFloats is a float tensor for a Writer whose elements are made some rows at a time: fill
// writes n rows from row first on to dst. A tensor that is no matrix is one row. fill may be called
// for the same rows again, and then makes the same.
func MadeFloats(name string, dtype DType, shape []int, fill func(dst []float32, first, n int) error) Tensor {
	return safetensors.NewTensor(name, dtype, shape, func() any {
		return func(w io.Writer) error { return writeRows(w, dtype, shape, fill) }
	})
}

// CheckFinite is the error of a model with numbers that are NaN or infinite: what is computed from
// one is none.
func (c *Checkpoint) CheckFinite(ctx context.Context, name string) error {
	found, err := c.AllNotFinite(ctx)
	if found != "" {
		return fmt.Errorf("%s has numbers that are NaN or infinite, %s; expected finite ones: nothing can be computed with them (import copies them as they are)", name, found)
	}
	return err
}

// AllNotFinite counts the numbers of all float tensors that are NaN or infinite: "3 in all: 1 in a,
// 2 in b"; "" where all are finite.
func (c *Checkpoint) AllNotFinite(ctx context.Context) (string, error) {
	const most = 5 // tensors by name
	var places []string
	all, tensors := 0, 0
	for _, t := range c.Tensors() {
		n, err := c.NotFinite(ctx, t)
		if err != nil {
			return "", err
		}
		if n == 0 {
			continue
		}
		all, tensors = all+n, tensors+1
		if tensors <= most {
			places = append(places, fmt.Sprintf("%d in %s", n, t.Name))
		}
	}
	if tensors > most {
		places = append(places, fmt.Sprintf("the others in %s", plural.Of(tensors-most, "more tensor")))
	}
	if all == 0 {
		return "", nil
	}
	return fmt.Sprintf("%d in all: %s", all, strings.Join(places, ", ")), nil
}

// NotFinite counts the numbers of a float tensor that are NaN or infinite. Tensors of codes count
// none: the scales of theirs are checked when they are decoded.
func (c *Checkpoint) NotFinite(ctx context.Context, t TensorInfo) (int, error) {
	var count atomic.Int64
	err := c.eachPiece(ctx, t, func(part []float32) {
		parallel.Range(len(part), 1<<18, func(lo, hi int) {
			found := int64(0)
			for _, v := range part[lo:hi] {
				if v-v != 0 {
					found++
				}
			}
			count.Add(found)
		})
	})
	if err != nil {
		return 0, err
	}
	return int(count.Load()), nil
}

// Largest is the largest magnitude of the numbers of a float tensor; 0 of codes.
func (c *Checkpoint) Largest(ctx context.Context, t TensorInfo) (largest float32, err error) {
	err = c.eachPiece(ctx, t, func(part []float32) {
		for _, v := range part {
			largest = max(largest, v, -v)
		}
	})
	return largest, err
}

// eachPiece calls do with the numbers of a float tensor, some rows at a time until ctx ends; never
// for codes.
func (c *Checkpoint) eachPiece(ctx context.Context, t TensorInfo, do func(part []float32)) error {
	if t.Elements() == 0 || t.DType.Size() > 0 && t.DType != F32 && t.DType != F16 && t.DType != BF16 {
		return nil
	}
	rows, width := 1, t.Elements()
	if len(t.Shape) == 2 {
		rows, width = t.Shape[0], t.Shape[1]
	}
	step := max(1, pieceElements/width)
	part := make([]float32, min(step, rows)*width)
	for first := 0; first < rows; first += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(step, rows-first)
		if err := c.ReadRows(part[:n*width], t.Name, first, n); err != nil {
			return err
		}
		do(part[:n*width])
	}
	return nil
}

func writeRows(w io.Writer, dtype DType, shape []int, fill func(dst []float32, first, n int) error) error {
	rows, width := 1, TensorInfo{Shape: shape}.Elements()
	if len(shape) == 2 {
		rows, width = shape[0], shape[1]
	}
	step := max(1, pieceElements/max(1, width))
	for first := 0; first < rows; first += step {
		n := min(step, rows-first)
		part := make([]float32, n*width)
		if err := fill(part, first, n); err != nil {
			return err
		}
		if err := safetensors.NewTensor("", dtype, []int{n, width}, func() any { return part }).Encode(w); err != nil {
			return fmt.Errorf("rows %d to %d: %w", first, first+n-1, err)
		}
	}
	return nil
}
