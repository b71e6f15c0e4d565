package weight_test

import (
	"fmt"

	"slimlab/model/weight"
)

// Every quantized format is made of an encoding and its codes, and gives both back: what a file
// stores. A format that no kernel multiplies becomes float32.
func Example() {
	codes := make([]byte, 2*16)
	for i := range codes {
		codes[i] = byte(i % 8)
	}
	for _, f := range []weight.Format{
		{Bits: 8, Activations: weight.Token},
		{Bits: 4, Group: 8},
		{Bits: 4, Group: 8, Activations: weight.Token},
		{Bits: 4, Group: 8, ZeroPoints: true},
		{Bits: 4, Group: 8, Order: true},
		{Float: true, Bits: 8, Activations: weight.Token},
		{Float: true, Bits: 8, Activations: weight.Static},
		{Bits: 8},
		{Float: true, Bits: 8, Activations: weight.Blocks, Block: [2]int{2, 8}},
		{Bits: 8, Group: 8, ZeroPoints: true},
	} {
		e := weight.Encoding{Format: f, Out: 2, In: 16, Scale: []float32{0.5, 0.25}} // of outputs, or of two blocks
		if f.Group > 0 {
			e.Scale = []float32{0.5, 0.25, 0.125, 1}
		}
		if f.ZeroPoints {
			e.Zero = []int8{1, 0, -2, 3}
		}
		if f.Order {
			e.GroupOf = []int32{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}
		}
		if f.Activations == weight.Static {
			e.Input = 0.01
		}
		w, err := weight.New(e, codes)
		if err != nil {
			fmt.Println(err)
			return
		}
		if q, ok := w.(weight.Quantized); ok {
			fmt.Printf("%s: %d bytes, stored as %d codes and %d scales\n", w.Format(), w.Bytes(), len(q.Codes()), len(q.Encoding().Scale))
		} else {
			fmt.Printf("%s becomes %s: %d bytes\n", f, w.Format(), w.Bytes())
		}
	}
	// Output:
	// w8a8: 40 bytes, stored as 32 codes and 2 scales
	// w4a16-g8: 32 bytes, stored as 32 codes and 4 scales
	// w4a8-g8: 32 bytes, stored as 32 codes and 4 scales
	// w4a16-g8-zero: 34 bytes, stored as 32 codes and 4 scales
	// w4a16-g8-order: 96 bytes, stored as 32 codes and 4 scales
	// fp8-dynamic: 40 bytes, stored as 32 codes and 2 scales
	// fp8-static: 40 bytes, stored as 32 codes and 2 scales
	// w8a16: 40 bytes, stored as 32 codes and 2 scales
	// fp8-b2x8: 40 bytes, stored as 32 codes and 2 scales
	// w8a16-g8-zero becomes float32: 128 bytes
}
