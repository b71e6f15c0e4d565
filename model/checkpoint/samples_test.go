package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model/checkpoint/safetensors"
)

const (
	gptqSample = `{"quant_method":"gptq","bits":4,"group_size":8,"desc_act":false,"sym":true,"checkpoint_format":"gptq","lm_head":false,"pack_dtype":"int32","dynamic":{},"meta":{}}`
	awqSample  = `{"quant_method":"awq","bits":4,"group_size":8,"zero_point":true,"version":"gemm","modules_to_not_convert":["k_proj"]}`
	fp8Sample  = `{"quant_method":"fp8","activation_scheme":"dynamic","ignored_layers":["model.layers.0.mlp.up_proj"]}`

	// The groups of compressed-tensors; # is the format, then come the weights and the activations.
	tensorsSample = `{"quant_method":"compressed-tensors","format":%q,"quantization_status":"compressed","ignore":["lm_head"],
		"config_groups":{"group_0":{"targets":["Linear"],"weights":%s,"input_activations":%s,"output_activations":null}}}`
)

// sample is a published form: how a layer is stored in it, written here a code at a time from the
// description of the format.
type sample struct {
	name   string
	config string
	// store makes the tensors of a layer [out, in], and the weight that they stand for.
	store func(s *sampler, name string, out, in int) (weight []float32)
	kind  string // how the name of the format in memory begins
	wide  bool   // the model is wide
}

// sampler draws the tensors of a sample.
type sampler struct {
	rng     *rand.Rand
	tensors []Tensor
}

func (s *sampler) add(name string, dtype DType, data any, shape ...int) {
	s.tensors = append(s.tensors, safetensors.NewTensor(name, dtype, shape, func() any { return data }))
}

func (s *sampler) scales(n int) []float32 {
	list := make([]float32, n)
	for i := range list {
		list[i] = float32(1+s.rng.IntN(127)) / 256 // exact in 16 bits
	}
	return list
}

func (s *sampler) codes(n, limit int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = s.rng.IntN(limit)
	}
	return list
}

// words sets codes of the given bits, each where at says: the word and the place in it.
func words(n, bits int, codes []int, at func(i int) (word, place int)) []int32 {
	list := make([]int32, n)
	for i, v := range codes {
		word, place := at(i)
		list[word] |= int32(uint32(v) << (bits * place))
	}
	return list
}

// gptqLayer writes a layer as GPTQ. order lists the group of each input, nil is one after another;
// zero draws zero points.
func gptqLayer(bits, group int, v1, order, sym bool) func(s *sampler, name string, out, in int) []float32 {
	return func(s *sampler, name string, out, in int) []float32 {
		size := group
		if size == 0 {
			size = in
		}
		groups, per := in/size, 32/bits
		q, z, scale := s.codes(in*out, 1<<bits), s.codes(groups*out, 1<<bits-1), s.scales(groups*out)
		g := make([]int32, in)
		for i := range g {
			g[i] = int32(i / size)
		}
		if order {
			s.rng.Shuffle(in, func(i, j int) { g[i], g[j] = g[j], g[i] })
		}
		stored := slices.Clone(z)
		for i := range z {
			if sym {
				z[i] = 1 << (bits - 1)
			}
			if z[i] == 0 && v1 {
				z[i] = 1
			}
			if stored[i] = z[i]; v1 {
				stored[i]--
			}
		}
		s.add(name+".qweight", safetensors.I32, words(in/per*out, bits, q, func(i int) (int, int) { return i/out/per*out + i%out, i / out % per }), in/per, out)
		s.add(name+".qzeros", safetensors.I32, words(groups*out/per, bits, stored, func(i int) (int, int) { return i / per, i % per }), groups, out/per)
		s.add(name+".scales", F16, scale, groups, out)
		s.add(name+".g_idx", safetensors.I32, g, in)
		s.add(name+".bias", F16, make([]float32, out), out)
		w := make([]float32, out*in)
		for i := range in {
			for o := range out {
				at := int(g[i])*out + o
				w[o*in+i] = float32(q[i*out+o]-z[at]) * scale[at]
			}
		}
		return w
	}
}

// gptq3Layer writes 3 bits, 32 values in three words, bit by bit.
func gptq3Layer(group int, v1, sym bool) func(s *sampler, name string, out, in int) []float32 {
	return func(s *sampler, name string, out, in int) []float32 {
		groups := in / group
		q, z, scale := s.codes(in*out, 8), s.codes(groups*out, 8), s.scales(groups*out)
		stored := slices.Clone(z)
		for i := range z {
			if z[i] = max(1, z[i]); sym {
				z[i] = 4
			}
			if stored[i] = z[i]; v1 {
				stored[i]--
			}
		}
		qweight, qzeros := make([]int32, in*out*3/32), make([]int32, groups*out*3/32)
		for bit := range 3 {
			for i := range in {
				for o := range out {
					at := 3*i + bit
					qweight[at/32*out+o] |= int32(uint32(q[i*out+o]>>bit&1) << (at % 32))
				}
			}
			for g := range groups {
				for o := range out {
					at := 3*o + bit
					qzeros[g*(out*3/32)+at/32] |= int32(uint32(stored[g*out+o]>>bit&1) << (at % 32))
				}
			}
		}
		s.add(name+".qweight", safetensors.I32, qweight, in*3/32, out)
		s.add(name+".qzeros", safetensors.I32, qzeros, groups, out*3/32)
		s.add(name+".scales", F16, scale, groups, out)
		w := make([]float32, out*in)
		for i := range in {
			for o := range out {
				at := i/group*out + o
				w[o*in+i] = float32(q[i*out+o]-z[at]) * scale[at]
			}
		}
		return w
	}
}

// float4Layer writes NVFP4, or MXFP4.
func float4Layer(nv bool) func(s *sampler, name string, out, in int) []float32 {
	values := []float32{0, 0.5, 1, 1.5, 2, 3, 4, 6}
	return func(s *sampler, name string, out, in int) []float32 {
		group, global := 32, float32(1)
		if nv {
			group, global = 16, 3.7
			s.add(name+".weight_global_scale", F32, []float32{global}, 1)
			s.add(name+".input_global_scale", F32, []float32{80}, 1)
		}
		q, codes, w := s.codes(out*in, 16), make([]byte, out*in/group), make([]float32, out*in)
		packed := make([]byte, out*in/2)
		for i := range codes {
			codes[i] = byte(s.rng.IntN(0x7f)) // a number of E4M3 that is not negative
			if !nv {
				codes[i] = byte(120 + s.rng.IntN(10))
			}
		}
		for i, code := range q {
			packed[i/2] |= byte(code << (i % 2 * 4))
			scale := kernels.FromFloat8(codes[i/group]) / global
			if !nv {
				scale = float32(math.Pow(2, float64(int(codes[i/group])-127)))
			}
			if w[i] = values[code%8] * scale; code >= 8 {
				w[i] = -w[i]
			}
		}
		s.add(name+".weight_packed", safetensors.U8, packed, out, in/2)
		s.add(name+".weight_scale", map[bool]DType{true: safetensors.F8E4M3, false: safetensors.U8}[nv], codes, out, in/group)
		return w
	}
}

func awqLayer(sym bool) func(s *sampler, name string, out, in int) []float32 {
	return func(s *sampler, name string, out, in int) []float32 {
		const group = 8
		groups := in / group
		q, z, scale := s.codes(in*out, 16), s.codes(groups*out, 16), s.scales(groups*out)
		if sym {
			z = slices.Repeat([]int{8}, groups*out)
		}
		place := func(i int) (int, int) { return i / 8, []int{0, 4, 1, 5, 2, 6, 3, 7}[i%8] }
		s.add(name+".qweight", safetensors.I32, words(in*out/8, 4, q, place), in, out/8)
		s.add(name+".qzeros", safetensors.I32, words(groups*out/8, 4, z, place), groups, out/8)
		s.add(name+".scales", F16, scale, groups, out)
		w := make([]float32, out*in)
		for i := range in {
			for o := range out {
				at := i/group*out + o
				w[o*in+i] = float32(q[i*out+o]-z[at]) * scale[at]
			}
		}
		return w
	}
}

func packedLayer(bits, group int, zeros, order bool) func(s *sampler, name string, out, in int) []float32 {
	return func(s *sampler, name string, out, in int) []float32 {
		size := group
		if size == 0 {
			size = in
		}
		groups, per := in/size, 32/bits
		row, half := (in+per-1)/per, 1<<(bits-1)
		q, z, scale := s.codes(in*out, 1<<bits), s.codes(groups*out, 1<<bits), s.scales(groups*out)
		s.add(name+".weight_packed", safetensors.I32, words(out*row, bits, q, func(i int) (int, int) { return i/in*row + i%in/per, i % in % per }), out, row)
		s.add(name+".weight_scale", BF16, scale, out, groups)
		s.add(name+".weight_shape", safetensors.I64, []int64{int64(out), int64(in)}, 2)
		if zeros {
			high := (out + per - 1) / per
			s.add(name+".weight_zero_point", safetensors.I32, words(high*groups, bits, z, func(i int) (int, int) { return i/groups/per*groups + i%groups, i / groups % per }), high, groups)
		}
		g := make([]int32, in)
		for i := range g {
			g[i] = int32(i / size)
		}
		if order {
			s.rng.Shuffle(in, func(i, j int) { g[i], g[j] = g[j], g[i] })
			s.add(name+".weight_g_idx", safetensors.I32, g, in)
		}
		w := make([]float32, out*in)
		for i := range w {
			at := i/in*groups + int(g[i%in])
			zero := half
			if zeros {
				zero = z[at]
			}
			w[i] = float32(q[i]-zero) * scale[at]
		}
		return w
	}
}

func int8Layer(perTensor bool) func(s *sampler, name string, out, in int) []float32 {
	return func(s *sampler, name string, out, in int) []float32 {
		q, scale, w := make([]byte, out*in), s.scales(out), make([]float32, out*in)
		if perTensor {
			s.add(name+".weight_scale", F32, scale[:1], 1)
			scale = slices.Repeat(scale[:1], out)
		} else {
			s.add(name+".weight_scale", BF16, scale, out, 1)
		}
		for i := range q {
			q[i] = byte(s.rng.IntN(256))
			w[i] = float32(int8(q[i])) * scale[i/in]
		}
		s.add(name+".weight", safetensors.I8, q, out, in)
		return w
	}
}

// e5m2Layer writes FP8 in E5M2 with a scale for each output.
func e5m2Layer(s *sampler, name string, out, in int) []float32 {
	q, w, scale := make([]byte, out*in), make([]float32, out*in), s.scales(out)
	for i := range q {
		q[i] = byte(s.rng.IntN(0x7c)) | byte(s.rng.IntN(2))<<7
		size := math.Pow(2, float64(q[i]>>2&31)-15) * (1 + float64(q[i]&3)/4)
		if q[i]>>2&31 == 0 {
			size = math.Pow(2, -16) * float64(q[i]&3)
		}
		if w[i] = float32(size) * scale[i/in]; q[i] >= 0x80 {
			w[i] = -w[i]
		}
	}
	s.add(name+".weight", safetensors.F8E5M2, q, out, in)
	s.add(name+".weight_scale", F32, scale, out, 1)
	return w
}

// float8Layer writes FP8; blocks of 0 are channels, of 1 the whole tensor.
func float8Layer(suffix string, block int, static bool) func(s *sampler, name string, out, in int) []float32 {
	return func(s *sampler, name string, out, in int) []float32 {
		q, w := make([]byte, out*in), make([]float32, out*in)
		rows, columns, shape := out, 1, []int{out, 1}
		at := func(i int) int { return i / in }
		switch block {
		case 0:
		case 1:
			rows, shape = 1, []int{}
			at = func(int) int { return 0 }
		default:
			rows, columns = (out+block-1)/block, (in+block-1)/block
			shape = []int{rows, columns}
			at = func(i int) int { return i/in/block*columns + i%in/block }
		}
		scale := s.scales(rows * columns)
		for i := range q {
			for q[i] = byte(s.rng.IntN(256)); q[i]&0x7f == 0x7f; {
				q[i] = byte(s.rng.IntN(256))
			}
			w[i] = kernels.FromFloat8(q[i]) * scale[at(i)]
		}
		s.add(name+".weight", safetensors.F8E4M3, q, out, in)
		s.add(name+suffix, F32, scale, shape...)
		if static {
			s.add(name+".input_scale", F32, []float32{0.25}, 1)
		}
		return w
	}
}

func samples() []sample {
	const (
		channel8 = `{"num_bits":8,"type":"int","symmetric":true,"strategy":"channel","group_size":null,"dynamic":false}`
		floats8  = `{"num_bits":8,"type":"float","symmetric":true,"strategy":%q,"block_structure":[8,8],"dynamic":false}`
		token8   = `{"num_bits":8,"type":"int","symmetric":true,"strategy":"token","dynamic":true}`
		tokenF8  = `{"num_bits":8,"type":"float","symmetric":true,"strategy":"token","dynamic":true}`
		staticF8 = `{"num_bits":8,"type":"float","symmetric":true,"strategy":"tensor","dynamic":false}`
	)
	packed := func(bits int, strategy string, symmetric bool, order string) string {
		return fmt.Sprintf(tensorsSample, "pack-quantized",
			fmt.Sprintf(`{"num_bits":%d,"type":"int","symmetric":%t,"strategy":%q,"group_size":8,"dynamic":false,"actorder":%s}`, bits, symmetric, strategy, order), "null")
	}
	gptq := func(edits ...string) string { return strings.NewReplacer(edits...).Replace(gptqSample) }
	fp8 := func(edits ...string) string { return strings.NewReplacer(edits...).Replace(fp8Sample) }
	groups := func(strategy string, size int) string {
		return fmt.Sprintf(`{"num_bits":4,"type":"float","symmetric":true,"strategy":%q,"group_size":%d,"dynamic":false}`, strategy, size)
	}
	const fours = `{"num_bits":4,"type":"float","symmetric":true,"strategy":"tensor_group","group_size":16,"dynamic":"local"}`
	return []sample{
		{name: "pack-quantized", config: packed(4, "group", true, "null"), store: packedLayer(4, 8, false, false), kind: "w4a16"},
		{name: "pack-quantized channels", config: packed(4, "channel", true, "null"), store: packedLayer(4, 0, false, false), kind: "w4a16"},
		{name: "pack-quantized asymmetric", config: packed(4, "group", false, `"static"`), store: packedLayer(4, 8, true, false), kind: "uint4"},
		{name: "pack-quantized ordered", config: packed(4, "group", true, `"group"`), store: packedLayer(4, 8, false, true), kind: "uint4"},
		{name: "pack-quantized 8 bits asymmetric channels", config: packed(8, "channel", false, "null"), store: packedLayer(8, 0, true, false), kind: "float32"},
		{name: "pack-quantized 8 bits", config: packed(8, "group", true, "null"), store: packedLayer(8, 8, false, false), kind: "w8a16"},
		{name: "int-quantized", config: fmt.Sprintf(tensorsSample, "int-quantized", channel8, token8), store: int8Layer(false), kind: "w8a8"},
		{name: "int-quantized tensors", config: fmt.Sprintf(tensorsSample, "int-quantized", strings.Replace(channel8, "channel", "tensor", 1), token8), store: int8Layer(true), kind: "w8a8"},
		{name: "int-quantized weights only", config: fmt.Sprintf(tensorsSample, "int-quantized", channel8, "null"), store: int8Layer(false), kind: "w8a16"},
		{name: "float-quantized", config: fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "channel"), tokenF8), store: float8Layer(".weight_scale", 0, false), kind: "fp8"},
		{name: "float-quantized static", config: fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "tensor"), staticF8), store: float8Layer(".weight_scale", 1, true), kind: "fp8"},
		{name: "float-quantized weights only", config: fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "channel"), "null"), store: float8Layer(".weight_scale", 0, false), kind: "fp8-a16"},
		{name: "float-quantized blocks", config: fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "block"), strings.Replace(tokenF8, "token", "group", 1)), store: float8Layer(".weight_scale", 8, false), kind: "fp8-b8x8"},
		{name: "fp8", config: fp8("model.layers.0.mlp.up_proj", "lm_head"), store: float8Layer(".weight_scale", 1, false), kind: "fp8"},
		{name: "fp8 static", config: fp8("model.layers.0.mlp.up_proj", "lm_head", "dynamic", "static"), store: float8Layer(".weight_scale", 1, true), kind: "fp8"},
		{name: "fp8 blocks", config: fp8(`"ignored_layers":["model.layers.0.mlp.up_proj"]`, `"weight_block_size":[8,8]`), store: float8Layer(".weight_scale_inv", 8, false), kind: "fp8-b8x8"},
		{name: "GPTQ", config: gptqSample, store: gptqLayer(4, 8, true, false, true), kind: "w4a16"},
		{name: "GPTQ channels", config: gptq(`"group_size":8`, `"group_size":-1`), store: gptqLayer(4, 0, true, false, true), kind: "w4a16"},
		{name: "GPTQ ordered", config: gptq(`"desc_act":false`, `"desc_act":true`), store: gptqLayer(4, 8, true, true, true), kind: "uint4"},
		{name: "GPTQ asymmetric", config: gptq(`"sym":true`, `"sym":false`), store: gptqLayer(4, 8, true, false, false), kind: "uint4"},
		{name: "GPTQ 8 bits", config: gptq(`"bits":4`, `"bits":8`), store: gptqLayer(8, 8, true, false, true), kind: "w8a16"},
		{name: "GPTQ version 2", config: gptq(`"gptq",`, `"gptq",`, `"checkpoint_format":"gptq"`, `"checkpoint_format":"gptq_v2"`), store: gptqLayer(4, 8, false, false, false), kind: "uint4"},
		{name: "GPTQ version 2 symmetric", config: gptq(`"checkpoint_format":"gptq"`, `"checkpoint_format":"gptq_v2"`), store: gptqLayer(4, 8, false, false, true), kind: "w4a16"},
		{name: "AWQ", config: strings.Replace(awqSample, `["k_proj"]`, "null", 1), store: awqLayer(false), kind: "uint4"},
		{name: "AWQ symmetric", config: strings.Replace(awqSample, `["k_proj"]`, "null", 1), store: awqLayer(true), kind: "w4a16"},
		{name: "float-quantized tensors", config: fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "tensor"), tokenF8), store: float8Layer(".weight_scale", 1, false), kind: "fp8-dynamic-tensor"},
		{name: "float-quantized blocks, weights only", config: fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "block"), "null"), store: float8Layer(".weight_scale", 8, false), kind: "fp8-a16-b8x8"},
		{name: "E5M2", config: fmt.Sprintf(tensorsSample, "float-quantized-e5m2", fmt.Sprintf(floats8, "channel"), tokenF8), store: e5m2Layer, kind: "fp8-e5m2-dynamic"},
		{name: "NVFP4", config: fmt.Sprintf(tensorsSample, "nvfp4-pack-quantized", groups("tensor_group", 16), fours), store: float4Layer(true), kind: "nvfp4", wide: true},
		{name: "MXFP4", config: fmt.Sprintf(tensorsSample, "mxfp4-pack-quantized", groups("group", 32), "null"), store: float4Layer(false), kind: "mxfp4", wide: true},
		{name: "GPTQ 3 bits", config: gptq(`"bits":4`, `"bits":3`), store: gptq3Layer(8, true, true), kind: "w3a16-g8", wide: true},
		{name: "GPTQ 3 bits asymmetric", config: gptq(`"bits":4`, `"bits":3`, `"sym":true`, `"sym":false`), store: gptq3Layer(8, true, false), kind: "w3a16-g8-zero", wide: true},
	}
}

// sampleFolder writes a model with all linear layers of its blocks in a sample's form, and returns
// the tensors and the weights that they stand for.
func sampleFolder(t testing.TB, dir string, s sample) ([]Tensor, map[string][]float32) {
	t.Helper()
	shape := shapes()["untied"]
	if s.wide {
		shape = wide()
	}
	m := random(t, shape)
	weights, from := map[string][]float32{}, sampler{rng: rand.New(rand.NewPCG(5, 6))}
	for _, l := range m.Linears() {
		weights[l.Name] = s.store(&from, l.Name, l.Out, l.In)
	}
	tensors := slices.DeleteFunc(tensorsOf(t, m), func(t Tensor) bool { return weights[strings.TrimSuffix(t.Name, ".weight")] != nil })
	tensors = append(tensors, from.tensors...)
	config, err := newConfigFile(m.Config, F32)
	if err != nil {
		t.Fatal(err)
	}
	quantization := quantizationConfig(s.config)
	config.Quantization = &quantization
	if err := errors.Join(safetensors.WriteFolder(context.Background(), dir, tensors, safetensors.FolderOptions{Verify: true}), writeConfig(dir, config, nil)); err != nil {
		t.Fatal(err)
	}
	return tensors, weights
}
