// Package hardware computes what the batches of a language model take on devices that are not
// here, and what a cache has room for on them.
//
// A Device is a datasheet: memory, bandwidth, peaks, link. A Model is a shape: layers, heads,
// widths, the format of its weights and of its cache. A Calibration is how an engine uses a device:
// the constants of a roofline for products by format, attention of prefills and of decodes,
// all-reduce, the work between products, and what the host takes beside them. A Deployment joins
// the three, divides the model among devices by tensor parallelism, and answers for a Batch:
//
//	model, _ := hardware.FindModel("8b")
//	device, count, _ := hardware.ParseDevices("h100x4")
//	calibration, _ := hardware.FindCalibration("sglang-0.5")
//	deployment, err := hardware.NewDeployment(model, device, count, calibration)
//	var batch hardware.Batch
//	batch.Add(2048, 6144, 1) // 2048 new tokens after 6144 cached ones, logits after the last
//	times := deployment.Step(&batch)
//
// # What it promises
//
// Constants are fitted to measurements, by code of this package: FitGEMM, FitContext, FitDecode,
// FitAllReduce and FitElementwise from kernels, FitRequests from the latencies of whole requests,
// FitHost from the steps of a machine of which nothing else is known. Each shipped calibration
// names its sources, and the tests fit it anew. Every Times has a band. For kernels it is what
// nine of ten layers made of measured kernels stay within; a device that was not measured has the
// band of one that was predicted from the other's constants and its own datasheet, A100 from H100
// and the reverse, and a note of the Deployment says so.
//
// An efficiency depends on the rows: a product takes the larger of its operations and its bytes,
// softened, and its launch. Products in FP8 and INT8 have the time of rounding their activations.
// Adding a sequence to a Batch and a Step cost nanoseconds, whatever a batch holds; a Step takes
// longer only with the number of different layers that a model has.
//
// # What it leaves out
//
// One machine, tensor parallelism alone: no pipelines, no experts divided among devices, no
// messages between machines. Full attention: no windows, no latent attention. No speculation. No
// clocks that fall under load, beyond what measurements had. A share of the bandwidth may be above
// 1, where what was measured fits in a cache. Kernels that were not measured are not guessed: INT8
// takes the efficiency of FP8, weights in INT4 that of BF16, a cache in FP8 that of BF16, and each
// is a note with a wide band. Where no engine's host was measured, an older one's stands for it,
// which is a note too. No price ships: it is the device file's.
package hardware
