package hardware

import "slimlab/internal/nearest"

// Format is the number format of the weights of a model's linear layers, and with it of their
// products.
type Format int

// The formats. Norms, the embedding and the output head are BF16 in all of them.
const (
	BF16 Format = iota
	FP8         // weights and activations in FP8, activations rounded before each product
	INT8        // W8A8: weights and activations in 8-bit integers
	INT4        // W4A16: 4-bit weights in groups, decoded before products in BF16
	formats
)

var formatNames = []string{"bf16", "fp8", "int8", "int4"}

func (f Format) String() string {
	if f < 0 || f >= formats {
		return "unknown format"
	}
	return formatNames[f]
}

// ParseFormat returns the format of a name: bf16, fp8, int8 (W8A8) or int4 (W4A16).
func ParseFormat(name string) (Format, error) {
	if err := nearest.Check("format", name, formatNames); err != nil {
		return 0, err
	}
	for f, n := range formatNames {
		if n == name {
			return Format(f), nil
		}
	}
	panic("hardware: a checked name is not in the list")
}

// bits is the size of a weight, without the scales of its group.
func (f Format) bits() float64 { return [formats]float64{16, 8, 8, 4}[f] }

// rounds reports whether activations are rounded before each product.
func (f Format) rounds() bool { return f == FP8 || f == INT8 }

// tile is the rows of a product that are computed together at least: kernels that decode weights
// are made for few rows.
func (f Format) tile() float64 {
	if f == INT4 {
		return 16
	}
	return 64
}

// groupBits is the size of the scales of a group of 128 weights, by weight: GPTQ's usual group.
func (f Format) groupBits() float64 {
	if f == INT4 {
		return 16.0 / 128
	}
	return 0
}
