// Package transform changes a float model so that it is the same function in real arithmetic and
// easier to round.
//
// A Smoothing divides the channels of a linear layer's input by scales, which go into what writes
// the input, and multiplies the weights that read it: the norm before q, k and v, v before o, the
// norm before gate and up, up before down. SmoothQuant (Xiao et al., 2023) and AWQ (Lin et al.,
// 2024) choose the scales. A Rotation turns the residual stream, and the values of each head, by an
// orthogonal matrix, so that no channel stands out (Ashkboos et al., 2024): the norms' weights move
// into what reads them, and a head that was the embedding becomes a tensor of its own.
//
// Both come as Layers around the layers of a model, from which a method then reads the changed
// model; no weight of the original is written to. Rotation comes first, then smoothing by the
// statistics of what it left, then the rounding.
//
// Promises: every change is exact up to the rounding of the tensors that hold it, also where norms
// are kept in 16 bits (scales are those that the rounded norm stands for); with the same statistics
// the same bits, whatever the number of threads.
//
// It leaves out rotations that the forward pass would have to undo: of the inputs of down_proj, and
// of queries and keys.
package transform
