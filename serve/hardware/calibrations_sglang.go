package hardware

// sglang041 is the stack of the paper's ranking service. Ten rows of Tables 9 and 10 give four
// constants: what the host takes of a request and of a token, and the efficiencies of products in
// FP8 and of attention. The five of Table 11 give what launching a layer takes, and the FM's at 16k
// the efficiency of a mixture. The rest was measured elsewhere.
func sglang041() Calibration {
	return Calibration{
		Name: "sglang-0.4.1", Stack: "SGLang 0.4.1",
		Source: "Tables 9 to 11 of the paper (FP8 on 4 H100); products in BF16, work between them and all-reduce of H100 from vidur's profiler " +
			"(microsoft/vidur at 7d475133, MIT); shape of FlashAttention 2 from vLLM 0.14.0 on A100 and of FP8 from SGLang 0.5.14 " +
			"(ai-dynamo/aiconfigurator at 095f58a, Apache-2.0)",
		Valid: "prompts of 16,384 and 32,768 tokens, one at a time, in steps of 8,192",
		Chunk: 8192, Formats: []Format{FP8},
		Kernels: []Kernels{{
			Device: "h100", Stack: "SGLang 0.4.1",
			GEMM: [formats]GEMM{
				BF16: {Launch: 5.43e-06, Compute: 0.772, Stream: 1.17, Power: 1.39, Depth: 5.68e-10},
				FP8:  {Launch: 5.6e-06, Compute: 0.595, Stream: 0.802, Power: 2.96, Depth: 5.99e-10, RoundStream: 0.484},
			},
			Context: [2]Context{
				{Launch: 1.1e-05, Compute: 0.384, Stream: 0.284, Power: 1.38},
			},
			Decode: [2]Decode{
				{Launch: 1.21e-05, Serial: 1.8e-07, Stream: 0.852, Pad: 104, Query: 4.63, Power: 0.941},
			},
			AllReduce:   AllReduce{Latency: 2.48e-05, Each: 7.39e-07, Link: 0.781},
			Elementwise: Elementwise{Launch: 1.06e-05, Stream: 0.636},
			Errors:      Errors{0.03, 0.27},
		}},
		Host:        Host{Fixed: 0.00331, Token: 5.35e-06},
		LayerLaunch: 0.000742,
		Experts:     0.49,
		RMS:         0.00363,
		Far:         Errors{0.27, 0.27},
		Notes: []string{
			"the paper's rows are of 4 devices, prompts of 16k and 32k: the band is theirs",
			"no table of the paper has decodes of this stack: their attention is that of vLLM 0.14.0 on A100, and a step's own overhead is taken as 0",
		},
		MixtureNote: "the FM is taken as a mixture of 8 experts of 22B: its one row that is no overload gives the efficiency of a mixture",
	}
}

// sglang05 is SGLang of today.
func sglang05() Calibration {
	return Calibration{
		Name: "sglang-0.5", Stack: "SGLang 0.5",
		Source: "kernels measured on A100 SXM and H100 SXM (ai-dynamo/aiconfigurator at 095f58a, Apache-2.0); " +
			"work between products from vidur's profiler (microsoft/vidur at 7d475133, MIT)",
		Valid: "products of 1 to 32,768 rows, prefills of up to 16,384 tokens, contexts of up to 131,072, 2 to 8 devices",
		Chunk: 8192,
		Kernels: []Kernels{{
			Device: "h100", Stack: "SGLang 0.5.14",
			GEMM: [formats]GEMM{
				BF16: {Launch: 3.04e-06, Compute: 0.773, Stream: 0.854, Power: 2.68, Depth: 4.16e-10},
				FP8:  {Launch: 5.6e-06, Compute: 0.621, Stream: 0.802, Power: 2.96, Depth: 5.99e-10, RoundStream: 0.484},
			},
			Context: [2]Context{
				{Launch: 1.15e-05, Compute: 0.668, Narrow: 0.509, Last: 0.283, Stream: 0.527, Power: 1.13},
				{Launch: 1.2e-05, Compute: 0.922, Narrow: 0.636, Last: 0.347, Stream: 0.571, Power: 1.05},
			},
			Decode: [2]Decode{
				{Launch: 9.28e-06, Serial: 4.98e-08, Stream: 0.917, Pad: 97.8, Query: 3.23, Power: 1.1},
				{Launch: 1.29e-05, Serial: 5.56e-08, Stream: 0.677, Pad: 174, Query: 4.74, Power: 1.15},
			},
			AllReduce:   AllReduce{Latency: 2.01e-06, Each: 1.78e-07, Root: 1.72e-09, Link: 0.725},
			Elementwise: Elementwise{Launch: 1.06e-05, Stream: 0.636},
			Errors:      Errors{0.10, 0.11},
		}, {
			Device: "a100", Stack: "SGLang 0.5.10",
			GEMM: [formats]GEMM{
				BF16: {Launch: 5.14e-06, Compute: 0.796, Stream: 0.892, Power: 1.41, Depth: 1.82e-10},
			},
			Context: [2]Context{
				{Launch: 1.38e-05, Compute: 0.669, Last: 0.761, Stream: 0.58, Power: 1.22},
			},
			Decode: [2]Decode{
				{Launch: 1.31e-05, Serial: 2.59e-07, Stream: 0.56, Pad: 73.9, Query: 1.75, Power: 1.14},
			},
			AllReduce:   AllReduce{Latency: 4.49e-06, Each: 1.55e-07, Root: 4.05e-09, Link: 0.703},
			Elementwise: Elementwise{Launch: 1.07e-05, Stream: 0.56},
			Errors:      Errors{0.11, 0.18},
		}},
		Host:         Host{Fixed: 0.00331, Token: 5.35e-06},
		LayerLaunch:  0.000742,
		StepOverhead: 0.00142,
		Experts:      0.49,
		Far:          Errors{0.31, 0.65},
		Notes: []string{
			"kernels alone were measured: what the host takes, what launching a layer takes and the efficiency of a mixture are those of sglang-0.4.1, " +
				"and a step's overhead is that of vllm-0.6.1: today's are likely less",
		},
	}
}
