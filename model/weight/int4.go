package weight

import (
	"fmt"

	"slimlab/kernels"
)

// Int4 is a W4A16 or W4A8 weight: codes −8…7 with one scale for each group of consecutive inputs of
// an output channel; MulT rounds activations to bfloat16, or quantizes each row of them to int8 and
// sums the products of a group in int32.
type Int4 struct {
	out, in, group int
	q              []byte // [out, in/2]: two codes a byte, the even column in the low half
	scale          []float32
	packed         *kernels.PackedInt4
	activations    int // bits: 16 or 8
}

// NewInt4 makes a W4A16 weight of codes q [out, in], each −8…7, and scale [out, in/group]. in is
// even and a multiple of group. It keeps scale, not q.
func NewInt4(q []int8, scale []float32, out, in, group int) (*Int4, error) {
	if group <= 0 || group > maxSummed || in%group != 0 || in%2 != 0 {
		return nil, fmt.Errorf("int4 weight [%d, %d]: group %d, expected an even number of inputs that the group, at most %d, divides", out, in, group, maxSummed)
	}
	if len(q) != out*in || len(scale) != out*in/group {
		return nil, fmt.Errorf("int4 weight [%d, %d] in groups of %d: found %d codes and %d scales, expected %d and %d",
			out, in, group, len(q), len(scale), out*in, out*in/group)
	}
	w := &Int4{out: out, in: in, group: group, q: make([]byte, len(q)/2), scale: scale, activations: 16}
	for i, v := range q {
		if v < -8 || v > 7 {
			return nil, fmt.Errorf("int4 weight [%d, %d]: code [%d, %d] is %d, expected -8 to 7", out, in, i/in, i%in, v)
		}
		w.q[i/2] |= byte(v&15) << (4 * (i % 2))
	}
	w.packed = kernels.PackInt4(q, scale, out, in, group)
	return w, nil
}

// NewInt4A8 makes a W4A8 weight of what NewInt4 takes.
func NewInt4A8(q []int8, scale []float32, out, in, group int) (*Int4, error) {
	w, err := NewInt4(q, scale, out, in, group)
	if err != nil {
		return nil, err
	}
	w.activations = 8
	return w, nil
}

// Int4 returns the codes [out, in], unpacked anew at each call, the scales [out, in/group], which
// the caller must not write to, and the group size.
func (w *Int4) Int4() (q []int8, scale []float32, group int) {
	q = make([]int8, w.out*w.in)
	for i, b := range w.q {
		q[2*i], q[2*i+1] = int8(b<<4)>>4, int8(b)>>4
	}
	return q, w.scale, w.group
}

// Int8Activations tells W4A8 from W4A16.
func (w *Int4) Int8Activations() bool { return w.activations == 8 }

// Shape returns the number of outputs and inputs.
func (w *Int4) Shape() (out, in int) { return w.out, w.in }

// MulT computes y = x·ŵᵀ; y is [rows, out], x is [rows, in].
func (w *Int4) MulT(y, x []float32, rows int) { kernels.Run(w.Begin(y, x, rows)) }

// Begin begins MulT.
func (w *Int4) Begin(y, x []float32, rows int) kernels.Pending {
	if w.activations == 8 {
		return w.packed.BeginInt8(y, x, rows)
	}
	return w.packed.Begin(y, x, rows)
}

// Float32 returns the dequantized weight, made anew at each call.
func (w *Int4) Float32() []float32 {
	q, scale, group := w.Int4()
	return dequantize(q, scale, group)
}

// Row writes output o's dequantized weights, [in], to dst.
func (w *Int4) Row(dst []float32, o int) {
	for i := range dst[:w.in] {
		dst[i] = w.scale[o*(w.in/w.group)+i/w.group] * float32(w.code(o*w.in+i))
	}
}

// code returns code i of all.
func (w *Int4) code(i int) int8 { return int8(w.q[i/2]<<(4*(1-i%2))) >> 4 }

// Select returns the weight of some outputs alone.
func (w *Int4) Select(outputs []int32) Weight {
	groups := w.in / w.group
	var q []int8
	var scale []float32
	for _, o := range outputs {
		for i := range w.in {
			q = append(q, w.code(int(o)*w.in+i))
		}
		scale = append(scale, w.scale[int(o)*groups:(int(o)+1)*groups]...)
	}
	selected, err := NewInt4(q, scale, len(outputs), w.in, w.group)
	if err != nil {
		panic(err) // the codes were checked when w was made
	}
	selected.activations = w.activations
	return selected
}

// Bytes is half a byte a code and four a scale.
func (w *Int4) Bytes() int64 { return int64(len(w.q)) + 4*int64(len(w.scale)) }

// Format returns "w4a16-g32" or "w4a8-g32" for groups of 32.
func (w *Int4) Format() string { return fmt.Sprintf("w4a%d-g%d", w.activations, w.group) }
