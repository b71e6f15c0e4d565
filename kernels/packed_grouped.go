package kernels

import (
	"fmt"
	"math"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// PackedGrouped is a weight of codes of 8 bits, integers or FP8, with one scale per group of
// consecutive inputs of an output channel.
//
// Integers stay bytes in memory and become bfloat16 numbers, which have all of them, a block at a
// time while they are multiplied; FP8 is packed as bfloat16 numbers, two bytes a weight. Each
// group's products are summed by the bfloat16 kernels, and its scale multiplies the sum.
type PackedGrouped struct {
	Out, In, Group int
	form           GroupedForm
	rounds         bool
	packed         *productKernels
	width          int // outputs of a panel
	// Bundles of bundlePanels panels, each one group after another: the panels of the bundle, and
	// of each, pairs of inputs, the last of an odd group with a zero. A pair is a line of the
	// outputs' first and a line of their second codes, or a line of words of two bfloat16.
	bytes []int8
	words []float32
	scale []float32 // of each output of a bundle, by bundle and group
}

// GroupedForm is what the codes of a PackedGrouped are.
type GroupedForm int

// The forms.
const (
	GroupedInt8 GroupedForm = iota
	GroupedE4M3
	GroupedE5M2
)

// small is the format of FP8 codes.
func (f GroupedForm) small() SmallFloat {
	if f == GroupedE5M2 {
		return E5M2
	}
	return E4M3
}

// GroupedWeight is what PackGrouped packs.
type GroupedWeight struct {
	Codes          []byte // [Out, In]; of integers as int8
	Form           GroupedForm
	Scale          []float32 // [Out, ⌈In/Group⌉]
	Out, In, Group int       // the last group may be shorter
	// activations are rounded to the same FP8, with a scale for each row and group; otherwise to
	// bfloat16
	Rounds bool
}

// bundlePanels is the number of panels that lie side by side group by group, so that memory is read
// from its first byte to its last by products that take so many at once.
const bundlePanels = 8

// PackGrouped packs w. It keeps none of its slices.
func PackGrouped(w GroupedWeight) *PackedGrouped {
	if w.Group < 1 || len(w.Codes) < w.Out*w.In || len(w.Scale) < w.Out*((w.In+w.Group-1)/w.Group) || w.Rounds && w.Form == GroupedInt8 {
		panic(fmt.Sprintf("kernels: PackGrouped of %d weights and %d scales as [%d, %d] in groups of %d, activations rounded: %t", len(w.Codes), len(w.Scale), w.Out, w.In, w.Group, w.Rounds))
	}
	g := &active.Load().products
	p := &PackedGrouped{Out: w.Out, In: w.In, Group: w.Group, form: w.Form, rounds: w.Rounds, packed: g, width: g.width}
	size := p.bundles() * p.bundle()
	if p.form == GroupedInt8 {
		p.bytes = memory.Aligned[int8](2 * size)
	} else {
		p.form.small().checkNumbers("PackGrouped", w.Codes[:w.Out*w.In], w.In)
		p.words = memory.Aligned[float32](size)
	}
	p.scale = memory.Aligned[float32](p.bundles() * p.groups() * p.bundleOutputs())
	parallel.Range(w.Out, 16, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			p.pack(w, o)
		}
	})
	return p
}

// pack packs output o.
func (p *PackedGrouped) pack(w GroupedWeight, o int) {
	for g := range p.groups() {
		lo, hi := p.bounds(g)
		p.scale[p.scaleAt(o, g)] = w.Scale[o*p.groups()+g]
		for i, code := range w.Codes[o*p.In+lo : o*p.In+hi] {
			if p.form == GroupedInt8 {
				p.bytes[p.byteAt(o, g, i)] = int8(code)
				continue
			}
			at, half := p.wordAt(o, g, i)
			halves(p.words[at : at+1])[half] = toBFloat16(p.form.small().Decode(code))
		}
	}
}

func (p *PackedGrouped) groups() int        { return (p.In + p.Group - 1) / p.Group }
func (p *PackedGrouped) bundleOutputs() int { return bundlePanels * p.width }
func (p *PackedGrouped) bundles() int       { return panelsOf(p.Out, p.bundleOutputs()) }

// bounds returns the inputs of a group.
func (p *PackedGrouped) bounds(g int) (lo, hi int) { return g * p.Group, min((g+1)*p.Group, p.In) }

// pairs is the number of pairs of inputs of a group, and of those before it.
func (p *PackedGrouped) pairs(g int) (n, before int) {
	lo, hi := p.bounds(g)
	return (hi - lo + 1) / 2, g * ((p.Group + 1) / 2)
}

// bundle is the number of pairs of a bundle: of words, or half of the bytes.
func (p *PackedGrouped) bundle() int {
	n, before := p.pairs(p.groups() - 1)
	return (n + before) * p.bundleOutputs()
}

// pairAt is the place of the pair of an output that has input i of a group, where its line begins.
func (p *PackedGrouped) pairAt(o, g, i int) int {
	n, before := p.pairs(g)
	bundle, panel := o/p.bundleOutputs(), o/p.width%bundlePanels
	return bundle*p.bundle() + before*p.bundleOutputs() + (panel*n+i/2)*p.width
}

func (p *PackedGrouped) byteAt(o, g, i int) int {
	return 2*p.pairAt(o, g, i) + i%2*p.width + o%p.width
}

func (p *PackedGrouped) wordAt(o, g, i int) (at, half int) {
	return p.pairAt(o, g, i) + o%p.width, i % 2
}

// scaleAt is the place of a scale.
func (p *PackedGrouped) scaleAt(o, g int) int {
	outputs := p.bundleOutputs()
	return (o/outputs*p.groups()+g)*outputs + o%outputs
}

// Codes writes the codes of output o, [in], to dst and its scales, one a group, to scale.
func (p *PackedGrouped) Codes(dst []byte, scale []float32, o int) {
	if len(dst) < p.In || len(scale) < p.groups() || o < 0 || o >= p.Out {
		panic(fmt.Sprintf("kernels: PackedGrouped.Codes of output %d of %d, [%d] in groups of %d, into %d codes and %d scales", o, p.Out, p.In, p.Group, len(dst), len(scale)))
	}
	for g := range p.groups() {
		lo, hi := p.bounds(g)
		scale[g] = p.scale[p.scaleAt(o, g)]
		for i := range hi - lo {
			if p.form == GroupedInt8 {
				dst[lo+i] = byte(p.bytes[p.byteAt(o, g, i)])
			} else {
				dst[lo+i] = smallCodes[p.form.small()][math.Float32bits(p.number(o, g, i))>>20]
			}
		}
	}
}

// number is the value of the code of input i of a group.
func (p *PackedGrouped) number(o, g, i int) float32 {
	if p.form == GroupedInt8 {
		return float32(p.bytes[p.byteAt(o, g, i)])
	}
	at, half := p.wordAt(o, g, i)
	return fromBFloat16(halves(p.words[at : at+1])[half])
}

// Row writes output o's weights, scale·code, to dst [in].
func (p *PackedGrouped) Row(dst []float32, o int) {
	checkRow("PackedGrouped.Row", dst, o, p.Out, p.In)
	for g := range p.groups() {
		lo, hi := p.bounds(g)
		scale := p.scale[p.scaleAt(o, g)]
		for i := range hi - lo {
			dst[lo+i] = scale * p.number(o, g, i)
		}
	}
}

// MulT computes y = x·ŵᵀ with ŵ = scale·code and x rounded to bfloat16, to nearest even, or each
// group of each row to FP8. A group's products are summed in float32, its scale, or its two scales,
// multiply the sum, and the groups are added in ascending order. Each row's result is the same bits
// whatever the other rows and their number. y is [rows, out], x is [rows, in].
func (p *PackedGrouped) MulT(y, x []float32, rows int) { Run(p.Begin(y, x, rows)) }

// Begin begins MulT; of more rows than are multiplied at once all but the last are done.
func (p *PackedGrouped) Begin(y, x []float32, rows int) Pending {
	checkLen("PackedGrouped.MulT y", y, rows*p.Out)
	checkLen("PackedGrouped.MulT x", x, rows*p.In)
	for ; rows > maxRows; rows -= maxRows {
		Run(p.Begin(y, x, maxRows))
		y, x = y[maxRows*p.Out:], x[maxRows*p.In:]
	}
	if isEmpty(y, rows, p.Out, p.In) {
		return empty{}
	}
	c := freeGrouped.Get()
	c.begin(p, y, x, rows)
	return c
}
