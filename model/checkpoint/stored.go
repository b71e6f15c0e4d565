package checkpoint

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// tensors lists what a linear layer [out, in] is stored as. It takes no memory for weights.
func (s Scheme) tensors(name string, out, in int) ([]expectation, error) {
	group, groups := s.Group, 1
	if group > 0 {
		groups = in / group
		if in%group != 0 {
			return nil, fmt.Errorf("%s: group size %d does not divide its %d inputs", name, group, in)
		}
	}
	one := [][]int{{}, {1}, {1, 1}} // the shapes of a single number
	scales := expectation{name: name + ".weight_scale", shapes: [][]int{{out, 1}, {out}}}
	if s.Tensor {
		scales.shapes = one
	}
	perWord := 32 / max(1, s.Bits)
	switch s.Format {
	case "":
		return []expectation{expect(name+".weight", out, in)}, nil
	case IntQuantized:
		return []expectation{expect(name+".weight", out, in), scales}, nil
	case FloatQuantized, FP8:
		if s.Block != [2]int{} {
			scales.shapes = [][]int{{ceil(out, s.Block[0]), ceil(in, s.Block[1])}}
			if s.Format == FP8 {
				scales.name = name + ".weight_scale_inv"
			}
		}
		list := []expectation{expect(name+".weight", out, in), scales}
		if s.Activations == Static {
			list = append(list, expectation{name: name + ".input_scale", shapes: one})
		}
		return list, nil
	case PackQuantized:
		list := []expectation{expect(name+".weight_packed", out, wordsOf(in, s.Bits)), expect(name+".weight_scale", out, groups), expect(name+".weight_shape", 2)}
		if s.ZeroPoints {
			list = append(list, expect(name+".weight_zero_point", wordsOf(out, s.Bits), groups))
		}
		if s.Order {
			list = append(list, expect(name+".weight_g_idx", in))
		}
		return list, nil
	case GPTQ:
		if in%perWord != 0 || out%perWord != 0 {
			return nil, fmt.Errorf("%s: its %d inputs and %d outputs do not fill words of %d codes, as GPTQ packs them", name, in, out, perWord)
		}
		return []expectation{expect(name+".qweight", in/perWord, out), expect(name+".qzeros", groups, out/perWord), expect(name+".scales", groups, out),
			{name: name + ".g_idx", shapes: [][]int{{in}}, optional: !s.Order}}, nil
	case AWQ:
		if out%perWord != 0 {
			return nil, fmt.Errorf("%s: its %d outputs do not fill words of %d codes, as AWQ packs them", name, out, perWord)
		}
		return []expectation{expect(name+".qweight", in, out/perWord), expect(name+".qzeros", groups, out/perWord), expect(name+".scales", groups, out)}, nil
	}
	return nil, fmt.Errorf("%s: format %q is not supported", name, s.Format)
}

func ceil(a, b int) int { return (a + b - 1) / b }

// quantized makes the weight of a quantized layer [out, in], whose tensors were found to be there
// with their shapes.
func (c *Checkpoint) quantized(name string, s Scheme, out, in int) (w weight.Weight, err error) {
	switch s.Format {
	case IntQuantized:
		w, err = c.integers(name, s, out, in)
	case FloatQuantized, FP8:
		w, err = c.floats(name, s, out, in)
	case PackQuantized:
		w, err = c.packQuantized(name, s, out, in)
	default:
		w, err = c.transposed(name, s, out, in)
	}
	return w, err
}

// bytes reads the bytes of a tensor of the given type.
func (c *Checkpoint) bytes(name string, dtype DType) ([]byte, error) {
	t, ok := c.files.tensor(name)
	if err := checkType(t, ok, name, dtype); err != nil {
		return nil, err
	}
	return c.files.raw(name)
}

// scales reads n scales, or one for all of them.
func (c *Checkpoint) scales(name string, n int) ([]float32, error) {
	t, _ := c.files.tensor(name)
	list := make([]float32, n, max(n, 1))
	if t.Elements() == 1 {
		list = list[:1]
	}
	if err := c.files.readFloat32(list, name); err != nil {
		return nil, err
	}
	for i, v := range list {
		if v-v != 0 {
			return nil, fmt.Errorf("%s: scale %d is %v, expected a finite number", name, i, v)
		}
	}
	if len(list) < n {
		list = slices.Repeat(list, n)
	}
	return list, nil
}

// integers reads int-quantized codes. With activations as they are, nothing multiplies them: the
// weight is float32.
func (c *Checkpoint) integers(name string, s Scheme, out, in int) (weight.Weight, error) {
	scale, err := c.scales(name+".weight_scale", out)
	if err != nil {
		return nil, err
	}
	data, err := c.bytes(name+".weight", I8)
	if err != nil {
		return nil, err
	}
	if s.Activations == Kept {
		return dequantized(out, in, func(o, i int) float32 { return float32(int8(data[o*in+i])) * scale[o] }), nil
	}
	if c.options.Int8 == nil {
		return nil, errors.New("is quantized to 8 bits, expected float weights here")
	}
	q := make([]int8, len(data))
	for i, v := range data {
		q[i] = int8(v)
	}
	return c.options.Int8(q, scale, out, in)
}

// floats reads FP8 codes. With scales of blocks, or activations as they are, the weight is float32.
func (c *Checkpoint) floats(name string, s Scheme, out, in int) (weight.Weight, error) {
	q, err := c.bytes(name+".weight", F8E4M3)
	if err != nil {
		return nil, err
	}
	for i, v := range q {
		if kernels.IsNaNFloat8(v) {
			return nil, fmt.Errorf("code [%d, %d] is %#02x, which is no number", i/in, i%in, v)
		}
	}
	if s.Block != [2]int{} {
		rows, columns := ceil(out, s.Block[0]), ceil(in, s.Block[1])
		scales := name + ".weight_scale"
		if s.Format == FP8 {
			scales += "_inv" // multiplied all the same
		}
		scale, err := c.scales(scales, rows*columns)
		if err != nil {
			return nil, err
		}
		return dequantized(out, in, func(o, i int) float32 {
			return kernels.FromFloat8(q[o*in+i]) * scale[o/s.Block[0]*columns+i/s.Block[1]]
		}), nil
	}
	scale, err := c.scales(name+".weight_scale", out)
	if err != nil {
		return nil, err
	}
	if s.Activations == Kept {
		return dequantized(out, in, func(o, i int) float32 { return kernels.FromFloat8(q[o*in+i]) * scale[o] }), nil
	}
	if c.options.FP8 == nil {
		return nil, errors.New("is quantized to FP8, expected float weights here")
	}
	input := []float32{0}
	if s.Activations == Static {
		if input, err = c.scales(name+".input_scale", 1); err != nil {
			return nil, err
		}
		if !(input[0] > 0) {
			return nil, fmt.Errorf("%s.input_scale is %v, expected a positive number", name, input[0])
		}
	}
	return c.options.FP8(slices.Clone(q), scale, input[0], out, in)
}

// packQuantized reads the packed form of compressed-tensors.
func (c *Checkpoint) packQuantized(name string, s Scheme, out, in int) (weight.Weight, error) {
	g, err := newGrouped(s, out, in)
	if err != nil {
		return nil, err
	}
	shape, err := int64s(c.files, name+".weight_shape")
	if err != nil {
		return nil, err
	}
	if want := []int64{int64(out), int64(in)}; !slices.Equal(shape, want) {
		return nil, fmt.Errorf("weight_shape holds %d, expected %d by config.json", shape, want)
	}
	data, err := c.bytes(name+".weight_packed", I32)
	if err != nil {
		return nil, err
	}
	g.codes = unpackRows(data, out, in, s.Bits)
	if g.scale, err = c.scales(name+".weight_scale", out*g.groups); err != nil {
		return nil, err
	}
	if s.ZeroPoints {
		if data, err = c.bytes(name+".weight_zero_point", I32); err != nil {
			return nil, err
		}
		g.zeros = unpackColumns(data, out, g.groups, s.Bits)
	}
	if s.Order {
		if err := c.order(g, name+".weight_g_idx"); err != nil {
			return nil, err
		}
	}
	return c.grouped(g)
}

// transposed reads GPTQ's and AWQ's forms, which hold the weight as [in, out].
func (c *Checkpoint) transposed(name string, s Scheme, out, in int) (weight.Weight, error) {
	g, err := newGrouped(s, out, in)
	if err != nil {
		return nil, err
	}
	data, err := c.bytes(name+".qweight", I32)
	if err != nil {
		return nil, err
	}
	if s.Format == AWQ {
		codes := unpackRows(data, in, out, s.Bits)
		reorderAWQ(codes, true)
		g.codes = transpose(codes, in, out)
	} else {
		g.codes = transpose(unpackColumns(data, in, out, s.Bits), in, out)
	}
	if data, err = c.bytes(name+".qzeros", I32); err != nil {
		return nil, err
	}
	zeros := unpackRows(data, g.groups, out, s.Bits)
	switch {
	case s.Format == AWQ:
		reorderAWQ(zeros, true)
	case !s.V2:
		last := byte(1<<s.Bits - 1)
		for i, z := range zeros {
			if z == last {
				return nil, fmt.Errorf("qzeros [%d, %d] is %d: with one added engines take it for 0 or for %d; expected checkpoint_format gptq_v2 for such zero points", i/out, i%out, z, int(z)+1)
			}
			zeros[i]++
		}
	}
	g.zeros = transpose(zeros, g.groups, out)
	scale, err := c.scales(name+".scales", g.groups*out)
	if err != nil {
		return nil, err
	}
	g.scale = transpose(scale, g.groups, out)
	if _, ok := c.files.tensor(name + ".g_idx"); ok && s.Format == GPTQ {
		if err := c.order(g, name+".g_idx"); err != nil {
			return nil, err
		}
	}
	return c.grouped(g)
}

// grouped is a weight as (code − zero)·scale, the last two shared by the inputs of a group.
type grouped struct {
	scheme          Scheme
	out, in, groups int
	codes           []byte    // [out, in], unsigned
	zeros           []byte    // [out, groups]; nil is half the codes' range throughout
	scale           []float32 // [out, groups]
	groupOf         []int32   // of each input; nil is one group after another
}

func newGrouped(s Scheme, out, in int) (*grouped, error) {
	if s.Bits != 4 && s.Bits != 8 {
		return nil, fmt.Errorf("codes of %d bits, expected 4 or 8", s.Bits)
	}
	g := &grouped{scheme: s, out: out, in: in, groups: 1}
	if s.Group > 0 {
		g.groups = in / s.Group
	}
	return g, nil
}

// order reads the group of each input.
func (c *Checkpoint) order(g *grouped, name string) error {
	groupOf, err := int32s(c.files, name)
	if err != nil {
		return err
	}
	plain := true
	for i, v := range groupOf {
		if v < 0 || int(v) >= g.groups {
			return fmt.Errorf("%s: input %d is in group %d, expected 0 to %d", name, i, v, g.groups-1)
		}
		plain = plain && int(v) == i/(g.in/g.groups)
	}
	if !plain {
		g.groupOf = groupOf
	}
	return nil
}

// grouped makes symmetric 4-bit codes in plain order an Int4 weight, other 4-bit codes a Uint4
// weight where there is a constructor, and the rest float32: (code − zero)·scale has at most 9 bits
// more than the scale and is exact for scales of 16 bits. Such a weight takes 4 bytes a parameter
// in memory.
func (c *Checkpoint) grouped(g *grouped) (weight.Weight, error) {
	half := byte(1) << (g.scheme.Bits - 1)
	symmetric := !slices.ContainsFunc(g.zeros, func(z byte) bool { return z != half })
	if g.scheme.Bits == 4 && symmetric && g.groupOf == nil {
		if c.options.Int4 == nil {
			return nil, errors.New("is quantized to 4 bits, expected float weights here")
		}
		q := make([]int8, len(g.codes))
		for i, v := range g.codes {
			q[i] = int8(v) - 8
		}
		return c.options.Int4(q, g.scale, g.out, g.in, g.in/g.groups, g.scheme.Activations == Token)
	}
	if g.scheme.Bits == 4 && c.options.Uint4 != nil {
		if g.zeros == nil {
			g.zeros = slices.Repeat([]byte{half}, g.out*g.groups)
		}
		return c.options.Uint4(g.codes, g.zeros, g.scale, g.groupOf, g.out, g.in, g.in/g.groups)
	}
	return dequantized(g.out, g.in, func(o, i int) float32 {
		at := o*g.groups + i/(g.in/g.groups)
		if g.groupOf != nil {
			at = o*g.groups + int(g.groupOf[i])
		}
		zero := half
		if g.zeros != nil {
			zero = g.zeros[at]
		}
		return float32(int(g.codes[o*g.in+i])-int(zero)) * g.scale[at]
	}), nil
}

// dequantized makes a float32 weight [out, in].
func dequantized(out, in int, value func(o, i int) float32) *weight.Dense {
	data := make([]float32, out*in)
	parallel.Range(out, 16, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			row := data[o*in : (o+1)*in]
			for i := range row {
				row[i] = value(o, i)
			}
		}
	})
	return weight.NewDense(data, out, in)
}

// isSpareBias reports whether a tensor is the bias that GPTQ's tools store with layers that have
// none.
func (c *Checkpoint) isSpareBias(name string) bool {
	layer, ok := strings.CutSuffix(name, ".bias")
	_, packed := c.files.tensor(layer + ".qweight")
	return ok && packed
}

// checkZero reports an element that is not zero.
func (c *Checkpoint) checkZero(t TensorInfo) error {
	list := make([]float32, t.Elements())
	if err := c.files.readFloat32(list, t.Name); err != nil {
		return err
	}
	if i := slices.IndexFunc(list, func(v float32) bool { return v != 0 }); i >= 0 {
		return fmt.Errorf("tensor %q: element %d is %v, expected 0: the model has no bias there", t.Name, i, list[i])
	}
	return nil
}
