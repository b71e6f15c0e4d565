package kernels

import (
	"fmt"

	"slimlab/kernels/parallel"
)

// A training step multiplies with each weight twice for each pass of tokens and with each
// activation and gradient up to four times. So a weight is laid out once a step, and an activation
// once for all its readers: TrainedWeight and Operand. Every product is one chain of the same
// blocks as the function of its name (MatMulT, MatMul, MatTMul) in float32 has, and gives the same
// bits.

// TrainedWeight is a float32 weight [out, in] as training products read it: in a precision, in the
// order of each of its two products.
type TrainedWeight struct {
	Out, In   int
	precision Precision
	forward   panels // of outputs, the chain along the inputs
	backward  panels // of inputs, the chain along the outputs

	data []float32      // what Pack lays out
	pack func(task int) // bound once
}

// NewTrainedWeight makes room for a weight; Pack fills it.
func NewTrainedWeight(out, in int, precision Precision) *TrainedWeight {
	elements := precision.panels(&active.Load().gemm).elements
	w := &TrainedWeight{Out: out, In: in, precision: precision, forward: newPanels(out, in, elements), backward: newPanels(in, out, elements)}
	w.pack = w.packOutputs
	return w
}

// Pack lays data, [out, in] row-major, out. It does not keep it.
func (w *TrainedWeight) Pack(data []float32) {
	checkLen("TrainedWeight.Pack", data, w.Out*w.In)
	w.data = data
	parallel.For(panelsOf(w.Out), w.pack)
	w.data = nil
}

// packOutputs lays the 16 outputs of one forward panel out in both orders, while they are in the
// cache.
func (w *TrainedWeight) packOutputs(j int) {
	g := w.precision.panels(&active.Load().gemm)
	w.forward.packColumns(g, j, w.data, w.In)
	elements := w.backward.elements
	word := j * panelWidth / elements
	w.backward.packRows(g, w.data[j*panelWidth*w.In:], w.In, word, min(panelWidth/elements, w.backward.words-word))
}

// Begin begins y = x·wᵀ; y is [rows, out], x holds rows [rows, in].
func (w *TrainedWeight) Begin(y []float32, x *Operand) Pending {
	checkLen("TrainedWeight.Begin y", y, x.rows*w.Out)
	return x.begin(y, &w.forward, w.precision, false)
}

// BeginInput begins dx = dy·w, or dx += dy·w; dx is [rows, in], dy holds rows [rows, out].
func (w *TrainedWeight) BeginInput(dx []float32, dy *Operand, accumulate bool) Pending {
	checkLen("TrainedWeight.BeginInput dx", dx, dy.rows*w.In)
	return dy.begin(dx, &w.backward, w.precision, accumulate)
}

// BeginGradient begins dw += dyᵀ·x; dw is [out, in], dy holds the left side of [rows, out] and x
// the right side of [rows, in].
func BeginGradient(dw []float32, dy, x *Operand) Pending {
	checkLen("BeginGradient dw", dw, dy.columns*x.columns)
	if !dy.forms.has(LeftSide) || !x.forms.has(RightSide) || dy.rows != x.rows || dy.precision != x.precision {
		panic(fmt.Sprintf("kernels: BeginGradient of %v and %v", dy, x))
	}
	if dy.columns == 0 || x.columns == 0 || dy.rows == 0 {
		return nothing{}
	}
	c := freePanelsCalls.Get()
	c.gemm, c.kernels = dy.gemm, dy.kernels
	c.w, c.left, c.y, c.rows, c.accumulate = &x.right, &dy.left, dw, dy.columns, true
	c.size = dy.columns * x.columns * x.right.words
	c.divide()
	return c
}

// Forms are the ways in which an Operand is laid out.
type Forms int

// The forms of an operand [rows, columns].
const (
	Rows      Forms = 1 << iota // as x of y = x·wᵀ and dy of dx = dy·w
	LeftSide                    // as dy of dw = dyᵀ·x
	RightSide                   // as x of dw = dyᵀ·x
)

func (f Forms) has(form Forms) bool { return f&form != 0 }

// Operand is activations or gradients [rows, columns], rounded to a precision and laid out once for
// all products that read them. The zero Operand is ready for Lay; its memory is kept from one Lay
// to the next.
type Operand struct {
	precision     Precision
	forms         Forms
	rows, columns int
	gemm          *gemmKernels
	kernels       *panelKernels

	x       []float32
	a       []float32 // rows of words, aRow words apart
	aRow    int
	inPlace bool      // a is x
	buffer  []float32 // kept for a

	// The chain runs along the rows of x. left has as panels the strips of columns that a kernel
	// takes at once.
	left, right panels

	block func(block int) // bound once: a method value would be allocated in each call
}

func (o *Operand) String() string {
	return fmt.Sprintf("operand [%d, %d] in %v with forms %b", o.rows, o.columns, o.precision, o.forms)
}

// blockRows is how many rows are laid out at once: their cache lines are in the second cache when
// the next form, or the next panel, asks for them.
const blockRows = 32

// Lay lays x, [rows, columns], out. With the form Rows the operand may refer to x, which must stay
// as it is until the products are done.
func (o *Operand) Lay(x []float32, rows, columns int, precision Precision, forms Forms) {
	checkLen("Operand.Lay", x, rows*columns)
	o.lay(x, rows, columns, precision, forms, 1)
}

// lay is Lay for products with a weight of so many elements in a word, which may be more than this
// CPU's kernels have.
func (o *Operand) lay(x []float32, rows, columns int, precision Precision, forms Forms, elements int) {
	o.precision, o.forms, o.rows, o.columns, o.x = precision, forms, rows, columns, x
	o.gemm = &active.Load().gemm
	o.kernels = precision.panels(o.gemm)
	if forms.has(Rows) {
		o.shapeRows(elements)
	}
	if forms.has(LeftSide) {
		o.left.shape(columns, rows, o.kernels.elements, o.kernels.height)
	}
	if forms.has(RightSide) {
		o.right.shape(columns, rows, o.kernels.elements, panelWidth)
	}
	if forms == Rows && o.inPlace {
		return
	}
	if o.block == nil {
		o.block = o.layBlock
	}
	blocks := (rows + blockRows - 1) / blockRows
	if rows*columns < serialWork/16 {
		for i := range blocks {
			o.layBlock(i)
		}
	} else {
		parallel.For(blocks, o.block)
	}
}

// shapeRows decides on a and its stride.
func (o *Operand) shapeRows(elements int) {
	// rows a power of two apart fall into few sets of the first cache
	o.inPlace = o.kernels.inPlace && (o.columns%256 != 0 || o.rows < 4)
	if o.inPlace {
		o.a, o.aRow = o.x, o.columns
		return
	}
	elements = max(elements, o.kernels.elements)
	words := (o.columns + elements - 1) / elements * (elements / o.kernels.elements)
	lines := (words + 15) / 16
	o.aRow = (lines | 1) * 16 // an odd number of cache lines
	grow(&o.buffer, o.rows*o.aRow)
	o.a = o.buffer
}

func (o *Operand) layBlock(block int) {
	lo, hi := block*blockRows, min((block+1)*blockRows, o.rows)
	if o.forms.has(Rows) && !o.inPlace {
		o.roundRows(lo, hi)
	}
	word, words := lo/o.kernels.elements, (hi-lo+o.kernels.elements-1)/o.kernels.elements
	if o.forms.has(LeftSide) {
		o.left.packRows(o.kernels, o.x[lo*o.columns:], o.columns, word, words)
	}
	if o.forms.has(RightSide) {
		o.right.packRows(o.kernels, o.x[lo*o.columns:], o.columns, word, words)
	}
}

// roundRows fills rows lo to hi of a.
func (o *Operand) roundRows(lo, hi int) {
	for r := lo; r < hi; r++ {
		dst, src := o.a[r*o.aRow:(r+1)*o.aRow], o.x[r*o.columns:(r+1)*o.columns]
		switch {
		case o.kernels.inPlace:
			copy(dst, src)
		case o.kernels.elements == 2:
			pairs := halves(dst)
			o.gemm.roundBFloat16(pairs[:o.columns], src)
			clear(pairs[o.columns:])
		default:
			copy(dst, src)
			o.gemm.roundFloats(dst[:o.columns])
			clear(dst[o.columns:])
		}
	}
}

// begin begins y = o·wᵀ, or y += o·wᵀ.
func (o *Operand) begin(y []float32, w *panels, precision Precision, accumulate bool) Pending {
	if !o.forms.has(Rows) || o.columns != w.in || o.precision != precision {
		panic(fmt.Sprintf("kernels: product of %v with a weight [%d, %d] in %v", o, w.out, w.in, precision))
	}
	if w.in == 0 && accumulate || trivial(y, o.rows, w.out, w.in) {
		return nothing{}
	}
	c := freePanelsCalls.Get()
	c.gemm, c.kernels = o.gemm, o.kernels
	c.w, c.a, c.aRow, c.y, c.rows, c.accumulate = w, o.a, o.aRow, y, o.rows, accumulate
	c.size = (o.rows + 8) * w.out * w.words
	c.divide()
	return c
}
