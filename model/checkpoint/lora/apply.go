package lora

import (
	"fmt"
	"math"

	"slimlab/kernels/parallel"
)

// Apply changes rows of a tensor of the model in place: dst holds them from row first on, in
// float32. A tensor that is no matrix is one row. One that the adapter does not change stays as it
// is.
func (a *Adapter) Apply(dst []float32, name string, first int) error {
	c := a.changes[name]
	if c == nil || len(dst) == 0 {
		return nil
	}
	shape := a.shapes[name]
	rows, width := 1, shape[len(shape)-1]
	if len(shape) == 2 {
		rows = shape[0]
	}
	n := len(dst) / width
	if len(dst)%width != 0 || first < 0 || first > rows-n {
		return fmt.Errorf("tensor %q: %d elements from row %d on, expected rows of %d from 0 to %d", name, len(dst), first, width, rows)
	}
	if c.replacement != "" {
		if err := a.replace(dst, c.replacement, first, n); err != nil {
			return err
		}
	}
	if c.bias != "" {
		return a.shift(dst, c)
	}
	if c.a == "" {
		return nil
	}
	if c.embedding {
		return a.addToEmbedding(dst, c, first, n, rows)
	}
	return a.addProduct(dst, c, first, n)
}

func (a *Adapter) replace(dst []float32, name string, first, n int) error {
	t, _ := a.files.Tensor(name)
	if len(t.Shape) != 2 {
		return a.read(dst, name)
	}
	if err := a.files.ReadRows(dst, name, first, n); err != nil {
		return err
	}
	return finite(dst, name)
}

// read reads a whole tensor of finite numbers.
func (a *Adapter) read(dst []float32, name string) error {
	if err := a.files.ReadFloat32(dst, name); err != nil {
		return err
	}
	return finite(dst, name)
}

func finite(list []float32, name string) error {
	for i, v := range list {
		if v-v != 0 {
			return fmt.Errorf("tensor %q: element %d is %v, expected a finite number", name, i, v)
		}
	}
	return nil
}

// shift adds the bias of B.
func (a *Adapter) shift(dst []float32, c *change) error {
	bias := make([]float32, len(dst))
	if err := a.read(bias, c.bias); err != nil {
		return err
	}
	for i, v := range bias {
		dst[i] += float32(c.scale * v)
	}
	return nil
}

// addProduct adds scale·B·A to n rows, and gives them their magnitudes.
func (a *Adapter) addProduct(dst []float32, c *change, first, n int) error {
	width := len(dst) / n
	down, up := make([]float32, c.rank*width), make([]float32, n*c.rank)
	if err := a.read(down, c.a); err != nil {
		return err
	}
	if err := a.replace(up, c.b, first, n); err != nil {
		return err
	}
	parallel.Range(n, 1, func(lo, hi int) {
		sum := make([]float32, width)
		for i := lo; i < hi; i++ {
			clear(sum)
			for k := range c.rank {
				accumulate(sum, up[i*c.rank+k], down[k*width:(k+1)*width])
			}
			accumulate(dst[i*width:(i+1)*width], c.scale, sum)
		}
	})
	if c.magnitude == "" {
		return nil
	}
	t, _ := a.files.Tensor(c.magnitude)
	magnitudes := make([]float32, t.Elements())
	if err := a.read(magnitudes, c.magnitude); err != nil {
		return err
	}
	for i := range n {
		if err := stretch(dst[i*width:(i+1)*width], magnitudes[first+i]); err != nil {
			return fmt.Errorf("tensor %q, row %d: %w", c.magnitude, first+i, err)
		}
	}
	return nil
}

// addToEmbedding adds scale·(B·A)ᵀ, with B [in, r] and A [r, rows], to n rows.
func (a *Adapter) addToEmbedding(dst []float32, c *change, first, n, rows int) error {
	width := len(dst) / n
	down, up := make([]float32, c.rank*rows), make([]float32, width*c.rank)
	if err := a.read(down, c.a); err != nil {
		return err
	}
	if err := a.read(up, c.b); err != nil {
		return err
	}
	parallel.Range(n, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := dst[i*width : (i+1)*width]
			for j := range row {
				var sum float32
				for k := range c.rank {
					sum += float32(up[j*c.rank+k] * down[k*rows+first+i])
				}
				row[j] += float32(c.scale * sum)
			}
		}
	})
	return nil
}

// accumulate adds f·x to y. The product is rounded first, so that no machine fuses the two.
func accumulate(y []float32, f float32, x []float32) {
	for j, v := range x[:len(y)] {
		y[j] += float32(f * v)
	}
}

// stretch scales a row to a length.
func stretch(row []float32, length float32) error {
	sum := 0.0
	for _, v := range row {
		sum += float64(v) * float64(v)
	}
	if sum == 0 {
		return fmt.Errorf("the merged row is zero, and has no direction that a magnitude of %g could stretch", length)
	}
	factor := float32(float64(length) / math.Sqrt(sum))
	for j := range row {
		row[j] *= factor
	}
	return nil
}
