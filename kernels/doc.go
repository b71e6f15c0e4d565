// Package kernels is the ground slimlab stands on: numeric routines on plain slices.
//
// Every routine has a reference in plain Go that is always compiled, and for amd64 an AVX2 and an
// AVX-512 implementation in assembly, chosen at run time (see Use). Matrices are row-major; a
// weight is [out, in], as in checkpoints.
//
// Promises. A result never depends on the number of threads, on the batch around a row, or on where
// a row stands in it: each output element is accumulated over the inner dimension in one fixed
// order, and work is split over outputs only. Implementations may differ from each other in the last
// bits; within one implementation the same input gives the same bits.
//
// Misuse (a slice whose length does not fit the sizes) panics with the lengths. The package leaves
// out tensors, shapes, broadcasting and autograd: the family of models is fixed, so callers know
// their sizes.
package kernels
