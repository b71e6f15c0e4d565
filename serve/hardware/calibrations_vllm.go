package hardware

// vllm061 is the stack of the paper's Table 7. Its two rows in FP16 give what the host takes of a
// request and what a step waits for; the others give the efficiency of products and of streams in
// their format, each its own, so that those rows test nothing.
func vllm061() Calibration {
	return Calibration{
		Name: "vllm-0.6.1", Stack: "vLLM 0.6.1",
		Source: "Table 7 of the paper (Llama 3 8B on one A100 or H100); products in BF16 and work between them from vidur's profiler " +
			"(microsoft/vidur at 7d475133, MIT); FlashAttention 2 and all-reduce from vLLM 0.14.0 on A100, rounding to FP8 from vLLM 0.24.0 " +
			"(ai-dynamo/aiconfigurator at 095f58a, Apache-2.0); prefill attention and all-reduce of H100 from sglang-0.4.1",
		Valid: "prompts of 3,800 tokens in one step, a few answers at a time",
		Kernels: []Kernels{{
			Device: "h100", Stack: "vLLM 0.6.1",
			GEMM: [formats]GEMM{
				BF16: {Launch: 5.43e-06, Compute: 0.772, Stream: 1.17, Power: 1.39, Depth: 5.68e-10},
				FP8:  {Launch: 5.97e-06, Compute: 0.591, Stream: 0.474, Power: 3.29, Depth: 6.18e-10, RoundStream: 0.273},
			},
			Context: [2]Context{
				{Launch: 1.1e-05, Compute: 0.384, Stream: 0.284, Power: 1.38},
			},
			Decode: [2]Decode{
				{Launch: 1.21e-05, Serial: 1.8e-07, Stream: 0.852, Pad: 104, Query: 4.63, Power: 0.941},
			},
			AllReduce:   AllReduce{Latency: 2.48e-05, Each: 7.39e-07, Link: 0.781},
			Elementwise: Elementwise{Launch: 1.06e-05, Stream: 0.636},
			Errors:      Errors{0.03, 0.11},
		}, {
			Device: "a100", Stack: "vLLM 0.6.1",
			GEMM: [formats]GEMM{
				BF16: {Launch: 4.41e-06, Compute: 0.729, Stream: 1, Power: 1.7, Depth: 8.53e-10},
				INT8: {Launch: 4.41e-06, Compute: 0.73, Stream: 0.773, Power: 1.7, Depth: 8.53e-10, RoundStream: 0.273},
				INT4: {Launch: 4.41e-06, Compute: 0.57, Stream: 1, Power: 1.7, Depth: 8.53e-10},
			},
			Context: [2]Context{
				{Launch: 1.1e-05, Compute: 0.575, Last: 0.455, Stream: 0.284, Power: 1.38},
			},
			Decode: [2]Decode{
				{Launch: 1.21e-05, Serial: 1.8e-07, Stream: 0.852, Pad: 104, Query: 4.63, Power: 0.941},
			},
			AllReduce:   AllReduce{Latency: 4.52e-06, Each: 1.42e-07, Root: 3.66e-09, Link: 0.663},
			Elementwise: Elementwise{Launch: 1.07e-05, Stream: 0.56},
			Errors:      Errors{0.03, 0.11},
		}},
		Host:         Host{Fixed: 0.0353},
		StepOverhead: 0.00142,
		Experts:      0.49,
		RMS:          0.00796,
		Far:          Errors{0.27, 0.27},
		Notes: []string{
			"the length of the answers of Table 7 is not printed: with 300 tokens assumed, it gives a step's overhead and the streams of quantized weights",
			"what the host takes is of prompts of 3,800 tokens: how it grows with them is not known, and it is taken as constant",
		},
	}
}

// vllm024 is vLLM of today.
func vllm024() Calibration {
	return Calibration{
		Name: "vllm-0.24", Stack: "vLLM 0.24 on H100, 0.14 on A100",
		Source: "kernels measured on A100 SXM and H100 SXM (ai-dynamo/aiconfigurator at 095f58a, Apache-2.0); " +
			"work between products from vidur's profiler (microsoft/vidur at 7d475133, MIT)",
		Valid: "products of 1 to 32,768 rows (8,192 on A100), prefills of up to 16,384 tokens, contexts of up to 131,072, 2 to 8 devices",
		Chunk: 8192,
		Kernels: []Kernels{{
			Device: "h100", Stack: "vLLM 0.24.0",
			GEMM: [formats]GEMM{
				BF16: {Launch: 2.8e-06, Compute: 0.831, Stream: 0.886, Power: 2.63, Depth: 3.9e-10},
				FP8:  {Launch: 5.97e-06, Compute: 0.633, Stream: 0.799, Power: 3.29, Depth: 6.18e-10, RoundStream: 0.273},
			},
			Context: [2]Context{
				{Launch: 1.28e-05, Compute: 0.771, Narrow: 0.548, Last: 0.397, Stream: 0.374, Power: 0.987},
				{Launch: 1.39e-05, Compute: 0.7, Narrow: 0.202, Last: 0.711, Stream: 0.275, Power: 0.957},
			},
			Decode: [2]Decode{
				{Launch: 1.11e-05, Serial: 3.12e-08, Stream: 0.943, Pad: 150, Query: 9.29, Power: 1.04},
				{Launch: 1.26e-05, Serial: 2.85e-08, Stream: 0.753, Pad: 264, Query: 6.9, Power: 1.02},
			},
			AllReduce:   AllReduce{Latency: 4.54e-06, Root: 1.82e-09, Link: 0.722},
			Elementwise: Elementwise{Launch: 1.06e-05, Stream: 0.636},
			Errors:      Errors{0.13, 0.11},
		}, {
			Device: "a100", Stack: "vLLM 0.14.0",
			GEMM: [formats]GEMM{
				BF16: {Launch: 4.44e-06, Compute: 0.895, Stream: 0.972, Power: 1.19, Depth: 2.02e-10},
			},
			Context: [2]Context{
				{Launch: 1.1e-05, Compute: 0.575, Last: 0.455, Stream: 0.284, Power: 1.38},
			},
			Decode: [2]Decode{
				{Launch: 1.21e-05, Serial: 1.8e-07, Stream: 0.852, Pad: 104, Query: 4.63, Power: 0.941},
			},
			AllReduce:   AllReduce{Latency: 4.52e-06, Each: 1.42e-07, Root: 3.66e-09, Link: 0.663},
			Elementwise: Elementwise{Launch: 1.07e-05, Stream: 0.56},
			Errors:      Errors{0.15, 0.12},
		}},
		Host:         Host{Fixed: 0.0353},
		StepOverhead: 0.00142,
		Experts:      0.49,
		Far:          Errors{0.27, 0.27},
		Notes: []string{
			"kernels alone were measured: what the host takes and a step's overhead are those of vllm-0.6.1, and the efficiency of a mixture is that " +
				"of sglang-0.4.1: today's are likely less",
		},
	}
}
