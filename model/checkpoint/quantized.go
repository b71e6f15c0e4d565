package checkpoint

import (
	"errors"
	"fmt"
	"slices"

	"slimlab/model"
)

// String names the format, "" for dense.
func (s scheme) String() string {
	switch {
	case s.bits == 8:
		return "w8a8"
	case s.bits == 0:
		return ""
	}
	activations, group := "a16", ""
	if s.int8Activations {
		activations = "a8"
	}
	if s.group > 0 {
		group = fmt.Sprintf("-g%d", s.group)
	}
	return "w4" + activations + group
}

// expected lists the tensors that hold the weight [out, in] of a linear layer.
func (s scheme) expected(name string, out, in int) ([]expectation, error) {
	switch s.bits {
	case 8:
		return []expectation{{name + ".weight", []int{out, in}}, {name + ".weight_scale", []int{out, 1}}}, nil
	case 4:
		group := s.groupOf(in)
		if in%group != 0 {
			return nil, fmt.Errorf("group size %d does not divide its %d inputs", group, in)
		}
		return []expectation{{name + ".weight_packed", []int{out, packedWords(in)}}, {name + ".weight_scale", []int{out, in / group}}, {name + ".weight_shape", []int{2}}}, nil
	}
	return []expectation{{name + ".weight", []int{out, in}}}, nil
}

// groupOf is the inputs that share a scale.
func (s scheme) groupOf(in int) int {
	if s.group == 0 {
		return in
	}
	return s.group
}

// read makes the weight of a linear layer that is not dense.
func (s scheme) read(files source, o LoadOptions, name string, out, in int) (model.Weight, error) {
	if s.bits == 8 {
		return s.int8(files, o, name, out, in)
	}
	return s.int4(files, o, name, out, in)
}

func (s scheme) int8(files source, o LoadOptions, name string, out, in int) (model.Weight, error) {
	if o.Int8 == nil {
		return nil, errors.New("is quantized to 8 bits, expected float weights here")
	}
	q, err := int8s(files, name+".weight")
	if err != nil {
		return nil, err
	}
	scale := make([]float32, out)
	if err := files.readFloat32(scale, name+".weight_scale"); err != nil {
		return nil, err
	}
	return o.Int8(q, scale, out, in)
}

func (s scheme) int4(files source, o LoadOptions, name string, out, in int) (model.Weight, error) {
	if o.Int4 == nil {
		return nil, errors.New("is quantized to 4 bits, expected float weights here")
	}
	shape, err := int64s(files, name+".weight_shape")
	if err != nil {
		return nil, err
	}
	if want := []int64{int64(out), int64(in)}; !slices.Equal(shape, want) {
		return nil, fmt.Errorf("weight_shape holds %d, expected %d by config.json", shape, want)
	}
	words, err := int32s(files, name+".weight_packed")
	if err != nil {
		return nil, err
	}
	group := s.groupOf(in)
	scale := make([]float32, out*in/group)
	if err := files.readFloat32(scale, name+".weight_scale"); err != nil {
		return nil, err
	}
	return o.Int4(unpackInt4(words, out, in), scale, out, in, group, s.int8Activations)
}
