package kernels

import (
	"fmt"

	"slimlab/kernels/parallel"
)

// Forms are the ways in which an Operand is packed.
type Forms int

// The forms of an operand [rows, columns].
const (
	Rows      Forms = 1 << iota // as x of y = x·wᵀ and dy of dx = dy·w
	LeftSide                    // as dy of dw = dyᵀ·x
	RightSide                   // as x of dw = dyᵀ·x
)

func (f Forms) has(form Forms) bool { return f&form != 0 }

// Operand is activations or gradients [rows, columns], rounded to a precision and packed once for
// all products that read them. The zero Operand is ready for Pack; its memory is kept from one Pack
// to the next.
type Operand struct {
	precision     Precision
	forms         Forms
	rows, columns int
	products      *productKernels
	kernels       *floatKernels

	x []float32

	along   left[float32] // the form Rows: the chain runs along the rows of x
	inPlace bool          // along is x itself
	across  left[float32] // the form LeftSide: the chain runs down the columns of x
	right   panels        // the form RightSide: the chain runs down the columns of x

	block func(block int) // bound once: each method value allocates
}

func (o *Operand) String() string {
	return fmt.Sprintf("operand [%d, %d] in %v with forms %b", o.rows, o.columns, o.precision, o.forms)
}

// blockRows is how many rows are packed at once: their cache lines are in the second cache when the
// next form, or the next panel, asks for them. It is a multiple of every layout's tiles and lines.
const blockRows = 32

// Pack packs x, [rows, columns], in the forms. With the form Rows the operand may refer to x, which
// must stay as it is until the products are done.
func (o *Operand) Pack(x []float32, rows, columns int, precision Precision, forms Forms) {
	checkLen("Operand.Pack", x, rows*columns)
	o.pack(&active.Load().products, x, rows, columns, precision, forms, 1)
}

// pack is Pack for the kernels g and a weight with elements elements in a word, which may be more
// than the kernels have.
func (o *Operand) pack(g *productKernels, x []float32, rows, columns int, precision Precision, forms Forms, elements int) {
	o.precision, o.forms, o.rows, o.columns, o.x = precision, forms, rows, columns, x
	o.products, o.kernels = g, precision.kernels(g)
	f := o.kernels
	if forms.has(Rows) {
		o.shapeAlong(elements)
	}
	if forms.has(LeftSide) {
		o.across.shape(f.leftAcross.layout, columns, f.words(rows))
	}
	if forms.has(RightSide) {
		o.right.shape(g, f, columns, rows, f.elements)
	}
	if forms == Rows && o.inPlace {
		return
	}
	if o.block == nil {
		o.block = o.packBlock
	}
	blocks := (rows + blockRows - 1) / blockRows
	if rows*columns < serialWork/16 {
		for i := range blocks {
			o.packBlock(i)
		}
	} else {
		parallel.For(blocks, o.block)
	}
}

// OperandBytes is the memory of an Operand that has packed [rows, columns] in the forms, by the
// kernels in use: their layouts pad differently.
func OperandBytes(rows, columns int, precision Precision, forms Forms) int64 {
	g := &active.Load().products
	f := precision.kernels(g)
	words := 0
	if forms.has(Rows) && !f.readsInPlace(rows, columns) {
		words += f.leftAlong.room(rows, f.words(columns))
	}
	if forms.has(LeftSide) {
		words += f.leftAcross.room(columns, f.words(rows))
	}
	if forms.has(RightSide) {
		words += panelsOf(columns, g.width) * g.width * f.words(rows)
	}
	return 4 * int64(words)
}

// words returns the words of a chain of n elements.
func (f *floatKernels) words(n int) int { return (n + f.elements - 1) / f.elements }

// readsInPlace reports whether products read [rows, columns] where it is.
func (f *floatKernels) readsInPlace(rows, columns int) bool {
	// rows a power of two apart fall into few sets of the first cache
	return f.inPlace && f.leftAlong.places == 1 && (columns%256 != 0 || rows < 4)
}

// shapeAlong makes room for the rows, or reads them where they are.
func (o *Operand) shapeAlong(elements int) {
	f := o.kernels
	o.inPlace = f.readsInPlace(o.rows, o.columns)
	if o.inPlace {
		o.along.layout, o.along.n, o.along.stride, o.along.data = f.leftAlong.layout, o.rows, o.columns, o.x
		return
	}
	elements = max(elements, f.elements)
	words := (o.columns + elements - 1) / elements * (elements / f.elements)
	o.along.shape(f.leftAlong.layout, o.rows, words)
}

// packBlock packs a block of rows in all forms.
func (o *Operand) packBlock(block int) {
	f, lo, hi := o.kernels, block*blockRows, min((block+1)*blockRows, o.rows)
	if o.forms.has(Rows) && !o.inPlace {
		o.packAlong(lo, hi)
	}
	if o.forms.has(LeftSide) {
		o.packAcross(lo, hi)
	}
	if o.forms.has(RightSide) {
		o.right.packAcross(f, o.x[lo*o.columns:], o.columns, lo/f.elements, (hi-lo+f.elements-1)/f.elements)
	}
}

func (o *Operand) packAlong(lo, hi int) {
	a, pack := &o.along, o.kernels.leftAlong.pack
	if a.places == 1 { // without the cost of bounds for each row
		dst, src := a.data[lo*a.stride:hi*a.stride], o.x[lo*o.columns:hi*o.columns]
		for ; len(dst) > 0; dst, src = dst[a.stride:], src[o.columns:] {
			pack(dst[:a.stride], src, o.columns, 1, o.columns)
		}
		return
	}
	for t := lo / a.rows; t < a.tiles(hi); t++ {
		first, last := a.bounds(t, o.rows)
		pack(a.tile(t), o.x[first*o.columns:], o.columns, last-first, o.columns)
	}
}

func (o *Operand) packAcross(lo, hi int) {
	a := &o.across
	for t := range a.tiles(o.columns) {
		first, last := a.bounds(t, o.columns)
		o.kernels.leftAcross.pack(a.from(t, lo/o.kernels.elements), o.x[lo*o.columns+first:], o.columns, last-first, hi-lo)
	}
}

// begin begins y = o·wᵀ, or y += o·wᵀ.
func (o *Operand) begin(y []float32, w *panels, precision Precision, accumulate bool) Pending {
	if !o.forms.has(Rows) || o.columns != w.in || o.precision != precision || !w.readBy(o.products, precision) {
		panic(fmt.Sprintf("kernels: product of %v with a weight [%d, %d] in %v, or packed by different implementations", o, w.out, w.in, precision))
	}
	if w.in == 0 && accumulate || isEmpty(y, o.rows, w.out, w.in) {
		return empty{}
	}
	c := freeFloatCalls.Get()
	c.begin(o.products, o.kernels, w, &o.along, y)
	c.accumulate = accumulate
	c.divide()
	return c
}
