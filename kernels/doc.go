// Package kernels is the ground slimlab stands on: numeric routines on plain slices.
//
// Every routine has a reference in plain Go that is always compiled, and for amd64 implementations
// in generated assembly, chosen at run time (see Use): AVX2, AVX-512, and AVX-512 with VNNI and
// with BF16. Matrices are row-major; a weight is [out, in], as in checkpoints.
//
// A weight is packed once (PackFloat32, PackBFloat16, PackInt8, PackInt4) into panels of 16
// outputs, in which a cache line is one step over the inputs: 1 float32, 2 bfloat16, 4 int8 or 8
// int4 inputs of each output. Training lays a weight out once a step (TrainedWeight) and an
// activation once for all that read it (Operand), in a Precision; MatMulT, MatMul and MatTMul take
// matrices as they lie. KVLayer is a paged cache and AttentionPaged reads it; Attention is for
// packed sequences.
//
// Its subpackages: memory has aligned and reused buffers, parallel the thread pool, machine the
// facts and limits of the machine, matrix the float64 products and factorisations of calibration.
//
// Promises. A result never depends on the number of threads, on the batch around a row, or on where
// a row stands in it: each output element is accumulated over the inner dimension in one fixed
// order, and work is split over outputs only. Implementations may differ from each other in the
// last bits; within one implementation the same input gives the same bits.
//
// Misuse (a slice whose length does not fit the sizes) panics with the lengths. The package leaves
// out tensors, broadcasting and autograd: the family of models is fixed, so callers know their
// sizes. There is no assembly for ARM, and none for VNNI without AVX-512: no machine to test either
// on was at hand.
package kernels
