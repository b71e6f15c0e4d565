package kernels

import (
	"fmt"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// A training step multiplies with each weight twice for each pass of tokens and with each
// activation and gradient up to four times. So a weight is packed once a step, and an activation
// once for all its readers: TrainedWeight and Operand. Every product is the chain of a packed
// weight of its precision, with the same blocks, and gives the same bits.

// TrainedWeight is a float32 weight [out, in] as training products read it: in a precision, in the
// order of each of its two products.
type TrainedWeight struct {
	Out, In   int
	precision Precision
	products  *productKernels
	forward   panels // of outputs, the chain along the inputs
	backward  panels // of inputs, the chain along the outputs

	data []float32      // the argument of Pack
	pack func(task int) // bound once
}

// NewTrainedWeight makes room for a weight; Pack fills it.
func NewTrainedWeight(out, in int, precision Precision) *TrainedWeight {
	g := &active.Load().products
	elements := precision.kernels(g).elements
	w := &TrainedWeight{
		Out: out, In: in, precision: precision, products: g,
		forward: newPanels(g, precision, out, in, elements), backward: newPanels(g, precision, in, out, elements),
	}
	w.pack = w.packOutputs
	return w
}

// Pack packs data, [out, in] row-major. It does not keep it.
func (w *TrainedWeight) Pack(data []float32) {
	checkLen("TrainedWeight.Pack", data, w.Out*w.In)
	w.data = data
	parallel.For(w.forward.count, w.pack)
	w.data = nil
}

// packOutputs packs the outputs of one forward panel in both orders, while they are in the cache.
func (w *TrainedWeight) packOutputs(j int) {
	f := w.precision.kernels(w.products)
	w.forward.packAlong(f, j, w.data, w.In)
	width, elements := w.forward.width, w.backward.elements
	word := j * width / elements
	w.backward.packAcross(f, w.data[j*width*w.In:], w.In, word, min(width/elements, w.backward.words-word))
}

// Begin begins y = x·wᵀ; y is [rows, out], x holds rows [rows, in].
func (w *TrainedWeight) Begin(y []float32, x *Operand) Pending {
	checkLen("TrainedWeight.Begin y", y, x.rows*w.Out)
	return x.begin(y, &w.forward, w.precision, false)
}

// BeginInput begins dx = dy·w; dx is [rows, in], dy holds rows [rows, out].
func (w *TrainedWeight) BeginInput(dx []float32, dy *Operand) Pending {
	checkLen("TrainedWeight.BeginInput dx", dx, dy.rows*w.In)
	return dy.begin(dx, &w.backward, w.precision, false)
}

// BeginInputAdd begins dx += dy·w.
func (w *TrainedWeight) BeginInputAdd(dx []float32, dy *Operand) Pending {
	checkLen("TrainedWeight.BeginInputAdd dx", dx, dy.rows*w.In)
	return dy.begin(dx, &w.backward, w.precision, true)
}

// BeginGradient begins dw += dyᵀ·x; dw is [out, in], dy holds the left side of [rows, out] and x
// the right side of [rows, in].
func BeginGradient(dw []float32, dy, x *Operand) Pending {
	checkLen("BeginGradient dw", dw, dy.columns*x.columns)
	if !dy.forms.has(LeftSide) || !x.forms.has(RightSide) || dy.rows != x.rows || dy.precision != x.precision || dy.products != x.products {
		panic(fmt.Sprintf("kernels: BeginGradient of %v and %v", dy, x))
	}
	if dy.columns == 0 || x.columns == 0 || dy.rows == 0 {
		return empty{}
	}
	c := freeFloatCalls.Get()
	c.begin(dy.products, dy.kernels, &x.right, &dy.across, dw)
	c.accumulate = true
	c.divide()
	return c
}

var freeOperands = memory.NewFreeList(16, func() *Operand { return new(Operand) })

// AddGram adds the upper triangle of xᵀ·x to g, [width, width] from x [rows, width] in a precision.
// Below the diagonal some elements are changed and some are not.
func AddGram(g, x []float32, rows, width int, precision Precision) {
	checkLen("AddGram g", g, width*width)
	checkLen("AddGram x", x, rows*width)
	if rows == 0 || width == 0 {
		return
	}
	o := freeOperands.Get()
	o.Pack(x, rows, width, precision, LeftSide|RightSide)
	c := freeFloatCalls.Get()
	c.begin(o.products, o.kernels, &o.right, &o.across, g)
	c.accumulate, c.upper = true, true
	c.divide()
	Run(c)
	o.x = nil
	freeOperands.Put(o)
}

// AddCrossGram adds xᵀ·y to g, [width, width] from x and y [rows, width] in a precision.
func AddCrossGram(g, x, y []float32, rows, width int, precision Precision) {
	checkLen("AddCrossGram g", g, width*width)
	checkLen("AddCrossGram x", x, rows*width)
	checkLen("AddCrossGram y", y, rows*width)
	if rows == 0 || width == 0 {
		return
	}
	left, right := freeOperands.Get(), freeOperands.Get()
	left.Pack(x, rows, width, precision, LeftSide)
	right.Pack(y, rows, width, precision, RightSide)
	Run(BeginGradient(g, left, right))
	left.x, right.x = nil, nil
	freeOperands.Put(left)
	freeOperands.Put(right)
}
