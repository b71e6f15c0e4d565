package checkpoint

import (
	"fmt"
	"slices"

	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/weight"
)

// decode reads the tensors of a quantized layer [out, in], which were found to be there with their
// shapes, as the encoding and codes of a weight.
func (s Storage) decode(files source, name string, out, in int) (weight.Encoding, []byte, error) {
	d := decoder{Storage: s, files: files, name: name, e: weight.Encoding{Format: s.Format, Out: out, In: in}, groups: 1}
	if s.Format.Group > 0 {
		d.groups = in / s.Format.Group
	}
	switch s.Packing {
	case IntQuantized, FloatQuantized, E5M2Quantized, FP8:
		d.oneByte()
	case NVFP4Packed, MXFP4Packed:
		d.float4()
	case PackQuantized:
		d.packed()
	case GPTQ, AWQ:
		d.transposed()
	default:
		d.fail(fmt.Errorf("packing %q is not supported", s.Packing))
	}
	return d.e, d.codes, d.err
}

// decoder collects the parts of a weight; the first error ends it.
type decoder struct {
	Storage
	files  source
	name   string
	groups int // scales of an output channel
	e      weight.Encoding
	codes  []byte
	err    error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// bytes returns the bytes of a tensor of the given type, perhaps a view of the file.
func (d *decoder) bytes(name string, dtype DType) []byte {
	b, err := bytesOf(d.files, name, dtype)
	if err != nil {
		d.fail(err)
	}
	return b
}

// scales reads n scales, or one for all of them.
func (d *decoder) scales(name string, n int) []float32 {
	if d.err != nil {
		return nil
	}
	t, _ := d.files.tensor(name)
	list := make([]float32, n, max(n, 1))
	if t.Elements() == 1 {
		list = list[:1]
	}
	if err := d.files.ReadFloat32(list, name); err != nil {
		d.fail(err)
		return nil
	}
	for i, v := range list {
		if v-v != 0 {
			d.fail(fmt.Errorf("%s: scale %d is %v, expected a finite number", name, i, v))
		}
	}
	if len(list) < n {
		list = slices.Repeat(list, n)
	}
	return list
}

// float4 reads NVFP4 and MXFP4. Activations that were to be rounded to 4 bits are not: their scale
// is not read.
func (d *decoder) float4() {
	d.codes = unpackHalves(d.bytes(d.name+".weight_packed", safetensors.U8))
	dtype := safetensors.U8
	if d.Packing == NVFP4Packed {
		dtype = safetensors.F8E4M3
	} else if t, _ := d.files.tensor(d.name + ".weight_scale"); t.DType == safetensors.F8E8M0 {
		dtype = t.DType // the same bytes
	}
	for i, code := range d.bytes(d.name+".weight_scale", dtype) {
		v := d.Format.Scales.Value(code)
		if v != v {
			d.fail(fmt.Errorf("%s.weight_scale: scale %d is %#02x, which is no number", d.name, i, code))
			return
		}
		d.e.Scale = append(d.e.Scale, v)
	}
	if d.Packing != NVFP4Packed {
		return
	}
	if global := d.scales(d.name+".weight_global_scale", 1); d.err == nil {
		if d.e.Global = global[0]; !(d.e.Global > 0) {
			d.fail(fmt.Errorf("%s.weight_global_scale is %v, expected a positive number", d.name, d.e.Global))
		}
	}
}

// oneByte reads the packings that have a byte for each code: int8 or FP8.
func (d *decoder) oneByte() {
	dtype, scales := d.byteType(), d.e.Out
	switch b := d.Format.Block; {
	case d.Format.Tensor:
		scales = 1
	case d.blocks():
		scales = ceil(d.e.Out, b[0]) * ceil(d.e.In, b[1])
	}
	d.codes = d.bytes(d.name+".weight", dtype)
	d.e.Scale = d.scales(d.scaleName(d.name), scales)
	if d.Format.Activations != weight.Static {
		return
	}
	if input := d.scales(d.name+".input_scale", 1); d.err == nil {
		if d.e.Input = input[0]; !(d.e.Input > 0) {
			d.fail(fmt.Errorf("%s.input_scale is %v, expected a positive number", d.name, d.e.Input))
		}
	}
}

// middle is the code that stands for 0 where there are no zero points.
func (d *decoder) middle() byte { return 1 << (d.Format.Bits - 1) }

// packed reads pack-quantized.
func (d *decoder) packed() {
	out, in, bits := d.e.Out, d.e.In, d.Format.Bits
	shape, err := int64s(d.files, d.name+".weight_shape")
	if want := []int64{int64(out), int64(in)}; err == nil && !slices.Equal(shape, want) {
		err = fmt.Errorf("weight_shape holds %d, expected %d by config.json", shape, want)
	}
	if err != nil {
		d.fail(err)
		return
	}
	if words := d.bytes(d.name+".weight_packed", safetensors.I32); d.err == nil {
		d.codes = unpackRows(words, out, in, bits, d.middle())
	}
	d.e.Scale = d.scales(d.name+".weight_scale", out*d.groups)
	if d.Format.ZeroPoints {
		if words := d.bytes(d.name+".weight_zero_point", safetensors.I32); d.err == nil {
			d.e.Zero = signed(unpackColumns(words, out, d.groups, bits, d.middle()))
		}
	}
	if d.Format.Order {
		d.order(d.name + ".weight_g_idx")
	}
}

// transposed reads GPTQ's and AWQ's packings, which hold the weight as [in, out].
func (d *decoder) transposed() {
	out, in, bits := d.e.Out, d.e.In, d.Format.Bits
	words, zeroWords := d.bytes(d.name+".qweight", safetensors.I32), d.bytes(d.name+".qzeros", safetensors.I32)
	if d.err != nil {
		return
	}
	var codes []byte
	if d.Packing == AWQ {
		codes = unpackRows(words, in, out, bits, d.middle())
		reorderAWQ(codes, true)
	} else {
		codes = unpackColumns(words, in, out, bits, d.middle())
	}
	d.codes = transpose(codes, in, out)
	zeros := unpackRows(zeroWords, d.groups, out, bits, d.middle())
	switch {
	case d.Packing == AWQ:
		reorderAWQ(zeros, true)
	case !d.V2:
		d.raiseZeros(zeros)
	}
	d.e.Zero = signed(transpose(zeros, d.groups, out))
	if scale := d.scales(d.name+".scales", d.groups*out); d.err == nil {
		d.e.Scale = transpose(scale, d.groups, out)
	}
	if _, ok := d.files.tensor(d.name + ".g_idx"); ok && d.Packing == GPTQ {
		d.order(d.name + ".g_idx")
	}
}

// raiseZeros adds the one that version 1 of GPTQ's format leaves out.
func (d *decoder) raiseZeros(zeros []byte) {
	last := d.middle() - 1 // as a signed code
	for i, z := range zeros {
		if z == last {
			stored, out := 1<<d.Format.Bits-1, d.e.Out
			d.fail(fmt.Errorf("qzeros [%d, %d] is %d: with one added engines take it for 0 or for %d; expected checkpoint_format gptq_v2 for such zero points", i/out, i%out, stored, stored+1))
			return
		}
		zeros[i]++
	}
}

// order reads the group of each input; one group after another needs no list.
func (d *decoder) order(name string) {
	groupOf, err := int32s(d.files, name)
	if err != nil {
		d.fail(err)
		return
	}
	plain := true
	for i, v := range groupOf {
		if v < 0 || int(v) >= d.groups {
			d.fail(fmt.Errorf("%s: input %d is in group %d, expected 0 to %d", name, i, v, d.groups-1))
			return
		}
		plain = plain && int(v) == i/(d.e.In/d.groups)
	}
	if !plain {
		d.e.GroupOf = groupOf
	}
}

func signed(b []byte) []int8 {
	q := make([]int8, len(b))
	for i, v := range b {
		q[i] = int8(v)
	}
	return q
}
