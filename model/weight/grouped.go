package weight

import "slimlab/kernels"

// Grouped is a weight of codes of 8 bits whose scales are of groups, blocks, outputs or all: W8A16,
// with activations in bfloat16, and FP8 with activations in bfloat16 (fp8-a16) or, with blocks,
// rounded to FP8 with a scale for each token and as many inputs as a block has. FP8 takes two bytes
// a weight in memory, as FP8's own type does, and each output has its block's scale.
type Grouped struct {
	grouped
	scale []float32 // as Encoding has it
}

// grouped is the product of a Grouped, or of some of its outputs, which do not fill blocks.
type grouped struct {
	packed *kernels.PackedGrouped
	format Format
}

// buildGrouped makes a Grouped of symmetric codes in plain order, else a Dense.
func buildGrouped(e Encoding, codes []byte) (Weight, error) {
	if !e.symmetric() || e.GroupOf != nil {
		return NewDense(e.decode(codes), e.Out, e.In), nil
	}
	size := max(1, e.group())
	if e.Format.Block != [2]int{} {
		size = e.Format.Block[1]
	}
	groups := ceil(e.In, size)
	scale := make([]float32, e.Out*groups)
	for i := range scale {
		scale[i] = e.Scale[e.scaleOf(i/groups, i%groups*size)]
	}
	return &Grouped{newGrouped(e.Format, codes, scale, e.Out, e.In, size), e.Scale}, nil
}

// newGrouped packs codes with a scale for each output and group.
func newGrouped(f Format, codes []byte, scale []float32, out, in, size int) grouped {
	form := kernels.GroupedInt8
	switch {
	case f.E5M2:
		form = kernels.GroupedE5M2
	case f.Float:
		form = kernels.GroupedE4M3
	}
	w := kernels.GroupedWeight{Codes: codes, Form: form, Scale: scale, Out: out, In: in, Group: size, Rounds: f.Activations == Blocks}
	return grouped{kernels.PackGrouped(w), f}
}

// Encoding is what the weight is made of. The caller must not write to it.
func (w *Grouped) Encoding() Encoding {
	return Encoding{Format: w.format, Out: w.packed.Out, In: w.packed.In, Scale: w.scale}
}

// Codes returns the codes, [out, in].
func (w *Grouped) Codes() []byte {
	return collect(w.packed.Out, w.packed.In, func(dst []byte, o int) { w.packed.Codes(dst, make([]float32, w.groups()), o) })
}

// Bytes is one byte a code and four a scale.
func (w *Grouped) Bytes() int64 {
	return int64(w.packed.Out)*int64(w.packed.In) + 4*int64(len(w.scale))
}

// groups is the number of scales of an output.
func (w *grouped) groups() int { return ceil(w.packed.In, w.packed.Group) }

// Shape returns the number of outputs and inputs.
func (w *grouped) Shape() (out, in int) { return w.packed.Out, w.packed.In }

// MulT computes y = x·ŵᵀ; y is [rows, out], x is [rows, in].
func (w *grouped) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }

// Begin begins MulT.
func (w *grouped) Begin(y, x []float32, rows int) kernels.Pending { return w.packed.Begin(y, x, rows) }

// Float32 returns the dequantized weight, in new memory at each call.
func (w *grouped) Float32() []float32 { return collect(w.packed.Out, w.packed.In, w.Row) }

// Row writes output o's dequantized weights, [in], to dst.
func (w *grouped) Row(dst []float32, o int) { w.packed.Row(dst, o) }

// Select returns the weight of some outputs alone.
func (w *grouped) Select(outputs []int32) Weight {
	in, groups := w.packed.In, w.groups()
	codes, scale := make([]byte, len(outputs)*in), make([]float32, len(outputs)*groups)
	for i, o := range outputs {
		w.packed.Codes(codes[i*in:(i+1)*in], scale[i*groups:(i+1)*groups], int(o))
	}
	s := newGrouped(w.format, codes, scale, len(outputs), in, w.packed.Group)
	return &s
}

// Bytes is one byte a code and four a scale, of which each output has its own.
func (w *grouped) Bytes() int64 {
	return int64(w.packed.Out) * (int64(w.packed.In) + 4*int64(w.groups()))
}

// Format returns "w8a16-g128", "fp8-b128x128" and others.
func (w *grouped) Format() string { return w.format.String() }
