package checkpoint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"slimlab/internal/half"
	"slimlab/model"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// Int8Weight is a weight that is written as int-quantized: codes [out, in] and a scale per output
// [out].
type Int8Weight interface {
	weight.Weight
	Int8() (q []int8, scale []float32)
}

// Int4Weight is a weight that is written as pack-quantized or GPTQ: codes [out, in], each −8…7, and
// scales [out, in/group].
type Int4Weight interface {
	weight.Weight
	Int4() (q []int8, scale []float32, group int)
	Int8Activations() bool // each row of activations is quantized to int8: W4A8
}

// Uint4Weight is a weight that is written as pack-quantized with zero points, unless all are 8, and
// with act-order where groups are listed: codes [out, in], each at most 15, zero points and scales
// [out, in/group], and the group of each input, nil for consecutive ones.
type Uint4Weight interface {
	weight.Weight
	Uint4() (q, zero []byte, scale []float32, groupOf []int32, group int)
}

// FP8Weight is a weight that is written as float-quantized: E4M3FN codes [out, in], a scale per
// output [out], and the scale of all activations, 0 where each row has its own.
type FP8Weight interface {
	weight.Weight
	FP8() (q []byte, scale []float32, input float32)
}

// SaveOptions says how models are written.
type SaveOptions struct {
	// of the tensors that are float32 in memory: F32, or rounded to nearest F16 or BF16; empty is
	// F32
	DType      DType
	Format     Format // of 4-bit weights: PackQuantized or GPTQ; empty is PackQuantized
	ShardBytes int64  // of tensors in a file at most, but one tensor at least; 0 is 5·10⁹
	Verify     bool   // read everything back and compare before config.json is written
}

func (o SaveOptions) dtype() DType {
	if o.DType == "" {
		return F32
	}
	return o.DType
}

// Save writes a model, and its tokenizer unless that is nil, into a folder, which it makes if need
// be: the tensors, in several files with an index where there are more bytes than the options allow
// for one. Quantized weights keep their codes and the very scales, which are written in the
// options' type where all of a layer are exact in it, else as F32: so a loaded model computes the
// bits that the saved one did. A tied head that was quantized no longer is the embedding: the model
// is written as not tied. config.json comes last: a new folder that has one is whole. Weights of a
// model that was there before are removed when the new ones are there.
func Save(ctx context.Context, dir string, m *model.Model, t *tokenizer.Tokenizer, o SaveOptions) error {
	if err := save(ctx, dir, m, t, o); err != nil {
		return fmt.Errorf("save checkpoint %s: %w", dir, err)
	}
	return nil
}

func save(ctx context.Context, dir string, m *model.Model, t *tokenizer.Tokenizer, o SaveOptions) error {
	c := m.Config
	if _, dense := m.Head.(*weight.Dense); !dense {
		c.TiedHead = false
	}
	config, err := newConfigFile(c, o.dtype())
	if err != nil {
		return err
	}
	if err := m.Check(); err != nil {
		return err
	}
	if t != nil {
		if err := checkTokenizer(t, m.Vocab); err != nil {
			return err
		}
	}
	tensors, layers, err := plan(m, o)
	if err != nil {
		return err
	}
	if config.Quantization, err = newQuantizationConfig(layers); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeShards(ctx, dir, tensors, o); err != nil {
		return err
	}
	if t != nil {
		if err := t.Save(dir); err != nil {
			return err
		}
	}
	return writeConfig(dir, config, layers)
}

// writeConfig writes config.json, and what else says how layers are quantized.
func writeConfig(dir string, config configFile, layers []layer) error {
	if slices.ContainsFunc(layers, func(l layer) bool { return l.scheme.Format == GPTQ }) {
		if err := writeJSON(filepath.Join(dir, "quantize_config.json"), config.Quantization); err != nil {
			return err
		}
	}
	return writeJSON(filepath.Join(dir, "config.json"), config)
}

// Bytes is what the tensors of a model would take in a file whose float tensors have dtype.
func Bytes(m *model.Model, dtype DType) (int64, error) {
	tensors, _, err := plan(m, SaveOptions{DType: dtype})
	if err != nil {
		return 0, err
	}
	var n int64
	for _, t := range tensors {
		n += t.info().Bytes()
	}
	return n, nil
}

// layer is a linear layer, such as "model.layers.0.self_attn.q_proj" or "lm_head", and how it is
// stored.
type layer struct {
	name   string
	scheme Scheme
}

// plan lists the tensors to write, and the linear layers, the head last. Packed forms are made when
// they are written.
func plan(m *model.Model, o SaveOptions) (tensors []Tensor, layers []layer, err error) {
	for _, p := range m.Tensors() {
		tensors = append(tensors, Tensor{p.Name, o.dtype(), p.Shape, func() any { return p.Data }})
	}
	linear := func(name string, w weight.Weight) error {
		packed, s, err := stored(name, w, o)
		tensors, layers = append(tensors, packed...), append(layers, layer{name, s})
		return err
	}
	for _, l := range m.Linears() {
		if err := linear(l.Name, l.Weight); err != nil {
			return nil, nil, err
		}
	}
	if err := linear("lm_head", m.Head); err != nil {
		return nil, nil, err
	}
	return tensors, layers, nil
}

// stored lists the tensors of a weight that is not Dense; those of a Dense one are among
// Model.Tensors.
func stored(name string, w weight.Weight, o SaveOptions) ([]Tensor, Scheme, error) {
	list, s, err := packed(name, w, o)
	if err == nil {
		out, in := w.Shape()
		_, err = s.tensors(name, out, in) // what the form has no place for is refused
	}
	return list, s, err
}

func packed(name string, w weight.Weight, o SaveOptions) ([]Tensor, Scheme, error) {
	switch w := w.(type) {
	case *weight.Dense:
		return nil, Scheme{}, nil
	case Int8Weight:
		out, in := w.Shape()
		_, scale := w.Int8()
		return []Tensor{
			{name + ".weight", I8, []int{out, in}, func() any { q, _ := w.Int8(); return q }},
			{name + ".weight_scale", o.scaleType(scale), []int{out, 1}, func() any { return scale }},
		}, Scheme{Format: IntQuantized, Bits: 8, Activations: Token}, nil
	case FP8Weight:
		out, in := w.Shape()
		_, scale, input := w.FP8()
		s := Scheme{Format: FloatQuantized, Bits: 8, Activations: Token}
		list := []Tensor{
			{name + ".weight", F8E4M3, []int{out, in}, func() any { q, _, _ := w.FP8(); return q }},
			{name + ".weight_scale", o.scaleType(scale), []int{out, 1}, func() any { return scale }},
		}
		if input != 0 {
			s.Activations = Static
			list = append(list, Tensor{name + ".input_scale", F32, []int{1}, func() any { return []float32{input} }})
		}
		return list, s, nil
	case Int4Weight:
		return storedInt4(name, w, o)
	case Uint4Weight:
		return storedUint4(name, w, o)
	}
	return nil, Scheme{}, fmt.Errorf("%s: weights of format %s cannot be saved, expected float32, int8, int4 or fp8", name, w.Format())
}

func storedInt4(name string, w Int4Weight, o SaveOptions) ([]Tensor, Scheme, error) {
	out, in := w.Shape()
	_, scale, group := w.Int4()
	codes := func() []byte {
		q, _, _ := w.Int4()
		u := make([]byte, len(q))
		for i, v := range q {
			u[i] = byte(v + 8)
		}
		return u
	}
	s := Scheme{Format: PackQuantized, Bits: 4, Group: group}
	if w.Int8Activations() {
		s.Activations = Token
	}
	switch {
	case o.Format == "" || o.Format == PackQuantized:
		return []Tensor{
			{name + ".weight_packed", I32, []int{out, wordsOf(in, 4)}, func() any { return packRows(codes(), out, in, 4) }},
			{name + ".weight_scale", o.scaleType(scale), []int{out, in / group}, func() any { return scale }},
			{name + ".weight_shape", I64, []int{2}, func() any { return []int64{int64(out), int64(in)} }},
		}, s, nil
	case o.Format != GPTQ:
		return nil, s, fmt.Errorf("4-bit weights are not written as %s, expected %s or %s", o.Format, PackQuantized, GPTQ)
	case s.Activations != Kept:
		return nil, s, fmt.Errorf("%s: GPTQ files have no 8-bit activations, expected W4A16", name)
	case !exact(F16, scale):
		return nil, s, fmt.Errorf("%s: GPTQ files have F16 scales, and not all of these are exact in it: quantize with scales of 16 bits", name)
	}
	s.Format = GPTQ
	groups := in / group
	return []Tensor{
		{name + ".qweight", I32, []int{in / 8, out}, func() any { return packColumns(transpose(codes(), out, in), in, out, 4) }},
		// The zero point of every group is 8, of which version 1 of the format stores one less.
		{name + ".qzeros", I32, []int{groups, out / 8}, func() any { return slices.Repeat([]byte{0x77}, groups*(out/8)*4) }},
		{name + ".scales", F16, []int{groups, out}, func() any { return transpose(scale, out, groups) }},
		{name + ".g_idx", I32, []int{in}, func() any {
			list := make([]int32, in)
			for i := range list {
				list[i] = int32(i / group)
			}
			return list
		}},
	}, s, nil
}

func storedUint4(name string, w Uint4Weight, o SaveOptions) ([]Tensor, Scheme, error) {
	out, in := w.Shape()
	_, zero, scale, groupOf, group := w.Uint4()
	s := Scheme{Format: PackQuantized, Bits: 4, Group: group, Order: groupOf != nil,
		ZeroPoints: slices.ContainsFunc(zero, func(z byte) bool { return z != 8 })}
	if o.Format != "" && o.Format != PackQuantized {
		return nil, s, fmt.Errorf("%s: weights with zero points or act-order are not written as %s, expected %s", name, o.Format, PackQuantized)
	}
	if i := slices.IndexFunc(zero, func(z byte) bool { return z > 15 }); i >= 0 {
		return nil, s, fmt.Errorf("%s: zero point %d is %d, expected at most 15", name, i, zero[i])
	}
	list := []Tensor{
		{name + ".weight_packed", I32, []int{out, wordsOf(in, 4)}, func() any { q, _, _, _, _ := w.Uint4(); return packRows(q, out, in, 4) }},
		{name + ".weight_scale", o.scaleType(scale), []int{out, in / group}, func() any { return scale }},
		{name + ".weight_shape", I64, []int{2}, func() any { return []int64{int64(out), int64(in)} }},
	}
	if s.ZeroPoints {
		list = append(list, Tensor{name + ".weight_zero_point", I32, []int{wordsOf(out, 4), in / group}, func() any { return packColumns(zero, out, in/group, 4) }})
	}
	if s.Order {
		list = append(list, Tensor{name + ".weight_g_idx", I32, []int{in}, func() any { return groupOf }})
	}
	return list, s, nil
}

// scaleType is the options' type where all scales are exact in it, else F32.
func (o SaveOptions) scaleType(scale []float32) DType {
	if exact(o.dtype(), scale) {
		return o.dtype()
	}
	return F32
}

// exact reports whether a float type holds all values as they are.
func exact(d DType, values []float32) bool {
	return !slices.ContainsFunc(values, func(v float32) bool {
		return d == BF16 && half.FromBFloat16(half.ToBFloat16(v)) != v || d == F16 && half.FromFloat16(half.ToFloat16(v)) != v
	})
}
