// Package quant turns float32 linear layers into number formats that take less memory and multiply
// in that format.
//
// Four formats are model.Weights here. Int8 (W8A8): one symmetric scale per output channel,
// activations quantized per token while they are multiplied, products summed in int32. Int4 (W4A16
// or W4A8): one symmetric scale per group of consecutive inputs of an output channel, activations
// in bfloat16 or quantized as for Int8. FP8 (E4M3FN): one scale per output channel, activations
// rounded to FP8 per token, products summed in float32; always round to nearest. Uint4 (W4A16 of
// other makers): zero points and act-order, only read. Codes of integers come from RTN (round to
// nearest) or GPTQ (Frantar et al., 2022: static groups, damping, blocked updates, optional
// act-order), calibrated layer by layer on the already quantized part of the model.
//
// Promises: the input model is not touched; codes are nearest to the scale as it is stored;
// rounding is to nearest, ties to even; embedding and head stay float32, tied or not; each layer's
// report has the exact squared error on the calibration data; the same sequences give the same
// bits.
//
// It leaves out: asymmetric grids, quantized KV caches, and the writing of files.
package quant
