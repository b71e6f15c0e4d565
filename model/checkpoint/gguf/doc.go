// Package gguf reads and writes GGUF files: metadata by key, and tensors in the block formats of
// ggml. It is the container alone; what the keys and tensors mean is the business of package
// checkpoint.
//
// Open checks a whole header against the file's size before it believes any of it: every length and
// count, the shape, place and overlap of every tensor, so that no file makes it take more than a
// small multiple of its own size, or read outside it. Shapes are [rows, in], the widest step first,
// as in package model; the file has them the other way round.
//
// Versions 2 and 3, little-endian, are read and version 3 is written. All types of weights are
// decoded to float32, any run of rows by itself: F64, F32, F16 and BF16, the block formats Q1_0 to
// Q8_K, IQ1_S to IQ4_XS, TQ1_0, TQ2_0, MXFP4 and NVFP4. F32, F16, BF16, Q4_0 to Q8_0, Q3_K to Q6_K
// and IQ4_NL are encoded, by a search for the scales of least weighted error (fit.go). Types that
// the format gave up are known by name and size; any other number keeps its place in the file, and
// no values. Write takes tensors a few rows at a time and replaces the file in one step.
//
// The package leaves out version 1, big-endian files and models split over several files.
//
// Source of the layouts: docs/gguf.md of the ggml project, and the block structures, code books and
// functions of its ggml-common.h and ggml-quants.c.
package gguf
