package kernels_test

import (
	"fmt"

	"slimlab/kernels"
)

// A weight is packed once and multiplied with any number of rows.
func ExamplePackFloat32() {
	const out, in = 2, 3
	w := kernels.PackFloat32([]float32{
		1, 0, 2,
		0, 3, 1,
	}, out, in)
	x := []float32{
		1, 1, 1,
		2, 0, -1,
	}
	y := make([]float32, 2*out)
	w.MulT(y, x, 2)
	fmt.Println(y)
	// Output: [3 4 0 -1]
}

// Products that read the same rows run as one parallel region.
func ExampleRun() {
	x := []float32{127, -64, 32, 0}
	gate := kernels.PackInt8([]int8{1, 2, 3, 4}, []float32{0.5}, 1, 4)
	up := kernels.PackBFloat16([]uint16{0x3f80, 0x3f80, 0, 0}, 1, 4) // ones
	a, b := make([]float32, 1), make([]float32, 1)
	kernels.Run(gate.Begin(a, x, 1), up.Begin(b, x, 1))
	fmt.Println(a, b)
	// Output: [47.5] [63]
}
