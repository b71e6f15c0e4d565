// Package matrix multiplies and factors float64 matrices: calibration statistics are accumulated
// and solved in float64.
//
// Dense is a strided view. Dot, AddProduct and AddSymmetric multiply, Subtract is a step of
// substitution, RoundNearest one of rounding to a grid; Cholesky, SolveUpper, SolveUpperTransposed
// and InvertCholesky work on symmetric positive definite matrices and their triangles, by halving,
// down to triangles of 256 rows for solutions and of 16 for factors, so that almost all of their
// work is products.
//
// When its context ends, a routine returns after the block of a product that it is at, and leaves
// the result half made. Callers look at the context themselves, once behind several calls.
//
// It promises that a result does not depend on the number of threads, and that a row of a product
// has the same bits alone and among others: each element is one chain over the inner dimension, cut
// at fixed places. The implementation is the one that package kernels uses; implementations may
// differ in the last bits. Misuse panics with the sizes. It leaves out pivoting and everything that
// an indefinite matrix would need.
package matrix
