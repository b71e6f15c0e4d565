package weight

import (
	"fmt"
	"math"
	"slices"

	"slimlab/kernels"
)

// Sparse is the numbers of a weight [out, in] that stand beside its codes: those of output o are
// Input[Start[o]:Start[o+1]], in ascending order, and as many of Value.
type Sparse struct {
	Out, In int
	Start   []int32 // [out+1]
	Input   []int32
	Value   []float32 // numbers of bfloat16
	// every output has those of the same inputs: whole columns
	Columns bool
}

// check reports parts that do not fit each other.
func (s *Sparse) check() error {
	if len(s.Start) != s.Out+1 || s.Start[0] != 0 || len(s.Input) != len(s.Value) || int(s.Start[s.Out]) != len(s.Value) || s.Columns && s.Out > 0 && len(s.Value)%s.Out != 0 {
		return fmt.Errorf("outliers of [%d, %d]: found %d starts, %d inputs and %d values, expected a start for each output and the end, and a value for each input", s.Out, s.In, len(s.Start), len(s.Input), len(s.Value))
	}
	for o := range s.Out {
		first, end := s.Start[o], s.Start[o+1]
		if first > end || int(end) > len(s.Input) {
			return fmt.Errorf("outliers of output %d begin at %d and end at %d, expected 0 to %d in ascending order", o, first, end, len(s.Input))
		}
		before := int32(-1)
		for k, i := range s.Input[first:end] {
			if i <= before || int(i) >= s.In {
				return fmt.Errorf("outlier %d of output %d is of input %d after %d, expected inputs below %d in ascending order", k, o, i, before, s.In)
			}
			before = i
			if v := s.Value[int(first)+k]; v-v != 0 {
				return fmt.Errorf("outlier [%d, %d] is %v, expected a finite number", o, i, v)
			}
		}
		if s.Columns && !slices.Equal(s.Input[first:end], s.Input[:s.Start[1]]) {
			return fmt.Errorf("outliers of output %d are of other inputs than those of output 0, expected whole columns", o)
		}
	}
	return nil
}

// Width is the bytes of an input's number as it is stored, and of a count of inputs.
func (s *Sparse) Width() int { return InputBytes(s.In) }

// InputBytes is what the number of one of so many inputs takes, or how many they are.
func InputBytes(in int) int {
	if in <= math.MaxUint16 {
		return 2
	}
	return 4
}

// Bytes is two a value, and for entries the number of each one's input and of each output's
// entries; for columns one number a column.
func (s *Sparse) Bytes() int64 {
	n, width := int64(len(s.Value)), int64(s.Width())
	if s.Columns {
		return 2*n + width*int64(s.Start[min(1, s.Out)])
	}
	return (2+width)*n + width*int64(s.Out)
}

// addRow adds the numbers of output o to dst [in].
func (s *Sparse) addRow(dst []float32, o int) {
	for k := s.Start[o]; k < s.Start[o+1]; k++ {
		dst[s.Input[k]] += s.Value[k]
	}
}

// selected is the numbers of some outputs.
func (s *Sparse) selected(outputs []int32) *Sparse {
	of := &Sparse{Out: len(outputs), In: s.In, Start: make([]int32, 1, len(outputs)+1), Columns: s.Columns}
	for _, o := range outputs {
		first, end := s.Start[o], s.Start[o+1]
		of.Input, of.Value = append(of.Input, s.Input[first:end]...), append(of.Value, s.Value[first:end]...)
		of.Start = append(of.Start, int32(len(of.Value)))
	}
	return of
}

// Outliers is a weight of codes to which few numbers are added: a sum of two products. Activations
// are treated as the codes want them; the numbers are multiplied with activations as they are.
type Outliers struct {
	codes  Weight
	sparse *Sparse
	beside *kernels.Sparse
}

// NewOutliers adds numbers, which it keeps, to a weight of codes. What became a Dense weight, since
// no kernel multiplies its format, stays one.
func NewOutliers(codes Weight, s *Sparse) (Weight, error) {
	if out, in := codes.Shape(); out != s.Out || in != s.In {
		return nil, fmt.Errorf("outliers of [%d, %d] beside codes of [%d, %d], expected the same shape", s.Out, s.In, out, in)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	w := newOutliers(codes, s)
	if _, ok := codes.(Quantized); !ok {
		return NewDense(w.Float32(), s.Out, s.In), nil
	}
	return w, nil
}

func newOutliers(codes Weight, s *Sparse) *Outliers {
	return &Outliers{codes, s, &kernels.Sparse{Out: s.Out, In: s.In, Start: s.Start, Input: s.Input, Value: s.Value}}
}

// Coded is the weight of the codes alone; ok is false for some of its outputs that Select took.
func (w *Outliers) Coded() (q Quantized, ok bool) {
	q, ok = w.codes.(Quantized)
	return q, ok
}

// Sparse is the numbers beside the codes. The caller must not write to them.
func (w *Outliers) Sparse() *Sparse { return w.sparse }

// Shape returns the number of outputs and inputs.
func (w *Outliers) Shape() (out, in int) { return w.codes.Shape() }

// MulT computes y = x·ŵᵀ; y is [rows, out], x is [rows, in].
func (w *Outliers) MulT(y, x []float32, rows int) { kernels.Run(w.Begin(y, x, rows)) }

// Begin begins MulT.
func (w *Outliers) Begin(y, x []float32, rows int) kernels.Pending {
	return kernels.AddSparse(w.codes.Begin(y, x, rows), w.beside, y, x, rows)
}

// Float32 returns the dequantized weight, in new memory at each call.
func (w *Outliers) Float32() []float32 {
	out, in := w.Shape()
	return collect(out, in, w.Row)
}

// Row writes output o's dequantized weights, [in], to dst.
func (w *Outliers) Row(dst []float32, o int) {
	w.codes.Row(dst, o)
	w.sparse.addRow(dst, o)
}

// Select returns the weight of some outputs alone.
func (w *Outliers) Select(outputs []int32) Weight {
	return newOutliers(w.codes.Select(outputs), w.sparse.selected(outputs))
}

// Bytes is that of the codes and of the numbers.
func (w *Outliers) Bytes() int64 { return w.codes.Bytes() + w.sparse.Bytes() }

// Format returns "w3a16-g32+outliers" for numbers beside codes of w3a16-g32.
func (w *Outliers) Format() string { return w.codes.Format() + OutliersEnding }

// OutliersEnding ends the name of a format that has numbers beside its codes.
const OutliersEnding = "+outliers"
