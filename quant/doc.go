// Package quant turns float32 linear layers into number formats that take less memory and multiply
// in that format.
//
// Weights are quantized to three formats of package weight: Int8 (W8A8), Int4 (W4A16 or W4A8) and
// FP8 (fp8-dynamic, always round to nearest). Codes of integers come from RTN (round to nearest) or
// GPTQ (Frantar et al., 2022: static groups, damping, blocked updates, optional act-order),
// calibrated layer by layer on the part of the model that is quantized already.
//
// Promises: the input model is not touched; codes are nearest to the scale as it is stored;
// rounding is to nearest, ties to even; embedding and head stay float32, tied or not; each layer's
// report has the exact squared error on the calibration data; the same sequences give the same
// bits.
//
// It leaves out: asymmetric grids, quantized KV caches, and the writing of files.
package quant
