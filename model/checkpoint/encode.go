package checkpoint

import (
	"fmt"
	"slices"

	"slimlab/internal/half"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/weight"
)

// encode lists the tensors that a weight is stored as, and how; none for a Dense one, whose tensor
// is among Model.Tensors. Codes are made when they are written.
func encode(name string, w weight.Weight, o SaveOptions) ([]Tensor, Storage, error) {
	if _, ok := w.(*weight.Dense); ok {
		return nil, Storage{}, nil
	}
	if both, ok := w.(*weight.Outliers); ok {
		return encodeOutliers(name, both, o)
	}
	q, ok := w.(weight.Quantized)
	if !ok {
		return nil, Storage{}, fmt.Errorf("%s: weights of format %s cannot be saved, expected float32 or one of codes", name, w.Format())
	}
	e := encoder{Quantized: q, Encoding: q.Encoding(), name: name, options: o}
	e.Storage = StorageOf(e.Encoding.Format, o.Packing)
	if e.Packing == GPTQ { // which has zero points always, and version 1 none of 0
		e.V2, e.Storage.Format.ZeroPoints = e.Encoding.Format.ZeroPoints, false
	}
	for i, z := range e.Zero {
		if middle := int(e.middle()); int(z) >= middle {
			return nil, e.Storage, fmt.Errorf("%s: zero point %d is %d, expected at most %d", name, i, int(z)+middle, 2*middle-1)
		}
	}
	var list []Tensor
	var err error
	switch e.Packing {
	case IntQuantized, FloatQuantized, E5M2Quantized:
		list = e.oneByte()
	case NVFP4Packed, MXFP4Packed:
		list = e.float4()
	case PackQuantized:
		list = e.packed()
	case GPTQ:
		list, err = e.gptq()
	default:
		err = fmt.Errorf("4-bit weights are not written as %s, expected %s or %s", o.Packing, PackQuantized, GPTQ)
	}
	if err == nil { // what the packing has no place for is refused
		_, err = e.tensors(name, e.Out, e.In)
	}
	return list, e.Storage, err
}

// encoder lists the tensors of one weight.
type encoder struct {
	weight.Quantized
	weight.Encoding
	Storage
	name    string
	options SaveOptions
}

// groups is the number of scales of an output channel.
func (e *encoder) groups() int {
	if g := e.Encoding.Format.Group; g > 0 {
		return e.In / g
	}
	return 1
}

// middle is the code of files that stands for 0 in memory.
func (e *encoder) middle() byte { return 1 << (e.Encoding.Format.Bits - 1) }

// scaleTensor is the scales: [out, groups], those of blocks, or one.
func (e *encoder) scaleTensor() Tensor {
	shape := []int{e.Out, e.groups()}
	switch f := e.Encoding.Format; {
	case f.Tensor:
		shape = []int{1}
	case f.Block != [2]int{}:
		shape = []int{ceil(e.Out, f.Block[0]), ceil(e.In, f.Block[1])}
	}
	return safetensors.NewTensor(e.name+".weight_scale", e.options.scaleType(e.Scale), shape, func() any { return e.Scale })
}

// oneByte is int-quantized or float-quantized.
func (e *encoder) oneByte() []Tensor {
	dtype := e.byteType()
	list := []Tensor{safetensors.NewTensor(e.name+".weight", dtype, []int{e.Out, e.In}, func() any { return e.Codes() }), e.scaleTensor()}
	if e.Input != 0 {
		list = append(list, safetensors.NewTensor(e.name+".input_scale", F32, []int{1}, func() any { return []float32{e.Input} }))
	}
	return list
}

// float4 is nvfp4-pack-quantized or mxfp4-pack-quantized: codes two a byte, the first in the lower
// half, and a byte a scale.
func (e *encoder) float4() []Tensor {
	list := []Tensor{safetensors.NewTensor(e.name+".weight_packed", safetensors.U8, []int{e.Out, e.In / 2}, func() any { return packHalves(e.Codes()) })}
	dtype := safetensors.U8
	if e.Packing == NVFP4Packed {
		dtype = safetensors.F8E4M3
	}
	list = append(list, safetensors.NewTensor(e.name+".weight_scale", dtype, []int{e.Out, e.groups()}, func() any {
		scales := make([]byte, len(e.Scale))
		for i, v := range e.Scale {
			scales[i] = e.Encoding.Format.Scales.Code(v)
		}
		return scales
	}))
	if e.Packing == NVFP4Packed {
		list = append(list, safetensors.NewTensor(e.name+".weight_global_scale", F32, []int{1}, func() any { return []float32{e.Global} }))
	}
	return list
}

// packed is pack-quantized: the middle of the codes is added to codes and zero points.
func (e *encoder) packed() []Tensor {
	bits := e.Storage.Format.Bits
	list := []Tensor{
		safetensors.NewTensor(e.name+".weight_packed", safetensors.I32, []int{e.Out, wordsOf(e.In, bits)}, func() any { return packRows(e.Codes(), e.Out, e.In, bits, e.middle()) }),
		e.scaleTensor(),
		safetensors.NewTensor(e.name+".weight_shape", safetensors.I64, []int{2}, func() any { return []int64{int64(e.Out), int64(e.In)} }),
	}
	if e.Storage.Format.ZeroPoints {
		list = append(list, safetensors.NewTensor(e.name+".weight_zero_point", safetensors.I32, []int{wordsOf(e.Out, bits), e.groups()}, func() any {
			return packColumns(e.zeroBytes(), e.Out, e.groups(), bits, e.middle())
		}))
	}
	if e.Storage.Format.Order {
		list = append(list, safetensors.NewTensor(e.name+".weight_g_idx", safetensors.I32, []int{e.In}, func() any { return e.GroupOf }))
	}
	return list
}

// zeroBytes are the zero points, [out, groups].
func (e *encoder) zeroBytes() []byte {
	zeros := make([]byte, len(e.Zero))
	for i, z := range e.Zero {
		zeros[i] = byte(z)
	}
	return zeros
}

// gptq is version 1 of GPTQ's format, with zero points version 2.
func (e *encoder) gptq() ([]Tensor, error) {
	switch f := e.Storage.Format; {
	case f.Order:
		return nil, fmt.Errorf("%s: weights with act-order are not written as %s: slimlab export MODEL FOLDER --as hf keeps them", e.name, GPTQ)
	case f.Activations != weight.Kept:
		return nil, fmt.Errorf("%s: GPTQ files have no 8-bit activations, expected W3A16, W4A16 or W8A16", e.name)
	case !exact(F16, e.Scale):
		return nil, fmt.Errorf("%s: GPTQ files have F16 scales, and not all of these are exact in it: slimlab quantize MODEL FOLDER --dtype bf16 makes such scales", e.name)
	}
	groups, group, bits := e.groups(), e.In/e.groups(), e.Storage.Format.Bits
	return []Tensor{
		safetensors.NewTensor(e.name+".qweight", safetensors.I32, []int{wordsOf(e.In, bits), e.Out}, func() any { return packColumns(transpose(e.Codes(), e.Out, e.In), e.In, e.Out, bits, e.middle()) }),
		safetensors.NewTensor(e.name+".qzeros", safetensors.I32, []int{groups, wordsOf(e.Out, bits)}, func() any {
			if !e.V2 { // every one is the middle, of which version 1 stores one less
				return packRows(make([]byte, groups*e.Out), groups, e.Out, bits, e.middle()-1)
			}
			return packRows(transpose(e.zeroBytes(), e.Out, groups), groups, e.Out, bits, e.middle())
		}),
		safetensors.NewTensor(e.name+".scales", F16, []int{groups, e.Out}, func() any { return transpose(e.Scale, e.Out, groups) }),
		safetensors.NewTensor(e.name+".g_idx", safetensors.I32, []int{e.In}, func() any {
			list := make([]int32, e.In)
			for i := range list {
				list[i] = int32(i / group)
			}
			return list
		}),
	}, nil
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
