package model

import (
	"slices"
	"sync"
	"sync/atomic"

	"slimlab/kernels"
)

// Weight is the weight of a linear layer, [out, in], in some number format.
type Weight interface {
	// Shape returns the number of outputs and inputs.
	Shape() (out, in int)
	// MulT computes y = x·wᵀ; y is [rows, out], x is [rows, in]. Each row's bits do not depend on the other rows.
	MulT(y, x []float32, rows int)
	// Float32 returns the weight as float32, [out, in] row-major: dequantized where the format is quantized. The caller must not write to it.
	Float32() []float32
	// Bytes is what the weight takes in its format, scales included.
	Bytes() int64
	// Format names the number format, such as "float32", "w8a8", "w4a16-g32".
	Format() string
}

// Dense is a float32 weight that can be trained: Data is [out, in] row-major. Its packed form for inference is made when
// it is first multiplied and must be dropped with Changed after Data was written.
type Dense struct {
	Out, In int
	Data    []float32

	packing sync.Mutex // held while a packed form is made
	packed  atomic.Pointer[kernels.PackedFloat32]
	chosen  atomic.Pointer[chosenRows]
}

// chosenRows is the packed form of a few rows of a Dense: those that mulRows was last asked for.
type chosenRows struct {
	rows   []int32
	packed *kernels.PackedFloat32
}

// NewDense wraps data, [out, in].
func NewDense(data []float32, out, in int) *Dense { return &Dense{Out: out, In: in, Data: data} }

// Shape returns the number of outputs and inputs.
func (d *Dense) Shape() (out, in int) { return d.Out, d.In }

// MulT computes y = x·wᵀ over the packed form; y is [rows, out], x is [rows, in].
func (d *Dense) MulT(y, x []float32, rows int) {
	p := d.packed.Load()
	if p == nil {
		p = d.pack()
	}
	p.MulT(y, x, rows)
}

func (d *Dense) pack() *kernels.PackedFloat32 {
	d.packing.Lock()
	defer d.packing.Unlock()
	p := d.packed.Load()
	if p == nil {
		p = kernels.PackFloat32(d.Data, d.Out, d.In)
		d.packed.Store(p)
	}
	return p
}

// mulRows computes y = x·wᵀ for some outputs of w only; y is [rows, outputs]. Each has the bits that it has in MulT,
// as every output is accumulated in the same order. The last choice stays packed: ranking asks for the same labels each time.
func (d *Dense) mulRows(y, x []float32, rows int, outputs []int32) {
	c := d.chosen.Load()
	if c == nil || !slices.Equal(c.rows, outputs) {
		w := make([]float32, 0, len(outputs)*d.In)
		for _, o := range outputs {
			w = append(w, d.Data[int(o)*d.In:(int(o)+1)*d.In]...)
		}
		c = &chosenRows{slices.Clone(outputs), kernels.PackFloat32(w, len(outputs), d.In)}
		d.chosen.Store(c)
	}
	c.packed.MulT(y, x, rows)
}

// Float32 returns Data.
func (d *Dense) Float32() []float32 { return d.Data }

// Bytes is four a weight; the packed form is not counted.
func (d *Dense) Bytes() int64 { return int64(4 * len(d.Data)) }

// Format returns "float32".
func (d *Dense) Format() string { return "float32" }

// Changed drops the packed form.
func (d *Dense) Changed() {
	d.packed.Store(nil)
	d.chosen.Store(nil)
}

// Linear is a weight with an optional bias [out].
type Linear struct {
	Weight Weight
	Bias   []float32 // nil where there is none
}

// mulT computes y = x·wᵀ + bias.
func (l *Linear) mulT(y, x []float32, rows int) {
	l.Weight.MulT(y, x, rows)
	if l.Bias != nil {
		kernels.AddRow(y, l.Bias, rows, len(l.Bias))
	}
}
