package weight

import (
	"fmt"
	"slices"

	"slimlab/kernels"
)

// Uint4 is a W4A16 weight as others make it: codes 0…15, each group of inputs with a scale and a
// zero point, groups of consecutive inputs or in the order of GPTQ's act-order. A weight is (code −
// zero)·scale; MulT rounds activations to bfloat16. slimlab quantizes to none, but multiplies them
// in their size.
type Uint4 struct {
	out, in, group int
	q              []byte // [out, in/2]: two codes a byte, the even column in the low half
	zero           []byte // [out, in/group]
	scale          []float32
	groupOf        []int32 // of each input; nil is one group after another
	packed         *kernels.PackedInt4Shifted
}

// NewUint4 makes a weight of codes q [out, in], each at most 15, zero points and scales [out,
// in/group], and the group of each input, [in], nil for consecutive ones; every group has `group`
// inputs. It keeps all but q.
func NewUint4(q, zero []byte, scale []float32, groupOf []int32, out, in, group int) (*Uint4, error) {
	if group <= 0 || group > maxSummed || in%group != 0 || in%2 != 0 {
		return nil, fmt.Errorf("uint4 weight [%d, %d]: group %d, expected an even number of inputs that the group, at most %d, divides", out, in, group, maxSummed)
	}
	groups := in / group
	if len(q) != out*in || len(zero) != out*groups || len(scale) != out*groups || groupOf != nil && len(groupOf) != in {
		return nil, fmt.Errorf("uint4 weight [%d, %d] in groups of %d: found %d codes, %d zero points, %d scales and the groups of %d inputs", out, in, group, len(q), len(zero), len(scale), len(groupOf))
	}
	for i, v := range q {
		if v > 15 {
			return nil, fmt.Errorf("uint4 weight [%d, %d]: code [%d, %d] is %d, expected at most 15", out, in, i/in, i%in, v)
		}
	}
	order, err := placesOf(groupOf, groups, group)
	if err != nil {
		return nil, fmt.Errorf("uint4 weight [%d, %d]: %w", out, in, err)
	}
	w := &Uint4{out: out, in: in, group: group, q: make([]byte, len(q)/2), zero: zero, scale: scale, groupOf: groupOf}
	ordered := make([]int8, len(q))
	for o := range out {
		for place := range in {
			i := place
			if order != nil {
				i = int(order[place])
			}
			w.q[(o*in+i)/2] |= q[o*in+i] << (4 * (i % 2))
			ordered[o*in+place] = int8(q[o*in+i]) - 8
		}
	}
	var shift []float32
	if slices.ContainsFunc(zero, func(z byte) bool { return z != 8 }) {
		shift = make([]float32, len(zero))
		for i, z := range zero {
			shift[i] = float32(8-int(z)) * scale[i]
		}
	}
	w.packed = kernels.PackInt4Shifted(kernels.Int4Weight{Codes: ordered, Scale: scale, Shift: shift, Order: order, Out: out, In: in, Group: group})
	return w, nil
}

// placesOf lists the inputs group by group, nil for consecutive groups.
func placesOf(groupOf []int32, groups, group int) ([]int32, error) {
	if groupOf == nil {
		return nil, nil
	}
	order, count := make([]int32, len(groupOf)), make([]int, groups)
	for i, g := range groupOf {
		if g < 0 || int(g) >= groups || count[g] == group {
			return nil, fmt.Errorf("input %d is in group %d, expected 0 to %d with %d inputs each", i, g, groups-1, group)
		}
		order[int(g)*group+count[g]] = int32(i)
		count[g]++
	}
	return order, nil
}

// Uint4 returns the codes [out, in], unpacked anew at each call; the zero points and scales [out,
// in/group] and the group of each input, nil for consecutive ones, which the caller must not write
// to; and the group size.
func (w *Uint4) Uint4() (q, zero []byte, scale []float32, groupOf []int32, group int) {
	q = make([]byte, w.out*w.in)
	for i, b := range w.q {
		q[2*i], q[2*i+1] = b&15, b>>4
	}
	return q, w.zero, w.scale, w.groupOf, w.group
}

// Shape returns the number of outputs and inputs.
func (w *Uint4) Shape() (out, in int) { return w.out, w.in }

// MulT computes y = x·ŵᵀ; y is [rows, out], x is [rows, in].
func (w *Uint4) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }

// Begin begins MulT.
func (w *Uint4) Begin(y, x []float32, rows int) kernels.Pending { return w.packed.Begin(y, x, rows) }

// Float32 returns the dequantized weight, made anew at each call.
func (w *Uint4) Float32() []float32 {
	data := make([]float32, w.out*w.in)
	for o := range w.out {
		w.Row(data[o*w.in:(o+1)*w.in], o)
	}
	return data
}

// Row writes output o's dequantized weights, [in], to dst.
func (w *Uint4) Row(dst []float32, o int) {
	groups := w.in / w.group
	for i := range dst[:w.in] {
		g := o*groups + i/w.group
		if w.groupOf != nil {
			g = o*groups + int(w.groupOf[i])
		}
		code := w.q[(o*w.in+i)/2] >> (4 * (i % 2)) & 15
		dst[i] = float32(int(code)-int(w.zero[g])) * w.scale[g]
	}
}

// Select returns the weight of some outputs alone.
func (w *Uint4) Select(outputs []int32) Weight {
	groups := w.in / w.group
	all, _, _, _, _ := w.Uint4()
	var q, zero []byte
	var scale []float32
	for _, o := range outputs {
		q = append(q, all[int(o)*w.in:(int(o)+1)*w.in]...)
		zero = append(zero, w.zero[int(o)*groups:(int(o)+1)*groups]...)
		scale = append(scale, w.scale[int(o)*groups:(int(o)+1)*groups]...)
	}
	selected, err := NewUint4(q, zero, scale, w.groupOf, len(outputs), w.in, w.group)
	if err != nil {
		panic(err) // the codes were checked when w was made
	}
	return selected
}

// Bytes is half a byte a code and a zero point, four a scale and, where they are listed, an input's
// group.
func (w *Uint4) Bytes() int64 {
	return int64(len(w.q)) + int64(len(w.zero)+1)/2 + 4*int64(len(w.scale)) + 4*int64(len(w.groupOf))
}

// Format returns "w4a16-g32-zero" for groups of 32 with zero points, "w4a16-g32-order" for listed
// groups.
func (w *Uint4) Format() string {
	name := fmt.Sprintf("w4a16-g%d", w.group)
	if slices.ContainsFunc(w.zero, func(z byte) bool { return z != 8 }) {
		name += "-zero"
	}
	if w.groupOf != nil {
		name += "-order"
	}
	return name
}
