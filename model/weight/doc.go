// Package weight holds the number formats of a linear layer's weight, and the products over them.
//
// Weight is the interface that every format implements: pruned, quantized and served models share
// one forward pass. The formats are Dense (float32, the only one that can be trained), BFloat16,
// Int8 (W8A8: one symmetric scale per output channel, activations quantized per token while they
// are multiplied, products summed in int32), Int4 (W4A16, W4A8 or W3A16: one symmetric scale per
// group of consecutive inputs of an output channel, activations in bfloat16 or quantized as for
// Int8), Uint4 (W4A16 and W3A16 with zero points, and with the act-order that other tools write)
// and FP8 (E4M3FN or E5M2: one scale per output channel or for all, activations rounded to the same
// format per token or with one scale for all), Grouped (W8A16, FP8 with blocks or float
// activations) and Float4 (MXFP4 and NVFP4, activations in bfloat16), and Outliers, one of these
// with few numbers of bfloat16 beside the codes, that are added.
//
// Promises: a row's product has the same bits whatever rows are beside it, and a selected output
// has the bits that it has among all; the codes, scales and zero points that a weight was made of
// come back as they were given.
//
// The package leaves out how codes are chosen (package quant) and how they are stored in files
// (package checkpoint).
package weight
