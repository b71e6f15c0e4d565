package engines

import (
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/weight"
)

func TestCheckShape(t *testing.T) {
	llama3B := model.Config{Architecture: model.Llama, Vocab: 128256, Hidden: 3072, HeadDim: 128, Layers: model.Uniform(28, 24, 8, 8192)}
	qwen := model.Config{Architecture: model.Qwen2, Vocab: 151936, Hidden: 1536, HeadDim: 128, Layers: model.Uniform(28, 12, 2, 8960)}
	with := func(c model.Config, heads, kv, mlp int) model.Config {
		c.Layers = model.Uniform(len(c.Layers), heads, kv, mlp)
		return c
	}
	ragged := with(llama3B, 24, 8, 8192)
	ragged.Layers[3].MLP = 4100
	many := with(llama3B, 24, 8, 8192)
	for i, mlp := range []int{4100, 5000, 6100, 4100, 7000, 7100, 7200} {
		many.Layers[i].MLP = mlp
	}
	two := with(llama3B, 24, 8, 8192)
	two.Layers[2].MLP, two.Layers[7].MLP, two.Layers[9].MLP = 5000, 4100, 5000
	raggedQwen := with(qwen, 12, 2, 8960)
	raggedQwen.Layers[3].MLP, raggedQwen.QKVBias = 4096, true
	narrow := with(llama3B, 24, 8, 8192)
	narrow.Hidden, narrow.HeadDim = 576, 64
	narrow.Layers = model.Uniform(30, 9, 3, 1536)
	smallKV := with(llama3B, 8, 2, 64)
	smallKV.Hidden, smallKV.HeadDim = 64, 8
	w4 := checkpoint.Storage{Packing: checkpoint.PackQuantized, Format: weight.Format{Bits: 4, Group: 128}}
	w4Odd, w4Asymmetric, w4Asymmetric8, w4a8 := w4, w4, w4, w4
	w4Asymmetric.Format.ZeroPoints = true
	w4Odd.Format.Group = 16
	w4Asymmetric8.Format.ZeroPoints, w4Asymmetric8.Format.Bits = true, 8
	w4a8.Format.Activations = weight.Token
	w8 := checkpoint.Storage{Packing: checkpoint.IntQuantized, Format: weight.Format{Bits: 8, Activations: weight.Token}}
	const gguf = "llama.cpp: does not load: it reads GGUF files alone. Instead: a GGUF file (F16 or BF16)"
	q4 := strings.Replace(gguf, "F16 or BF16", "Q4_0", 1)
	const (
		heads    = "does not load: 21 heads do not divide the hidden size 3072, which LlamaConfig asks for even with head_dim. Instead: heads/kv heads of 12/4, 6/2, 3/1"
		qwenDim  = "does not load: it takes hidden/heads, 1536/6, for the head dim of Qwen2, where this model has 128. Instead: a LlamaForCausalLM with attention_bias, head_dim, and o_proj.bias zero, which is the same model; or pruned MLPs alone"
		odd      = "does not load: gate, up has 10000 outputs, its kernel takes multiples of 64; down_proj has 5000 inputs, its kernel takes multiples of 128; groups of 128 do not divide the 5000 inputs of down_proj. Instead: an MLP width of 4992 or 5120"
		integers = "does not load: down_proj has 5000 inputs, its kernel takes multiples of 16. Instead: an MLP width of 4992 or 5008"
	)
	w4Outliers := w4
	w4Outliers.Outliers = checkpoint.OutlierEntries
	const own = "does not load: outliers beside the codes are in a form of slimlab's own (quant_method slimlab). Instead: the same scheme without outliers"
	for name, c := range map[string]struct {
		config  model.Config
		storage checkpoint.Storage
		want    []string // how each engine's line begins
	}{
		"dense":        {llama3B, checkpoint.Storage{}, []string{"transformers: loads", "vLLM: loads", "SGLang: loads", gguf}},
		"narrower MLP": {with(llama3B, 24, 8, 5120), w4, []string{"transformers: loads", "vLLM: loads", "SGLang: loads", q4}},
		"layers differ": {ragged, checkpoint.Storage{}, []string{
			"transformers: does not load: its layers have different widths: its config reads them (per_layer_config, since 5.15), its models take those of the first keys for all layers (as of 5.17). Instead: the same widths in all layers; a GGUF file for llama.cpp",
			"vLLM: does not load: its layers have different widths. Instead: the same widths in all layers; a GGUF file for llama.cpp", "SGLang: does not load: its layers have different widths", gguf}},
		"layers differ, GGUF": {ragged, checkpoint.Storage{Packing: checkpoint.GGUF, Format: weight.Format{Bits: 4}}, []string{"transformers: does not load", "vLLM: does not load", "SGLang: does not load",
			"llama.cpp: loads: as architecture deci, whose layers may have different widths; down_proj has 4100 inputs, no multiple of a block's 32: it stays a float"}},
		"two widths, GGUF": {two, checkpoint.Storage{Packing: checkpoint.GGUF, Format: weight.Format{Bits: 4}}, []string{"", "", "",
			"llama.cpp: loads: as architecture deci, whose layers may have different widths; down_proj has 4100 or 5000 inputs, no multiples of a block's 32: it stays a float in these layers"}},
		"many widths, GGUF": {many, checkpoint.Storage{Packing: checkpoint.GGUF, Format: weight.Format{Bits: 4}}, []string{"", "", "",
			"llama.cpp: loads: as architecture deci, whose layers may have different widths; down_proj has 5 numbers of inputs, from 4100 to 7100, no multiples of a block's 32: it stays a float in these layers"}},
		"layers of a Qwen2 differ": {raggedQwen, checkpoint.Storage{}, []string{"transformers: does not load", "vLLM: does not load: its layers have different widths. Instead: the same widths in all layers", "SGLang: does not load",
			"llama.cpp: does not load: its layers have different widths, which are for its deci alone, a Llama without biases. Instead: the same widths in all layers"}},
		"heads do not fit":   {with(llama3B, 21, 7, 8192), checkpoint.Storage{}, []string{"transformers: " + heads, "vLLM: " + heads, "SGLang: " + heads, gguf}},
		"outliers":           {llama3B, w4Outliers, []string{"transformers: " + own, "vLLM: " + own, "SGLang: " + own, q4}},
		"heads fit":          {with(llama3B, 12, 4, 8192), w4, []string{"transformers: loads", "vLLM: loads", "SGLang: loads", q4}},
		"Qwen2":              {qwen, w4, []string{"transformers: loads", "vLLM: loads", "SGLang: loads", q4}},
		"Qwen2, fewer heads": {with(qwen, 6, 1, 8960), checkpoint.Storage{}, []string{"transformers: loads", "vLLM: " + qwenDim, "SGLang: " + qwenDim, gguf}},
		"an odd MLP":         {with(llama3B, 24, 8, 5000), w4, []string{"transformers: loads", "vLLM: " + odd, "SGLang: " + odd, q4}},
		"an odd MLP, dense":  {with(llama3B, 24, 8, 5000), checkpoint.Storage{}, []string{"transformers: loads", "vLLM: loads", "SGLang: loads", gguf}},
		"an odd MLP, 8 bits": {with(llama3B, 24, 8, 5000), w8, []string{"transformers: loads", "vLLM: " + integers, "SGLang: " + integers, strings.Replace(q4, "Q4", "Q8", 1)}},
		"a hidden size of 4.5·128": {narrow, checkpoint.Storage{Packing: checkpoint.GPTQ, Format: weight.Format{Bits: 4, Group: 64}}, []string{"transformers: loads",
			"vLLM: does not load: q, k, v has 576 inputs, its kernel takes multiples of 128; o_proj has 576 inputs, its kernel takes multiples of 128; gate, up has 576 inputs, its kernel takes multiples of 128. Instead: int-quantized (w8a8) or float-quantized (fp8)",
			"SGLang: does not load", q4}},
		"small groups": {llama3B, w4Odd, []string{"transformers: loads", "vLLM: does not load: groups of 16 inputs are none of 32, 64, 128 or a whole channel. Instead: groups of 128", "SGLang: does not load", q4}},
		"zero points of 8 bits": {llama3B, w4Asymmetric8, []string{"transformers: loads", "vLLM: does not load: it has no kernel for 8-bit weights with zero points. Instead: symmetric codes",
			"SGLang: does not load: it has no kernel for 8-bit weights with zero points; zero points are read since its pull request 25292", strings.Replace(q4, "Q4", "Q8", 1)}},
		"zero points": {llama3B, w4Asymmetric, []string{"transformers: loads", "vLLM: loads", "SGLang: loads: zero points are read since its pull request 25292", strings.Replace(q4, "Q4_0", "Q4_1", 1)}},
		"GPTQ version 2": {llama3B, checkpoint.Storage{Packing: checkpoint.GPTQ, V2: true, Format: w4.Format}, []string{"transformers: loads",
			"vLLM: loads: only versions that know checkpoint_format gptq_v2 read it right", "SGLang: loads: only versions that know checkpoint_format gptq_v2 read it right", strings.Replace(q4, "Q4_0", "Q4_1", 1)}},
		"w4a8": {llama3B, w4a8, []string{"transformers: loads", "vLLM: does not load: it has no kernel for 4-bit weights with 8-bit integer activations on GPUs. Instead: pack-quantized with activations as they are (w4a16), or int-quantized (w8a8)",
			"SGLang: does not load", q4}},
		"MXFP4": {llama3B, checkpoint.Storage{Packing: checkpoint.MXFP4Packed, Format: weight.Format{Float: true, Bits: 4, Group: 32, Scales: weight.E8M0}},
			[]string{"transformers: loads", "vLLM: loads: weights of 4-bit floats", "SGLang: loads: weights of 4-bit floats", gguf}},
		"NVFP4, an odd MLP": {with(llama3B, 24, 8, 5000), checkpoint.Storage{Packing: checkpoint.NVFP4Packed, Format: weight.Format{Float: true, Bits: 4, Group: 16, Scales: weight.E4M3}},
			[]string{"transformers: loads", "vLLM: does not load: q, k and v, and gate and up, are multiplied as one with the largest of their scales of scales (weight_global_scale); weights of 4-bit floats beside float activations are read by versions since 2025; gate, up has 10000 outputs", "SGLang: does not load", gguf}},
		"E5M2": {llama3B, checkpoint.Storage{Packing: checkpoint.E5M2Quantized, Format: weight.Format{Float: true, Bits: 8, E5M2: true, Activations: weight.Token}},
			[]string{"transformers: does not load: FP8 weights are E4M3 in all engines, and compressed-tensors has no form for E5M2. Instead: fp8 (E4M3)", "vLLM: does not load", "SGLang: does not load", strings.Replace(q4, "Q4", "Q8", 1)}},
		"FP8 in blocks": {llama3B, checkpoint.Storage{Packing: checkpoint.FloatQuantized, Format: weight.Format{Float: true, Bits: 8, Block: [2]int{128, 128}, Activations: weight.Blocks}},
			[]string{"transformers: loads", "vLLM: loads", "SGLang: loads", strings.Replace(q4, "Q4", "Q8", 1)}},
		"FP8 in other blocks": {llama3B, checkpoint.Storage{Packing: checkpoint.FloatQuantized, Format: weight.Format{Float: true, Bits: 8, Block: [2]int{64, 64}, Activations: weight.Blocks}},
			[]string{"transformers: loads", "vLLM: does not load: blocks of 64x64 are none of 128x128. Instead: blocks of 128x128", "SGLang: does not load", strings.Replace(q4, "Q4", "Q8", 1)}},
		"3 bits": {llama3B, checkpoint.Storage{Packing: checkpoint.GPTQ, Format: weight.Format{Bits: 3, Group: 128}},
			[]string{"transformers: loads", "vLLM: loads: 3 bits are multiplied by the older kernel of GPTQ, not by Marlin", "SGLang: loads: 3 bits", gguf}},
		"3 bits, small KV heads": {with(narrow, 9, 3, 1536), checkpoint.Storage{Packing: checkpoint.GPTQ, Format: weight.Format{Bits: 3, Group: 64}}, []string{"transformers: loads",
			"vLLM: loads: 3 bits", "SGLang: loads: 3 bits", gguf}},
		"3 bits, KV heads of 16": {smallKV, checkpoint.Storage{Packing: checkpoint.GPTQ, Format: weight.Format{Bits: 3, Group: 32}}, []string{"transformers: loads",
			"vLLM: does not load: 3 bits are multiplied by the older kernel of GPTQ, not by Marlin; k and v have 16 outputs each, and 32 codes of 3 bits fill three words. Instead: 4 bits (w4a16)", "SGLang: does not load", gguf}},
		"W8A16": {llama3B, checkpoint.Storage{Packing: checkpoint.PackQuantized, Format: weight.Format{Bits: 8, Group: 128}}, []string{"transformers: loads", "vLLM: loads", "SGLang: loads", strings.Replace(q4, "Q4", "Q8", 1)}},
		"GGUF": {with(llama3B, 24, 8, 5000), checkpoint.Storage{Packing: checkpoint.GGUF, Format: weight.Format{Bits: 4}}, []string{"transformers: does not load: a GGUF file is read by way of experiment or conversion only. Instead: a Hugging Face folder", "vLLM: does not load",
			"SGLang: does not load", "llama.cpp: loads: down_proj has 5000 inputs, no multiple of a block's 32: it stays a float"}},
	} {
		got := CheckShape(c.config, c.storage)
		for i, want := range c.want {
			loads := strings.HasSuffix(want, ": loads")
			if s := got[i].Engine + ": " + got[i].String(); s != want && (loads || !strings.HasPrefix(s, want)) || got[i].Loads && len(got[i].Instead) > 0 {
				t.Errorf("%s:\nfound    %s\nexpected %s", name, s, want)
			}
		}
	}
}
