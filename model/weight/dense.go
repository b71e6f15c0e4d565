package weight

import (
	"sync"
	"sync/atomic"

	"slimlab/kernels"
)

// Dense is a float32 weight that can be trained: Data is [out, in] row-major. Its packed form for
// inference is made when it is first multiplied and must be dropped with Changed after Data was
// written.
type Dense struct {
	Out, In int
	Data    []float32

	precision kernels.Precision // of its products
	packing   sync.Mutex        // held while the packed form is made
	packed    atomic.Pointer[multiplier]
}

// multiplier is a packed form.
type multiplier interface {
	Begin(y, x []float32, rows int) kernels.Pending
}

// NewDense wraps data, [out, in].
func NewDense(data []float32, out, in int) *Dense { return &Dense{Out: out, In: in, Data: data} }

// Shape returns the number of outputs and inputs.
func (d *Dense) Shape() (out, in int) { return d.Out, d.In }

// MultiplyIn sets what products round both operands to from now on: bfloat16 for the numbers of a
// file in bfloat16, to be multiplied as they will be there. At first it is float32.
func (d *Dense) MultiplyIn(p kernels.Precision) {
	if d.precision != p {
		d.precision = p
		d.Changed()
	}
}

// MulT computes y = x·wᵀ over the packed form; y is [rows, out], x is [rows, in].
func (d *Dense) MulT(y, x []float32, rows int) { kernels.Run(d.Begin(y, x, rows)) }

// Begin begins MulT.
func (d *Dense) Begin(y, x []float32, rows int) kernels.Pending {
	p := d.packed.Load()
	if p == nil {
		p = d.pack()
	}
	return (*p).Begin(y, x, rows)
}

func (d *Dense) pack() *multiplier {
	d.packing.Lock()
	defer d.packing.Unlock()
	p := d.packed.Load()
	if p == nil {
		p = new(multiplier)
		if d.precision == kernels.BFloat16 {
			bits := make([]uint16, d.Out*d.In)
			kernels.RoundBFloat16(bits, d.Data[:d.Out*d.In])
			*p = kernels.PackBFloat16(bits, d.Out, d.In)
		} else {
			*p = kernels.PackFloat32(d.Data, d.Out, d.In)
		}
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
func (d *Dense) Format() string { return Format{Float: true, Bits: 32}.String() }

// Changed drops the packed form.
func (d *Dense) Changed() { d.packed.Store(nil) }
