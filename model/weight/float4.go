package weight

import "slimlab/kernels"

// Float4 is a weight of 4-bit floats (E2M1): MXFP4, whose groups of 32 have scales that are powers
// of two, or NVFP4, whose groups of 16 have FP8 scales and the whole weight one more. MulT rounds
// activations to bfloat16. In memory a group's scale takes four bytes.
type Float4 struct {
	packed *kernels.PackedFloat4
	scale  []float32 // as Encoding has it
	global float32
}

// buildFloat4 makes a Float4 of parts that fit each other.
func buildFloat4(e Encoding, codes []byte) (Weight, error) {
	w := &Float4{scale: e.Scale, global: e.Global}
	w.pack(e, codes)
	return w, nil
}

// pack makes the packed form, whose scales are products.
func (w *Float4) pack(e Encoding, codes []byte) {
	scale := make([]float32, len(e.Scale))
	for i := range scale {
		scale[i] = e.scale(i)
	}
	w.packed = kernels.PackFloat4(codes, scale, e.Out, e.In, e.Format.Group)
}

// Encoding is what the weight is made of. The caller must not write to it.
func (w *Float4) Encoding() Encoding {
	out, in, group := w.packed.Shape()
	e := Encoding{Format: Format{Float: true, Bits: 4, Group: group, Scales: E8M0}, Out: out, In: in, Scale: w.scale, Global: w.global}
	if w.global != 0 {
		e.Format.Scales = E4M3
	}
	return e
}

// Codes returns the codes, [out, in], in the lower halves of bytes.
func (w *Float4) Codes() []byte {
	out, in, group := w.packed.Shape()
	return collect(out, in, func(dst []byte, o int) { w.packed.Codes(dst, make([]float32, in/group), make([]int8, in), o) })
}

// Shape returns the number of outputs and inputs.
func (w *Float4) Shape() (out, in int) {
	out, in, _ = w.packed.Shape()
	return out, in
}

// MulT computes y = x·ŵᵀ; y is [rows, out], x is [rows, in].
func (w *Float4) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }

// Begin begins MulT.
func (w *Float4) Begin(y, x []float32, rows int) kernels.Pending { return w.packed.Begin(y, x, rows) }

// Float32 returns the dequantized weight, in new memory at each call.
func (w *Float4) Float32() []float32 {
	out, in := w.Shape()
	return collect(out, in, w.Row)
}

// Row writes output o's dequantized weights, [in], to dst.
func (w *Float4) Row(dst []float32, o int) { w.packed.Row(dst, o) }

// Select returns the weight of some outputs alone.
func (w *Float4) Select(outputs []int32) Weight {
	e := w.Encoding()
	groups := e.groups()
	e.Out, e.Scale = len(outputs), selected(w.scale, groups, outputs)
	scale, moved := make([]float32, groups), make([]int8, e.In)
	codes := make([]byte, e.Out*e.In)
	for i, o := range outputs {
		w.packed.Codes(codes[i*e.In:(i+1)*e.In], scale, moved, int(o))
	}
	s := &Float4{scale: e.Scale, global: w.global}
	s.pack(e, codes)
	return s
}

// Bytes is half a byte a code, one a scale and, of NVFP4, four for the whole weight.
func (w *Float4) Bytes() int64 {
	out, in := w.Shape()
	n := codeBytes(out, in, 4) + int64(len(w.scale))
	if w.global != 0 {
		n += 4
	}
	return n
}

// Format returns "mxfp4" or "nvfp4".
func (w *Float4) Format() string { return w.Encoding().Format.String() }
