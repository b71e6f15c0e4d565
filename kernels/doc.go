// Package kernels computes what a transformer needs on plain slices: products with packed weights,
// the products of training, attention, and row kernels such as norms, losses and the optimizer.
//
// Matrices are row-major; a weight is [out, in], as in checkpoints. A weight is packed once
// (PackFloat32, PackBFloat16, PackFloat8, PackInt8, PackInt4, PackInt4Shifted, PackFloat4,
// PackGrouped) in panels of some outputs, in which a cache line is one step over the inputs.
// Training packs a weight once a step (TrainedWeight) and an activation once for all that read it
// (Operand), in a Precision. KVLayer is a paged cache that AttentionPaged reads; Attention is for
// packed sequences. Run computes several products as one parallel region.
//
// # Promises
//
// A result never depends on the number of threads, on the batch around a row, or on a row's place
// in it: each output element is accumulated over the inner dimension in one fixed order, and work
// is split over outputs only. Implementations may differ from each other in the last bits; within
// one implementation the same input gives the same bits. Misuse (a slice whose length does not fit
// the sizes) panics with the lengths.
//
// The package leaves out tensors, broadcasting and autograd: the family of models is fixed, so
// callers know their sizes. There is no assembly for ARM, and none for VNNI without AVX-512: there
// was no machine to test either.
//
// # Implementations
//
// Every routine has a reference in plain Go that is always compiled, and for amd64 implementations
// in generated assembly (kernels/gen), chosen at run time (see Use): AVX2, AVX-512, AVX-512 with
// VNNI, and with BF16. A new one is added so:
//
//  1. Detect it in supported (dispatch_amd64.go), after the implementations that it extends.
//  2. Make its table of products (productKernels) a copy of the table below it, and replace what
//     differs: heights, blocks, and for each format the layout of the left side with the routine
//     that packs it and the one that multiplies.
//  3. If its panels have another width, set productKernels.width: packed weights remember what
//     packed them. The float32 and bfloat16 blocks must be multiples of the layout's lines.
//  4. Likewise make its rowKernels a copy with what differs, attend and gradient for attention.
//  5. Print its assembly from kernels/gen, and add its loops to kernels/machine.
//  6. One chain serves every number of rows: a choice by rows is only between routines of the same
//     bits.
//
// All tests then run with it. TestProducts holds it to the definitions, the invariance suite
// (invariance_test.go) to the promise above, TestInt8IsExact and FuzzInt8 to the bits that all
// implementations share; two implementations that only tests have (implementations_test.go) show
// tiles of 16 rows by 64 bytes, heights of 16 and 32, and panels of 32 outputs.
//
// # Order of reading
//
// Files refer to those before them:
//
//	dispatch     the implementations and the choice of one
//	layout       the memory layout of a left side; panels, that of a right side
//	products     the table of product kernels, its reference and its amd64 tables
//	batch        Pending, Run; grid and product divide a product into tasks
//	operand      the left side of training; trained, its products
//	packed_*     the multipliers, one a format; int4, grouped: their products
//	rows_kernels the table of row kernels, its reference and its amd64 tables
//	rows, norm, rope, loss, adamw
//	kv, attention_paged, attention, attention_bfloat16
//
// Its subpackages: memory has aligned and reused buffers, parallel the thread pool, machine the
// facts and limits of the machine, matrix the float64 products and factorisations of calibration.
package kernels
