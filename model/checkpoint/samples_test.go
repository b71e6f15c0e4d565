package checkpoint

import (
	"context"
	"errors"
	"fmt"
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
	return []sample{
		{"pack-quantized", packed(4, "group", true, "null"), packedLayer(4, 8, false, false), "w4a16"},
		{"pack-quantized channels", packed(4, "channel", true, "null"), packedLayer(4, 0, false, false), "w4a16"},
		{"pack-quantized asymmetric", packed(4, "group", false, `"static"`), packedLayer(4, 8, true, false), "uint4"},
		{"pack-quantized ordered", packed(4, "group", true, `"group"`), packedLayer(4, 8, false, true), "uint4"},
		{"pack-quantized 8 bits asymmetric channels", packed(8, "channel", false, "null"), packedLayer(8, 0, true, false), "float32"},
		{"pack-quantized 8 bits", packed(8, "group", true, "null"), packedLayer(8, 8, false, false), "float32"},
		{"int-quantized", fmt.Sprintf(tensorsSample, "int-quantized", channel8, token8), int8Layer(false), "w8a8"},
		{"int-quantized tensors", fmt.Sprintf(tensorsSample, "int-quantized", strings.Replace(channel8, "channel", "tensor", 1), token8), int8Layer(true), "w8a8"},
		{"int-quantized weights only", fmt.Sprintf(tensorsSample, "int-quantized", channel8, "null"), int8Layer(false), "float32"},
		{"float-quantized", fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "channel"), tokenF8), float8Layer(".weight_scale", 0, false), "fp8"},
		{"float-quantized static", fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "tensor"), staticF8), float8Layer(".weight_scale", 1, true), "fp8"},
		{"float-quantized weights only", fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "channel"), "null"), float8Layer(".weight_scale", 0, false), "float32"},
		{"float-quantized blocks", fmt.Sprintf(tensorsSample, "float-quantized", fmt.Sprintf(floats8, "block"), strings.Replace(tokenF8, "token", "group", 1)), float8Layer(".weight_scale", 8, false), "float32"},
		{"fp8", fp8("model.layers.0.mlp.up_proj", "lm_head"), float8Layer(".weight_scale", 1, false), "fp8"},
		{"fp8 static", fp8("model.layers.0.mlp.up_proj", "lm_head", "dynamic", "static"), float8Layer(".weight_scale", 1, true), "fp8"},
		{"fp8 blocks", fp8(`"ignored_layers":["model.layers.0.mlp.up_proj"]`, `"weight_block_size":[8,8]`), float8Layer(".weight_scale_inv", 8, false), "float32"},
		{"GPTQ", gptqSample, gptqLayer(4, 8, true, false, true), "w4a16"},
		{"GPTQ channels", gptq(`"group_size":8`, `"group_size":-1`), gptqLayer(4, 0, true, false, true), "w4a16"},
		{"GPTQ ordered", gptq(`"desc_act":false`, `"desc_act":true`), gptqLayer(4, 8, true, true, true), "uint4"},
		{"GPTQ asymmetric", gptq(`"sym":true`, `"sym":false`), gptqLayer(4, 8, true, false, false), "uint4"},
		{"GPTQ 8 bits", gptq(`"bits":4`, `"bits":8`), gptqLayer(8, 8, true, false, true), "float32"},
		{"GPTQ version 2", gptq(`"gptq",`, `"gptq",`, `"checkpoint_format":"gptq"`, `"checkpoint_format":"gptq_v2"`), gptqLayer(4, 8, false, false, false), "uint4"},
		{"GPTQ version 2 symmetric", gptq(`"checkpoint_format":"gptq"`, `"checkpoint_format":"gptq_v2"`), gptqLayer(4, 8, false, false, true), "w4a16"},
		{"AWQ", strings.Replace(awqSample, `["k_proj"]`, "null", 1), awqLayer(false), "uint4"},
		{"AWQ symmetric", strings.Replace(awqSample, `["k_proj"]`, "null", 1), awqLayer(true), "w4a16"},
	}
}

// sampleFolder writes a model with all linear layers of its blocks in a sample's form, and returns
// the tensors and the weights that they stand for.
func sampleFolder(t testing.TB, dir string, s sample) ([]Tensor, map[string][]float32) {
	t.Helper()
	m := random(t, shapes()["untied"])
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
