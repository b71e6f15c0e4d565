package weight

import (
	"fmt"

	"slimlab/kernels"
)

// Uint4 is a W4A16 or W3A16 weight whose groups have a zero point each, or are not of consecutive
// inputs (GPTQ's act-order, as other tools write it): a weight is (code − zero)·scale. MulT
// rounds activations to bfloat16.
type Uint4 struct {
	packed  *kernels.PackedInt4Shifted
	out, in int
	bits    int // 4 or 3
	group   int
	channel bool    // the group is all the inputs of an output, whatever their number
	zero    []int8  // [out, in/group], relative to the middle of the codes; nil is 0 everywhere
	groupOf []int32 // of each input; nil is one group after another
	order   []int32 // the input at each place of the packed form; nil is as they come
}

// NewUint4 makes a W4A16 weight of codes q [out, in], each −8…7 (8 less than the file's unsigned
// codes), zero points (8 less as well, nil for none) and scales [out, in/group], and the group of
// each input, [in], nil for consecutive ones; every group has `group` inputs. It keeps zero and
// groupOf.
func NewUint4(q, zero []int8, scale []float32, groupOf []int32, out, in, group int) (*Uint4, error) {
	return newUint4(Encoding{Format: Format{Bits: 4, Group: group}, Out: out, In: in, Scale: scale, Zero: zero, GroupOf: groupOf}, q)
}

// newUint4 makes a weight of codes of 4 or 3 bits.
func newUint4(e Encoding, q []int8) (*Uint4, error) {
	name := fmt.Sprintf("uint%d weight [%d, %d]", e.Format.Bits, e.Out, e.In)
	group := e.group()
	if g := e.Format.Group; g < 0 || group == 0 || group > maxSummed || e.In%group != 0 {
		return nil, fmt.Errorf("%s: group %d, expected one that divides the inputs, at most %d", name, g, maxSummed)
	}
	if err := e.check(asBytes(q)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	order, err := placesOf(e.GroupOf, e.groups(), group)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	w := &Uint4{out: e.Out, in: e.In, bits: e.Format.Bits, group: group, channel: e.Format.Group == 0, groupOf: e.GroupOf, order: order}
	if !e.symmetric() {
		w.zero = e.Zero
	}
	w.pack(q, e.Scale)
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

// pack makes the packed form of codes [out, in] in the order of inputs.
func (w *Uint4) pack(q []int8, scale []float32) {
	if w.order != nil {
		q = collect(w.out, w.in, func(row []int8, o int) {
			for place, i := range w.order {
				row[place] = q[o*w.in+int(i)]
			}
		})
	}
	var shift []float32
	if w.zero != nil {
		shift = make([]float32, len(w.zero))
		for i, z := range w.zero {
			shift[i] = float32(-int(z)) * scale[i]
		}
	}
	w.packed = kernels.PackInt4Shifted(kernels.Int4Weight{Codes: q, Scale: scale, Shift: shift, Order: w.order, Out: w.out, In: w.in, Group: w.group})
}

// codes writes the codes of output o in the order of inputs, and its scales; scratch is memory for
// [in].
func (w *Uint4) codes(dst []int8, scale []float32, scratch []int8, o int) {
	if w.order == nil {
		w.packed.Codes(dst, scale, o)
		return
	}
	w.packed.Codes(scratch, scale, o)
	for place, i := range w.order {
		dst[i] = scratch[place]
	}
}

// all returns the codes and scales of some outputs.
func (w *Uint4) all(outputs []int32) (q []int8, scale []float32) {
	groups, scratch := w.in/w.group, make([]int8, w.in)
	q, scale = make([]int8, len(outputs)*w.in), make([]float32, len(outputs)*groups)
	for i, o := range outputs {
		w.codes(q[i*w.in:(i+1)*w.in], scale[i*groups:(i+1)*groups], scratch, int(o))
	}
	return q, scale
}

func (w *Uint4) outputs() []int32 {
	list := make([]int32, w.out)
	for i := range list {
		list[i] = int32(i)
	}
	return list
}

func (w *Uint4) format() Format {
	f := Format{Bits: w.bits, Group: w.group, ZeroPoints: w.zero != nil, Order: w.groupOf != nil}
	if w.channel {
		f.Group = 0
	}
	return f
}

// Encoding is what the weight is made of. The caller must not write to it.
func (w *Uint4) Encoding() Encoding {
	_, scale := w.all(w.outputs())
	return Encoding{Format: w.format(), Out: w.out, In: w.in, Scale: scale, Zero: w.zero, GroupOf: w.groupOf}
}

// Codes returns the codes, [out, in], as int8.
func (w *Uint4) Codes() []byte {
	q, _ := w.all(w.outputs())
	return asBytes(q)
}

// Shape returns the number of outputs and inputs.
func (w *Uint4) Shape() (out, in int) { return w.out, w.in }

// MulT computes y = x·ŵᵀ; y is [rows, out], x is [rows, in].
func (w *Uint4) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }

// Begin begins MulT.
func (w *Uint4) Begin(y, x []float32, rows int) kernels.Pending { return w.packed.Begin(y, x, rows) }

// Float32 returns the dequantized weight, in new memory at each call.
func (w *Uint4) Float32() []float32 { return w.Encoding().decode(w.Codes()) }

// Row writes output o's dequantized weights, [in], to dst.
func (w *Uint4) Row(dst []float32, o int) {
	q, scale := w.all([]int32{int32(o)})
	for i, v := range q {
		g := i / w.group
		if w.groupOf != nil {
			g = int(w.groupOf[i])
		}
		zero := 0
		if w.zero != nil {
			zero = int(w.zero[o*len(scale)+g])
		}
		dst[i] = float32(int(v)-zero) * scale[g]
	}
}

// Select returns the weight of some outputs alone.
func (w *Uint4) Select(outputs []int32) Weight {
	q, scale := w.all(outputs)
	s := &Uint4{out: len(outputs), in: w.in, bits: w.bits, group: w.group, channel: w.channel, groupOf: w.groupOf, order: w.order}
	if w.zero != nil {
		s.zero = selected(w.zero, w.in/w.group, outputs)
	}
	s.pack(q, scale)
	return s
}

// Bytes is half a byte, or three bits, a code and a zero point, four a scale and, where they are
// listed, an input's group.
func (w *Uint4) Bytes() int64 {
	groups := w.out * (w.in / w.group)
	n := codeBytes(w.out, w.in, w.bits) + 4*int64(groups) + 4*int64(len(w.groupOf))
	return n + codeBytes(1, len(w.zero), w.bits)
}

// Format returns "w4a16-g32-zero" for groups of 32 with zero points, "w4a16-g32-order" for listed
// groups.
func (w *Uint4) Format() string { return w.format().String() }
