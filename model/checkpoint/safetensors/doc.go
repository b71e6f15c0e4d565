// Package safetensors reads and writes safetensors files, and folders of them with an index, as
// Hugging Face publishes models. It is the container alone: names, element types, shapes and bytes.
// It knows no models; package checkpoint knows what the tensors mean.
//
// Open checks a whole header against the file's size before it believes any of it: every length,
// the shape, place and overlap of every tensor, so that no file makes it take more than a small
// multiple of its own size, or read outside it. A Folder is model.safetensors, or the files that
// model.safetensors.index.json names, or a numbered set whose index is missing, as one; what a
// folder holds in their place is named in the error. Files of the system's own file system are
// mapped, and must not be shortened while they are open (a read then is an error, not a crash).
//
// Tensors of F32, F16 and BF16 are decoded to float32, whole or some rows; all others are bytes.
// Write and WriteFolder replace files in one step; Verify reads a file again and compares every
// byte with what was to be written.
//
// The package leaves out arithmetic, the types below 8 bits, and files whose tensors overlap or
// leave holes, which the format forbids.
package safetensors
