// Package model is the transformer: decoder-only, of the Llama, Mistral, Qwen2 and Qwen3 families
// (RMSNorm, RoPE and its linear, llama3 and yarn scalings, grouped-query attention, SwiGLU,
// optional biases of attention, optional norms of queries and keys, tied or untied embeddings).
//
// A Model is a Config and its weights. Every linear layer holds a weight.Weight, the interface that
// every weight format implements, so pruned, quantized and served models share one forward pass.
// Widths (heads, KV heads, MLP neurons) are per layer, as pruning leaves them.
//
// There are three ways through a model, all written by hand, none with an autograd graph:
//   - Forward runs packed sequences from start to end, for calibration and loss; Attention and MLP
//     are its halves, with a Tap that sees the input of every linear layer.
//   - Trace records a forward pass over float32 weights and runs it backward into Gradients.
//   - Extender extends sequences that live in a paged KV cache, for serving.
//
// Models that are whole, and those that are not:
//
//	New       all tensors in float32, one vector for an optimizer (Flat) and a list by Hugging
//	          Face names for a checkpoint (Tensors)
//	Skeleton  norms and biases only: weights in any format are set one by one (Linears)
//	Place     one layer of a model, reset to what Skeleton gives it
//	Clone     float32 tensors in memory of its own, other formats shared
//
// Check says what is missing.
//
// Inference is batch-invariant: a row's result is the same bits whatever rows are beside it, and
// however its prefix was chunked or cached. Misuse (a token outside the vocabulary, a batch whose
// starts do not fit) panics with the numbers. The package leaves out losses, sampling, text and
// files.
package model
