package model

import (
	"sync"
	"sync/atomic"

	"slimlab/kernels"
)

// Weight is the weight of a linear layer, [out, in], in some number format.
type Weight interface {
	// Shape returns the number of outputs and inputs.
	Shape() (out, in int)
	// MulT computes y = x·wᵀ; y is [rows, out], x is [rows, in]. Each row's bits do not depend on
	// the other rows.
	MulT(y, x []float32, rows int)
	// Begin begins MulT, for kernels.Run.
	Begin(y, x []float32, rows int) kernels.Pending
	// Float32 returns the weight as float32, [out, in] row-major: dequantized where the format is
	// quantized. The caller must not write to it.
	Float32() []float32
	// Select returns the weight of some outputs alone, in their order; each has the bits that it
	// has among all.
	Select(outputs []int32) Weight
	// Row writes the weights of output o, [in], dequantized, to dst: an embedding of a head that is
	// tied to it.
	Row(dst []float32, o int)
	// Bytes is what the weight takes in its format, scales included.
	Bytes() int64
	// Format names the number format, such as "float32", "w8a8", "w4a16-g32".
	Format() string
}

// Dense is a float32 weight that can be trained: Data is [out, in] row-major. Its packed form for
// inference is made when it is first multiplied and must be dropped with Changed after Data was
// written.
type Dense struct {
	Out, In int
	Data    []float32

	packing sync.Mutex // held while the packed form is made
	packed  atomic.Pointer[kernels.PackedFloat32]
}

// NewDense wraps data, [out, in].
func NewDense(data []float32, out, in int) *Dense { return &Dense{Out: out, In: in, Data: data} }

// Shape returns the number of outputs and inputs.
func (d *Dense) Shape() (out, in int) { return d.Out, d.In }

// MulT computes y = x·wᵀ over the packed form; y is [rows, out], x is [rows, in].
func (d *Dense) MulT(y, x []float32, rows int) { kernels.Run(d.Begin(y, x, rows)) }

// Begin begins MulT.
func (d *Dense) Begin(y, x []float32, rows int) kernels.Pending {
	p := d.packed.Load()
	if p == nil {
		p = d.pack()
	}
	return p.Begin(y, x, rows)
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

// Select returns the weight of some outputs alone.
func (d *Dense) Select(outputs []int32) Weight {
	w := make([]float32, len(outputs)*d.In)
	for i, o := range outputs {
		d.Row(w[i*d.In:(i+1)*d.In], int(o))
	}
	return NewDense(w, len(outputs), d.In)
}

// Row copies output o's weights to dst.
func (d *Dense) Row(dst []float32, o int) { copy(dst[:d.In], d.Data[o*d.In:(o+1)*d.In]) }

// Float32 returns Data.
func (d *Dense) Float32() []float32 { return d.Data }

// Bytes is four a weight; the packed form is not counted.
func (d *Dense) Bytes() int64 { return int64(4 * len(d.Data)) }

// Format returns "float32".
func (d *Dense) Format() string { return "float32" }

// Changed drops the packed form.
func (d *Dense) Changed() { d.packed.Store(nil) }

// Linear is a weight with an optional bias [out].
type Linear struct {
	Weight Weight
	Bias   []float32 // nil where there is none
}

// mulT computes y = x·wᵀ + bias.
func (l *Linear) mulT(y, x []float32, rows int) {
	l.Weight.MulT(y, x, rows)
	l.addBias(y, rows)
}

func (l *Linear) begin(y, x []float32, rows int) kernels.Pending { return l.Weight.Begin(y, x, rows) }

func (l *Linear) addBias(y []float32, rows int) {
	if l.Bias != nil {
		kernels.AddRow(y, l.Bias, rows, len(l.Bias))
	}
}
